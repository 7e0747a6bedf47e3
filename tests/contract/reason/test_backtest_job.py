"""Back-tests as jobs, against a real history: results, cancelled, refused, compared with alarms that were."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from sqlalchemy import Engine

from gongfu.kernel.block import Columns
from gongfu.kernel.errors import Problem
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import SECOND, format_rfc3339
from gongfu.reason.alarms.ledger import AlarmLedger
from gongfu.reason.backtest.jobs import Address, Backtests
from gongfu.reason.backtest.types import Backtest, BacktestBody
from gongfu.reason.rules.records import add
from gongfu.reason.rules.transitions import Transition
from gongfu.reason.rules.types import Kind
from gongfu.store.history.client import ClickHouseHistory
from gongfu.store.history.types import Batch
from gongfu.store.records.engine import writing
from tests.contract.history.served import PASSWORD, USER, ServedHistory
from tests.contract.reason.plant import START, FixedClock, Plant, body
from tests.system.worker_bench import until

DAY = 86_400 * SECOND


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    history = ServedHistory(tmp_path_factory.mktemp("history"))
    history.start()
    yield Address((f"http://127.0.0.1:{history.port}",), USER, PASSWORD)
    history.kill()


@pytest.fixture
async def tests_(records: Engine, address: Address) -> AsyncIterator[Backtests]:
    found = Backtests(records, address, FixedClock())
    yield found
    await found.close()


async def store(address: Address, rows: list[tuple[int, int, float, int]], kind: ValueType = ValueType.DOUBLE) -> None:
    history = ClickHouseHistory(address.urls[0], address.user, address.password)
    series, times, values, qualities = zip(*rows, strict=True)
    columns = Columns(
        np.array(series, np.uint32), np.array(times, np.int64), np.array(qualities, np.uint8), np.array(values)
    )
    await history.insert([Batch(kind, columns, np.full(len(rows), START))])
    await history.close()


async def ended(backtests: Backtests, plant: Plant, key: str) -> Backtest:
    async def over() -> Backtest | None:
        found = backtests.get(plant.subject(), key)
        return None if found.state == "running" else found

    return await until(over, "the back-test ends", 60)


def asked(begin: int, length: int, **changes: Any) -> BacktestBody:
    more = {name: changes.pop(name) for name in ("assets",) if name in changes}
    return BacktestBody(rule=body(**changes), start=format_rfc3339(begin), to=format_rfc3339(begin + length), **more)


async def test_would_be_alarms_and_those_that_were(records: Engine, address: Address, tests_: Backtests) -> None:
    plant = Plant(records)
    hot, other = plant.point("plant/kiln", "temp"), plant.point("plant/mill", "temp")
    # Another range for each database: the history is the same.
    begin = START + (hot % 7) * 100 * DAY + (records.dialect.name == "sqlite") * 1000 * DAY
    rows = [(hot, begin + at * SECOND, float(at % 100 >= 90) * 50, 0) for at in range(1000)]
    rows += [(hot, begin + DAY + at * SECOND, 50.0, 0x80) for at in range(5)]
    rows += [(hot, begin + DAY + 10 * SECOND, float("nan"), 0), (other, begin + DAY, 20.0, 0)]
    await store(address, rows)
    # Corrected afterwards: what counts is the newest version.
    await store(address, [(hot, begin + at * SECOND, 0.0, 0) for at in range(990, 1000)])
    with writing(records) as connection:
        rule = add(connection, 1, body(), 1)
    AlarmLedger(records).apply(
        [Transition(rule.id, hot, True, begin + 95 * SECOND, begin + 95 * SECOND, 1.0)], {rule.id: rule}, START
    )
    started = await tests_.start(plant.subject(), asked(begin, 2 * DAY))
    assert (started.state, started.name) == ("running", "too hot")
    found = await ended(tests_, plant, started.id)
    result = found.result
    assert found.error == ""
    assert result is not None
    assert (result.series, result.samples, result.left_out, result.raised) == (2, 1001, 6, 10)
    assert sum(day.raised for day in result.days) == 10
    first = result.alarms[0]
    assert (first.asset_path, first.raised_at) == ("plant/kiln", format_rfc3339(begin + 90 * SECOND))
    assert first.returned_at == format_rfc3339(begin + 100 * SECOND)
    assert (result.standing, result.alarms[-1].asset_path) == (1, "plant/mill")
    assert result.durations is not None
    assert result.durations.median == 10.0
    assert result.comparison is not None
    assert (result.comparison.real, result.comparison.both, result.comparison.new, result.comparison.missed) == (
        1,
        9,
        1,
        0,
    )
    # Others do not see it; a document without its result is listed.
    assert tests_.every(plant.subject(of=2)) == []
    assert [item.result for item in tests_.every(plant.subject())] == [None]
    with pytest.raises(Problem, match="back-test"):
        tests_.get(plant.subject(of=2), started.id)
    msgspec.json.encode(found)
    # Of one asset only, and a pattern over several points.
    only = await tests_.start(plant.subject(), asked(begin, 2 * DAY, assets=["plant/mill"]))
    pattern = await tests_.start(
        plant.subject(),
        asked(begin, 2 * DAY, kind=Kind.PATTERN, point="", condition={"expression": "temp > 10"}, asset="plant/kiln"),
    )
    with pytest.raises(Problem, match="run already"):
        await tests_.start(plant.subject(), asked(begin, DAY))
    for key, raised in ((only.id, 1), (pattern.id, 9)):
        result = (await ended(tests_, plant, key)).result
        assert result is not None
        assert result.raised == raised


async def test_refused_cancelled_and_failed(records: Engine, tests_: Backtests) -> None:
    plant = Plant(records)
    subject = plant.subject()
    with pytest.raises(Problem, match="matches no point"):
        await tests_.start(subject, asked(START, DAY))
    plant.point("plant/kiln", "temp")
    for body_, words in (
        (asked(START, -DAY), "after from"),
        (asked(START, DAY, condition={"direction": "above"}), "limit"),
        (asked(START, DAY, assets=["nowhere"]), "none of them"),
        (msgspec.structs.replace(asked(START, DAY), to="tomorrow"), "to"),
    ):
        with pytest.raises(Problem, match=words):
            await tests_.start(subject, body_)
    running = await tests_.start(subject, asked(START, DAY))
    await tests_.cancel(subject, running.id)
    assert tests_.get(subject, running.id).state == "cancelled"
    await tests_.cancel(subject, running.id)
    with pytest.raises(Problem):
        tests_.get(subject, running.id)
    away = Backtests(records, Address(("http://127.0.0.1:9",), "default", "x"), plant.clock)
    failed = await ended(away, plant, (await away.start(subject, asked(START, DAY))).id)
    assert failed.state == "failed"
    assert "does not answer" in failed.error
    await away.close()


async def test_no_more_run_than_may_however_many_ask_at_once(records: Engine, tests_: Backtests) -> None:
    plant = Plant(records)
    plant.point("plant/kiln", "temp")
    asking = (tests_.start(plant.subject(), asked(START, DAY)) for _ in range(5))
    told = await asyncio.gather(*asking, return_exceptions=True)
    assert sum(isinstance(one, Problem) and one.status == 503 for one in told) == 3
    await tests_.close()
