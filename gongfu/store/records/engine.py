"""Records: SQLAlchemy on SQLite (WAL) or PostgreSQL, one schema for both."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Connection, Engine, Integer, MetaData, String, create_engine, event

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite gives automatic keys to INTEGER PRIMARY KEY only; PostgreSQL gets 64 bits.
Key = BigInteger().with_variant(Integer(), "sqlite")


def name_text(length: int) -> String:
    """Return the type of a name that is searched by prefix and paged by key.

    It sorts by code point on both databases (PostgreSQL's collation "C"; SQLite does so by itself), so a prefix is a
    range of the index and a page ends at the same name everywhere.
    """
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def open_records(url: str) -> Engine:
    """Return an engine for ``sqlite:///path`` or ``postgresql+psycopg://…``.

    SQLite runs in WAL mode with ``synchronous=FULL``: a committed record survives power loss.
    """
    if url.startswith("sqlite"):
        engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, json_serializer=compact_json)
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    return create_engine(url, pool_size=4, max_overflow=4, pool_pre_ping=True, json_serializer=compact_json)


def compact_json(document: Any) -> str:
    """Return a document as it is stored: without blanks and escapes that need not be, so that its text can be
    searched."""
    return msgspec.json.encode(document).decode()


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a transaction that may read first and write then; commits at the end.

    On SQLite the write lock is taken at once: a transaction that reads and only then writes would otherwise fail
    with "database is locked" when another process wrote in between, whatever the busy timeout.
    """
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a connection for reading; whatever it started is rolled back."""
    with engine.connect() as connection:
        yield connection


_BUSY_SECONDS = 30.0
# Pages in the log (32 MB) at which they are moved to the file: one that many transactions change, as in an import of
# many devices, is moved once and not with each of them.
_LOG_PAGES = 8192


def _prepare_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={int(_BUSY_SECONDS * 1000)}")
    _enter_wal(cursor)
    for pragma in ("synchronous=FULL", "foreign_keys=ON", f"wal_autocheckpoint={_LOG_PAGES}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _enter_wal(cursor: Any) -> None:
    """Set WAL mode, which a file keeps. SQLite does not wait for locks here, so processes that start at once do."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.02)
