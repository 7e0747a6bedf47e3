"""The watch on units goes on whatever a server answers, tells all there is, and does not look without end."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from gongfu.connect.kit.machine_units import read
from gongfu.connect.kit.types import Address
from gongfu.connect.opcua import unit_watch
from gongfu.connect.opcua.engineering import Engineering
from gongfu.connect.opcua.unit_watch import UnitWatch


class Session:
    """What the watch needs to know of a session."""

    breaks, url = 0, "opc.tcp://machine:4840"


class Target:
    """A variable at a server."""

    status, node = 0, b""

    def __init__(self, address: int) -> None:
        self.address = address


class Sink:
    """Keeps events."""

    def __init__(self) -> None:
        self.said: list[list[str]] = []

    def event(self, kind: str, detail: Mapping[str, Any]) -> None:
        self.said.append([unit.text for unit in read(detail)])


async def watched(
    monkeypatch: pytest.MonkeyPatch, n: int, answer: Callable[[int], list[Engineering]], until: Callable[[Sink], bool]
) -> tuple[int, Sink]:
    """Watch until something is so, at a server that says with every look that units have changed; return the looks."""
    looks = 0

    async def places(*_: Any) -> list[Any]:
        return []

    async def values(*_: Any) -> list[Engineering]:
        nonlocal looks
        looks += 1
        watch.look_now()
        return answer(looks)

    monkeypatch.setattr(unit_watch, "places_of_units", places)
    monkeypatch.setattr(unit_watch, "read_places", values)
    monkeypatch.setattr(unit_watch, "to_node_id", lambda node: node)  # pyright: ignore[reportUnknownLambdaType]
    session: Any = Session()
    sink: Any = Sink()
    targets: Any = [Target(index) for index in range(n)]
    addresses = [Address(point=f"p{index}", where="") for index in range(n)]
    limits: Any = None
    watch = UnitWatch(session, addresses, targets, sink, limits, 0.01)
    task = asyncio.create_task(watch.run())
    try:
        while not until(sink):
            assert not task.done(), task.exception()
            await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.wait({task})
    return looks, sink


async def test_an_answer_that_nobody_thought_of_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_watch, "_LEAST_S", 0.01)

    def answer(look: int) -> list[Engineering]:
        if look == 1:
            raise AttributeError("no Text")
        return [Engineering("bar", "bar")]

    _, sink = await watched(monkeypatch, 1, answer, lambda sink: bool(sink.said))
    assert sink.said == [["bar"]]


async def test_all_variables_of_a_large_server_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    units = [Engineering("bar", "bar")] * 12_000
    _, sink = await watched(monkeypatch, len(units), lambda _: units, lambda sink: bool(sink.said))
    assert [len(part) for part in sink.said] == [5000, 5000, 2000]


async def test_a_server_that_always_says_changed_is_not_asked_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_watch, "_LEAST_S", 0.2)
    began = asyncio.get_running_loop().time()
    looks, _ = await watched(monkeypatch, 1, lambda look: [Engineering(f"u{look}")], lambda sink: len(sink.said) >= 3)
    assert looks <= (asyncio.get_running_loop().time() - began) / 0.2 + 1
