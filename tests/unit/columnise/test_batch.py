"""Payloads columnised together mean what they mean one by one: same points in the same order, same receipts."""

import asyncio
import json
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gongfu.ingest.columnise import columniser as columniser_module
from gongfu.ingest.columnise import pacing
from gongfu.ingest.columnise.batch import Batch
from gongfu.ingest.columnise.columniser import Columniser
from gongfu.ingest.columnise.limits import BLOCK_INTERVAL_S
from gongfu.ingest.types import Form, Receipt
from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType
from gongfu.kernel.subjects import Subjects
from tests.contract.telemetry.sparkplug_bytes import M, payload
from tests.fixtures.telemetry import NOW, FixedClock, Settings, make_registry, points_of
from tests.unit.columnise.memory_log import MemoryLog

T = NOW // 10**6
TOPIC = "spBv1.0/g/{}/e{}"
# (device, form, payload, topic)
Step = tuple[int, Form, bytes, str]
DEVICES = 3
KINDS = [10, 10, 9, 11]

NUMBERS = st.one_of(
    st.floats(-1e6, 1e6), st.integers(-9, 9), st.floats(allow_nan=False, allow_infinity=False), st.just(-0.0)
)
ODD = st.sampled_from([None, True, "x", 2**53, -(2**53) - 1, 2**64, 1e300, {}])


def values(draw: st.DrawFn, names: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {name: draw(NUMBERS) for name in names}
    if draw(st.integers(0, 11)) == 0:
        found[names[0]] = draw(ODD)
    return found


@st.composite
def json_steps(draw: st.DrawFn, device: int) -> Step:
    kind = draw(st.integers(0, 11))
    # Few times, so that values of one series at one time take each other's place.
    ts = T + draw(st.integers(0, 2)) if draw(st.integers(0, 15)) else draw(st.sampled_from([0, 1.5, T + 10**9, 2**70]))
    document: Any = {"ts": ts, "values": values(draw, ["a", "b", "c d"] if kind < 6 else ["b", "温度"])}
    if kind == 10:
        document = values(draw, ["x", "y"])
    elif kind == 11:
        document["quality"] = "bad"
    return device, Form.JSON, json.dumps(document).encode(), ""


@st.composite
def gateway_steps(draw: st.DrawFn, device: int) -> Step:
    document: dict[str, Any] = {}
    # Often the same children, as routes are remembered from the second time on.
    usual = draw(st.booleans())
    for child in ["k1", "k2", "深/k3"] if usual else draw(st.permutations(["k1", "k2", "深/k3", "k4"]))[:3]:
        times = [T + draw(st.integers(0, 2)) for _ in range(1 if usual else draw(st.integers(0, 2)))]
        items: list[Any] = [{"ts": ts, "values": values(draw, ["a", "b"])} for ts in times]
        if draw(st.integers(0, 19)) == 0:
            odd = [{"a": 1.5}, {"ts": T, "values": {}}, 7, {"ts": T + 10**9, "values": {"a": 1}}, {"values": {"a": 2}}]
            odd += [{"ts": 2**70, "values": {"a": 1}}, {"ts": T, "values": {"b": 3}, "quality": "bad"}]
            items.insert(0, draw(st.sampled_from(odd)))
        document[child] = items
    return device, Form.JSON_GATEWAY, json.dumps(document).encode(), ""


@st.composite
def sparkplug_steps(draw: st.DrawFn, device: int) -> Step:
    kind = draw(st.integers(0, 19))
    born = [M(kind, name=f"m{n}", alias=n) for n, kind in enumerate(KINDS, start=1)]
    if kind == 0:
        return device, Form.SPARKPLUG, payload(born, timestamp=T), TOPIC.format("NBIRTH", device)
    if kind == 1:
        return device, Form.SPARKPLUG, payload([], timestamp=T), TOPIC.format("NDEATH", device)
    metrics = [
        M(kind, draw(st.booleans() if kind == 11 else st.floats(width=32 if kind == 9 else 64)), alias=n, typed=False)
        if draw(st.integers(0, 30)) == 0
        else M(kind, draw(st.booleans()) if kind == 11 else float(draw(st.integers(-9, 9))), alias=n, typed=False)
        for n, kind in enumerate(KINDS, start=1)
    ]
    way = draw(st.integers(0, 3))
    for metric in metrics:
        metric.timestamp = None if way == 0 else T + (draw(st.integers(0, 2)) if way == 1 else 1)
    if draw(st.integers(0, 15)) == 0:
        metrics[0].timestamp = draw(st.sampled_from([0, 5, T + 10**9, 2**63]))
    if draw(st.integers(0, 15)) == 0:
        metrics[-1].alias = 77
    return device, Form.SPARKPLUG, payload(metrics, timestamp=T + way), TOPIC.format("NDATA", device)


@st.composite
def sessions(draw: st.DrawFn) -> list[Step]:
    """What three devices send: first twice what makes their layouts known, then anything."""
    steps: list[Step] = []
    for device in range(DEVICES):
        born = [M(kind, name=f"m{n}", alias=n) for n, kind in enumerate(KINDS, start=1)]
        steps.append((device, Form.SPARKPLUG, payload(born, timestamp=T), TOPIC.format("NBIRTH", device)))
        metrics = [M(kind, kind == 11 or 1.5, alias=n, typed=False) for n, kind in enumerate(KINDS, start=1)]
        for _ in range(3):
            steps.append((device, Form.SPARKPLUG, payload(metrics, timestamp=T), TOPIC.format("NDATA", device)))
            document = {"ts": T, "values": {"a": 1.5, "b": 2, "c d": 3}}
            steps.append((device, Form.JSON, json.dumps(document).encode(), ""))
            children = {child: [{"ts": T, "values": {"a": 1.5, "b": 2}}] for child in ["k1", "k2", "深/k3"]}
            steps.append((device, Form.JSON_GATEWAY, json.dumps(children).encode(), ""))
    devices = st.integers(0, DEVICES - 1)
    steps += draw(
        st.lists(devices.flatmap(lambda d: st.one_of(json_steps(d), sparkplug_steps(d), gateway_steps(d))), max_size=40)
    )
    return steps


async def run(
    directory: Path, steps: list[Step], together: bool, partitions: int = 1
) -> tuple[list[Any], dict[Any, Any], dict[str, int]]:
    """Return receipts and, by point, its values in the order of the log."""
    engine, writers = make_registry(f"sqlite:///{directory / 'records.db'}", DEVICES)
    log, clock, counters = MemoryLog(), FixedClock(), Counters()
    limits = Settings(partitions=partitions)
    columniser = Columniser(None, Subjects("test"), engine, limits, counters, clock, log=log)  # type: ignore[arg-type]
    waiting: list[asyncio.Future[Receipt]] = []
    for device, form, data, topic in steps:
        clock.now += 1000
        settled = asyncio.get_running_loop().create_future()
        columniser.submit(writers[device], form, data, clock.now, settled.set_result, topic)
        waiting.append(settled)
        # The first ones make points and layouts, one by one; the others come in one turn of the loop.
        if not together or len(waiting) <= 10 * DEVICES:
            await asyncio.wait_for(settled, 10)
    receipts = [await asyncio.wait_for(settled, 10) for settled in waiting]
    names = {series.series: key for key, series in points_of(engine).items()}
    stored: dict[tuple[str, str], list[Any]] = {}
    for block in log.blocks:
        for value_type, columns in block.columns.items():
            listed: list[Any] = (
                columns.values if isinstance(columns.values, list) else np.asarray(columns.values).tolist()
            )
            for at, series in enumerate(columns.series.tolist()):
                value = struct.pack("<d", listed[at]) if value_type is ValueType.DOUBLE else listed[at]
                time = int(columns.times[at])
                # A time of arrival depends on when a payload was judged; no time that is sent has microseconds.
                time = time if time % 10**6 == 0 else -1
                stored.setdefault(names[series], []).append((time, int(columns.qualities[at]), value))
    columniser._executor.shutdown()
    engine.dispose()
    return [(r.accepted, dict(r.rejected), dict(r.shed)) for r in receipts], stored, counters.snapshot()


@pytest.fixture(autouse=True)
def no_faults(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A fault in reading payloads together is caught and logged; here it is none that may pass."""
    yield
    assert "were not read together" not in caplog.text


@given(sessions(), st.sampled_from([1, 3]))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_together_equals_one_by_one(steps: list[Step], partitions: int) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        together = asyncio.run(run(Path(one), steps, True, partitions))
        with Unbatched():
            apart = asyncio.run(run(Path(other), steps, False, partitions))
    assert together[0] == apart[0]
    assert together[1] == apart[1]
    assert {name: n for name, n in together[2].items() if name.startswith(("points", "messages"))} == {
        name: n for name, n in apart[2].items() if name.startswith(("points", "messages"))
    }


class Unbatched:
    """Inside it no payload is of known layout, and none waits for others."""

    def __enter__(self) -> None:
        pacing.BLOCK_INTERVAL_S = 0.0
        self._shape_of = columniser_module.shape_of
        self._template = columniser_module.PayloadReader.template
        self._read = columniser_module.GatewayReader.read
        columniser_module.GatewayReader.read = lambda *_: None  # type: ignore[method-assign]
        columniser_module.shape_of = lambda _names, _timed: None
        columniser_module.PayloadReader.template = lambda *_: None  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        pacing.BLOCK_INTERVAL_S = BLOCK_INTERVAL_S
        columniser_module.shape_of = self._shape_of
        columniser_module.GatewayReader.read = self._read  # type: ignore[method-assign]
        columniser_module.PayloadReader.template = self._template  # type: ignore[method-assign]


def test_steady_payloads_go_through_the_batch() -> None:
    """The property above is worth something only if payloads are read together."""
    taken: list[str] = []
    take_json, take_sparkplug = Batch.take_json, Batch.take_sparkplug

    def spy_json(self: Batch, *given: Any) -> bool:
        found = take_json(self, *given)
        taken.append("json" if found else "other")
        return found

    def spy_sparkplug(self: Batch, *given: Any) -> None:
        taken.append("sparkplug")
        take_sparkplug(self, *given)

    metrics = [M(kind, kind == 11 or 1.5, alias=n, typed=False) for n, kind in enumerate(KINDS, start=1)]
    born = payload([M(kind, name=f"m{n}", alias=n) for n, kind in enumerate(KINDS, start=1)], timestamp=T)
    steps: list[Step] = [(0, Form.SPARKPLUG, born, TOPIC.format("NBIRTH", 0))]
    for n in range(6):
        steps.append((0, Form.SPARKPLUG, payload(metrics, timestamp=T + n), TOPIC.format("NDATA", 0)))
        steps.append((0, Form.JSON, json.dumps({"a": n + 0.5, "b": n}).encode(), ""))
    Batch.take_json, Batch.take_sparkplug = spy_json, spy_sparkplug  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory() as directory:
            receipts, _, _ = asyncio.run(run(Path(directory), steps, False))
    finally:
        Batch.take_json, Batch.take_sparkplug = take_json, take_sparkplug  # type: ignore[method-assign]
    assert [accepted for accepted, _, _ in receipts[1:]] == [4, 2] * 6
    # The first makes points and a plan, the second (of JSON also the third) is written by it.
    assert taken.count("sparkplug") == 4
    assert taken.count("json") == 3


def damaged(data: bytes) -> Iterator[bytes]:
    """The bytes with one of them replaced, removed or doubled, and cut, at every place."""
    for at in range(len(data)):
        yield from (data[:at] + bytes([new]) + data[at + 1 :] for new in b'\x00\x7f\x80\xa6\xff"\\[{}:,')
        yield data[:at] + data[at + 1 :]
        yield data[: at + 1] + data[at:]
        yield data[:at]


@pytest.mark.parametrize(
    ("form", "second"), [(Form.JSON, ""), (Form.JSON_GATEWAY, "b"), (Form.JSON_GATEWAY, "温"), (Form.SPARKPLUG, "")]
)
def test_damaged_payloads_of_a_known_layout(form: Form, second: str) -> None:
    """Every damage has the same outcome as without layouts; nothing is raised, and every payload gets its receipt."""
    good, topic = json.dumps({"ts": T, "values": {"a": 1.5, "温": 2}}, ensure_ascii=False).encode(), ""
    steps: list[Step] = [(0, form, good, topic)] * 3
    if form is Form.JSON_GATEWAY:
        children = {"k": [{"ts": T, "values": {"温": 1.5}}], "l": [{"ts": T, "values": {second: -7}}]}
        good = json.dumps(children, ensure_ascii=False).encode()
        steps = [(0, form, good, topic)] * 3
    if form is Form.SPARKPLUG:
        born = payload([M(kind, name=f"m{n}", alias=n) for n, kind in enumerate(KINDS, start=1)], timestamp=T)
        metrics = [M(kind, kind == 11 or 1.5, alias=n, typed=False) for n, kind in enumerate(KINDS, start=1)]
        good, topic = payload(metrics, timestamp=T), TOPIC.format("NDATA", 0)
        steps = [(0, form, born, TOPIC.format("NBIRTH", 0)), *[(0, form, good, topic)] * 3]
    for bad in damaged(good):
        # Damage that makes other names makes other points; sound payloads make the layout expected again.
        steps += [(0, form, bad, topic), (0, form, good, topic), (0, form, good, topic)]
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        together = asyncio.run(run(Path(one), steps, True))
        with Unbatched():
            apart = asyncio.run(run(Path(other), steps, False))
    assert together[0] == apart[0]
    assert together[1] == apart[1]
