"""The tables' statements for where they are made: the embedded engine, one ClickHouse server, or a ClickHouse cluster.

The template is ``schema.statements``, which suits the first two as it is. For a cluster each statement gets
``ON CLUSTER``; tables of points get a replicated table on each server, ``<name>_shard``, and a ``Distributed`` table
under their own name, which sends a row to the shard ``series % shards``; tables of records are replicated whole to
every server. ``{shard}`` and ``{replica}`` are macros of the servers. Source: ClickHouse documentation, "Data
Replication", "Distributed Table Engine", "Distributed DDL Queries". Pure.
"""

import re
from collections.abc import Sequence
from typing import Any

_CLUSTER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")
_DATABASE = re.compile(r"CREATE DATABASE IF NOT EXISTS (\w+) ENGINE = (\w+)\Z")
_TABLE = re.compile(
    r"CREATE TABLE IF NOT EXISTS (?P<database>\w+)\.(?P<name>\w+) \((?P<columns>.*)\) "
    r"ENGINE = (?P<engine>\w*MergeTree)(?:\((?P<arguments>[^()]*)\))?(?P<rest> .*)?\Z",
    re.DOTALL,
)
_FIRST_COLUMN = re.compile(r"\s*`?(\w+)`? ")

# An insert returns when a majority of the replicas of each shard have the rows on disk.
INSERT_SETTINGS: dict[str, Any] = {
    "distributed_foreground_insert": 1,
    "insert_quorum": "auto",
    "insert_quorum_parallel": 1,
}
# Marks a read that an insert needs first: the node's own engine does not let it wait behind the queries of users.
# (``log_comment`` means nothing to a server but its query log.)
PART_OF_INSERT = {"log_comment": "part of an insert"}
# A change of a table of records returns when all replicas have it.
RECORD_SETTINGS: dict[str, Any] = {"alter_sync": 2, "insert_quorum": "auto"}


def check_cluster_name(name: str) -> str:
    """Return the name of a cluster.

    Raises:
        ValueError: not 1 to 64 letters, digits, ``_``, ``-`` or ``.``.
    """
    if not _CLUSTER_NAME.match(name):
        raise ValueError("a cluster's name has 1 to 64 letters, digits, _, - or .")
    return name


def deployed(statements: Sequence[str], cluster: str = "") -> list[str]:
    """Return the statements that make the tables.

    Args:
        statements: of the template.
        cluster: name of a ClickHouse cluster as its servers' ``remote_servers`` has it; empty for one server or the
            embedded engine.

    Raises:
        ValueError: the name of the cluster, or a statement that has no form for a cluster.
    """
    if not cluster:
        return list(statements)
    check_cluster_name(cluster)
    return [made for statement in statements for made in _on_cluster(statement, cluster)]


def _on_cluster(statement: str, cluster: str) -> list[str]:
    everywhere = f"ON CLUSTER '{cluster}'"
    if database := _DATABASE.match(statement):
        name, engine = database.groups()
        return [f"CREATE DATABASE IF NOT EXISTS {name} {everywhere} ENGINE = {engine}"]
    table = _TABLE.match(statement)
    first = _FIRST_COLUMN.match(table["columns"]) if table else None
    if table is None or first is None or first.group(1) not in ("series", "tenant"):
        raise ValueError(f"no form for a cluster: {statement[:80]}")
    by_series = first.group(1) == "series"
    database_name, name = table["database"], table["name"]
    local = f"{name}_shard" if by_series else name
    # Records: one set of replicas over all servers. Points: one a shard.
    path = f"/clickhouse/tables/{{shard}}/{database_name}/{name}"
    replica = "{replica}"
    if not by_series:
        path, replica = f"/clickhouse/tables/all/{database_name}/{name}", "{shard}-{replica}"
    arguments = ", ".join(part for part in (f"'{path}'", f"'{replica}'", table["arguments"] or "") if part)
    made = [
        f"CREATE TABLE IF NOT EXISTS {database_name}.{local} {everywhere} ({table['columns']}) "
        f"ENGINE = Replicated{table['engine']}({arguments}){table['rest'] or ''}"
    ]
    if by_series:
        made.append(
            f"CREATE TABLE IF NOT EXISTS {database_name}.{name} {everywhere} AS {database_name}.{local} "
            f"ENGINE = Distributed('{cluster}', '{database_name}', '{local}', series) "
            "SETTINGS fsync_after_insert = 1, fsync_directories = 1"
        )
    return made
