"""Migrations of the records: one schema for SQLite and PostgreSQL, brought up to date by ``migrate``.

A noun with tables of its own adds one file to ``versions/``; the revisions form one line, not branches.
"""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from gongfu.store.records.engine import writing
from gongfu.store.records.revisions import MigrationError, head

# Key of the PostgreSQL advisory lock that lets one process migrate at a time ("gongfu" in ASCII).
_LOCK = 0x676F6E676675


def current(connection: Connection) -> str | None:
    """Return the revision of the records, None when they are empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migrate(engine: Engine) -> None:
    """Bring the records to the newest revision; does nothing when they are there already.

    Safe when several processes start at once: one migrates in one transaction, the others wait and find it done.

    Raises:
        MigrationError: the records were written by a newer version of Gongfu.
    """
    newest = head()
    with engine.connect() as connection:
        if current(connection) == newest:
            return
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        if current(connection) != newest:
            _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    # Imported here: alembic and its templates take 0.1 s and 10 MB, which a node that is up to date never needs.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    revision = current(connection)
    known = {item.revision for item in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise MigrationError(f"records are at revision {revision}, written by a newer version of Gongfu")
    command.upgrade(config, "head")
