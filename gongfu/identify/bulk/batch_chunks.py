"""Chunks of batches on the way through columns: read and prepared beside the writer, taken in a turn of it."""

from collections.abc import Sequence

import msgspec
import pyarrow as pa

from gongfu.identify.bulk.batch_form import DIGEST_BYTES, OPERATIONS, ChunkAnswer, ChunkHead, read_items
from gongfu.identify.bulk.batch_taking import BatchTaking, NotPlainError
from gongfu.identify.bulk.items import ItemReader, has_naming_authority, read_columns, rows_of
from gongfu.identify.bulk.preparing import Prepared, Wish, prepare
from gongfu.identify.bulk.reading import HANDLE, SUFFIX, Part
from gongfu.identify.service.contents import Contents
from gongfu.identify.service.deciding import Refused
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.service.writes import Operation, Outcome, Write
from gongfu.kernel.errors import invalid


class ColumnChunk(msgspec.Struct):
    """A chunk that is prepared.

    Attributes:
        head: of it.
        items: as they came.
        part: its items.
        wish: what they have in common.
        made: of them.
        now: UTC seconds.
    """

    head: ChunkHead
    items: bytes
    part: Part
    wish: Wish
    made: Prepared
    now: int

    async def take(self, identifiers: Identifiers) -> ChunkAnswer | None:
        """Write it in its turn; None where it is to be written item by item, and nothing was done.

        Raises:
            BatchError: nothing was done; after FAILED that is not known.
        """
        key = bytes.fromhex(self.head.key)

        def act(contents: Contents) -> tuple[None, frozenset[str], frozenset[str]]:
            taking = BatchTaking(contents, self.made, self.wish, self.now, key, key[:DIGEST_BYTES], self._writes_at)
            return None, taking.take(), frozenset()

        try:
            await identifiers.exclusively(act)
        except NotPlainError:
            return None
        return ChunkAnswer(self.made.codes.tobytes(), self.made.details)

    def _writes_at(self, places: Sequence[int]) -> list[Write | Outcome]:
        if not self.head.columns:
            lines = self.items.split(b"\n")
            return read_items(self.head, [lines[place] for place in places], self.now)
        chosen = {name: column.take(pa.array(places, pa.int64())) for name, column in self.part.columns.items()}
        return [_write(self.head, row) for row in rows_of(chosen)]


class ColumnChunks:
    """Prepares chunks."""

    def __init__(self) -> None:
        """Know no templates yet."""
        self._reader = ItemReader()

    def prepare(self, head: ChunkHead, items: bytes, identifiers: Identifiers, now: int) -> ColumnChunk | None:
        """Return a chunk that is prepared; None where it is to be written item by item.

        Args:
            head: of the chunk.
            items: lines of JSON, or columns.
            identifiers: of the node.
            now: UTC seconds.
        """
        try:
            form = identifiers.forms.published(head.template)
        except Refused:
            return None
        if form is None or OPERATIONS[head.operation] is Operation.DELETE:
            return None
        names = [attribute.name for attribute in form.template.attributes]
        read = self._reader.columns if head.columns else self._reader.lines
        part = read(items, names, head.prefix)
        if part is None or has_naming_authority(part):
            return None
        overwrite = OPERATIONS[head.operation] is Operation.PUT
        wish = Wish(form=form, prefix=head.prefix, overwrite=overwrite)
        return ColumnChunk(head, items, part, wish, prepare(part, wish, identifiers.namespace, now), now)


def writes_of_columns(head: ChunkHead, items: bytes) -> list[Write | Outcome]:
    """Return the items of a chunk of columns as single writes.

    Raises:
        Problem: 400: it is no chunk of columns.
    """
    try:
        rows = rows_of(read_columns(items))
    except ValueError as error:
        raise invalid(f"columns of a batch: {str(error)[:200]}") from None
    return [_write(head, row) for row in rows]


def _write(head: ChunkHead, attributes: dict[str, str]) -> Write:
    handle, suffix = attributes.pop(HANDLE, ""), attributes.pop(SUFFIX, "")
    whole = handle or (f"{head.prefix}/{suffix}" if head.prefix and suffix else "")
    return Write(operation=OPERATIONS[head.operation], handle=whole, template=head.template, attributes=attributes)
