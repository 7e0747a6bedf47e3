"""Table and queries of small files that all machines of a cluster have. Contents are sealed before they come here."""

from typing import Any

from sqlalchemy import Column, Connection, LargeBinary, String, Table, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from gongfu.store.records.engine import metadata

shared_file = Table(
    "shared_file",
    metadata,
    Column("folder", String(60), primary_key=True),
    # Below the folder, with slashes.
    Column("path", String(400), primary_key=True),
    # Keyed hash of the content, so that the records tell nothing of it.
    Column("digest", String(64), nullable=False),
    Column("content", LargeBinary, nullable=False),
)


def digests(connection: Connection, folder: str) -> dict[str, str]:
    """Return the digests of the files of a folder, by path."""
    query = select(shared_file.c.path, shared_file.c.digest).where(shared_file.c.folder == folder)
    return {row.path: row.digest for row in connection.execute(query)}


def content(connection: Connection, folder: str, path: str) -> tuple[str, bytes] | None:
    """Return digest and sealed content of a file, None when it is not there."""
    row = connection.execute(
        select(shared_file.c.digest, shared_file.c.content).where(
            shared_file.c.folder == folder, shared_file.c.path == path
        )
    ).one_or_none()
    return None if row is None else (row.digest, row.content)


def replace(connection: Connection, folder: str, path: str, before: str, digest: str, sealed: bytes) -> bool:
    """Put a file in the place of the one with a digest, ``""`` for none; return False when another is there."""
    values: dict[str, Any] = {"digest": digest, "content": sealed}
    if before:
        mine = (shared_file.c.folder == folder, shared_file.c.path == path, shared_file.c.digest == before)
        return connection.execute(update(shared_file).where(*mine).values(**values)).rowcount == 1
    try:
        with connection.begin_nested():
            connection.execute(insert(shared_file).values(folder=folder, path=path, **values))
    except IntegrityError:
        return False
    return True


def remove(connection: Connection, folder: str, path: str, before: str) -> None:
    """Remove a file, if it is still the one with a digest."""
    mine = (shared_file.c.folder == folder, shared_file.c.path == path, shared_file.c.digest == before)
    connection.execute(delete(shared_file).where(*mine))
