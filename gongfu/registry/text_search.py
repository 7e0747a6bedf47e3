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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    TableClause,
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
# Rows with the trigrams of several attributes that are looked at before the list is walked: a few microseconds each,
# while a walk may pass a hundred thousand rows to the next hit.
_LOOKED_AT = 8000
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
        candidates = _candidates(connection, found)
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
            candidates = _few(connection, _with_pieces(_device_text, _trigrams(found.text)))
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


def _candidates(connection: Connection, found: Search) -> Sequence[int] | None:
    """Return the ids of assets of all tenants that may match, None when they are too many."""
    if not found.filters:
        return _few(connection, _with_pieces(_asset_text, _trigrams(found.text)))
    most = FEW if len(found.filters) == 1 else _LOOKED_AT
    # First without the names, which nearly every asset has: lists of all rows cost more than they leave out. When that
    # is too many, another attribute may have the value, or nobody the attribute.
    for pieces, of_name in ((_ends, False), (_trigrams, True)):
        groups: list[str] = []
        for name, value in found.filters:
            before = f'"{_quoted(name)}":' if of_name else ":"
            groups.append(" OR ".join(f"({pieces(before + run)})" for run in _runs_of(value)))
        candidates = _few(connection, _with_pieces(_asset_text, " AND ".join(f"({group})" for group in groups)), most)
        if candidates is not None:
            return candidates
    return None


def _with_pieces(index: TableClause, expression: str) -> Select[tuple[int]]:
    """Return the query for the ids of an FTS5 index's rows that have three-character pieces, anywhere."""
    return select(index.c.rowid).where(literal_column(index.name).op("MATCH")(expression))


def _trigrams(text: str) -> str:
    """Return the condition for all pieces of a text."""
    return _all_of(text[at : at + _TRIGRAM] for at in range(len(text) - _TRIGRAM + 1))


def _ends(text: str) -> str:
    """Return the condition for the pieces of a text from its end, each beginning where the next one ends."""
    starts = (max(end - _TRIGRAM, 0) for end in range(len(text), 0, -_TRIGRAM))
    return _all_of(text[start : start + _TRIGRAM] for start in starts)


def _all_of(pieces: Iterable[str]) -> str:
    quoted = ('"' + piece.replace('"', '""') + '"' for piece in islice(dict.fromkeys(pieces), _MAX_TRIGRAMS))
    return " AND ".join(quoted)


def _few(connection: Connection, query: Select[Any], most: int = FEW) -> Sequence[int] | None:
    """Return what a query gives, None when it is more than ``most``."""
    ids = connection.execute(query.limit(most + 1)).scalars().all()
    return ids if len(ids) <= most else None


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
        conditions.append(or_(*(_contains(connection, of, f'"{key}":{run}') for run in _runs_of(value))))
    return and_(*conditions)


def _runs_of(value: str) -> tuple[str, ...]:
    """Return how a value stands in the stored document, to its end: as it is, and as text."""
    return f"{value},", f"{value}}}", f'"{_quoted(value)}"'


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()[1:-1]


def _indexed(connection: Connection) -> bool:
    return _has_index(str(connection.engine.url), connection.engine)


@lru_cache(maxsize=16)
def _has_index(_: str, engine: Any) -> bool:
    if engine.dialect.name == "sqlite":
        return inspect(engine).has_table("asset_text")
    return any(item["name"] == "ix_asset_path_trigram" for item in inspect(engine).get_indexes("asset"))
