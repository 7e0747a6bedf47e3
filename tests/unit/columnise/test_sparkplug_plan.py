"""The planned way of Sparkplug payloads, where it is taken, gives what the careful way gives."""

import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.ingest.columnise.accumulator import OpenBlock
from gongfu.ingest.columnise.elements import PointTable
from gongfu.ingest.columnise.json import SourceTimes
from gongfu.ingest.columnise.reasons import Reason
from gongfu.ingest.columnise.sparkplug import SparkplugReader
from gongfu.ingest.types import Writer
from gongfu.kernel.block import decode_block
from gongfu.kernel.points import Series
from tests.contract.telemetry.sparkplug_bytes import M, payload
from tests.fixtures.telemetry import NOW, rows_of

WRITER = Writer(1, 1, "d1", 1, "a1")
T = NOW // 10**6
INTS = {1: 8, 2: 16, 3: 32, 4: 64, 5: 8, 6: 16, 7: 32, 8: 64, 13: 64}
KINDS = st.sampled_from([*INTS, 9, 10, 11, 12, 14, 15])


def value_of(kind: int) -> st.SearchStrategy[Any]:
    if kind in INTS:
        bits = INTS[kind]
        return st.one_of(st.sampled_from([0, 1, 2**bits - 1, 2 ** (bits - 1)]), st.integers(0, 2**bits - 1))
    if kind == 9:
        return st.floats(width=32)
    if kind == 10:
        return st.floats()
    return st.booleans() if kind == 11 else st.text(max_size=4)


@st.composite
def sessions(draw: st.DrawFn) -> tuple[list[int], list[list[M]]]:
    kinds = draw(st.lists(KINDS, min_size=1, max_size=5))
    payloads: list[list[M]] = []
    for _ in range(draw(st.integers(2, 5))):
        metrics: list[M] = []
        for alias, kind in enumerate(kinds, start=1):
            value = None if draw(st.integers(0, 15)) == 0 else draw(value_of(kind))
            metric = M(kind, value, alias=alias, typed=draw(st.booleans()), null=draw(st.integers(0, 15)) == 0)
            metric.timestamp = draw(st.sampled_from([None, T, T, T + 1, T + 10**9]))
            metrics.append(metric)
        payloads.append(metrics)
    return kinds, payloads


@st.composite
def steady_sessions(draw: st.DrawFn) -> tuple[list[int], list[list[M]]]:
    """Payloads of one layout, as edge nodes send them; now and then one is not."""
    kinds = draw(st.lists(st.sampled_from([9, 10, 11]), min_size=1, max_size=6))
    own_times, typed = draw(st.booleans()), draw(st.booleans())
    payloads: list[list[M]] = []
    for step in range(draw(st.integers(4, 10))):
        metrics = [M(kind, draw(value_of(kind)), alias=n, typed=typed) for n, kind in enumerate(kinds, start=1)]
        for metric in metrics:
            metric.timestamp = T + step if own_times else None
        odd = draw(st.integers(0, 20))
        if odd == 0:
            metrics[0].timestamp = draw(st.sampled_from([0, 5, T + 10**9, 2**63]))
        elif odd == 1:
            metrics[-1].null = True
        elif odd == 2:
            metrics[0].alias = 77
        payloads.append(metrics)
    return kinds, payloads


def rows(block: OpenBlock) -> list[str]:
    return [repr(row) for row in rows_of([decode_block(block.close(0))])]


def is_plain(metric: M, born: int) -> bool:
    """Whether nothing about a metric calls for the careful way (numbers may be NaN or too large); the birth had
    aliases 1 to ``born``."""
    return (
        metric.kind in (11, 12, 14, 15)
        and (metric.alias is None or 1 <= metric.alias <= born)
        and not metric.null
        and metric.value is not None
        and metric.timestamp in (None, T)
    )


@given(st.one_of(sessions(), steady_sessions()))
@settings(max_examples=250, deadline=None)
def test_planned_way_equals_careful_way(session: tuple[list[int], list[list[M]]]) -> None:
    kinds, payloads = session
    reader, table, ids = SparkplugReader(100), PointTable(1, 0), itertools.count(1)
    rejected: list[Reason] = []

    def read(metrics: list[M], kind: str) -> Any:
        def reject(reason: Reason, n: int, _detail: str) -> None:
            rejected.extend([reason] * n)

        times = SourceTimes(lambda: NOW, NOW + 10**15)
        return reader.read(payload(metrics, timestamp=T), f"spBv1.0/g/{kind}/e", WRITER, times, reject)[0]

    read([M(kind, name=f"m{n}", alias=n) for n, kind in enumerate(kinds, start=1)], "NBIRTH")
    planned_count = 0
    for metrics in payloads:
        rejected.clear()
        careful, quick = OpenBlock(1, 0), OpenBlock(1, 0)
        element = read(metrics, "NDATA")
        planned = element.write_planned(table, quick)
        for name, value_type in element.missing(table.names).items():
            table.names[name] = Series(next(ids), value_type)

        def report(reason: Reason, n: int, _detail: str) -> None:
            rejected.extend([reason] * n)

        element.write(table, careful, report, lambda _child: None)
        assert careful.points + len(rejected) == len(metrics)
        if planned:
            planned_count += 1
            assert not rejected
            assert rows(quick) == rows(careful)
        else:
            assert quick.points == 0
    plain = [metrics for metrics in payloads if all(is_plain(metric, len(kinds)) for metric in metrics)]
    # The first plain payload makes the plan, all later ones use it.
    assert planned_count >= len(plain) - 1
