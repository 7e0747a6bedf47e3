"""History over several nodes, the pure parts: interface, split, plans of statements, formats, tables of a cluster."""

import contextlib
import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from gongfu.kernel.block import Columns
from gongfu.kernel.points import ValueType
from gongfu.store.history import schema
from gongfu.store.history.client import ClickHouseHistory
from gongfu.store.history.deployment import deployed
from gongfu.store.history.external import ExternalError, read_external
from gongfu.store.history.native import varint
from gongfu.store.history.row_binary import RowBinaryError, read_row_binary
from gongfu.store.history.sandbox import rewrite
from gongfu.store.history.scatter import plan
from gongfu.store.history.sharded import ShardedHistory
from gongfu.store.history.sql_tables import SERIES
from gongfu.store.history.types import Batch, HistoryStore

# What belongs to one address: a connection, and statements of backup and restore, which go node by node.
ONE_ADDRESS = {"client", "call", "run", "address"}


def _public(kind: type) -> dict[str, Any]:
    return {name: member for name, member in inspect.getmembers(kind) if not name.startswith("_")}


def test_every_public_method_is_there_with_the_same_signature() -> None:
    several = _public(ShardedHistory)
    for name, member in _public(ClickHouseHistory).items():
        if name in ONE_ADDRESS:
            continue
        assert name in several, name
        assert inspect.signature(several[name]) == inspect.signature(member), name
        assert inspect.iscoroutinefunction(several[name]) == inspect.iscoroutinefunction(member), name
    assert {name for name in vars(HistoryStore) if not name.startswith("_")} <= set(several)


class Kept:
    """A node that remembers what was inserted."""

    address = "http://kept"

    def __init__(self) -> None:
        self.points: list[tuple[Any, ...]] = []

    async def insert(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            c = batch.columns
            self.points += zip(
                c.series.tolist(), c.times.tolist(), list(c.values), batch.ingested.tolist(), strict=True
            )


@settings(deadline=None)
@given(st.integers(1, 5), st.lists(st.lists(st.integers(1, 40), max_size=30), max_size=4), st.booleans())
async def test_each_point_goes_to_its_owner_once(count: int, parts: list[list[int]], text: bool) -> None:
    kept = [Kept() for _ in range(count)]
    store = ShardedHistory(kept)  # pyright: ignore[reportArgumentType]: what insert needs of a node
    batches: list[Batch] = []
    for part in parts:
        n = len(part)
        values: Any = [f"v{i}" for i in range(n)] if text else np.arange(n, dtype="<f8")
        columns = Columns(np.array(part, "<u4"), np.arange(n, dtype="<i8"), np.zeros(n, "u1"), values)
        kind = ValueType.STRING if text else ValueType.DOUBLE
        batches.append(Batch(kind, columns, np.arange(n, dtype="<i8") + 7))
    await store.insert(batches)
    expected = sorted(
        (series, i, f"v{i}" if text else float(i), i + 7) for part in parts for i, series in enumerate(part)
    )
    assert sorted(point for node in kept for point in node.points) == expected
    for index, node in enumerate(kept):
        assert all(point[0] % count == index for point in node.points)


def _planned(query: str) -> tuple[list[str], str]:
    made = plan(rewrite(query, 1, {"series": SERIES}).sql, 10)
    return list(made.parts), made.final


def test_states_travel_and_not_points_where_they_can() -> None:
    parts, final = _planned("SELECT asset, avg(value) AS a FROM points GROUP BY asset HAVING a > 1 ORDER BY a LIMIT 3")
    assert len(parts) == 1
    assert "avgState(value) AS __gf_a0" in parts[0]
    assert "LIMIT" not in parts[0]
    assert "avgMerge(__gf_a0)" in final
    assert "point_double" not in final


def test_what_is_whole_on_a_node_is_finished_there() -> None:
    parts, final = _planned("SELECT series, max(value) AS m FROM points GROUP BY series ORDER BY m DESC LIMIT 3")
    assert "LIMIT 3" in parts[0]
    assert "max(" not in final.lower()


def test_conditions_and_columns_are_chosen_before_rows_travel() -> None:
    parts, _ = _planned("SELECT time, rank() OVER (ORDER BY value) AS n FROM points WHERE series = 3 AND value > 2")
    assert "value > 2" in parts[0]
    assert parts[0].startswith('SELECT "series", "time", "value" FROM')


def test_records_need_no_parts() -> None:
    assert _planned("SELECT count() FROM series")[0] == []


TYPES = st.sampled_from(["UInt8", "AggregateFunction(avg, Float64)"])


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(max_size=20), TYPES), max_size=6), st.binary(max_size=40))
def test_heads_are_read_and_rows_left_alone(columns: list[tuple[str, str]], rows: bytes) -> None:
    def text(value: str) -> bytes:
        raw = value.encode()
        return varint(len(raw)) + raw

    head = varint(len(columns)) + b"".join(text(name) for name, _ in columns) + b"".join(text(t) for _, t in columns)
    found = read_row_binary(head + rows)
    assert list(zip(found.names, found.types, strict=True)) == columns
    assert bytes(found.rows) == rows
    if len(head) > 1:
        with pytest.raises(RowBinaryError):
            read_row_binary(head[:-1])


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(RowBinaryError):
        read_row_binary(data)


def _form(tables: list[tuple[str, bytes]], boundary: str) -> bytes:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="x"\r\n'
        f"Content-Type: application/octet-stream\r\n\r\n".encode()
        + data
        + b"\r\n"
        for name, data in tables
    ]
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True)


@settings(deadline=None)
@given(
    st.dictionaries(NAMES, st.binary(max_size=60).filter(lambda data: b"--bound" not in data), min_size=1, max_size=4)
)
def test_tables_of_a_form_are_found(tables: dict[str, bytes]) -> None:
    url = {"query": "SELECT 1"}
    for name in tables:
        url |= {f"{name}_structure": "x String", f"{name}_format": "RowBinary"}
    body = _form(list(tables.items()), "bound")
    found, rest = read_external(url, {"content-type": "multipart/form-data; boundary=bound"}, body)
    assert {table.name: bytes(table.data) for table in found} == tables
    assert rest == {"query": "SELECT 1"}


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_form_is_read_or_refused(body: bytes) -> None:
    for data in (body, b"--b\r\n" + body, _form([("t", body)], "b")[: len(body)]):
        with contextlib.suppress(ExternalError):
            read_external({"t_structure": "x String"}, {"content-type": "multipart/form-data; boundary=b"}, data)


def test_form_without_boundary_or_columns_is_refused() -> None:
    with pytest.raises(ExternalError, match="boundary"):
        read_external({}, {"content-type": "multipart/form-data"}, b"")
    with pytest.raises(ExternalError, match="t_structure"):
        read_external({}, {"content-type": "multipart/form-data; boundary=b"}, _form([("t", b"x")], "b"))


@pytest.mark.parametrize("alp", [True, False])
def test_tables_of_a_cluster_come_from_the_one_template(alp: bool) -> None:
    template = [*schema.statements(alp=alp), SERIES.beside.create()]
    assert deployed(template) == template
    made = deployed(template, "main")
    parsed = [sqlglot.parse_one(statement, dialect="clickhouse") for statement in made]
    assert all(type(tree) is exp.Create for tree in parsed)
    assert all("ON CLUSTER 'main'" in statement for statement in made)
    for table in schema.POINT_TABLES:
        local = next(s for s in made if s.startswith(f"CREATE TABLE IF NOT EXISTS gongfu.{table}_shard "))
        assert f"ReplicatedReplacingMergeTree('/clickhouse/tables/{{shard}}/gongfu/{table}', '{{replica}}'" in local
        assert "ORDER BY (series, time)" in local
        over = next(s for s in made if s.startswith(f"CREATE TABLE IF NOT EXISTS gongfu.{table} "))
        assert f"Distributed('main', 'gongfu', '{table}_shard', series)" in over
    for name in ("series", "series_new"):
        records = next(s for s in made if s.startswith(f"CREATE TABLE IF NOT EXISTS gongfu.{name} "))
        assert "'/clickhouse/tables/all/gongfu/" in records
        assert "'{shard}-{replica}'" in records
        assert "Distributed" not in records


@pytest.mark.parametrize("name", ["a'b", "", " ", "x" * 65, "a;b"])
def test_a_name_cannot_leave_its_quotes(name: str) -> None:
    if name:
        with pytest.raises(ValueError, match="cluster"):
            deployed(["CREATE DATABASE IF NOT EXISTS gongfu ENGINE = Atomic"], name)


def test_a_statement_without_a_form_for_a_cluster_is_refused() -> None:
    for statement in ("ALTER TABLE gongfu.point_double ADD COLUMN x UInt8", "CREATE TABLE x (a UInt8) ENGINE = Log"):
        with pytest.raises(ValueError, match="no form"):
            deployed([statement], "main")
