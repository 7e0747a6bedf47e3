"""External data of a query: tables that come with the request and live as long as it. Pure.

Source: ClickHouse documentation, "External Data for Query Processing": the body is ``multipart/form-data``, each part
is a table; its format and columns stand in the URL as ``<name>_format`` and ``<name>_structure``. The statement is in
the URL. A history of several nodes sends partial results of the nodes this way to the one that merges them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_BOUNDARY = re.compile(r'multipart/form-data\s*;.*?\bboundary="?([^";,\s]{1,70})"?', re.IGNORECASE)
_PART_NAME = re.compile(rb'content-disposition\s*:[^\r\n]*?[;\s]name="([A-Za-z_][A-Za-z0-9_]{0,63})"', re.IGNORECASE)
MAX_TABLES = 32


class ExternalError(ValueError):
    """The body is not a form of tables."""


@dataclass(frozen=True, slots=True)
class ExternalTable:
    """One table of a request: name (an identifier), columns as in CREATE TABLE, input format, and its bytes."""

    name: str
    structure: str
    form: str
    data: memoryview


def is_external(headers: Mapping[str, str]) -> bool:
    """Return whether a request brings tables; names of headers are in lower case."""
    return headers.get("content-type", "").lower().startswith("multipart/form-data")


def read_external(
    url: Mapping[str, str], headers: Mapping[str, str], body: bytes | memoryview
) -> tuple[list[ExternalTable], dict[str, str]]:
    """Return the tables of a request, and its URL parameters without those that describe them.

    Raises:
        ExternalError: no boundary, a part without a name, or a table whose columns are not told.
    """
    found = _BOUNDARY.match(headers.get("content-type", ""))
    if found is None:
        raise ExternalError("multipart/form-data without a boundary")
    rest = dict(url)
    tables: list[ExternalTable] = []
    for name, data in _parts(bytes(body) if isinstance(body, memoryview) else body, found.group(1).encode()):
        structure = rest.pop(f"{name}_structure", "")
        form = rest.pop(f"{name}_format", "TabSeparated")
        if not structure:
            raise ExternalError(f"the columns of the table {name} are not told: {name}_structure is missing")
        if not re.fullmatch(r"\w{1,64}", form):
            raise ExternalError(f"not a format: {form[:60]!r}")
        if len(tables) == MAX_TABLES or any(table.name == name for table in tables):
            raise ExternalError(f"at most {MAX_TABLES} tables, each once")
        tables.append(ExternalTable(name, structure, form, data))
    return tables, rest


def _parts(body: bytes, boundary: bytes) -> list[tuple[str, memoryview]]:
    """Return name and bytes of each part (RFC 2046 §5.1)."""
    delimiter = b"\r\n--" + boundary
    view = memoryview(body)
    # The first delimiter has no line before it.
    start = len(delimiter) - 2 if body.startswith(delimiter[2:]) else -1
    if start < 0:
        raise ExternalError("the body does not begin with its boundary")
    parts: list[tuple[str, memoryview]] = []
    while body[start : start + 2] != b"--":
        head_end = body.find(b"\r\n\r\n", start)
        end = body.find(delimiter, head_end + 2 if head_end >= 0 else start)
        if head_end < 0 or end < 0:
            raise ExternalError("the body ends inside a part")
        named = _PART_NAME.search(body, start, head_end + 2)
        if named is None:
            raise ExternalError("a part has no name, or one that is not an identifier")
        parts.append((named.group(1).decode(), view[head_end + 4 : max(end, head_end + 4)]))
        start = end + len(delimiter)
    return parts
