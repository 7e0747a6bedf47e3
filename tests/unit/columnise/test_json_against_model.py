"""The columniser's quick and careful ways together mean what the slow model says, whatever is sent."""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gongfu.ingest.columnise.accumulator import Accumulator
from gongfu.ingest.columnise.columniser import Columniser
from gongfu.ingest.types import Form, Receipt
from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType
from gongfu.kernel.subjects import Subjects
from tests.fixtures.telemetry import NOW, FixedClock, Settings, make_registry, points_of, rows_of
from tests.unit.columnise.json_model import Model, Stored
from tests.unit.columnise.memory_log import MemoryLog

NAMES = st.sampled_from(["a", "b", "c", "温度", "d e", "", "x\x01", "values"])
EDGES = [2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**64 + 1, 10**30]
NUMBERS = st.one_of(
    st.integers(-5, 5),
    st.sampled_from([sign * edge for edge in EDGES for sign in (1, -1)]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([5.0, -0.0, 1e16, 1e22, -1e300, float(2**63), float(2**64)]),
)
OTHERS = st.one_of(
    st.booleans(), st.none(), st.text(max_size=3), st.just([1, {"k": "v"}]), st.just({}), st.just({"n": 1})
)
# Mostly plain doubles, so that the quick way is walked as well.
VALUES = st.one_of(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), NUMBERS, OTHERS)
POINTS = st.dictionaries(NAMES, VALUES, max_size=4)
TIMES = st.one_of(
    st.integers(0, NOW // 10**6),
    st.sampled_from([-1, NOW // 10**6 + 10**9, 2**63, 10**30, 1.5, True, None, "x", "2023-11-14T22:13:20Z"]),
    st.sampled_from(["2023-11-14T22:13:20+08:00", "2023-11-14T22:13:20", "1969-12-31T23:59:59Z"]),
)
MARKS = st.sampled_from(["good", "uncertain", "bad", "fine", None, 3])
QUALITY = st.one_of(MARKS, st.dictionaries(NAMES, MARKS, max_size=3))


@st.composite
def items(draw: st.DrawFn) -> Any:
    kind = draw(st.integers(0, 9))
    if kind < 4:
        return draw(POINTS)
    if kind == 9:
        return draw(st.sampled_from([7, None, "x", [], True]))
    item: dict[str, Any] = {"values": draw(POINTS)}
    if draw(st.booleans()):
        item["ts"] = draw(TIMES)
    if draw(st.integers(0, 3)) == 0:
        item["quality"] = draw(QUALITY)
    if draw(st.integers(0, 9)) == 0:
        item["other"] = 1
    return item


def flat(items_: Any) -> Any:
    """Lists inside lists are no form; keep them one deep so that both readings count the same."""
    return [item for item in items_ if not isinstance(item, list)]


DOCUMENTS = st.one_of(
    items().filter(lambda item: not isinstance(item, list)).map(lambda item: (item, False)),
    st.lists(items(), max_size=4).map(lambda some: (flat(some), False)),
    st.dictionaries(
        st.sampled_from(["p", "p/q", "", "p//q", "泵 1"]), st.lists(items(), max_size=3).map(flat), max_size=3
    ).map(lambda document: (document, True)),
)


async def run(directory: Path, documents: list[tuple[Any, bool]], twice: bool) -> tuple[list[Receipt], list[Stored]]:
    engine, writers = make_registry(f"sqlite:///{directory / 'records.db'}", 1)
    log, clock, counters = MemoryLog(), FixedClock(), Counters()
    columniser = Columniser(
        None,
        Subjects("test"),
        engine,
        Settings(),
        counters,
        clock,
        log=log,  # type: ignore[arg-type]
    )
    receipts: list[Receipt] = []
    for document, gateway in documents:
        for _ in range(1 + twice):
            clock.now += 10**6
            settled = asyncio.get_running_loop().create_future()
            form = Form.JSON_GATEWAY if gateway else Form.JSON
            columniser.submit(writers[0], form, json.dumps(document).encode(), clock.now, settled.set_result)
            receipts.append(await asyncio.wait_for(settled, 10))
    paths = {series.series: (key, series.value_type) for key, series in points_of(engine).items()}
    stored: list[Stored] = []
    for series, time, quality, value in rows_of(log.blocks):
        (path, name), value_type = paths[series]
        assert (value_type is ValueType.BOOLEAN) == isinstance(value, bool)
        stored.append((path[3:], name, time, quality, value))
    accepted = counters.snapshot().get("points_accepted", 0)
    assert accepted == sum(receipt.accepted for receipt in receipts) == len(stored)
    columniser._executor.shutdown()
    engine.dispose()
    return receipts, stored


def exact(stored: list[Stored]) -> list[str]:
    return sorted(repr(entry) for entry in stored)


@given(st.lists(DOCUMENTS, min_size=1, max_size=6), st.booleans())
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
def test_columniser_agrees_with_the_model(documents: list[tuple[Any, bool]], twice: bool) -> None:
    model = Model()
    expected: list[tuple[int, dict[str, int]]] = []
    now = NOW
    for document, gateway in documents:
        for _ in range(1 + twice):
            now += 10**6
            before = len(model.stored)
            model.take(json.loads(json.dumps(document)), gateway, now)
            expected.append((len(model.stored) - before, model.rejected))
    with tempfile.TemporaryDirectory() as directory:
        receipts, stored = asyncio.run(run(Path(directory), documents, twice))
    assert [(receipt.accepted, dict(receipt.rejected)) for receipt in receipts] == expected
    assert exact(stored) == exact(model.stored)


def test_model_and_columniser_walk_the_quick_way_too() -> None:
    """The property above is worth something only if payloads are written by plan as well."""
    with tempfile.TemporaryDirectory() as directory:
        seen: list[int] = []
        original = Accumulator.written

        def spy(self: Accumulator, lane: Any) -> None:
            seen.append(len(lane.block.known))
            original(self, lane)

        Accumulator.written = spy  # type: ignore[method-assign]
        try:
            asyncio.run(run(Path(directory), [({"a": 1.5, "b": True, "c": "x", "d e": [1]}, False)] * 3, False))
        finally:
            Accumulator.written = original  # type: ignore[method-assign]
    assert seen == [0, 1, 1]


def test_a_payload_that_fits_no_plan_is_stamped_once() -> None:
    """A name ``values`` has a plan; an object of form B has the same name, and still its own time of arrival."""
    documents = [([{"values": 0.5}], False), ({"values": 1.5}, False), ({"values": {"a": 2.5}}, False)]
    with tempfile.TemporaryDirectory() as directory:
        _, stored = asyncio.run(run(Path(directory), documents, False))
    assert [(name, time) for _, name, time, _, _ in stored if name == "a"] == [("a", NOW + 3 * 10**6)]
