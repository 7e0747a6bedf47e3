"""Files into the store of a running node: parts are checked beside it, and taken in turns of its writer."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import BinaryIO

import msgspec
import numpy as np
import pyarrow as pa

from gongfu.identify.bulk.preparing import CODES, NUMBER_OF, Admitted, Prepared, Wish, prepare
from gongfu.identify.bulk.reading import FileForm, Part, read
from gongfu.identify.bulk.taking import Taking
from gongfu.identify.service.contents import Contents
from gongfu.identify.service.forms import Forms
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.service.writes import WriteCode

# A turn of the writer takes so many: about 0.2 s of one core.
PART_ROWS = 100_000
_MOST_KEY = 100
_INVALID = NUMBER_OF[WriteCode.INVALID]


class Imported(msgspec.Struct, frozen=True):
    """What became of some rows of a file.

    Attributes:
        first: number of the first of them, from 0 on; the head of a CSV is none.
        codes: number of the code (``preparing.CODES``) of each.
        details: for people, by number of the row; of those that were refused, the first 10,000 of a part.
    """

    first: int
    codes: bytes
    details: dict[int, str]

    def counts(self) -> dict[WriteCode, int]:
        """Return how many rows had each code."""
        numbers, counts = np.unique(np.frombuffer(self.codes, np.uint8), return_counts=True)
        return {CODES[number]: count for number, count in zip(numbers.tolist(), counts.tolist(), strict=True)}


class ImportWish(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done with a file.

    Attributes:
        form: of the file.
        template: of its rows: ``name`` or ``name@version``.
        prefix: of rows that have a suffix only.
        of: number of the class whose attributes they have where they have none of their own; 0 is none.
        overwrite: take the place of what is there; else what is there stays.
        key: of idempotency of the file, at most 100 bytes: the same file with the same key is done once and answered
            alike, part by part. Of rows that took the place of others a crash may leave that open.
        admitted: whether the importer may write below a prefix; None: below all.
    """

    form: FileForm
    template: str
    prefix: str = ""
    of: int = 0
    overwrite: bool = False
    key: bytes = b""
    admitted: Admitted | None = None


async def import_file(
    identifiers: Identifiers, source: BinaryIO, wish: ImportWish, *, now: Callable[[], int], rows: int = PART_ROWS
) -> AsyncIterator[Imported]:
    """Register what a file says; yields what became of its rows, when they are on the disk.

    Args:
        identifiers: of the node.
        source: the file.
        wish: what is to be done with it.
        now: UTC seconds.
        rows: of a part.

    Raises:
        FileError: it cannot be read, from some place on; what was yielded is done.
        Refused: INVALID: the template or class is not there.
        ValueError: the key is too long.
        BatchError: what follows was not done: KEY_REUSED, BUSY, CLOSED; FAILED: not known.
    """
    # Arrow's own gives memory back to the system with each part and takes it again: a quarter of all time.
    pa.set_memory_pool(pa.system_memory_pool())
    if len(wish.key) > _MOST_KEY:
        raise ValueError(f"a key has at most {_MOST_KEY} bytes")
    space = identifiers.namespace
    form = Forms(space.templates).published(wish.template)
    if form is None:
        raise ValueError("a file is of a template")
    if wish.of and (wish.of not in space.classes or space.classes[wish.of].template != form.number):
        raise ValueError(f"class {wish.of} is not there, or of another template")
    rows_wish = Wish(form=form, prefix=wish.prefix, of=wish.of, overwrite=wish.overwrite, admitted=wish.admitted)
    names = [attribute.name for attribute in form.template.attributes]
    parts = read(source, wish.form, names, rows)
    number = 0
    while (part := await asyncio.to_thread(_next, parts)) is not None:
        time = now()
        made = await asyncio.to_thread(prepare, part, rows_wish, identifiers.namespace, time)
        key = wish.key + b"/%d" % number if wish.key else b""

        def act(
            contents: Contents, made: Prepared = made, time: int = time, key: bytes = key
        ) -> tuple[None, frozenset[str], frozenset[str]]:
            return None, frozenset(), Taking(contents, made, rows_wish, time, key).take()

        await identifiers.exclusively(act)
        yield _imported(part, made)
        number += 1


def _next(parts: Iterator[Part]) -> Part | None:
    return next(parts, None)


def _imported(part: Part, made: Prepared) -> Imported:
    if isinstance(part.rows, range) and not part.malformed:
        first = part.rows.start
        return Imported(first, made.codes.tobytes(), {first + place: why for place, why in made.details.items()})
    first = min([*part.rows[:1], *part.malformed])
    codes = np.full(len(part.rows) + len(part.malformed), _INVALID, np.uint8)
    rows = np.array(part.rows, np.int64)
    codes[rows - first] = made.codes
    details = {int(rows[place]): why for place, why in made.details.items()} | dict(part.malformed)
    return Imported(first, codes.tobytes(), details)
