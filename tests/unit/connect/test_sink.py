"""The sink: scaling, types, order, duplicates, gaps, bounds. Every reading is kept, or counted as what became of it."""

import math
from collections.abc import Mapping
from typing import Any

import pytest

from gongfu.connect.kit.sink import ReadingSink
from gongfu.connect.kit.types import Address, Reading
from gongfu.kernel.quality import Quality
from tests.unit.connect.memory_intake import WRITER, MemoryIntake

T0 = 1_700_000_000_000_000_000
S = 1_000_000_000


class Bench:
    """A sink and what it gave."""

    def __init__(self, *addresses: Address, prompt: bool = True, **options: Any) -> None:
        self.intake = MemoryIntake(prompt=prompt)
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.sink = ReadingSink(addresses, WRITER, self.intake, self._event, **options)

    def _event(self, kind: str, detail: Mapping[str, Any]) -> None:
        self.events.append((kind, dict(detail)))

    @property
    def rows(self) -> list[tuple[str, str, Any, int, int]]:
        return self.intake.rows

    def balance(self) -> int:
        """Return the readings that nothing is said of: always 0."""
        one = self.sink.figures
        dropped = one.compressed + one.duplicates + sum(one.rejected.values()) + sum(one.shed.values())
        return one.readings - one.accepted - dropped


def where(point: str = "t", **more: Any) -> Address:
    return Address(point=point, where="x", **more)


async def test_values_are_scaled_and_typed() -> None:
    bench = Bench(
        where("t", scale=0.1, offset=-40.0),
        where("n", value_type="int64"),
        where("on", value_type="boolean", asset="泵 1"),
        where("name", value_type="string"),
        where("all", value_type="json"),
    )
    big = 2**62 + 1
    bench.sink.take([Reading(0, 653), Reading(1, big), Reading(2, 1), Reading(3, "启动"), Reading(4, [1, 2.5])], T0)
    bench.sink.close()
    assert bench.rows[0] == ("", "t", pytest.approx(25.3), 0, T0)
    assert bench.rows[1:] == [
        ("", "n", big, 0, T0),
        ("泵 1", "on", True, 0, T0),
        ("", "name", "启动", 0, T0),
        ("", "all", "[1,2.5]", 0, T0),
    ]
    assert bench.balance() == 0


@pytest.mark.parametrize(
    ("value_type", "value", "reason"),
    [
        ("double", "text", "type_mismatch"),
        ("double", 2**53 + 1, "precision_loss"),
        ("int64", 2**63, "integer_overflow"),
        ("int64", 1.5, "type_mismatch"),
        ("int64", math.nan, "type_mismatch"),
        ("boolean", 2, "type_mismatch"),
        ("double", None, "null_value"),
    ],
)
async def test_what_does_not_fit_is_counted(value_type: str, value: Any, reason: str) -> None:
    bench = Bench(where("t", value_type=value_type), where("u"))
    bench.sink.take([Reading(0, value), Reading(1, 1.0)], T0)
    bench.sink.close()
    assert bench.sink.figures.rejected == {reason: 1}
    assert "'t'" in bench.sink.figures.detail
    # Its neighbour is not hurt.
    assert bench.rows == [("", "u", 1.0, 0, T0)]
    assert bench.balance() == 0


async def test_not_a_number_is_bad() -> None:
    bench = Bench(where("t"))
    bench.sink.take([Reading(0, math.inf, 0, T0), Reading(0, math.nan, 0, T0 + 1)], T0 + 5)
    bench.sink.close()
    assert [row[3] for row in bench.rows] == [Quality.BAD_NOT_A_NUMBER] * 2


async def test_without_a_time_that_of_arrival_strictly_rising() -> None:
    bench = Bench(where("t"))
    bench.sink.take([Reading(0, 1.0), Reading(0, 2.0)], T0)
    bench.sink.take([Reading(0, 3.0)], T0)
    bench.sink.close()
    assert [row[4] for row in bench.rows] == [T0, T0 + 1, T0 + 2]


async def test_duplicates_corrections_and_late_values() -> None:
    bench = Bench(where("t"))
    bench.sink.take([Reading(0, 1.0, 0, T0), Reading(0, 1.0, 0, T0), Reading(0, 2.0, 0, T0)], T0)
    bench.sink.take([Reading(0, 3.0, 0, T0 + S), Reading(0, 0.5, 0, T0 - S)], T0 + S)
    bench.sink.close()
    figures = bench.sink.figures
    assert (figures.duplicates, figures.late) == (1, 1)
    assert [(row[2], row[4]) for row in bench.rows] == [(1.0, T0), (2.0, T0), (3.0, T0 + S), (0.5, T0 - S)]
    assert bench.balance() == 0


async def test_a_late_value_does_not_disturb_compression() -> None:
    bench = Bench(where("t", deadband=1.0))
    bench.sink.take([Reading(0, 5.0, 0, T0), Reading(0, 9.0, 0, T0 - S), Reading(0, 5.5, 0, T0 + S)], T0)
    bench.sink.close()
    assert [row[2] for row in bench.rows] == [5.0, 9.0]
    assert bench.balance() == 0


async def test_compression_is_counted_and_ended_by_bad_quality() -> None:
    bench = Bench(where("t", swinging_door=0.5))
    bench.sink.take([Reading(0, float(n), 0, T0 + n * S) for n in range(10)], T0 + 10 * S)
    bench.sink.take([Reading(0, None, Quality.BAD_DEVICE, T0 + 10 * S)], T0 + 10 * S)
    bench.sink.close()
    assert [(row[4] - T0) // S for row in bench.rows] == [0, 9, 10]
    assert [row[3] for row in bench.rows] == [0, 0, Quality.BAD_DEVICE]
    assert math.isnan(bench.rows[2][2])
    assert bench.sink.figures.compressed == 8
    assert bench.balance() == 0


async def test_a_gap_is_told_by_every_point_and_once() -> None:
    bench = Bench(where("t"), where("n", value_type="int64"), where("never"))
    bench.sink.take([Reading(0, 1.0, 0, T0), Reading(1, 42, 0, T0)], T0)
    bench.sink.close()
    bench.sink.lost(T0 + S, "unreachable")
    bench.sink.lost(T0 + 2 * S, "unreachable")
    bench.sink.close()
    told = bench.rows[2:]
    assert [(row[1], row[3], row[4]) for row in told] == [
        ("t", Quality.BAD_NO_DATA, T0 + S),
        ("n", Quality.BAD_NO_DATA, T0 + S),
    ]
    assert math.isnan(told[0][2])
    assert told[1][2] == 42
    detail = {"since": T0 + S, "until": T0 + S, "reason": "unreachable", "points": 2}
    assert bench.events == [("connection.gap", detail)]
    bench.sink.take([Reading(0, 2.0, 0, T0 + 3 * S)], T0 + 3 * S)
    bench.sink.lost(T0 + 4 * S, "timeout")
    bench.sink.close()
    assert [row[3] for row in bench.rows[4:]] == [0, Quality.BAD_NO_DATA]


async def test_a_machine_whose_clock_is_behind_is_good_again_after_a_gap() -> None:
    bench = Bench(where("t"))
    hour = 3600 * S
    bench.sink.take([Reading(0, 1.0, 0, T0 - hour)], T0)
    bench.sink.lost(T0 + 5 * S, "timeout")
    bench.sink.take([Reading(0, 2.0, 0, T0 - hour + 9 * S)], T0 + 9 * S)
    bench.sink.close()
    assert [(row[3], row[4] - T0 + hour) for row in bench.rows] == [
        (0, 0),
        (Quality.BAD_NO_DATA, 5 * S),
        (0, 9 * S),
    ]
    assert bench.sink.figures.late == 0


async def test_beyond_the_bound_readings_are_shed_and_counted() -> None:
    bench = Bench(where("t"), prompt=False, max_pending=8)
    for n in range(5):
        bench.sink.take([Reading(0, float(i)) for i in range(4)], T0 + n)
        bench.sink.close()
    assert bench.sink.saturated
    assert bench.sink.pending == 8
    assert bench.sink.figures.shed == bench.intake.shed == {"saturated": 12}
    bench.intake.settle()
    assert bench.sink.pending == 0
    assert not bench.sink.saturated
    assert bench.balance() == 0


async def test_quota() -> None:
    bench = Bench(where("t"), admit=lambda n: "device_quota" if n > 2 else "")
    bench.sink.take([Reading(0, 1.0)], T0)
    bench.sink.close()
    bench.sink.take([Reading(0, 1.0)] * 3, T0)
    bench.sink.close()
    assert bench.sink.figures.shed == {"device_quota": 3}
    assert bench.balance() == 0
