"""Search in names, paths, types and attributes.

- ``text``: what contains it, in any case of ASCII letters.
- ``^text``: names that start with it; a range of an index, exact in case.
- ``attributes.line=3 attributes.site="Line 4"``: assets with all these attributes, at any depth of the document.
  Numbers and truth values match as they are written, and as text.

Where the database has the trigram indexes of ``0004_search``, up to ``FEW`` hits are taken from them and sorted; more
of them are met soon when walking the list in order. Texts of fewer than three characters, and databases without the
indexes, walk.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Text,
    and_,
    cast,
    column,
    func,
    inspect,
    literal_column,
    or_,
    select,
    table,
    type_coerce,
)

from gongfu.registry.tables import asset, device

FEW = 2000
_LAST = "\U0010ffff"
_TRIGRAM = 3
_MAX_TRIGRAMS = 40
_FILTER = re.compile(r'attributes\.([^\s="]+)=(?:"([^"]*)"|(\S*))(?:\s+|$)')

_asset_text = table("asset_text", column("rowid"), column("path"), column("type"), column("attributes"))
_device_text = table("device_text", column("rowid"), column("name"))


@dataclass(frozen=True, slots=True)
class Search:
    """A search text, understood.

    Attributes:
        text: what names must contain; empty when ``filters`` decide.
        prefix: what names must start with.
        filters: attribute names and the values they must have.
    """

    text: str = ""
    prefix: str = ""
    filters: tuple[tuple[str, str], ...] = ()


def parse_search(text: str) -> Search:
    """Return what a search text means."""
    if text.startswith("^"):
        return Search(prefix=text[1:])
    filters: list[tuple[str, str]] = []
    at, stripped = 0, text.strip()
    while match := _FILTER.match(stripped, at):
        filters.append((match[1], match[2] if match[2] is not None else match[3]))
        at = match.end()
    return Search(filters=tuple(filters)) if filters and at == len(stripped) else Search(text=text)


def matches(connection: Connection, of: ColumnElement[str], search: str) -> ColumnElement[bool]:
    """Return the condition for a search text on one ``name_text`` column."""
    if search.startswith("^"):
        return _starts(of, search[1:])
    return _contains(connection, of, search)


def asset_matches(connection: Connection, search: str) -> ColumnElement[bool]:
    """Return the condition for a search text on assets: path, type, attributes."""
    found = parse_search(search)
    if found.prefix:
        return _starts(asset.c.path, found.prefix)
    if found.filters:
        return _filtered(connection, _attributes(connection), found.filters)
    return or_(*(_contains(connection, of, found.text) for of in _asset_columns(connection)))


def device_matches(connection: Connection, search: str) -> ColumnElement[bool]:
    """Return the condition for a search text on devices joined with their assets."""
    found = parse_search(search)
    if found.prefix:
        return _starts(device.c.name, found.prefix)
    if found.filters:
        return asset_matches(connection, search)
    return or_(_contains(connection, device.c.name, found.text), asset_matches(connection, search))


def asset_hits(connection: Connection, tenant_id: int, search: str) -> Sequence[int] | None:
    """Return the ids of all assets that match, None when they are more than ``FEW`` or no index can tell."""
    found = parse_search(search)
    if found.prefix or not _indexed(connection) or (not found.filters and len(found.text) < _TRIGRAM):
        return None
    if connection.dialect.name == "sqlite":
        candidates = _few(connection, select(_asset_text.c.rowid).where(_all_trigrams("asset_text", found)))
        if not candidates:
            return candidates
        # Not an indexed column any more, so the database starts from the ids.
        query = select(asset.c.id).where(asset.c.id.in_(candidates), asset.c.tenant_id + 0 == tenant_id)
    else:
        query = select(asset.c.id).where(asset.c.tenant_id + 0 == tenant_id)
    return _few(connection, query.where(asset_matches(connection, search)))


def device_hits(connection: Connection, tenant_id: int, search: str) -> Sequence[int] | None:
    """Return the ids of all devices that match, None when they are more than ``FEW`` or no index can tell."""
    assets = asset_hits(connection, tenant_id, search)
    if assets is None:
        return None
    mine = device.c.tenant_id + 0 == tenant_id
    ids = set(connection.execute(select(device.c.id).where(device.c.asset_id.in_(assets), mine)).scalars())
    found = parse_search(search)
    if not found.filters:
        query = select(device.c.id).where(_contains(connection, device.c.name, found.text), mine)
        if connection.dialect.name == "sqlite":
            candidates = _few(connection, select(_device_text.c.rowid).where(_all_trigrams("device_text", found)))
            if candidates is None:
                return None
            query = query.where(device.c.id.in_(candidates))
        named = _few(connection, query)
        if named is None:
            return None
        ids.update(named)
    return list(ids) if len(ids) <= FEW else None


@contextmanager
def bulk_search(connection: Connection) -> Iterator[None]:
    """Index the assets and devices that are added inside all at once. The connection is in a writing transaction."""
    if connection.dialect.name != "sqlite" or not _indexed(connection):
        yield
        return
    before = [connection.execute(select(func.coalesce(func.max(of.c.id), 0))).scalar_one() for of in (asset, device)]
    connection.exec_driver_sql("INSERT INTO search_text_pause VALUES (1)")
    # Many index pages are touched more than once.
    connection.exec_driver_sql("PRAGMA cache_size=-65536")
    try:
        yield
    finally:
        connection.exec_driver_sql("PRAGMA cache_size=-2000")
    connection.exec_driver_sql("DELETE FROM search_text_pause")
    for last, statement in zip(
        before,
        (
            "INSERT INTO asset_text (rowid, path, type, attributes) "
            "SELECT id, path, type, attributes FROM asset WHERE id > ?",
            "INSERT INTO device_text (rowid, name) SELECT id, name FROM device WHERE id > ?",
        ),
        strict=True,
    ):
        connection.exec_driver_sql(statement, (last,))


def _all_trigrams(index: str, found: Search) -> ColumnElement[bool]:
    """Return the condition that a row of an FTS5 index has all the three-character pieces of a search, anywhere."""
    if not found.filters:
        expression = _trigrams(found.text)
    else:
        # Without most of the name, which nearly every asset has: lists of all rows cost more than they leave out.
        runs = [[f'{_quoted(name)[-1:]}":{start}' for start in _starts_of(value)] for name, value in found.filters]
        groups = [" OR ".join(f"({_trigrams(run)})" for run in either) for either in runs]
        expression = " AND ".join(f"({group})" for group in groups)
    return literal_column(index).op("MATCH")(expression)


def _trigrams(text: str) -> str:
    pieces = dict.fromkeys(text[at : at + _TRIGRAM] for at in range(len(text) - _TRIGRAM + 1))
    return " AND ".join('"' + piece.replace('"', '""') + '"' for piece in list(pieces)[:_MAX_TRIGRAMS])


def _few(connection: Connection, query: Select[Any]) -> Sequence[int] | None:
    """Return what a query gives, None when it is more than ``FEW``."""
    ids = connection.execute(query.limit(FEW + 1)).scalars().all()
    return ids if len(ids) <= FEW else None


def _asset_columns(connection: Connection) -> tuple[ColumnElement[str], ...]:
    return asset.c.path, asset.c.type, _attributes(connection)


def _attributes(connection: Connection) -> ColumnElement[str]:
    """Return the attributes as the text in which they are stored."""
    if connection.dialect.name == "sqlite":
        return type_coerce(asset.c.attributes, Text)
    return cast(asset.c.attributes, Text)


def _starts(of: ColumnElement[str], prefix: str) -> ColumnElement[bool]:
    return and_(of >= prefix, of < prefix + _LAST)


def _contains(connection: Connection, of: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    # LIKE of SQLite ignores the case of ASCII letters and is 3 times faster than lower() on both sides.
    like = of.like if connection.dialect.name == "sqlite" else of.ilike
    return like(f"%{_escaped(text)}%", escape="\\")


def _escaped(text: str) -> str:
    return "".join(f"\\{character}" if character in "%_\\" else character for character in text)


def _filtered(
    connection: Connection, of: ColumnElement[str], filters: Sequence[tuple[str, str]]
) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = []
    for name, value in filters:
        key = _quoted(name)
        bare, quoted = _starts_of(value)
        runs = [f'"{key}":{bare},', f'"{key}":{bare}}}', f'"{key}":{quoted}"']
        conditions.append(or_(*(_contains(connection, of, run) for run in runs)))
    return and_(*conditions)


def _starts_of(value: str) -> tuple[str, str]:
    """Return how a value begins in the stored document: as it is, and as text."""
    return value, f'"{_quoted(value)}'


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()[1:-1]


def _indexed(connection: Connection) -> bool:
    return _has_index(str(connection.engine.url), connection.engine)


@lru_cache(maxsize=16)
def _has_index(_: str, engine: Any) -> bool:
    if engine.dialect.name == "sqlite":
        return inspect(engine).has_table("asset_text")
    return any(item["name"] == "ix_asset_path_trigram" for item in inspect(engine).get_indexes("asset"))
