"""Tables of a front door's journal. Times are UTC ns.

Every front door has a file of its own: ``door/sessions.db`` the first, ``door/sessions-<number>.db`` the others. What a
front door kept that is no longer started is taken over by the first one.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

VERSION = 2

_TABLES = """
CREATE TABLE IF NOT EXISTS session (
    id INTEGER PRIMARY KEY, device INTEGER NOT NULL, client_id TEXT NOT NULL, tenant INTEGER NOT NULL,
    prefix TEXT NOT NULL, expiry INTEGER NOT NULL, ends INTEGER NOT NULL, door INTEGER NOT NULL,
    UNIQUE (device, client_id)
);
CREATE TABLE IF NOT EXISTS subscription (
    session INTEGER NOT NULL, share TEXT NOT NULL, filter TEXT NOT NULL, options BLOB NOT NULL,
    PRIMARY KEY (session, share, filter)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS delivery (
    session INTEGER NOT NULL, ordinal INTEGER NOT NULL, message INTEGER NOT NULL, packet_id INTEGER NOT NULL,
    released INTEGER NOT NULL, options BLOB NOT NULL, PRIMARY KEY (session, ordinal)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS delivery_message ON delivery (message);
CREATE TABLE IF NOT EXISTS received (
    session INTEGER NOT NULL, packet_id INTEGER NOT NULL, time INTEGER NOT NULL, PRIMARY KEY (session, packet_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS retained (
    tenant INTEGER NOT NULL, topic TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (tenant, topic)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS will (
    device INTEGER NOT NULL, client_id TEXT NOT NULL, topic TEXT NOT NULL, writer BLOB NOT NULL, body BLOB NOT NULL,
    delay INTEGER NOT NULL, due INTEGER NOT NULL, door INTEGER NOT NULL, PRIMARY KEY (device, client_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS forward (
    door TEXT NOT NULL, ordinal INTEGER NOT NULL, item BLOB NOT NULL, PRIMARY KEY (door, ordinal)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (
    sender TEXT NOT NULL, target TEXT NOT NULL, ordinal INTEGER NOT NULL, PRIMARY KEY (sender, target)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS interest (
    door TEXT NOT NULL, tenant INTEGER NOT NULL, share TEXT NOT NULL, filter TEXT NOT NULL, online INTEGER NOT NULL,
    kept INTEGER NOT NULL, PRIMARY KEY (door, tenant, share, filter)
) WITHOUT ROWID;
"""
# What release 1 did not have. A retained message with an empty body has been cleared.
_ADDED = (
    "ALTER TABLE session ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE session ADD COLUMN claim TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE session ADD COLUMN claim_ordinal INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE retained ADD COLUMN version INTEGER NOT NULL DEFAULT 0",
)


def journal_path(directory: Path, door: int) -> Path:
    """Return the file of a front door, by its index from 0."""
    return directory / (f"sessions-{door + 1}.db" if door else "sessions.db")


def abandoned(directory: Path, doors: int) -> Iterable[Path]:
    """Return the files of front doors that are no longer started: those with an index of ``doors`` and above."""
    for path in sorted(directory.glob("sessions-*.db")):
        number = path.stem.removeprefix("sessions-")
        if number.isdigit() and int(number) > doors:
            yield path


def open_database(path: Path) -> sqlite3.Connection:
    """Return a connection to the journal, which is made when it is not there.

    Raises:
        sqlite3.Error: it cannot be opened, or a newer release wrote it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=30000")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        connection.close()
        raise sqlite3.DatabaseError(f"{path} was written by a newer release (format {version})")
    add_tables(connection, version)
    return connection


def add_tables(connection: sqlite3.Connection, version: int = 0) -> None:
    """Make the tables that a journal of an earlier format has not got; 0 is an empty one.

    Raises:
        sqlite3.Error: they cannot be made.
    """
    added = "".join(f"{statement};" for statement in _ADDED) if version < VERSION else ""
    connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} {added} PRAGMA user_version={VERSION}; COMMIT;")
