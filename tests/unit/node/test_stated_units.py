"""Units on their way from front doors to the records: bounded, and said again when nobody could keep them."""

import asyncio
from typing import Any

import pytest

from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem
from gongfu.kernel.subjects import Subjects
from gongfu.node import stated_units
from gongfu.node.stated_units import UnitSender
from gongfu.registry.source_units import Outcome, StatedUnit, Statement


def statement(asset: str, n: int = 1) -> Statement:
    units = [StatedUnit(asset=asset, point=f"p{index}", text="bar") for index in range(n)]
    return Statement(tenant=1, source=f"sparkplug {asset}", units=units)


def sender(counters: Counters) -> UnitSender:
    bus: Any = None
    return UnitSender(bus, Subjects("n1"), counters)


def test_what_waits_is_bounded_by_its_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stated_units, "MAX_UNITS_WAITING", 100)
    counters = Counters()
    made = sender(counters)
    for index in range(10):
        made.follower.stated(statement(f"a{index}", 30))
    assert [one.units[0].asset for one in made._waiting] == ["a7", "a8", "a9"]  # pyright: ignore[reportPrivateUsage]
    assert counters.snapshot()["sparkplug.units_left_out"] == 7 * 30


async def test_a_failure_costs_one_statement_until_the_next_birth(monkeypatch: pytest.MonkeyPatch) -> None:
    counters, made = Counters(), sender(Counters())
    made._counters = counters  # pyright: ignore[reportPrivateUsage]
    again: list[str] = []
    monkeypatch.setattr(made.follower, "again", lambda one: again.append(one.units[0].asset))  # pyright: ignore
    arrived = asyncio.Event()

    async def request(_bus: Any, _subject: str, one: Statement, *_: Any) -> Outcome:
        match one.units[0].asset:
            case "internal":
                raise Problem(500, "internal", "Internal error")
            case "fault":
                raise TypeError("nobody thought of it")
            case _:
                arrived.set()
                return Outcome(taken=1)

    monkeypatch.setattr(stated_units, "request", request)
    for asset in ("internal", "fault", "good"):
        made.follower.stated(statement(asset))
    made.start()
    async with asyncio.timeout(30):
        await arrived.wait()
    await made.stop()
    assert again == ["internal", "fault"]
    assert counters.snapshot()["sparkplug.units_left_out"] == 2
