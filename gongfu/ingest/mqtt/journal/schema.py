"""Tables of ``door/sessions.db``. Times are UTC ns; ``door`` is the front door that keeps an offline session."""

import sqlite3
from pathlib import Path

VERSION = 1

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
"""


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
    connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version={VERSION}; COMMIT;")
    return connection
