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
from collections.abc import Sequence
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
    inspect,
    or_,
    select,
    table,
    type_coerce,
)

from gongfu.registry.tables import asset, device

FEW = 2000
_LAST = "\U0010ffff"
_TRIGRAM = 3
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
    return _all_of(connection, _asset_queries(connection, tenant_id, search))


def device_hits(connection: Connection, tenant_id: int, search: str) -> Sequence[int] | None:
    """Return the ids of all devices that match, None when they are more than ``FEW`` or no index can tell."""
    found = parse_search(search)
    of_assets = _asset_queries(connection, tenant_id, search)
    queries: list[Select[Any]] | None = None
    if of_assets is not None:
        queries = [
            select(device.c.id).where(device.c.tenant_id == tenant_id, device.c.asset_id.in_(query))
            for query in of_assets
        ]
        if not found.filters:
            by_name = select(device.c.id).where(device.c.tenant_id == tenant_id)
            if connection.dialect.name == "sqlite":
                hits = select(_device_text.c.rowid).where(_contains(connection, _device_text.c.name, found.text))
                by_name = by_name.where(device.c.id.in_(hits))
            else:
                by_name = by_name.where(_contains(connection, device.c.name, found.text))
            queries.append(by_name)
    return _all_of(connection, queries)


def _asset_queries(connection: Connection, tenant_id: int, search: str) -> list[Select[Any]] | None:
    """Return queries for the ids of assets, which together find all; None when no index helps."""
    found = parse_search(search)
    if found.prefix or not _indexed(connection):
        return None
    mine = asset.c.tenant_id == tenant_id
    if found.filters:
        # The value as it is, and as text: two runs of characters that the index knows.
        runs = [f'"{_quoted(found.filters[0][0])}":{start}' for start in _starts_of(found.filters[0][1])]
        every = _filtered(connection, _attributes(connection), found.filters)
        if connection.dialect.name == "sqlite":
            return [
                select(asset.c.id).where(
                    mine, asset.c.id.in_(_text_hits(_contains(connection, _asset_text.c.attributes, run))), every
                )
                for run in runs
            ]
        return [
            select(asset.c.id).where(mine, _contains(connection, _attributes(connection), run), every) for run in runs
        ]
    if len(found.text) < _TRIGRAM:
        return None
    if connection.dialect.name == "sqlite":
        return [
            select(asset.c.id).where(mine, asset.c.id.in_(_text_hits(_contains(connection, of, found.text))))
            for of in (_asset_text.c.path, _asset_text.c.type, _asset_text.c.attributes)
        ]
    return [select(asset.c.id).where(mine, _contains(connection, of, found.text)) for of in _asset_columns(connection)]


def _text_hits(condition: ColumnElement[bool]) -> Select[Any]:
    return select(_asset_text.c.rowid).where(condition)


def _all_of(connection: Connection, queries: Sequence[Select[Any]] | None) -> Sequence[int] | None:
    if queries is None:
        return None
    ids: set[int] = set()
    for query in queries:
        rows = connection.execute(query.limit(FEW + 1)).scalars().all()
        ids.update(rows)
        if len(rows) > FEW or len(ids) > FEW:
            return None
    return list(ids)


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
    pattern = f"%{_escaped(text)}%"
    # LIKE of SQLite ignores the case of ASCII letters and is 3 times faster than lower() on both sides.
    like = of.like if connection.dialect.name == "sqlite" else of.ilike
    if pattern == f"%{text}%":
        return like(pattern)
    exact = like(pattern, escape="\\")
    # FTS5 makes use of LIKE without ESCAPE only; its wildcards find more, which the other condition leaves out.
    return and_(like(f"%{text}%"), exact) if connection.dialect.name == "sqlite" else exact


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
