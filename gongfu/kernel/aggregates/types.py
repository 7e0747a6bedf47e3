"""What the aggregates of OPC 10000-13 take and give. Times are UTC nanoseconds since 1970."""

from dataclasses import dataclass
from enum import IntFlag, StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.quality import Quality


class AggregateFunction(StrEnum):
    """AggregateFunction objects of OPC 10000-13 Table 5 by their BrowseName; AnnotationCount is not among them."""

    INTERPOLATIVE = "Interpolative"
    AVERAGE = "Average"
    TIME_AVERAGE = "TimeAverage"
    TIME_AVERAGE2 = "TimeAverage2"
    TOTAL = "Total"
    TOTAL2 = "Total2"
    MINIMUM = "Minimum"
    MAXIMUM = "Maximum"
    MINIMUM_ACTUAL_TIME = "MinimumActualTime"
    MAXIMUM_ACTUAL_TIME = "MaximumActualTime"
    RANGE = "Range"
    MINIMUM2 = "Minimum2"
    MAXIMUM2 = "Maximum2"
    MINIMUM_ACTUAL_TIME2 = "MinimumActualTime2"
    MAXIMUM_ACTUAL_TIME2 = "MaximumActualTime2"
    RANGE2 = "Range2"
    COUNT = "Count"
    DURATION_IN_STATE_ZERO = "DurationInStateZero"
    DURATION_IN_STATE_NON_ZERO = "DurationInStateNonZero"
    NUMBER_OF_TRANSITIONS = "NumberOfTransitions"
    START = "Start"
    END = "End"
    DELTA = "Delta"
    START_BOUND = "StartBound"
    END_BOUND = "EndBound"
    DELTA_BOUNDS = "DeltaBounds"
    DURATION_GOOD = "DurationGood"
    DURATION_BAD = "DurationBad"
    PERCENT_GOOD = "PercentGood"
    PERCENT_BAD = "PercentBad"
    WORST_QUALITY = "WorstQuality"
    WORST_QUALITY2 = "WorstQuality2"
    STANDARD_DEVIATION_SAMPLE = "StandardDeviationSample"
    VARIANCE_SAMPLE = "VarianceSample"
    STANDARD_DEVIATION_POPULATION = "StandardDeviationPopulation"
    VARIANCE_POPULATION = "VariancePopulation"


# The value is one of the stored values: it has the type of the series, and ``Processed.source`` tells which.
STORED_VALUE = frozenset(
    {
        AggregateFunction.START,
        AggregateFunction.END,
        AggregateFunction.MINIMUM,
        AggregateFunction.MAXIMUM,
        AggregateFunction.MINIMUM_ACTUAL_TIME,
        AggregateFunction.MAXIMUM_ACTUAL_TIME,
    }
)
# Where values hold until the next one, these too are stored values.
STORED_IF_STEPPED = frozenset(
    {AggregateFunction.INTERPOLATIVE, AggregateFunction.START_BOUND, AggregateFunction.END_BOUND}
)
# Defined without arithmetic on values, so for text too, which is always stepped.
FOR_TEXT = STORED_IF_STEPPED | frozenset(
    {
        AggregateFunction.START,
        AggregateFunction.END,
        AggregateFunction.COUNT,
        AggregateFunction.NUMBER_OF_TRANSITIONS,
        AggregateFunction.DURATION_GOOD,
        AggregateFunction.DURATION_BAD,
        AggregateFunction.PERCENT_GOOD,
        AggregateFunction.PERCENT_BAD,
        AggregateFunction.WORST_QUALITY,
        AggregateFunction.WORST_QUALITY2,
    }
)


class Bits(IntFlag):
    """Historian bits of a StatusCode (OPC 10000-4 §7.39.1, OPC 10000-13 §5.3.3)."""

    RAW = 0
    CALCULATED = 1
    INTERPOLATED = 2
    PARTIAL = 4
    EXTRA_DATA = 8
    MULTIPLE_VALUES = 16


@dataclass(frozen=True, slots=True)
class AggregateConfiguration:
    """AggregateConfigurationType (OPC 10000-13 §4.2.1.2) with its defaults, and the Stepped attribute of Part 11.

    Attributes:
        treat_uncertain_as_bad: uncertain values take part like bad ones.
        percent_data_bad: from this share of bad data on, 0 to 100, the result is bad.
        percent_data_good: from this share of good data on, 0 to 100, the result is good; between the two uncertain.
        use_sloped_extrapolation: behind the last value follow the last two instead of holding the last.
        stepped: a value holds until the next; otherwise values lie on lines.
        resolution: of time in ns: how long the last value of all data is known to hold (EffectiveEndTime, §3.1.3).
    """

    treat_uncertain_as_bad: bool = True
    percent_data_bad: int = 100
    percent_data_good: int = 100
    use_sloped_extrapolation: bool = False
    stepped: bool = False
    resolution: int = 1


@dataclass(frozen=True, slots=True)
class Points:
    """Stored values of one series, ascending in time without repeats, with their surroundings.

    Beside the values of the grid's time, the columns hold the last value before it, the last two usable ones before
    it, the first value and the first usable one from its end on, as far as these are stored. Others outside the grid's
    time may be missing.

    Attributes:
        times: ``int64[n]``, UTC ns.
        values: ``[n]`` of any numeric type; of text any numbers that differ when the texts do.
        qualities: ``uint8[n]`` quality bytes.
        ends: nothing is stored from the end of the grid on, so that the last value is the end of the data.
    """

    times: NDArray[np.int64]
    values: NDArray[Any]
    qualities: NDArray[np.uint8]
    ends: bool


@dataclass(frozen=True, slots=True)
class Grid:
    """Intervals ``[start + i * step, start + (i + 1) * step)`` up to ``end``; the last may be shorter (§5.4.2.2)."""

    start: int
    end: int
    step: int

    def __post_init__(self) -> None:
        if self.end <= self.start or self.step < 1:
            raise ValueError("a grid has a positive length and a positive step")

    def __len__(self) -> int:
        return -(-(self.end - self.start) // self.step)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Start of each interval."""
        return self.start + np.arange(len(self), dtype=np.int64) * self.step

    @property
    def ends(self) -> NDArray[np.int64]:
        """End of each interval, exclusive."""
        return np.append(self.starts[1:], np.int64(self.end))


@dataclass(frozen=True, slots=True)
class Processed:
    """One value for each interval.

    Attributes:
        times: ``int64[k]``: start of the interval, or the time of the value where the aggregate says so.
        values: ``float64[k]``, NaN where there is none. Durations are milliseconds, a StatusCode is its 32 bits.
        qualities: ``uint8[k]``: severity of the StatusCode.
        bits: ``uint8[k]``: see ``Bits``.
        source: ``int64[k]``: index of the stored value that this one is, -1 when it was calculated.
    """

    times: NDArray[np.int64]
    values: NDArray[np.float64]
    qualities: NDArray[np.uint8]
    bits: NDArray[np.uint8]
    source: NDArray[np.int64]

    @classmethod
    def nothing(cls, times: NDArray[np.int64]) -> "Processed":
        """Return intervals without data: Bad_NoData."""
        k = len(times)
        return cls(
            times.copy(),
            np.full(k, np.nan),
            np.full(k, Quality.BAD_NO_DATA, np.uint8),
            np.zeros(k, np.uint8),
            np.full(k, -1, np.int64),
        )
