# ruff: noqa: E501 -- one query a line
"""Users' SQL over three history nodes gives what one node with the same points gives."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clickhouse_connect.driver.external import ExternalData
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gongfu.kernel.errors import Problem
from gongfu.kernel.points import ValueType
from gongfu.store.history import schema
from gongfu.store.history.backup import BackupError
from gongfu.store.history.client import ClickHouseHistory
from gongfu.store.history.deployment import deployed
from gongfu.store.history.directory import PointInfo
from gongfu.store.history.query import problem_of
from gongfu.store.history.sandbox import rewrite
from gongfu.store.history.sharded import ShardedHistory
from gongfu.store.history.sharded_backup import export_nodes, import_nodes
from gongfu.store.history.sql_tables import PointSource, SqlTables
from gongfu.store.history.types import Aggregate, Batch, HistoryError, Order, ShardUnavailable, SqlLimits, SqlResult
from tests.contract.history.points import T0, batch, rows
from tests.contract.history.served import ServedHistory
from tests.contract.history.test_sql import Assets, Directory

TENANT, OTHER = 1, 2
SECOND = 10**9
SERIES = range(1, 8)


class Plant(Directory):
    """Seven series of doubles and two of other types for tenant 1; one of tenant 2 on each node."""

    def __init__(self) -> None:
        super().__init__()
        self.points = {
            TENANT: [
                *(
                    PointInfo(s, f"plant/{'ab'[s % 2]}", f"p{s}", ValueType.DOUBLE, "Cel" if s < 4 else "bar")
                    for s in SERIES
                ),
                PointInfo(8, "plant/a", "count", ValueType.INT64, ""),
                PointInfo(9, "plant/b", "state", ValueType.STRING, ""),
            ],
            OTHER: [PointInfo(s, "secret", f"x{s}", ValueType.DOUBLE, "") for s in (21, 22, 23)],
        }


def plant_points() -> list[Batch]:
    rng = np.random.default_rng(7)
    batches: list[Batch] = []
    for series in SERIES:
        n = 40 + 7 * series
        times = [T0 + i * 30 * SECOND for i in range(n)]
        values = np.round(rng.normal(series, 2, n), 2).tolist()
        qualities = np.where(np.arange(n) % 11 == 0, 0x80, 0).tolist()
        batches.append(batch(ValueType.DOUBLE, [series] * n, times, values, qualities=qualities))
    # A correction: a later version of a point that is there.
    batches.append(batch(ValueType.DOUBLE, [3], [T0], [99.5], ingested=T0 + 5 * SECOND))
    batches.append(batch(ValueType.DOUBLE, [21, 22, 23], [T0] * 3, [666.0] * 3))
    batches.append(batch(ValueType.INT64, [8] * 5, [T0 + i * SECOND for i in range(5)], [3, 1, 2**60, -4, 0]))
    batches.append(batch(ValueType.STRING, [9] * 3, [T0 + i * SECOND for i in range(3)], ["开", "it's", ""]))
    return batches


class Nodes:
    """One node with all points, and three nodes that share them."""

    def __init__(self, one: ClickHouseHistory, several: ShardedHistory) -> None:
        self.one, self.several = one, several
        self.directory, self.assets = Plant(), Assets()
        self.tables = {}

    async def prepare(self) -> None:
        for store in (self.one, self.several):
            for each in plant_points():
                await store.insert([each])
            tables = SqlTables(store, [PointSource(self.directory), self.assets])
            self.tables = tables.tables
            for tenant in (TENANT, OTHER):
                await tables.sync(tenant, list(self.tables))

    async def ask(self, store: Any, query: str, limits: SqlLimits, tenant: int = TENANT) -> SqlResult:
        statement = rewrite(query, tenant, self.tables)
        return await store.sql(statement.sql, statement.row_filters, limits)


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServedHistory]]:
    root: Path = tmp_path_factory.mktemp("nodes")
    served = [ServedHistory(root / str(i)) for i in range(4)]
    for one in served:
        one.start()
    yield served
    for one in served:
        if one.process is not None:
            one.kill()


_PREPARED: set[int] = set()


@pytest.fixture
async def nodes(processes: list[ServedHistory]) -> AsyncIterator[Nodes]:
    held = Nodes(processes[0].store(), ShardedHistory([one.store() for one in processes[1:]]))
    if id(processes) not in _PREPARED:
        await held.prepare()
        _PREPARED.add(id(processes))
    else:
        held.tables = SqlTables(held.one, [PointSource(held.directory), held.assets]).tables
    yield held
    await held.one.close()
    await held.several.close()


# Each has one right answer: ordered, or compared without order.
MERGED = """
SELECT count() FROM points
SELECT count(*) AS n, avg(value), min(value), max(value), sum(value) FROM points
SELECT AVG(value) FROM points WHERE quality < 64
SELECT series, count() AS n FROM points GROUP BY series ORDER BY series
SELECT asset, avg(value) AS a FROM points GROUP BY asset ORDER BY asset
SELECT asset, avg(value) AS value FROM points GROUP BY asset ORDER BY value DESC
SELECT asset, unit, max(value) - min(value) AS span FROM points GROUP BY asset, unit ORDER BY span LIMIT 2
SELECT toStartOfMinute(time) AS minute, avg(value) AS a, count() FROM points GROUP BY minute ORDER BY minute LIMIT 5
SELECT toStartOfMinute(time) AS time, avg(value) AS a FROM points GROUP BY time ORDER BY time LIMIT 5
SELECT toStartOfHour(time), quantileExact(0.5)(value) FROM points GROUP BY toStartOfHour(time) ORDER BY 1
SELECT toStartOfHour(time) h, asset, stddev_pop(value), varSamp(value) FROM points GROUP BY h, asset ORDER BY h, asset
SELECT toStartOfHour(time) h, asset, count() FROM points GROUP BY 1, 2 ORDER BY 1, 2
SELECT asset, count() AS n FROM points GROUP BY asset HAVING n > 100 ORDER BY n
SELECT asset FROM points GROUP BY asset HAVING avg(value) > 4 ORDER BY asset
SELECT asset, countIf(value > 3) AS high, avgIf(value, quality < 64) FROM points GROUP BY asset ORDER BY high DESC
SELECT round(100 * countIf(quality >= 64) / count(), 3) AS bad_percent FROM points
SELECT uniqExact(series), uniq(asset), count(DISTINCT unit) FROM points
SELECT argMax(value, time) FROM points WHERE series = 7
SELECT asset, argMax(point, value), argMin(point, value) FROM points GROUP BY asset ORDER BY asset
SELECT count() FROM points WHERE value > 1e9
SELECT asset, sum(value) FROM points WHERE value > 1e9 GROUP BY asset
SELECT avg(value), max(value) FROM points WHERE value > 1e9
SELECT sumIf(value, point = 'p3') s, s * 2 AS twice FROM points
SELECT if(avg(value) > 3, 'high', 'low') AS level, asset FROM points GROUP BY asset ORDER BY asset
SELECT concat(asset, '''', unit) AS k, count() FROM points GROUP BY k ORDER BY k
SELECT * FROM points ORDER BY series, time LIMIT 7
SELECT * FROM points ORDER BY time DESC, series LIMIT 3, 5
SELECT time, value FROM points WHERE series = 3 ORDER BY time
SELECT series, value FROM points ORDER BY value DESC, time, series LIMIT 4
SELECT series, value AS v FROM points ORDER BY v DESC, time, series LIMIT 4 OFFSET 2
SELECT value * 2 FROM points ORDER BY abs(value - 3), series, time LIMIT 6
SELECT DISTINCT asset FROM points ORDER BY asset
SELECT DISTINCT asset, unit FROM points
SELECT DISTINCT toStartOfMinute(time) AS m FROM points ORDER BY m DESC LIMIT 3
SELECT count() FROM (SELECT DISTINCT asset FROM points)
SELECT max(a) FROM (SELECT asset, avg(value) AS a FROM points GROUP BY asset)
SELECT avg(m) FROM (SELECT series, max(value) AS m FROM points GROUP BY series)
SELECT max(n) FROM (SELECT series, count() AS n FROM points GROUP BY series HAVING n > 60)
SELECT asset, sum(m) FROM (SELECT asset, series, max(value) AS m FROM points GROUP BY asset, series) GROUP BY asset ORDER BY asset
WITH hourly AS (SELECT toStartOfHour(time) AS h, avg(value) AS a FROM points GROUP BY h) SELECT max(a) - min(a) FROM hourly
WITH a AS (SELECT * FROM points WHERE series = 2), b AS (SELECT max(value) AS m FROM a) SELECT m FROM b
SELECT a.minute, a.v - b.v AS d FROM (SELECT toStartOfMinute(time) AS minute, avg(value) AS v FROM points WHERE series = 1 GROUP BY minute) AS a JOIN (SELECT toStartOfMinute(time) AS minute, avg(value) AS v FROM points WHERE series = 2 GROUP BY minute) AS b ON a.minute = b.minute ORDER BY a.minute LIMIT 4
SELECT x.time, x.value, y.value AS other FROM points AS x JOIN points AS y ON x.series = y.series AND x.time = y.time WHERE x.series = 5 ORDER BY x.time LIMIT 3
SELECT count() FROM points AS x JOIN points AS y ON x.time = y.time WHERE x.series = 1 AND y.series = 2
SELECT count() FROM points AS p JOIN assets AS a ON a.path = p.asset
SELECT a.path, count() FROM assets AS a LEFT JOIN points AS p ON a.path = p.asset GROUP BY a.path ORDER BY a.path
SELECT s.unit, avg(p.value) FROM points AS p JOIN series AS s ON p.series = s.series GROUP BY s.unit ORDER BY s.unit
SELECT path FROM assets ORDER BY path
SELECT count() FROM series
SELECT point FROM series WHERE asset IN (SELECT path FROM assets) ORDER BY point
SELECT count() FROM points WHERE value > (SELECT avg(value) FROM points)
SELECT count() FROM points WHERE series IN (SELECT series FROM points GROUP BY series HAVING max(value) > 8)
SELECT count() FROM points WHERE asset IN (SELECT asset FROM points GROUP BY asset HAVING avg(value) > 4)
SELECT series, time, value - lagInFrame(value) OVER (PARTITION BY series ORDER BY time) AS step FROM points ORDER BY series, time LIMIT 9
SELECT time, row_number() OVER (ORDER BY time, series) AS n FROM points ORDER BY n LIMIT 5
SELECT series, value FROM points ORDER BY series, value DESC, time LIMIT 2 BY series
SELECT asset, value FROM points ORDER BY asset, value DESC, time LIMIT 1 BY asset
SELECT asset, count() FROM points GROUP BY asset WITH ROLLUP ORDER BY asset
SELECT asset, unit, count() FROM points GROUP BY ROLLUP(asset, unit) ORDER BY asset, unit
SELECT asset, unit, count() FROM points GROUP BY ALL ORDER BY asset, unit
SELECT toStartOfMinute(time) AS m, count() FROM points GROUP BY m ORDER BY m WITH FILL STEP 30 LIMIT 6
SELECT arraySort(groupArray(value)) FROM points WHERE series = 4
SELECT length(groupUniqArray(asset)) FROM points
SELECT sum(v) FROM (SELECT value AS v FROM points ORDER BY value DESC, series, time LIMIT 10)
SELECT series, value FROM points WHERE series = 1 UNION ALL SELECT series, value FROM points WHERE series = 2
SELECT count() FROM points UNION ALL SELECT count() FROM points_int64
SELECT value FROM points_int64 ORDER BY value
SELECT value FROM points_text ORDER BY time
SELECT max(value) FROM points_int64
SELECT asset, any(unit) != '' FROM points GROUP BY asset ORDER BY asset
SELECT number FROM numbers(3) ORDER BY number
SELECT 1 + 1 AS two, 'a\\'b' AS text
SELECT time, value AS v, v + 1 AS w FROM points WHERE v > 5 ORDER BY w DESC, time, series LIMIT 3
SELECT series AS asset, count() FROM points GROUP BY asset ORDER BY asset
SELECT value AS series, count() AS n FROM points GROUP BY series ORDER BY n DESC, series LIMIT 5
SELECT bar(n, 0, 100, 5) AS b, n FROM (SELECT series, count() AS n FROM points GROUP BY series) ORDER BY n
SELECT asset, sum(DISTINCT value) FROM points GROUP BY asset ORDER BY asset
SELECT count() FILTER (WHERE value > 3) FROM points
SELECT arrayMap(x -> x + 1, [count()]) FROM points
SELECT quantilesExact(0.1, 0.9)(value) FROM points
SELECT y.series AS s, count() AS n FROM points AS x LEFT JOIN (SELECT series, value FROM points WHERE value > 6) AS y ON x.series = y.series AND x.value = y.value GROUP BY y.series ORDER BY s
SELECT x.series AS s, count() AS n FROM points AS x LEFT JOIN (SELECT series, value FROM points WHERE value > 6) AS y ON x.series = y.series AND x.value = y.value GROUP BY x.series ORDER BY s
SELECT count() FROM points AS x FULL JOIN points_int64 AS y ON x.series = y.series
SELECT s.series AS s, count() AS n FROM series AS s JOIN points AS p ON s.asset = p.asset GROUP BY s.series ORDER BY s
SELECT a.path AS series, count() AS n FROM points AS p JOIN assets AS a ON startsWith(p.asset, 'plant') GROUP BY series ORDER BY series
SELECT series, value FROM points ORDER BY value DESC, time, series LIMIT 3 WITH TIES
SELECT value FROM points WHERE value > 5 UNION ALL SELECT value FROM points WHERE value <= 5
SELECT series + 1 AS series, max(value) AS m FROM points GROUP BY series ORDER BY series
SELECT toString(series) AS series, count() AS n FROM points GROUP BY series ORDER BY series
SELECT DISTINCT asset, count() AS n FROM points GROUP BY asset ORDER BY n
SELECT DISTINCT length(asset) AS l FROM points GROUP BY series, asset ORDER BY l
SELECT asset FROM points GROUP BY asset ORDER BY max(value) DESC, asset LIMIT 1 OFFSET 1
SELECT a.asset, a.n FROM (SELECT asset, count() AS n FROM points GROUP BY asset) AS a WHERE a.n > (SELECT avg(n) FROM (SELECT asset, count() AS n FROM points GROUP BY asset)) ORDER BY a.asset
SELECT asset, point, max(value) AS m FROM points GROUP BY asset, point ORDER BY asset, point
SELECT quality >= 64 AS bad, count() AS n, min(time) FROM points GROUP BY bad ORDER BY bad
SELECT count() AS count FROM points WHERE asset LIKE 'plant/%' AND point IN ('p1', 'p2')
SELECT max(value) AS high, min(value) AS low FROM points
SELECT min(value) AS low, low * 2 AS twice, low + twice AS sum FROM points
SELECT sum(value) / count() AS a, avg(value) AS b, a = b FROM points WHERE series = 1
SELECT covarPop(value, quality), corr(value, toFloat64(quality)) FROM points
SELECT arrayJoin([1, 2]) AS k, count() FROM points GROUP BY k ORDER BY k
SELECT series, k FROM points ARRAY JOIN [1, 2] AS k ORDER BY series, time, k LIMIT 3
""".strip().splitlines()


def _close(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, int | float):
        return math.isclose(left, right, rel_tol=1e-12, abs_tol=1e-12)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_close, left, right))
    return left == right


@pytest.mark.parametrize("query", MERGED)
async def test_three_nodes_answer_what_one_does(nodes: Nodes, query: str) -> None:
    limits = SqlLimits(rows=50)
    expected = await nodes.ask(nodes.one, query, limits)
    found = await nodes.ask(nodes.several, query, limits)
    assert found.columns == expected.columns
    assert found.truncated == expected.truncated
    if "ORDER BY" in query:
        assert _close(found.rows, expected.rows), (found.rows, expected.rows)
    elif not expected.truncated:
        assert _close(sorted(map(str, found.rows)), sorted(map(str, expected.rows))) or _close(
            found.rows, expected.rows
        )
    else:
        assert len(found.rows) == len(expected.rows)


KEYS = ["asset", "unit", "series", "point", "toStartOfMinute(time)", "quality >= 64", "length(point) % 2"]
# Of several points with the greatest time argMax(value, time) takes any, which merges of parts may change.
SUMS = ["count()", "sum(value)", "avg(value)", "min(time)", "max(value)", "uniqExact(point)", "argMax(value, (time, series))",
        "countIf(value > 3)", "max(value) - min(value)", "quantileExact(0.9)(value)", "stddevPop(value)"]  # fmt: skip
WHERES = ["1", "value > 3", "quality < 64", "asset = 'plant/a'", "series IN (1, 2, 5)", "time > '2023-11-14 22:20:00'"]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    keys=st.lists(st.sampled_from(KEYS), max_size=3, unique=True),
    sums=st.lists(st.sampled_from(SUMS), min_size=1, max_size=3, unique=True),
    where=st.sampled_from(WHERES),
    having=st.sampled_from(["", "count() > 20", "s0 > 3"]),
    limit=st.integers(1, 40),
    descending=st.booleans(),
)
async def test_any_grouping_is_that_of_one_node(
    nodes: Nodes, keys: list[str], sums: list[str], where: str, having: str, limit: int, descending: bool
) -> None:
    columns = [f"{key} AS k{i}" for i, key in enumerate(keys)] + [f"{one} AS s{i}" for i, one in enumerate(sums)]
    names = [f"k{i}" for i in range(len(keys))]
    query = f"SELECT {', '.join(columns)} FROM points WHERE {where}"
    if keys:
        query += f" GROUP BY {', '.join(names)}"
    if having and (having != "s0 > 3" or sums[0] != "min(time)"):
        query += f" HAVING {having}"
    if keys:
        query += " ORDER BY " + ", ".join(f"{name} DESC" if descending else name for name in names)
    limits = SqlLimits(rows=50)
    expected = await nodes.ask(nodes.one, f"{query} LIMIT {limit}", limits)
    found = await nodes.ask(nodes.several, f"{query} LIMIT {limit}", limits)
    assert found.columns == expected.columns
    assert _close(found.rows, expected.rows), (found.rows, expected.rows)


async def test_a_tenant_sees_its_own_points_on_every_node(nodes: Nodes) -> None:
    limits = SqlLimits(rows=50)
    for tenant, expected in ((TENANT, 0), (OTHER, 3)):
        found = await nodes.ask(nodes.several, "SELECT count() FROM points WHERE value = 666", limits, tenant)
        assert found.rows == [[expected]]
    # A statement that escaped the rewriting still meets the row filters of each node, in parts and in the final step.
    filters = rewrite("SELECT 1", OTHER, nodes.tables).row_filters
    for statement, expected in (
        ("SELECT count() AS n FROM gongfu.point_double", [[3]]),
        ("SELECT DISTINCT series FROM gongfu.point_double ORDER BY series", [[21], [22], [23]]),
        ("SELECT max(n) FROM (SELECT quality, count() AS n FROM gongfu.point_double GROUP BY quality)", [[3]]),
    ):
        assert (await nodes.several.sql(statement, filters, limits)).rows == expected


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (
            "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r WHERE x < 3) SELECT x FROM r",
            "query-not-mergeable",
        ),
        ("WITH 5 AS x SELECT count() + x FROM points", "query-not-mergeable"),
    ],
)
async def test_what_cannot_be_merged_is_refused_with_words(nodes: Nodes, query: str, code: str) -> None:
    with pytest.raises(Problem) as caught:
        await nodes.ask(nodes.several, query, SqlLimits(rows=50))
    assert caught.value.status == 422
    assert caught.value.code == code
    assert len(caught.value.detail) > 10


async def test_partial_results_are_bounded(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gongfu.store.history.sharded.PARTIAL_BYTES", 3000)
    with pytest.raises(HistoryError) as caught:
        await nodes.ask(
            nodes.several, "SELECT row_number() OVER (ORDER BY value), time FROM points", SqlLimits(rows=50)
        )
    problem = problem_of(caught.value)
    assert (problem.status, problem.code) == (422, "query-limit")


async def test_errors_of_the_engine_stay_what_they_are(nodes: Nodes) -> None:
    with pytest.raises(HistoryError) as caught:
        await nodes.ask(nodes.several, "SELECT nothing_of_this_name FROM points", SqlLimits(rows=50))
    assert problem_of(caught.value).status == 400


async def test_a_node_that_is_away_is_named_and_the_others_answer(nodes: Nodes, processes: list[ServedHistory]) -> None:
    limits = SqlLimits(rows=50)
    away = processes[1]
    away.kill()
    try:
        # Series 1 and 4 are on the second node (index 1), series 3 on the first (index 0), which is away.
        found = await nodes.several.query(ValueType.DOUBLE, [1, 4], T0, T0 + 60 * SECOND)
        assert set(found.columns.series.tolist()) == {1, 4}
        assert (await nodes.several.latest(ValueType.DOUBLE, [2])).columns.series.tolist() == [2]
        # Records are on every node.
        for _ in range(3):
            assert (await nodes.ask(nodes.several, "SELECT count() FROM series", limits)).rows == [[9]]
        for request in (
            nodes.several.query(ValueType.DOUBLE, [1, 3], T0, T0 + 60 * SECOND),
            nodes.ask(nodes.several, "SELECT count() FROM points", limits),
            nodes.several.insert([batch(ValueType.DOUBLE, [6, 7], [T0, T0], [1.0, 2.0], ingested=1)]),
        ):
            with pytest.raises(ShardUnavailable) as caught:
                await request
            assert caught.value.address == f"http://127.0.0.1:{away.port}"
            problem = problem_of(caught.value)
            assert problem.status == 503
            assert caught.value.address in problem.detail
    finally:
        away.start()
    found = await nodes.several.query(ValueType.DOUBLE, [3], T0, T0 + SECOND)
    assert list(found.columns.values) == [99.5]


async def test_series_reads_are_those_of_one_node(nodes: Nodes) -> None:
    series = [7, 2, 3, 1, 5]
    for read in (
        lambda store: store.query(ValueType.DOUBLE, series, T0, T0 + 3600 * SECOND, limit=20),
        lambda store: store.query(ValueType.DOUBLE, series, T0, T0 + 3600 * SECOND, limit=3, order=Order.DESCENDING),
        lambda store: store.query(ValueType.STRING, [9], T0, T0 + 3600 * SECOND),
        lambda store: store.query(ValueType.DOUBLE, [], T0, T0 + 1),
        lambda store: store.latest(ValueType.DOUBLE, series),
        lambda store: store.latest(ValueType.INT64, [8, 11, 14]),
        lambda store: store.aggregate(
            ValueType.DOUBLE, series, T0, T0 + 3600 * SECOND, how=Aggregate.AVERAGE, step=300 * SECOND, limit=4
        ),
        lambda store: store.aggregate(
            ValueType.DOUBLE, series, T0, T0 + 3600 * SECOND, how=Aggregate.MINMAX, step=300 * SECOND
        ),
    ):
        expected, found = await read(nodes.one), await read(nodes.several)
        assert rows(found) == rows(expected)
        assert found.ingested.tolist() == expected.ingested.tolist()
        assert found.truncated == expected.truncated


async def test_rows_lie_on_the_owner_only(nodes: Nodes) -> None:
    for index, shard in enumerate(nodes.several.shards):
        found = await shard.query(ValueType.DOUBLE, list(SERIES), T0, T0 + 3600 * SECOND)
        assert set(found.columns.series.tolist()) == {one for one in SERIES if one % 3 == index}
    sizes = await nodes.several.sizes()
    assert sizes["point_text"].rows == 3


async def test_external_tables_come_with_a_query_and_go_with_it(nodes: Nodes) -> None:
    """The protocol part that merging stands on, with the unmodified client."""
    external = ExternalData(file_name="t", data=b"1\t\xe5\xbc\x80\n2\tb\n", fmt="TSV", structure="n UInt8, s String")
    external.add_file(file_name="empty", data=b"", fmt="RowBinary", structure="x Float64")

    def ask(query: str, bounds: dict[str, int], data: ExternalData | None) -> bytes:
        return nodes.one.call(lambda client: client.raw_query(query, settings=bounds, fmt="TSV", external_data=data))

    for bounds in ({}, {"readonly": 1}):
        assert (
            ask("SELECT sum(n), max(s), (SELECT count() FROM empty) FROM t", bounds, external) == "3\t开\t0\n".encode()
        )
    with pytest.raises(HistoryError):
        ask("SELECT * FROM t", {}, None)


@pytest.mark.parametrize("alp", [True, False])
async def test_the_engine_reads_the_statements_of_a_cluster(nodes: Nodes, alp: bool) -> None:
    for statement in deployed(schema.statements(alp=alp), "main"):
        tree = nodes.one.call(lambda client, s=statement: client.raw_query(f"EXPLAIN AST {s}", fmt="TSV"))
        assert b"Create" in tree
    with pytest.raises(HistoryError):
        nodes.one.call(
            lambda client: client.raw_query("EXPLAIN AST CREATE TABLE t ON CLUSTER () ENGINE = Log", fmt="TSV")
        )


async def test_a_backup_of_all_nodes_comes_back(
    nodes: Nodes, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    manifests = await asyncio.to_thread(export_nodes, nodes.several, tmp_path / "b")
    assert sum(manifest.rows["point_text"] for manifest in manifests) == 3
    fresh = [ServedHistory(tmp_path_factory.mktemp("fresh")) for _ in range(3)]
    for one in fresh:
        one.start()
    restored = ShardedHistory([one.store() for one in fresh])
    try:
        with pytest.raises(BackupError, match="3 history nodes"):
            import_nodes(ShardedHistory(restored.shards[:2]), tmp_path / "b")
        await asyncio.to_thread(import_nodes, restored, tmp_path / "b")
        expected = await nodes.several.query(ValueType.DOUBLE, list(SERIES), T0, T0 + 9999 * SECOND)
        found = await restored.query(ValueType.DOUBLE, list(SERIES), T0, T0 + 9999 * SECOND)
        assert rows(found) == rows(expected)
        (tmp_path / "b" / "nodes.json").unlink()
        with pytest.raises(BackupError, match="no complete backup"):
            import_nodes(restored, tmp_path / "b")
    finally:
        await restored.close()
        for one in fresh:
            one.kill()


async def test_corrections_and_versions_are_the_owners(nodes: Nodes) -> None:
    columns = batch(ValueType.DOUBLE, [4, 5], [T0 + SECOND // 2] * 2, [1.5, 2.5]).columns
    assert await nodes.several.correct(ValueType.DOUBLE, columns, corrected_by="me", reason="a test") == 2
    assert await nodes.several.correct(ValueType.DOUBLE, columns, corrected_by="me", reason="a test") == 0
    for series, value in ((4, 1.5), (5, 2.5)):
        versions = await nodes.several.versions(ValueType.DOUBLE, series, T0 + SECOND // 2)
        assert [(one.value, one.corrected_by) for one in versions] == [(value, "me")]
