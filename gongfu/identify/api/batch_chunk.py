"""Chunks of a batch, as they go to the role that writes."""

from collections.abc import Iterator, Sequence

import msgspec

from gongfu.identify.bulk.batch_form import MAX_ITEMS

# Of a chunk; what is on the bus is bounded.
CHUNK_BYTES = 8 << 20
LINE_BYTES = 256 << 10


class Chunk(msgspec.Struct, frozen=True):
    """Items of a body.

    Attributes:
        numbers: of their lines (or rows), from 1 on.
        items: lines of JSON with a line feed between each two, or columns of texts in Arrow's stream format.
        columns: which of the two.
    """

    numbers: Sequence[int]
    items: bytes
    columns: bool = False


def in_chunks(numbered: Iterator[tuple[int, bytes]]) -> Iterator[Chunk]:
    """Yield lines, which come with their numbers, in chunks."""
    numbers, lines, size = list[int](), list[bytes](), 0
    for number, line in numbered:
        if lines and size + len(line) > CHUNK_BYTES:
            yield Chunk(numbers, b"\n".join(lines))
            numbers, lines, size = [], [], 0
        numbers.append(number)
        lines.append(line)
        size += len(line) + 1
        if len(lines) == MAX_ITEMS:
            yield Chunk(numbers, b"\n".join(lines))
            numbers, lines, size = [], [], 0
    if lines:
        yield Chunk(numbers, b"\n".join(lines))
