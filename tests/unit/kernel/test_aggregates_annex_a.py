"""Worked examples of OPC 10000-13 (v1.04, 2017-11-22) Annex A, table by table.

Source of each expected value: the tables A.2 to A.5, A.8 to A.11, A.13 to A.16, A.20, A.21, A.25, A.29 and A.36 as the
OPC Foundation publishes them. ``Good``, ``Uncertain`` (there UncertainDataSubNormal) and ``Bad`` (there BadNoData, or
Bad for Count) with the bits; a line is ``seconds after 12:00:00, value, status``. Durations of bad time and percentages
(A.30 to A.32) follow the definitions from A.29. Where two of the tables contradict each other it is said.
"""

import pytest

from gongfu.kernel.aggregates.types import AggregateFunction as F
from tests.unit.kernel.historians import HISTORIANS, told

_C, _CP = "Calculated", "Calculated,Partial"

INTERPOLATIVE = {
    1: """0 Bad|5 Bad|10 10 Good|15 15 Good,Interpolated|20 20 Good|25 25 Good,Interpolated|30 30 Good
        35 35 Uncertain,Interpolated|40 40 Uncertain,Interpolated|45 45 Uncertain,Interpolated|50 50 Good
        55 55 Good,Interpolated|60 60 Good|65 65 Uncertain,Interpolated|70 70 Uncertain|75 75 Uncertain,Interpolated
        80 80 Good|85 85 Good,Interpolated|90 90 Good|95 90 Uncertain,Interpolated""",
    2: """0 Bad|5 11.304 Good,Interpolated|10 13.478 Good,Interpolated|15 15.652 Good,Interpolated
        20 17.826 Good,Interpolated|25 20 Good|30 25.909 Good,Interpolated|35 28.182 Good,Interpolated
        40 31.111 Uncertain,Interpolated|45 36.667 Uncertain,Interpolated|50 45 Good,Interpolated
        55 51.5 Good,Interpolated|60 54 Good,Interpolated|65 56.5 Good,Interpolated|70 59 Good,Interpolated
        75 62.727 Uncertain,Interpolated|80 67.273 Uncertain,Interpolated|85 76.667 Good,Interpolated|90 90 Good
        95 90 Uncertain,Interpolated""",
    3: """0 Bad|5 10 Good,Interpolated|10 10 Good,Interpolated|15 10 Good,Interpolated|20 10 Good,Interpolated
        25 20 Good|30 25 Good,Interpolated|35 25 Good,Interpolated|40 30 Good,Interpolated
        45 30 Uncertain,Interpolated|50 40 Good,Interpolated|55 50 Good,Interpolated|60 50 Good,Interpolated
        65 50 Good,Interpolated|70 50 Good,Interpolated|75 60 Good,Interpolated|80 60 Uncertain,Interpolated
        85 70 Good,Interpolated|90 90 Good|95 90 Uncertain,Interpolated""",
}
AVERAGE = {
    1: f"""0 Bad|5 Bad|10 10 Good,{_C}|15 Bad|20 20 Good,{_C}|25 Bad|30 30 Good,{_C}|35 Bad|40 Bad|45 Bad
        50 50 Good,{_C}|55 Bad|60 60 Good,{_C}|65 Bad|70 Bad|75 Bad|80 80 Good,{_C}|85 Bad|90 90 Good,{_C}|95 Bad""",
    2: f"""0 10 Good,{_C}|5 Bad|10 Bad|15 Bad|20 Bad|25 22.5 Good,{_C}|30 Bad|35 30 Good,{_C}|40 Bad|45 40 Good,{_C}
        50 50 Good,{_C}|55 Bad|60 Bad|65 Bad|70 60 Good,{_C}|75 Bad|80 70 Good,{_C}|85 80 Good,{_C}|90 90 Good,{_C}
        95 Bad""",
}
AVERAGE[3] = AVERAGE[2]
TIME_AVERAGE = {
    1: f"""0 Bad|5 Bad|10 12.5 Good,{_C}|15 17.5 Good,{_C}|20 22.5 Good,{_C}|25 27.5 Good,{_C}|30 32.5 Uncertain,{_C}
        35 37.5 Uncertain,{_C}|40 42.5 Uncertain,{_C}|45 47.5 Uncertain,{_C}|50 52.5 Good,{_C}|55 57.5 Good,{_C}
        60 62.5 Uncertain,{_C}|65 67.5 Uncertain,{_C}|70 72.5 Uncertain,{_C}|75 77.5 Uncertain,{_C}|80 82.5 Good,{_C}
        85 87.5 Good,{_C}|90 90 Uncertain,{_C}|95 90 Uncertain,{_C}""",
}
TIME_AVERAGE2 = {
    1: f"""0 Bad|5 Bad|10 12.5 Good,{_C}|15 17.5 Good,{_C}|20 22.5 Good,{_C}|25 27.5 Good,{_C}|30 30 Uncertain,{_C}
        35 30 Uncertain,{_C}|40 Bad|45 Bad|50 52.5 Good,{_C}|55 57.5 Good,{_C}|60 62.5 Uncertain,{_C}
        65 67.5 Uncertain,{_C}|70 72.5 Uncertain,{_C}|75 77.5 Uncertain,{_C}|80 82.5 Good,{_C}|85 87.5 Good,{_C}
        90 90 Uncertain,{_CP}|95 Bad""",
    # The published copy at hand ends at 12:01:10. It says 27.046 for 12:00:30, the mean of two rounded values.
    2: f"""0 10.652 Uncertain,{_CP}|5 12.391 Good,{_C}|10 14.565 Good,{_C}|15 16.739 Good,{_C}|20 18.913 Good,{_C}
        25 23.682 Good,{_C}|30 27.045 Good,{_C}|35 29.273 Uncertain,{_C}|40 30 Uncertain,{_C}|45 42.5 Uncertain,{_C}
        50 49.45 Good,{_C}|55 52.75 Good,{_C}|60 55.25 Good,{_C}|65 57.75 Good,{_C}|70 59.8 Uncertain,{_C}""",
}
MINIMUM = {
    1: f"0 10 Good,{_CP}|16 20 Good,{_C}|32 Bad|48 50 Good,{_C}|64 Bad|80 80 Good,Partial|96 Bad",
    2: f"""0 10 Good,{_CP}|16 20 Good,{_C}|32 30 Uncertain,{_C}|48 40 Good|64 60 Uncertain,{_C}|80 70 Good,{_CP}
        96 Bad""",
}
MINIMUM[3] = MINIMUM[2]
MAXIMUM = {
    1: f"0 10 Good,{_CP}|16 30 Good,{_C}|32 Bad|48 60 Good,{_C}|64 Bad|80 90 Good,{_CP}|96 Bad",
    2: f"""0 10 Good,{_CP}|16 25 Good,{_C}|32 30 Uncertain,{_C}|48 50 Good,{_C}|64 60 Uncertain,{_C}|80 90 Good,{_CP}
        96 Bad""",
}
MAXIMUM[3] = MAXIMUM[2]
MINIMUM_ACTUAL_TIME = {
    1: "10 10 Good,Partial|20 20 Good|32 Bad|50 50 Good|64 Bad|80 80 Good,Partial|96 Bad",
    2: "2 10 Good,Partial|25 20 Good|39 30 Uncertain|48 40 Good|72 60 Uncertain|83 70 Good,Partial|96 Bad",
}
MINIMUM_ACTUAL_TIME[3] = MINIMUM_ACTUAL_TIME[2]
MAXIMUM_ACTUAL_TIME = {
    1: "10 10 Good,Partial|30 30 Good|32 Bad|60 60 Good|64 Bad|90 90 Good,Partial|96 Bad",
    2: "2 10 Good,Partial|28 25 Good|39 30 Uncertain|52 50 Good|72 60 Uncertain|90 90 Good,Partial|96 Bad",
}
MAXIMUM_ACTUAL_TIME[3] = MAXIMUM_ACTUAL_TIME[2]
MINIMUM2 = {
    1: f"""0 10 Uncertain,{_CP}|16 16 Uncertain,Interpolated|32 30 Uncertain,Interpolated|48 50 Uncertain,{_C}
        64 64 Uncertain,Interpolated|80 80 Uncertain,Partial|96 Bad""",
    2: f"""0 10 Uncertain,{_CP}|16 16.087 Good,Interpolated|32 26.818 Uncertain,Interpolated|48 40 Good
        64 56 Uncertain,Interpolated|80 70 Uncertain,{_CP}|96 Bad""",
    3: f"""0 10 Good,{_CP}|16 10 Good,Interpolated|32 25 Good,Interpolated|48 40 Good|64 50 Good,Interpolated
        80 70 Good,{_CP}|96 Bad""",
}
MAXIMUM2 = {
    1: f"""0 16 Uncertain,Interpolated,Partial|16 30 Uncertain,{_C},MultipleValues|32 30 Uncertain,Interpolated
        48 64 Uncertain,Interpolated|64 80 Uncertain,{_C}|80 90 Uncertain,{_CP}|96 Bad""",
    2: f"""0 16.087 Uncertain,Interpolated,Partial|16 26.818 Good,Interpolated|32 40 Uncertain,{_C}
        48 56 Good,Interpolated|64 60 Uncertain,{_C}|80 90 Uncertain,{_CP}|96 Bad""",
    3: f"0 10 Good,{_CP}|16 25 Good,{_C}|32 30 Good,{_C}|48 50 Good,{_C}|64 60 Good,{_C}|80 90 Good,{_CP}|96 Bad",
}
MINIMUM_ACTUAL_TIME2 = {
    1: """10 10 Uncertain,Partial|16 16 Uncertain,Interpolated|32 30 Uncertain,Interpolated|50 50 Uncertain
        64 64 Uncertain,Interpolated|80 80 Uncertain,Partial|96 Bad""",
    2: """2 10 Uncertain,Partial|16 16.087 Good,Interpolated|32 26.818 Uncertain,Interpolated|48 40 Good
        64 56 Uncertain,Interpolated|83 70 Uncertain,Partial|96 Bad""",
    3: """2 10 Good,Partial|16 10 Good,Interpolated|32 25 Good,Interpolated|48 40 Good|64 50 Good,Interpolated
        83 70 Good,Partial|96 Bad""",
}
MAXIMUM_ACTUAL_TIME2 = {
    1: """15.999 16 Uncertain,Interpolated,Partial|30 30 Uncertain,MultipleValues|32 30 Uncertain,Interpolated
        63.999 64 Uncertain,Interpolated|79.999 80 Uncertain,Interpolated|90 90 Uncertain,Partial|96 Bad""",
    2: """15.999 16.087 Uncertain,Interpolated,Partial|31.999 26.818 Good,Interpolated
        47.999 40 Uncertain,Interpolated|63.999 56 Good,Interpolated|72 60 Uncertain|90 90 Uncertain,Partial|96 Bad""",
    3: "2 10 Good,Partial|28 25 Good|39 30 Good|52 50 Good|72 60 Good|90 90 Good,Partial|96 Bad",
}
COUNT = {
    1: f"0 1 Good,{_CP}|16 2 Good,{_C}|32 Bad|48 2 Good,{_C}|64 0 Uncertain,{_C}|80 2 Good,{_CP}|96 Bad",
    2: f"0 1 Good,{_CP}|16 2 Good,{_C}|32 1 Uncertain,{_C}|48 2 Good,{_C}|64 1 Uncertain,{_C}|80 3 Good,{_CP}|96 Bad",
}
STATE_ZERO = {
    4: f"""0 0 Uncertain,{_CP}|16 3000 Good,{_C}|32 0 Uncertain,{_C}|48 12000 Good,{_C}|64 13000 Uncertain,{_C}
        80 4000 Uncertain,{_CP}|96 Bad""",
}
STATE_NON_ZERO = {
    4: f"""0 14000 Uncertain,{_CP}|16 13000 Good,{_C}|32 10000 Uncertain,{_C}|48 4000 Good,{_C}|64 0 Uncertain,{_C}
        80 3001 Uncertain,{_CP}|96 Bad""",
}
START_BOUND = {
    1: """0 Bad,Partial|16 16 Good,Interpolated|32 30 Uncertain,Interpolated|48 Bad|64 64 Uncertain,Interpolated
        80 80 Good,Partial|96 Bad""",
    2: """0 Bad,Partial|16 16.087 Good,Interpolated|32 26.818 Good,Interpolated|48 40 Good|64 56 Good,Interpolated
        80 Bad,Partial|96 Bad""",
    3: """0 Bad,Partial|16 10 Good,Interpolated|32 25 Good,Interpolated|48 40 Good|64 50 Good,Interpolated
        80 Bad,Partial|96 Bad""",
}
DURATION_GOOD = {
    1: f"""0 6000 Good,{_CP}|16 16000 Good,{_C}|32 0 Good,{_C}|48 14000 Good,{_C}|64 0 Good,{_C}
        80 10001 Good,{_CP}|96 Bad""",
    2: f"""0 14000 Good,{_CP}|16 16000 Good,{_C}|32 10000 Good,{_C}|48 16000 Good,{_C}|64 13000 Good,{_C}
        80 7001 Good,{_CP}|96 Bad""",
}
DURATION_GOOD[3] = DURATION_GOOD[4] = DURATION_GOOD[2]
DURATION_BAD = {
    1: f"0 10000 Good,{_CP}|16 0 Good,{_C}|32 8000 Good,{_C}|48 2000 Good,{_C}|64 0 Good,{_C}|80 0 Good,{_CP}|96 Bad",
    2: f"0 2000 Good,{_CP}|16 0 Good,{_C}|32 6000 Good,{_C}|48 0 Good,{_C}|64 3000 Good,{_C}|80 3000 Good,{_CP}|96 Bad",
}
DURATION_BAD[3] = DURATION_BAD[4] = DURATION_BAD[2]
PERCENT_GOOD = {
    1: f"0 37.5 Good,{_CP}|16 100 Good,{_C}|32 0 Good,{_C}|48 87.5 Good,{_C}|64 0 Good,{_C}|80 100 Good,{_CP}|96 Bad",
    2: f"""0 87.5 Good,{_CP}|16 100 Good,{_C}|32 62.5 Good,{_C}|48 100 Good,{_C}|64 81.25 Good,{_C}
        80 70.003 Good,{_CP}|96 Bad""",
}
PERCENT_BAD = {
    2: f"""0 12.5 Good,{_CP}|16 0 Good,{_C}|32 37.5 Good,{_C}|48 0 Good,{_C}|64 18.75 Good,{_C}
        80 29.997 Good,{_CP}|96 Bad""",
}
VARIANCE_SAMPLE = {
    1: f"0 0 Good,{_CP}|20 50 Good,{_C}|40 0 Uncertain,{_C}|60 0 Uncertain,{_C}|80 50 Good,{_CP}",
    2: f"0 0 Good,{_CP}|20 25 Good,{_C}|40 50 Uncertain,{_C}|60 0 Uncertain,{_C}|80 100 Good,{_CP}",
}
VARIANCE_SAMPLE[3] = VARIANCE_SAMPLE[2]

EXAMPLES = [
    (function, step, number, table)
    for function, step, tables in (
        (F.INTERPOLATIVE, 5, INTERPOLATIVE),
        (F.AVERAGE, 5, AVERAGE),
        (F.TIME_AVERAGE, 5, TIME_AVERAGE),
        (F.TIME_AVERAGE2, 5, TIME_AVERAGE2),
        (F.MINIMUM, 16, MINIMUM),
        (F.MAXIMUM, 16, MAXIMUM),
        (F.MINIMUM_ACTUAL_TIME, 16, MINIMUM_ACTUAL_TIME),
        (F.MAXIMUM_ACTUAL_TIME, 16, MAXIMUM_ACTUAL_TIME),
        (F.MINIMUM2, 16, MINIMUM2),
        (F.MAXIMUM2, 16, MAXIMUM2),
        (F.MINIMUM_ACTUAL_TIME2, 16, MINIMUM_ACTUAL_TIME2),
        (F.MAXIMUM_ACTUAL_TIME2, 16, MAXIMUM_ACTUAL_TIME2),
        (F.COUNT, 16, COUNT),
        (F.DURATION_IN_STATE_ZERO, 16, STATE_ZERO),
        (F.DURATION_IN_STATE_NON_ZERO, 16, STATE_NON_ZERO),
        (F.START_BOUND, 16, START_BOUND),
        (F.DURATION_GOOD, 16, DURATION_GOOD),
        (F.DURATION_BAD, 16, DURATION_BAD),
        (F.PERCENT_GOOD, 16, PERCENT_GOOD),
        (F.PERCENT_BAD, 16, PERCENT_BAD),
        (F.VARIANCE_SAMPLE, 20, VARIANCE_SAMPLE),
    )
    for number, table in tables.items()
]


@pytest.mark.parametrize(("function", "step", "number", "table"), EXAMPLES)
def test_annex_a(function: F, step: int, number: int, table: str) -> None:
    expected = [line.strip() for line in table.replace("\n", "|").split("|")]
    found = told(HISTORIANS[number].ask(function, step))
    if function is F.TIME_AVERAGE2 and number == 2:
        found = found[: len(expected)]
    assert found == expected
