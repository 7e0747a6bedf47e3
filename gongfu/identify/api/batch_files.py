"""Bodies of batches: kept in a file until they are whole, then read in chunks of lines of JSON or of columns."""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from gongfu.identify.api.batch_chunk import CHUNK_BYTES, LINE_BYTES, Chunk
from gongfu.identify.bulk.batch_form import MAX_ITEMS
from gongfu.kernel.errors import Problem, invalid
from gongfu.rest.routing import Incoming

MAX_BATCH_BYTES = 1 << 30
NDJSON, CSV, PARQUET = "application/x-ndjson", "text/csv", "application/vnd.apache.parquet"
MEDIA_TYPES = {NDJSON: NDJSON, "application/ndjson": NDJSON, "application/jsonl": NDJSON, CSV: CSV, PARQUET: PARQUET}
_IN_MEMORY = 1 << 20
_PIECE = 1 << 20


async def keep(incoming: Incoming, directory: Path) -> IO[bytes]:
    """Return a file, at its beginning, with all of a body. Short ones stay in memory.

    Raises:
        Problem: 413.
    """
    too_large = Problem(413, "body-too-large", "The body is too large", f"at most {MAX_BATCH_BYTES} bytes")
    if (incoming.length or 0) > MAX_BATCH_BYTES:
        raise too_large
    file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(directory))  # noqa: SIM115 (closed by the caller)
    size = 0
    try:
        async for piece in incoming.chunks:
            size += len(piece)
            if size > MAX_BATCH_BYTES:
                raise too_large
            file.write(piece)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def read_chunks(file: IO[bytes], media_type: str) -> Iterator[Chunk]:
    """Yield the items of a body.

    Raises:
        Problem: 400: it is not of its media type; what was yielded before stands.
    """
    if media_type == NDJSON:
        return _lines(file)
    # Late: few batches are of these kinds, and the library is large.
    from gongfu.identify.api import batch_columns

    return batch_columns.read_csv(file) if media_type == CSV else batch_columns.read_parquet(file)


def chunk_key(user: int, key: str, number: int, common: str, items: bytes) -> str:
    """Return the key of idempotency of a chunk: the same only for the same items of the same batch of the same user."""
    digest = hashlib.sha256(msgspec.json.encode((user, key, number, common)))
    digest.update(b"\n")
    digest.update(items)
    return digest.hexdigest()


def _lines(file: IO[bytes]) -> Iterator[Chunk]:
    """Yield lines without blanks around them, and without those that are blank."""
    number, waiting, size = 1, list[bytes](), 0
    for lines in _pieces(file):
        more = sum(map(len, lines)) + len(lines)
        if waiting and size + more > CHUNK_BYTES:
            yield from _chunk(number, waiting)
            number, waiting, size = number + len(waiting), [], 0
        waiting += map(bytes.strip, lines)
        size += more
        while len(waiting) >= MAX_ITEMS:
            yield from _chunk(number, waiting[:MAX_ITEMS])
            del waiting[:MAX_ITEMS]
            number, size = number + MAX_ITEMS, sum(map(len, waiting)) + len(waiting)
    yield from _chunk(number, waiting)


def _chunk(first: int, lines: list[bytes]) -> Iterator[Chunk]:
    if all(lines):
        if lines:
            yield Chunk(range(first, first + len(lines)), b"\n".join(lines))
        return
    kept = [(number, line) for number, line in enumerate(lines, first) if line]
    if kept:
        yield Chunk([number for number, _ in kept], b"\n".join([line for _, line in kept]))


def _pieces(file: IO[bytes]) -> Iterator[list[bytes]]:
    """Yield lines, many at a time.

    Raises:
        Problem: 400: a line is too long.
    """
    rest, number = b"", 0
    while data := file.read(_PIECE):
        lines = (rest + data).split(b"\n")
        rest = lines.pop()
        if max(map(len, lines), default=0) > LINE_BYTES or len(rest) > LINE_BYTES:
            long = next((place for place, line in enumerate(lines, 1) if len(line) > LINE_BYTES), len(lines) + 1)
            raise invalid(f"line {number + long} has more than {LINE_BYTES} bytes")
        number += len(lines)
        yield lines
    if rest:
        yield [rest]
