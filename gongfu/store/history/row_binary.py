"""ClickHouse RowBinaryWithNamesAndTypes: reading the head, so that rows of several answers can follow each other. Pure.

Layout (ClickHouse documentation, "RowBinaryWithNamesAndTypes"): varint number of columns, the names, the types, each
as varint-prefixed text; then the rows as in ``RowBinary``. Partial states of aggregates travel in it like any value.
"""

from dataclasses import dataclass


class RowBinaryError(ValueError):
    """The bytes are no answer in this format."""


@dataclass(frozen=True, slots=True)
class RowBinary:
    """An answer: names and types of the columns, and the bytes of the rows."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    rows: memoryview

    @property
    def structure(self) -> str:
        """Columns as CREATE TABLE takes them."""
        return ", ".join(f"{_quoted(name)} {kind}" for name, kind in zip(self.names, self.types, strict=True))


def read_row_binary(data: bytes | memoryview) -> RowBinary:
    """Return an answer taken apart.

    Raises:
        RowBinaryError: truncated, or not this format.
    """
    view = memoryview(data)
    try:
        count, position = _varint(view, 0)
        texts: list[str] = []
        for _ in range(2 * count):
            size, position = _varint(view, position)
            if position + size > len(view):
                raise RowBinaryError("the head is truncated")
            texts.append(str(view[position : position + size], "utf-8"))
            position += size
    except (IndexError, UnicodeDecodeError):
        raise RowBinaryError("the head is truncated") from None
    return RowBinary(tuple(texts[:count]), tuple(texts[count:]), view[position:])


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise RowBinaryError("not a length")


def _quoted(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
