"""One back-test: ``python -m gongfu.reason.backtest.process``.

A task comes by standard input, lines of JSON go to standard output. It ends with its parent, is told to be nice, and
has a bound of memory.
"""

import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator

import msgspec
import numpy as np

from gongfu.kernel.points import ValueType
from gongfu.kernel.times import SECOND
from gongfu.reason.backtest.reading import HistoryAway, Page, Reader, ahead
from gongfu.reason.backtest.replay import Replay
from gongfu.reason.backtest.types import Instances, Source, Task, Told
from gongfu.reason.rules.conditions import SEVERAL_POINTS
from gongfu.reason.rules.instances import Assignment
from gongfu.reason.rules.service import draft_of

NICE = 10
# Samples of one slice of time of a rule that looks at several series at once.
SLICE = 1_000_000
_TELL_S = 0.25


def assignment_of(task: Task) -> Assignment:
    """Return what the engine takes. History has samples in order: nothing has to wait for late ones, but for those of
    the other points of the same instant."""
    given: Instances = task.instances
    rule = draft_of(1, msgspec.structs.replace(task.body, lateness_s=0.0))

    series = np.array(given.series, dtype=np.uint32)
    labels = None if given.labels is None else np.array(given.labels, dtype=np.int64)
    members = None if given.members is None else np.array(given.members, dtype=np.uint32)
    shape = series.shape if members is None else members.shape
    factor = None if given.factor is None else np.array(given.factor, dtype=np.float64).reshape(shape)
    offset = None if given.offset is None else np.array(given.offset, dtype=np.float64).reshape(shape)
    return Assignment(rule, series, labels, members, factor, offset)


def run(task: Task, tell: Callable[[Told], None]) -> Told:
    """Carry out a task and return its result.

    Raises:
        HistoryAway: the history does not answer.
    """
    replay = Replay(assignment_of(task), task.time_from)
    readers = [Reader(source.url, task.user, task.password, ValueType(source.value_type)) for source in task.sources]
    span = (task.time_from, task.time_to)
    counts = [reader.counts(source.series, *span) for reader, source in zip(readers, task.sources, strict=True)]
    expected = sum(sum(found.values()) for found in counts)
    told, done = time.monotonic(), 0
    together = task.body.kind in SEVERAL_POINTS
    parts = _slices(task, readers, expected) if together else _series(task, readers, counts)
    for value_type, page in parts:
        replay.take(page.series, page.times, page.values, value_type)
        done += len(page.times)
        if time.monotonic() - told >= _TELL_S:
            told = time.monotonic()
            tell(Told(progress=min(0.99, done / max(expected, 1)), samples=done))
    replay.finish(task.time_to)
    bad = sum(reader.bad(source.series, *span) for reader, source in zip(readers, task.sources, strict=True))
    for reader in readers:
        reader.close()
    return Told(
        progress=1.0,
        samples=replay.samples,
        left_out=replay.left_out + bad,
        alarms=sorted(replay.alarms, key=lambda alarm: (alarm[1], alarm[0])),
        raised=replay.raised,
        seconds=time.process_time(),
    )


def _series(task: Task, readers: list[Reader], counts: list[dict[int, int]]) -> Iterator[tuple[ValueType, Page]]:
    for reader, source, found in zip(readers, task.sources, counts, strict=True):
        for page in ahead(reader.by_series(found, task.time_from, task.time_to)):
            yield ValueType(source.value_type), page


def _slices(task: Task, readers: list[Reader], expected: int) -> Iterator[tuple[ValueType, Page]]:
    """Yield all series slice by slice of time: those that are looked at together must come together."""
    number = max(1, expected // SLICE)
    length = max(60 * SECOND, (task.time_to - task.time_from) // number + 1)

    def pages(reader: Reader, source: Source, begin: int) -> Iterator[Page]:
        end = min(begin + length, task.time_to)
        for some in range(0, len(source.series), 10_000):
            yield reader.slice(source.series[some : some + 10_000], begin, end)

    for begin in range(task.time_from, task.time_to, length):
        found = [
            page for reader, source in zip(readers, task.sources, strict=True) for page in pages(reader, source, begin)
        ]
        yield from _by_time(found)


def _by_time(pages: list[Page]) -> Iterator[tuple[ValueType, Page]]:
    """Yield the samples of a slice in order of time, whatever their type: as numbers."""
    filled = [page for page in pages if len(page.times)]
    if not filled:
        return
    series = np.concatenate([page.series for page in filled])
    times = np.concatenate([page.times for page in filled])
    values = np.concatenate([page.values.astype(np.float64) for page in filled])
    order = np.argsort(times, kind="stable")
    yield ValueType.DOUBLE, Page(series[order], times[order], values[order])


def _end_with_parent() -> None:
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def main() -> int:
    """Read the task, carry it out, tell."""
    _end_with_parent()
    with contextlib.suppress(OSError):
        os.nice(NICE)
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    resource.setrlimit(resource.RLIMIT_DATA, (task.memory_bytes, task.memory_bytes))
    out = sys.stdout.buffer

    def tell(told: Told) -> None:
        out.write(msgspec.json.encode(told) + b"\n")
        out.flush()

    try:
        tell(run(task, tell))
    except HistoryAway as error:
        tell(Told(error=str(error)))
    except MemoryError:
        tell(Told(error=f"it needs more than {task.memory_bytes >> 20} MiB: take fewer assets or a shorter range"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
