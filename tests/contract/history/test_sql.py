# ruff: noqa: E501 -- one query a line
"""Users' SQL against the real engine: what it answers, and what no spelling gets."""

import json
from collections.abc import AsyncIterator, Collection, Iterable
from typing import Any

import numpy as np
import pytest

from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Role, Subject
from gongfu.kernel.points import ValueType
from gongfu.rest.routing import Call
from gongfu.store.history.api import HistoryService, routes
from gongfu.store.history.client import ClickHouseHistory
from gongfu.store.history.directory import PointInfo
from gongfu.store.history.documents import SqlAnswer, SqlQuery
from gongfu.store.history.query import HistoryQueries
from gongfu.store.history.sandbox import rewrite
from gongfu.store.history.sql_tables import PointSource, RecordSource, SqlTable, SqlTables
from gongfu.store.history.types import HistoryError, SqlLimits
from tests.contract.history.points import T0, batch
from tests.contract.history.served import ServedHistory

MINE, OTHER = 1, 2
SECRET = 666.0


class Directory:
    """Series 11 and 12 are of tenant 1, series 21 of tenant 2; 31 to 33 have the other types."""

    def __init__(self) -> None:
        self.points = {
            MINE: [
                PointInfo(11, "厂/泵", "温度", ValueType.DOUBLE, "Cel"),
                PointInfo(12, "厂/泵", "it's", ValueType.DOUBLE, ""),
                PointInfo(31, "厂", "count", ValueType.INT64, ""),
                PointInfo(32, "厂", "on", ValueType.BOOLEAN, ""),
                PointInfo(33, "厂", "text", ValueType.STRING, ""),
            ],
            OTHER: [PointInfo(21, "geheim", "p", ValueType.DOUBLE, "")],
        }
        self.reads = 0

    def by_series(self, tenant: int, series: Collection[int]) -> dict[int, PointInfo]:
        return {point.series: point for point in self.points[tenant] if point.series in series}

    def by_name(self, tenant: int, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], PointInfo]:
        return {(p.asset_path, p.name): p for p in self.points[tenant] if (p.asset_path, p.name) in names}

    def revision(self, tenant: int) -> str:
        return repr(self.points[tenant])

    def all_points(self, tenant: int) -> Iterable[PointInfo]:
        self.reads += 1
        return list(self.points[tenant])


class Assets:
    """A further table of records."""

    table = SqlTable("assets", (("path", "String"), ("created_at", "DateTime64(9, 'UTC')")))

    def __init__(self) -> None:
        self.held = {MINE: [("厂", T0), ("厂/泵", T0)], OTHER: [("geheim", T0)]}

    def revision(self, tenant: int) -> str:
        return repr(self.held[tenant])

    def rows(self, tenant: int) -> Iterable[tuple[Any, ...]]:
        return self.held[tenant]


class Sql:
    def __init__(self, store: ClickHouseHistory) -> None:
        self.directory = Directory()
        self.assets = Assets()
        self.store = store
        sources: list[RecordSource] = [PointSource(self.directory), self.assets]
        self.tables = SqlTables(store, sources)
        self.service = HistoryService(HistoryQueries(store, self.directory), self.tables, SqlLimits(rows=100))
        self._answer = next(route.answer for route in routes(self.service) if route.path == "/sql")

    async def ask(self, query: str, tenant: int = MINE) -> SqlAnswer:
        subject = Subject(1, "u", tenant, Role.OPERATOR)
        return await self._answer(Call(subject, {}, {}, SqlQuery(query)))

    async def rows(self, query: str, tenant: int = MINE) -> list[list[Any]]:
        return (await self.ask(query, tenant)).rows


@pytest.fixture
async def sql(served: ServedHistory) -> AsyncIterator[Sql]:
    store = served.store()
    await store.insert([
        batch(ValueType.DOUBLE, [11] * 4, [T0 + i * 10**9 for i in range(4)], [1.0, 2.0, np.nan, 4.0],
              qualities=[0, 0, 0x81, 0x80]),
        batch(ValueType.DOUBLE, [12, 21], [T0, T0], [12.0, SECRET]),
        batch(ValueType.INT64, [31], [T0], [2**63 - 1]),
        batch(ValueType.BOOLEAN, [32], [T0], [1]),
        batch(ValueType.STRING, [33], [T0], ["开"]),
    ])  # fmt: skip
    yield Sql(store)
    await store.close()


async def test_points_have_names_and_units(sql: Sql) -> None:
    answer = await sql.ask("SELECT * FROM points WHERE point = '温度' ORDER BY time LIMIT 1")
    assert [column.name for column in answer.columns] == [
        "asset", "point", "unit", "time", "value", "quality", "ingested", "series",
    ]  # fmt: skip
    assert answer.rows == [
        ["厂/泵", "温度", "Cel", "2023-11-14T22:13:20.000000000Z", 1.0, 0, "2023-11-14T22:13:20.000Z", 11]
    ]
    assert not answer.truncated
    assert answer.elapsed_ms > 0


async def test_values_are_json_without_loss(sql: Sql) -> None:
    assert await sql.rows("SELECT value FROM points_int64") == [[str(2**63 - 1)]]
    assert await sql.rows("SELECT value FROM points_text") == [["开"]]
    assert await sql.rows("SELECT value FROM points_boolean") == [[1]]
    assert await sql.rows("SELECT value FROM points WHERE isNaN(value)") == [[None]]
    assert await sql.rows("SELECT 1/0, -1/0, 9007199254740991, 9007199254740992, [18446744073709551615]") == [
        [None, None, 2**53 - 1, str(2**53), ["18446744073709551615"]]
    ]
    json.dumps(await sql.rows("SELECT nan, inf"), allow_nan=False)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT count(), uniqExact(asset) FROM points", [[5, 1]]),
        ("SELECT point, max(value) FROM points WHERE quality < 64 GROUP BY point ORDER BY point", [["it's", 12.0], ["温度", 2.0]]),
        ("SELECT value FROM points WHERE point = 'it''s'", [[12.0]]),
        (r"SELECT value FROM points WHERE point = 'it\'s'", [[12.0]]),
        ("SELECT p.value FROM points AS p WHERE p.asset LIKE '厂/%' AND p.point IN ('it\\'s') AND p.series = 12", [[12.0]]),
        ("SELECT value FROM points WHERE asset = '厂/泵' OR asset = 'geheim' ORDER BY value DESC LIMIT 1", [[12.0]]),
        ("SELECT upper(point) AS point FROM points WHERE point = 'IT''S'", [["IT'S"]]),
        ("WITH x AS (SELECT value AS v FROM points WHERE quality = 0) SELECT sum(v) FROM x", [[15.0]]),
        ("SELECT n FROM (SELECT count() AS n FROM points UNION ALL SELECT count() FROM points_text) ORDER BY n", [[1], [5]]),
        ("SELECT a.value + b.value FROM points AS a JOIN points AS b ON a.time = b.time AND a.series + 1 = b.series", [[13.0]]),
        ("SELECT toStartOfInterval(time, INTERVAL 2 SECOND) AS t, count() FROM points GROUP BY t ORDER BY t LIMIT 1",
         [["2023-11-14T22:13:20Z", 3]]),
        ("SELECT s FROM (SELECT sumIf(value, quality < 64) AS s FROM points FINAL WHERE isFinite(value)) -- comment", [[15.0]]),
        ("SELECT /* 'x */ 1 /* y' */", [[1]]),
        ("SELECT series FROM series ORDER BY series LIMIT 2", [[11], [12]]),
        ("SELECT path FROM assets ORDER BY path", [["厂"], ["厂/泵"]]),
        ("SELECT created_at FROM assets LIMIT 1", [["2023-11-14T22:13:20.000000000Z"]]),
        ("SELECT count() FROM numbers(10) AS n WHERE n.number IN (SELECT toUInt64(value) FROM points WHERE quality = 0)", [[2]]),
        ("SELECT x FROM (SELECT groupArray(value) AS xs FROM points WHERE series = 12) ARRAY JOIN xs AS x", [[12.0]]),
        ("SELECT arrayMap(v -> v * 2, groupArray(value)) FROM points WHERE series = 12", [[[24.0]]]),
        ("SELECT quantile(0.5)(value), argMax(value, time), any(unit) FROM points WHERE series = 11 AND quality = 0", [[1.5, 2.0, "Cel"]]),
        ("SELECT value, lagInFrame(value) OVER (ORDER BY time) AS before FROM points WHERE series = 11 LIMIT 2", [[1.0, 0.0], [2.0, 1.0]]),
        ("SELECT if(value > 1, '高', '低') FROM points WHERE series = 12", [["高"]]),
        ("SELECT CAST('1.5' AS Decimal(9, 2)), toInt32('7'), '8'::UInt8", [[1.5, 7, 8]]),
        ("SELECT dateDiff('second', min(time), max(time)) FROM points", [[3]]),
        ("SELECT 'a\\\\b', 'c\\'d', 'e''f', 'tab\\tx', '\\\\'", [["a\\b", "c'd", "e'f", "tab\tx", "\\"]]),
    ],
)  # fmt: skip
async def test_useful_queries(sql: Sql, query: str, expected: list[list[Any]]) -> None:
    assert await sql.rows(query) == expected


async def test_rows_are_cut_and_said_so(sql: Sql) -> None:
    answer = await sql.ask("SELECT number FROM numbers(101)")
    assert (len(answer.rows), answer.truncated) == (100, True)
    answer = await sql.ask("SELECT number FROM numbers(100)")
    assert (len(answer.rows), answer.truncated) == (100, False)


async def test_names_follow_the_records(sql: Sql) -> None:
    assert await sql.rows("SELECT asset FROM points WHERE series = 12") == [["厂/泵"]]
    reads = sql.directory.reads
    await sql.rows("SELECT asset FROM points WHERE series = 12")
    assert sql.directory.reads == reads
    sql.directory.points[MINE][1] = PointInfo(12, "新厂", "it's", ValueType.DOUBLE, "")
    assert await sql.rows("SELECT asset FROM points WHERE series = 12") == [["新厂"]]
    sql.directory.points[MINE] = sql.directory.points[MINE][:1]
    assert await sql.rows("SELECT DISTINCT series FROM points") == [[11]]
    assert await sql.rows("SELECT count() FROM series") == [[1]]
    assert await sql.rows("SELECT path FROM assets", OTHER) == [["geheim"]]
    sql.assets.held[OTHER] = []
    assert await sql.rows("SELECT path FROM assets", OTHER) == []


ATTACKS = [
    # other tables and databases
    "SELECT * FROM gongfu.point_double",
    "SELECT * FROM point_double",
    "SELECT * FROM `point_double`",
    'SELECT * FROM "gongfu"."point_double"',
    "SELECT * FROM gongfu.series",
    "SELECT * FROM gongfu /**/ . /**/ point_double",
    "SELECT * FROM system.tables",
    "SELECT * FROM system . settings",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM INFORMATION_SCHEMA.COLUMNS",
    "SELECT * FROM `/etc/passwd`",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM record_assets",
    "SELECT * FROM series_new",
    # table functions
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM \"file\"('/etc/passwd', 'LineAsString')",
    "SELECT * FROM `file`('/etc/passwd')",
    "SELECT * FROM FILE('/etc/passwd')",
    "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
    "SELECT * FROM s3('http://127.0.0.1/x')",
    "SELECT * FROM remote('127.0.0.1', system.one)",
    "SELECT * FROM remoteSecure('127.0.0.1', system.one)",
    "SELECT * FROM cluster('default', system.one)",
    "SELECT * FROM clusterAllReplicas('default', system.one)",
    "SELECT * FROM merge('gongfu', '.*')",
    "SELECT * FROM merge(REGEXP('.*'), '.*')",
    "SELECT * FROM view(SELECT * FROM gongfu.point_double)",
    "SELECT * FROM viewIfPermitted(SELECT 1 ELSE null('x Int8'))",
    "SELECT * FROM executable('id', 'TSV', 'a String')",
    "SELECT * FROM python('x')",
    "SELECT * FROM input('a String')",
    "SELECT * FROM mysql('127.0.0.1:3306', 'a', 'b', 'c', 'd')",
    "SELECT * FROM sqlite('/x', 'y')",
    "SELECT * FROM loop(gongfu.point_double)",
    "SELECT * FROM dictionary('x')",
    "SELECT * FROM mergeTreeIndex('gongfu', 'point_double')",
    "SELECT * FROM format(CSV, '1')",
    "SELECT * FROM values('a Int8', 1)",
    "SELECT * FROM filesystem('/etc')",
    "SELECT * FROM fuzzQuery('x')",
    # functions
    "SELECT file('/etc/passwd')",
    "SELECT `file`('/etc/passwd')",
    "SELECT \"getSetting\"('readonly')",
    "SELECT getSetting('readonly')",
    "SELECT getServerSetting('max_server_memory_usage')",
    "SELECT getMacro('x')",
    "SELECT hostName()",
    "SELECT FQDN()",
    "SELECT currentUser(), user(), currentDatabase()",
    "SELECT version()",
    "SELECT sleep(3)",
    "SELECT sleepEachRow(3) FROM numbers(10)",
    "SELECT dictGet('a', 'b', 1)",
    "SELECT joinGet('gongfu.x', 'b', 1)",
    "SELECT hasColumnInTable('gongfu', 'point_double', 'value')",
    "SELECT filesystemAvailable()",
    "SELECT catboostEvaluate('/x', 1)",
    "SELECT tcpPort(), uptime(), serverUUID()",
    "SELECT chdb()",
    "SELECT sumMergeState(x) FROM points",
    "SELECT initializeAggregation('sum', 1)",
    "SELECT arrayReduce('max', [1])",
    "SELECT throwIf(1)",
    "SELECT addressToLine(1), demangle('x'), logTrace('x')",
    "SELECT * APPLY(file) FROM points",
    "SELECT COLUMNS('.*') FROM points",
    "SELECT x -> file(x)",
    "SELECT arrayMap(x -> file(x), ['/etc/passwd'])",
    # names that try to stand for stored tables
    "WITH points AS (SELECT 1) SELECT * FROM points",
    "WITH POINTS AS (SELECT 1) SELECT * FROM POINTS",
    "WITH `gongfu.point_double` AS (SELECT 1) SELECT * FROM gongfu.point_double",
    "SELECT * FROM (WITH point_double AS (SELECT 1) SELECT * FROM point_double) AS a, gongfu.point_double",
    "SELECT 1 IN gongfu.point_double",
    "SELECT (11, now()) IN points",
    "SELECT value FROM points WHERE series IN point_double",
    "SELECT value FROM points GLOBAL IN system.one",
    "SELECT value FROM points WHERE series NOT IN series",
    # clauses
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT * FROM (SELECT 1 SETTINGS additional_table_filters = {})",
    "SELECT * FROM points SETTINGS max_execution_time = 1000",
    "SELECT 1 FORMAT Null",
    "SELECT 1 INTO OUTFILE '/tmp/x'",
    "SELECT 1 INTO OUTFILE '/tmp/x' FORMAT CSV",
    "SELECT * FROM points PREWHERE 1",
    "SELECT * FROM points SAMPLE 0.1",
    "SELECT {x:UInt32}",
    "SELECT @@version",
    "SELECT * FROM {t:Identifier}",
    # statements
    "INSERT INTO points SELECT 1",
    "INSERT INTO gongfu.point_double VALUES (1, 1, 1, 1, 1)",
    "INSERT INTO FUNCTION file('/tmp/x') SELECT 1",
    "DROP TABLE gongfu.point_double",
    "CREATE TABLE x (a Int8) ENGINE = Memory",
    "CREATE FUNCTION f AS (x) -> x",
    "ALTER TABLE gongfu.point_double DELETE WHERE 1",
    "TRUNCATE TABLE gongfu.point_double",
    "OPTIMIZE TABLE gongfu.point_double",
    "RENAME TABLE gongfu.series TO gongfu.s",
    "SET readonly = 0",
    "USE gongfu",
    "SHOW TABLES FROM gongfu",
    "SHOW CREATE TABLE gongfu.point_double",
    "DESCRIBE TABLE gongfu.point_double",
    "EXPLAIN SELECT 1",
    "EXISTS TABLE gongfu.point_double",
    "SYSTEM SHUTDOWN",
    "KILL QUERY WHERE 1",
    "BACKUP DATABASE gongfu TO File('/tmp/x')",
    "GRANT ALL ON *.* TO x",
    "EXECUTE AS x SELECT 1",
    "CHECK TABLE gongfu.point_double",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE gongfu.series",
    "",
    ";",
    "-- nothing",
    "SELECT",
    "SELECT 'open",
    "SELECT (1",
    "SELECT * FROM points WHERE \0 = 1",
    "SELECT " + "(" * 300 + "1" + ")" * 300,
    "SELECT " + "1," * 20_000 + "1",
    "FROM gongfu.point_double SELECT *",
    "TABLE gongfu.point_double",
    "VALUES (1)",
    "SELECT * FROM points JOIN gongfu.point_double USING (series)",
    "SELECT * FROM points, system.one",
    "SELECT (SELECT count() FROM gongfu.point_double)",
    "SELECT * FROM points WHERE EXISTS (SELECT 1 FROM gongfu.point_double)",
    "SELECT * FROM (SELECT * FROM gongfu.point_double UNION ALL SELECT * FROM gongfu.point_double)",
    "SELECT * FROM points UNION ALL SELECT * FROM gongfu.point_double",
    "SELECT * FROM points ORDER BY (SELECT value FROM gongfu.point_double LIMIT 1)",
    "SELECT sum(value) OVER (PARTITION BY (SELECT value FROM gongfu.point_double LIMIT 1)) FROM points",
    "SELECT * FROM numbers((SELECT count() FROM gongfu.point_double))",
    "SELECT * FROM points LIMIT (SELECT count() FROM gongfu.point_double)",
]


@pytest.mark.parametrize("query", ATTACKS, ids=lambda query: query[:50])
async def test_attacks_are_refused_with_a_reason(sql: Sql, query: str) -> None:
    with pytest.raises(Problem) as caught:
        await sql.ask(query)
    assert caught.value.status in (400, 422), caught.value.detail
    assert caught.value.detail
    assert "127.0.0.1" not in caught.value.detail.replace(query, "")


DODGES = [
    # allowed, but must not show the other tenant's value
    "SELECT value FROM points",
    "SELECT value FROM points WHERE 1 = 1 OR series = 21",
    "SELECT value FROM points WHERE asset = 'geheim' OR 1",
    "SELECT value FROM points AS series WHERE series = 21",
    "SELECT value FROM points WHERE point = '' OR '1' = '1'",
    "SELECT value FROM points WHERE point = '\\' OR 1=1 --'",
    "SELECT value FROM points WHERE point = 'x\\\\' OR 1=1 --'",
    "SELECT value FROM points WHERE asset IN ('geheim') OR series IN (21)",
    "SELECT value FROM points WHERE asset LIKE '%' OR point LIKE '%'",
    "WITH 21 AS series SELECT value FROM points WHERE series = 21",
    "WITH 2 AS tenant SELECT value FROM points",
    "SELECT value, 2 AS tenant FROM points WHERE tenant = 2",
    "WITH p AS (SELECT * FROM points) SELECT value FROM p WHERE series = 21",
    "SELECT a.value FROM points AS a LEFT JOIN points AS b ON 1 = 1",
    "SELECT value FROM points AS a FULL JOIN series AS b USING (series)",
    "SELECT value FROM (SELECT * FROM points) AS point_double",
    "SELECT * FROM points AS gongfu",
    "SELECT * FROM series",
    "SELECT * FROM assets",
    "SELECT p.* FROM points AS p, series AS s, assets AS a",
    "SELECT toString(groupArray(tuple(*))) FROM points",
    "SELECT max(value), min(value), any(value) FROM points",
    "SELECT value FROM points ORDER BY value DESC NULLS LAST LIMIT 100 OFFSET 0",
]


@pytest.mark.parametrize("query", DODGES, ids=lambda query: query[:50])
async def test_no_spelling_shows_another_tenant(sql: Sql, query: str) -> None:
    try:
        said = json.dumps(await sql.rows(query), ensure_ascii=False)
    except Problem as problem:
        said = problem.detail
    assert "666" not in said
    assert "geheim" not in said.replace(query, "")
    assert await sql.rows("SELECT value FROM points", OTHER) == [[SECRET]]


async def test_the_engine_keeps_tenants_apart_by_itself(sql: Sql) -> None:
    """The row filters hold even for a statement that never saw the sandbox."""
    await sql.rows("SELECT * FROM points, series, assets")
    filters = rewrite("SELECT 1", MINE, sql.tables.tables).row_filters

    async def direct(statement: str) -> list[list[Any]]:
        return (await sql.store.sql(statement, filters, SqlLimits())).rows

    assert await direct("SELECT count() FROM gongfu.point_double FINAL WHERE series = 21") == [[0]]
    assert await direct("SELECT count() FROM gongfu.point_double FINAL WHERE series = 12") == [[1]]
    assert await direct("SELECT DISTINCT tenant FROM gongfu.series") == [[MINE]]
    assert await direct("SELECT DISTINCT tenant FROM gongfu.record_assets") == [[MINE]]
    for statement in (
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
        "SELECT count() FROM gongfu.series SETTINGS additional_table_filters = {}",
        "SELECT * FROM `/etc/passwd`",
        "SELECT * FROM point_double",
        "INSERT INTO gongfu.series VALUES (1, 1, '', '', '', '')",
    ):
        with pytest.raises(HistoryError) as caught:
            await direct(statement)
        assert caught.value.code in (60, 164, 497), str(caught.value)


async def test_limits_are_problems_with_advice(sql: Sql) -> None:
    sql.service = HistoryService(sql.service.queries, sql.tables, SqlLimits(seconds=0.5, rows_to_read=10**15))
    answer = next(route.answer for route in routes(sql.service) if route.path == "/sql")
    subject = Subject(1, "u", MINE, Role.OPERATOR)
    for query in (
        "SELECT count() FROM numbers(100000000000000) WHERE number % 3 = 5",
        "SELECT groupArray(number) FROM numbers(10000000000)",
    ):
        with pytest.raises(Problem) as caught:
            await answer(Call(subject, {}, {}, SqlQuery(query)))
        assert (caught.value.status, caught.value.code) == (422, "query-limit")
    with pytest.raises(Problem, match="reads too many rows"):
        await sql.service.queries.sql("SELECT sum(number) FROM numbers(1000000000000)", {}, SqlLimits())
    with pytest.raises(Problem) as caught:
        await sql.ask("SELECT no_such FROM points")
    assert (caught.value.status, "no_such" in caught.value.detail) == (400, True)
    assert "gongfu_sandbox" not in caught.value.detail
