"""The example data of OPC 10000-13 Annex A.1, without the entry at 12:00:00 that only says that the point was made.

Times are UTC ns from 12:00:00; the clock of the examples resolves milliseconds.
"""

from dataclasses import dataclass

import numpy as np

from gongfu.kernel.aggregates.process import process
from gongfu.kernel.aggregates.types import (
    AggregateConfiguration,
    AggregateFunction,
    Bits,
    Grid,
    Points,
    Processed,
)
from gongfu.kernel.quality import Quality

SECOND = 1_000_000_000
NOON = 1_325_505_600 * SECOND

GOOD, UNCERTAIN, BAD = int(Quality.GOOD), int(Quality.UNCERTAIN), int(Quality.BAD)
_EVERY_TEN = [(10, 10), (20, 20), (30, 30), (40, 40), (50, 50), (60, 60), (70, 70), (80, 80), (90, 90)]
_IRREGULAR = [
    (2, 10), (25, 20), (28, 25), (39, 30), (42, 0), (48, 40), (52, 50), (72, 60), (77, 70), (83, 70), (86, 80),
    (90, 90),
]  # fmt: skip
_STATES = [
    (2, 1), (25, 0), (28, 1), (39, 1), (42, 1), (48, 1), (52, 0), (72, 0), (77, 1), (83, 1), (86, 0), (90, 1),
]  # fmt: skip


@dataclass(frozen=True)
class Historian:
    """Points and the configuration of the examples made of them."""

    points: Points
    configuration: AggregateConfiguration

    def ask(self, function: AggregateFunction, step: int) -> Processed:
        """Return an aggregate as the annex asks for it: 12:00:00 to 12:01:40."""
        grid = Grid(NOON, NOON + 100 * SECOND, step * SECOND)
        return process(function, self.points, grid, self.configuration)


def _points(values: list[tuple[int, int]], qualities: dict[int, int]) -> Points:
    seconds = [second for second, _ in values]
    return Points(
        NOON + np.array(seconds, np.int64) * SECOND,
        np.array([value for _, value in values], np.float64),
        np.array([qualities.get(second, GOOD) for second in seconds], np.uint8),
        ends=True,
    )


def _configuration(*, treat: bool, percent: int, stepped: bool) -> AggregateConfiguration:
    return AggregateConfiguration(
        treat_uncertain_as_bad=treat,
        percent_data_bad=percent,
        percent_data_good=percent,
        stepped=stepped,
        resolution=1_000_000,
    )


_FLAWED = {42: BAD, 77: UNCERTAIN}
HISTORIANS = {
    1: Historian(
        _points(_EVERY_TEN, {40: BAD, 70: UNCERTAIN}), _configuration(treat=False, percent=100, stepped=False)
    ),
    2: Historian(_points(_IRREGULAR, _FLAWED), _configuration(treat=True, percent=100, stepped=False)),
    3: Historian(_points(_IRREGULAR, _FLAWED), _configuration(treat=True, percent=50, stepped=True)),
    4: Historian(_points(_STATES, _FLAWED), _configuration(treat=True, percent=100, stepped=True)),
}

_BITS = {
    Bits.CALCULATED: "Calculated",
    Bits.INTERPOLATED: "Interpolated",
    Bits.PARTIAL: "Partial",
    Bits.MULTIPLE_VALUES: "MultipleValues",
}


def told(result: Processed) -> list[str]:
    """Return each interval as the annex writes it: ``seconds value quality bits``; Uncertain for both of its kinds."""
    lines = []
    for time, value, quality, bits in zip(
        result.times.tolist(), result.values.tolist(), result.qualities.tolist(), result.bits.tolist(), strict=True
    ):
        severity = "Good" if quality < 0x40 else "Uncertain" if quality < 0x80 else "Bad"
        words = [severity, *(word for bit, word in _BITS.items() if bits & bit)]
        number = "" if value != value else f"{round(value, 3):g}"
        seconds = (time - NOON) / SECOND
        lines.append(" ".join(part for part in (f"{seconds:g}", number, ",".join(words)) if part))
    return lines
