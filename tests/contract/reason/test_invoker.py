"""Calls of models: what waits too long is told so before whoever asked gives up, and costs what it cost."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from gongfu.appkit.contract import Port, model
from gongfu.kernel.errors import Problem
from gongfu.reason.models.asking import _CALL_S  # pyright: ignore[reportPrivateUsage]
from gongfu.reason.models.calling import invoker as module
from gongfu.reason.models.calling.invoker import Invoker
from gongfu.reason.models.calling.types import ANSWER_S, MAX_WALL_S, InvokeBody, InvokeRequest
from gongfu.reason.models.calling.usage import HOUR_NS, usage_of
from gongfu.reason.models.catalogue import Catalogue
from gongfu.reason.models.sandbox.types import Limits, Outcome, Rows
from gongfu.reason.models.service import check_limits
from gongfu.reason.models.types import ModelDefinitionError
from gongfu.store.records.engine import reading
from tests.contract.reason.plant import START, Plant


@model(id="test.double", version="1.0.0", inputs=[Port("x", "K")], outputs=[Port("y", "K")])
def double(columns: Any, dt: Any) -> Any:
    return {"y": 2 * columns["x"]}


class Slow:
    """An executor that computes when it is let."""

    def __init__(self) -> None:
        self.let, self.closed, self.running = asyncio.Event(), False, 0

    async def evaluate(self, rows: Rows, *, states: bool = True) -> Outcome:
        assert not self.closed, "a process that was ended is called"
        self.running += 1
        try:
            await self.let.wait()
        finally:
            self.running -= 1
        return Outcome({"y": 2 * rows.columns["x"]}, [None], 0.5, {}, {})

    async def states(self, assets: list[int]) -> list[bytes | None]:
        return [None] * len(assets)

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.closed = True


@contextmanager
def office(engine: Engine, answer_s: float) -> Iterator[tuple[Invoker, list[Slow]]]:
    plant, made = Plant(engine), list[Slow]()

    def open_one(*_: Any) -> Slow:
        made.append(Slow())
        return made[-1]

    async def none(*_: Any) -> Any:
        raise AssertionError

    yield Invoker(engine, Catalogue({"test.double": double}), open_one, none, plant.clock, answer_s), made


def call(caller: str = "anna") -> InvokeRequest:
    return InvokeRequest(tenant=1, caller=caller, model="test.double", body=InvokeBody(columns={"x": [1.0]}))


def used(engine: Engine) -> dict[str, tuple[int, int]]:
    hour = START // HOUR_NS
    with reading(engine) as connection:
        return {row.caller: (row.calls, row.failures) for row in usage_of(connection, 1, None, hour, hour + 1, 10)}


def test_limits_of_definition_answer_and_bus_agree() -> None:
    assert MAX_WALL_S < ANSWER_S < _CALL_S
    check_limits(Limits(wall_s=MAX_WALL_S))
    with pytest.raises(ModelDefinitionError, match=r"wall_s must be 0\.01 to 100 s"):
        check_limits(Limits(wall_s=MAX_WALL_S + 1))


async def test_who_waits_too_long_is_answered_and_it_is_counted(sqlite_records: Engine) -> None:
    with office(sqlite_records, answer_s=0.3) as (invoker, made):
        found = await asyncio.gather(*(invoker.invoke(call(str(n))) for n in range(3)), return_exceptions=True)
        assert [(one.status, one.code) for one in found if isinstance(one, Problem)] == [(504, "model-timeout")] * 3
        (slow,) = made
        assert slow.running == 0
        # The next is served.
        slow.let.set()
        answer = await invoker.invoke(call("after"))
        assert answer.columns == {"y": [2.0]}
        await invoker.close()
    assert used(sqlite_records) == {**{str(n): (1, 1) for n in range(3)}, "after": (1, 0)}


async def test_a_process_is_not_ended_while_a_call_is_on_its_way_to_it(
    sqlite_records: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PROCESSES", 1)

    def of(parameter: str) -> InvokeRequest:
        return InvokeRequest(tenant=1, caller="a", model=f"test.{parameter}", body=InvokeBody(columns={"x": [1.0]}))

    definitions = {
        f"test.{name}": model(id=f"test.{name}", version="1.0.0", inputs=[Port("x", "K")], outputs=[Port("y", "K")])(
            double.function
        )
        for name in ("one", "two")
    }
    with office(sqlite_records, answer_s=30.0) as (invoker, made):
        invoker._catalogue = Catalogue(definitions)  # pyright: ignore[reportPrivateUsage]
        first = asyncio.create_task(invoker.invoke(of("one")))
        while not made:  # noqa: ASYNC110
            await asyncio.sleep(0)
        made[0].let.set()
        await first
        # Two kinds of calls at once, and room for one process.
        calls = [asyncio.create_task(invoker.invoke(of(name))) for name in ("two", "one", "two", "one")]
        while not all(one.done() for one in calls):
            for slow in made:
                slow.let.set()
            await asyncio.sleep(0.005)
        found = [one.exception() for one in calls]
        assert all(one is None or (isinstance(one, Problem) and one.status == 503) for one in found), found
        assert [one for one in found if one is None]
        await invoker.close()
        assert [slow.closed for slow in made] == [True] * len(made), "a process is left"


async def test_usage_goes_on_after_a_write_that_failed(sqlite_records: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSH_S", 0.01)
    write, tries = module.add_usage, 0

    def fails(*args: Any) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ValueError("a fault")
        write(*args)

    monkeypatch.setattr(module, "add_usage", fails)
    with office(sqlite_records, answer_s=30.0) as (invoker, made):
        invoker.start()
        task = asyncio.create_task(invoker.invoke(call()))
        while not made:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        made[0].let.set()
        assert np.isfinite((await task).columns["y"][0] or np.nan)
        while tries < 1 or not used(sqlite_records):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await invoker.close()
    assert used(sqlite_records) == {"anna": (1, 0)}
