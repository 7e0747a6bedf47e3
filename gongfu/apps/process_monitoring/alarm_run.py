"""When an alarm of a monitor begins and ends: single samples beyond the limit are borne. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Samples above the limit, in a row, that begin an alarm.
BEGINS = 3
# Samples below CALM of the limit, in a row, that end it.
ENDS = 6
CALM = 0.9


@dataclass(slots=True)
class AlarmRun:
    """State between samples: samples in a row above and calm, and when the alarm that stands began, UTC ns."""

    above: int = 0
    calm: int = 0
    began: int | None = None


def follow(run: AlarmRun, times: Sequence[int], indexes: Sequence[float]) -> Iterator[tuple[int, bool]]:
    """Yield ``(place, True)`` where an alarm begins and ``(place, False)`` where it ends; change ``run`` on the way.

    Args:
        run: state before the first sample.
        times: n sample times, UTC ns, ascending.
        indexes: n indexes; NaN says nothing.
    """
    for place, (time, index) in enumerate(zip(times, indexes, strict=True)):
        if index != index:
            continue
        run.above = run.above + 1 if index > 1.0 else 0
        run.calm = run.calm + 1 if index < CALM else 0
        if run.began is None and run.above >= BEGINS:
            run.began = time
            yield place, True
        elif run.began is not None and run.calm >= ENDS:
            run.began = None
            yield place, False
