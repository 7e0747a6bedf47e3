"""A history of several nodes: each rolls up its own series, and aggregates read these roll-ups."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gongfu.kernel.points import ValueType
from gongfu.kernel.times import MAX_NS, SECOND
from gongfu.store.history import rollup_tables, rollups
from gongfu.store.history.client import ClickHouseHistory
from gongfu.store.history.sharded import ShardedHistory
from gongfu.store.history.stepping import stepped_values
from gongfu.store.history.surroundings import run_of
from gongfu.store.history.types import Aggregate, RollupLevel
from tests.contract.history.points import batch
from tests.contract.history.served import PASSWORD, USER, ServedHistory
from tests.contract.history.test_rollups import DAY, START, finish

SERIES = (10, 11, 12)
STEP = 7 * 3600 * SECOND


class Watched(ClickHouseHistory):
    """Remembers the statements of its reads."""

    async def _read(self, statement: str, further: Mapping[str, Any] | None = None) -> bytes:
        self.statements = [*getattr(self, "statements", []), statement]
        return await super()._read(statement, further)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[ServedHistory]]:
    made = [ServedHistory(tmp_path / str(i)) for i in range(2)]
    for one in made:
        one.start()
    yield made
    for one in made:
        one.kill()


async def test_every_node_rolls_up_its_own_series(nodes: list[ServedHistory], monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (rollup_tables, rollups):
        monkeypatch.setattr(module, "HOUR_POINTS", 20, raising=False)
        monkeypatch.setattr(module, "MINUTE_POINTS", 40, raising=False)
    shards = [Watched(f"http://127.0.0.1:{one.port}", USER, PASSWORD) for one in nodes]
    store = ShardedHistory(shards)
    random, n = np.random.default_rng(5), 600
    for series in SERIES:
        times = START + np.sort(random.choice(6 * 86_400, n, replace=False)) * SECOND
        values = np.round(random.normal(size=n), 1).tolist()
        made = batch(ValueType.DOUBLE, [series] * n, times.tolist(), values, ingested=START + 6 * DAY)
        await store.insert([made])
    for shard in shards:
        await finish(shard)
    ranges = await store.rolled(RollupLevel.HOUR, SERIES, 0, MAX_NS)
    assert set(ranges) == set(SERIES)
    for how in (Aggregate.AVERAGE, Aggregate.MINMAX, Aggregate.LAST):
        for series in SERIES:
            points = await store.query(ValueType.DOUBLE, [series], 0, MAX_NS, limit=10**6)
            expected = stepped_values(run_of(points), how, STEP, good_only=True)
            owner = shards[series % 2]
            owner.statements = []
            found = await store.aggregate(ValueType.DOUBLE, [series], 0, MAX_NS, how=how, step=STEP)
            assert any("rollup_double_1h" in statement for statement in owner.statements)
            assert found.columns.times.tolist() == expected.times.tolist()
            np.testing.assert_allclose(np.asarray(found.columns.values), np.asarray(expected.values), atol=1e-12)
    await store.close()
