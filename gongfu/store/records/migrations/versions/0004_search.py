"""Search: trigram indexes of asset paths, types and attributes and of device names, where the database can have them.

SQLite: FTS5 tables without content of their own, kept by triggers; 40 bytes a row. PostgreSQL: GIN indexes of pg_trgm.
A database without FTS5 or without pg_trgm is searched row by row, with the same results.
"""

import msgspec
import sqlalchemy as sa
from alembic import op
from sqlalchemy import exc

revision = "0004"
down_revision = "0003"

_TEXTS = {"asset": ("path", "type", "attributes"), "device": ("name",)}
_BATCH = 10_000


def upgrade() -> None:
    """Create the indexes, and write attributes in their compact form, which is what is searched."""
    connection = op.get_bind()
    _compact(connection)
    if connection.dialect.name == "sqlite":
        _sqlite(connection)
    elif connection.dialect.name == "postgresql":
        _postgresql(connection)


def _compact(connection: sa.Connection) -> None:
    last = 0
    query = sa.text(
        "SELECT id, CAST(attributes AS TEXT) AS content FROM asset "
        "WHERE id > :last AND length(CAST(attributes AS TEXT)) > 2 ORDER BY id LIMIT :limit"
    )
    while rows := connection.execute(query, {"last": last, "limit": _BATCH}).all():
        last = rows[-1].id
        values = [
            {"key": row.id, "content": msgspec.json.encode(msgspec.json.decode(row.content)).decode()} for row in rows
        ]
        connection.execute(sa.text("UPDATE asset SET attributes = :content WHERE id = :key"), values)


def _sqlite(connection: sa.Connection) -> None:
    try:
        connection.exec_driver_sql("CREATE VIRTUAL TABLE temp.trigram_probe USING fts5(a, tokenize='trigram')")
    except exc.OperationalError:
        return
    connection.exec_driver_sql("DROP TABLE temp.trigram_probe")
    # While it has a row, inserts are not indexed one by one, which is ten times slower than all at once (bulk_search).
    connection.exec_driver_sql("CREATE TABLE search_text_pause (id INTEGER PRIMARY KEY)")
    for table, columns in _TEXTS.items():
        index, names = f"{table}_text", ", ".join(columns)
        connection.exec_driver_sql(
            f"CREATE VIRTUAL TABLE {index} USING fts5({names}, content='{table}', content_rowid='id', "
            "tokenize='trigram', detail='none', columnsize=0)"
        )
        new, old = ", ".join(f"new.{name}" for name in columns), ", ".join(f"old.{name}" for name in columns)
        add = f"INSERT INTO {index} (rowid, {names}) VALUES (new.id, {new});"  # noqa: S608 (constants)
        remove = f"INSERT INTO {index} ({index}, rowid, {names}) VALUES ('delete', old.id, {old});"  # noqa: S608
        when = "WHEN NOT EXISTS (SELECT 1 FROM search_text_pause)"
        connection.exec_driver_sql(f"CREATE TRIGGER {index}_insert AFTER INSERT ON {table} {when} BEGIN {add} END")
        # Memory for rows that are added together: fewer parts to merge.
        connection.exec_driver_sql(f"INSERT INTO {index} ({index}, rank) VALUES ('hashsize', 16777216)")  # noqa: S608
        connection.exec_driver_sql(f"CREATE TRIGGER {index}_delete AFTER DELETE ON {table} BEGIN {remove} END")
        connection.exec_driver_sql(
            f"CREATE TRIGGER {index}_update AFTER UPDATE OF {names} ON {table} BEGIN {remove} {add} END"
        )
        connection.exec_driver_sql(f"INSERT INTO {index} ({index}) VALUES ('rebuild')")  # noqa: S608


def _postgresql(connection: sa.Connection) -> None:
    try:
        with connection.begin_nested():
            connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except exc.DBAPIError:
        return  # not installed, or this user may not; a later administrator may create the indexes by hand
    for table, columns in _TEXTS.items():
        for name in columns:
            expression = f"(CAST({name} AS TEXT))" if name == "attributes" else name
            try:
                with connection.begin_nested():
                    connection.exec_driver_sql(
                        f"CREATE INDEX ix_{table}_{name}_trigram ON {table} USING gin ({expression} gin_trgm_ops)"
                    )
            except exc.DBAPIError:
                continue
