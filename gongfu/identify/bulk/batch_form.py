"""Items of a batch as they travel: from a client as lines of JSON, to the writer as writes, and back as codes.

A chunk of a batch goes over the bus as one line of JSON (``ChunkHead``) and the items: lines of JSON as the client sent
them, or columns of texts (CSV, Parquet). Only the role that writes reads them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gongfu.bus.commands import Asked
from gongfu.identify.handle.json_form import from_json
from gongfu.identify.handle.wire import MalformedError
from gongfu.identify.service.writes import Operation, Outcome, Write, WriteCode

# Of a chunk.
MAX_ITEMS = 20_000
# Of a chunk's key, which is of its content: kept with the answers.
DIGEST_BYTES = 16
CODES = tuple(WriteCode)
_NUMBER_OF = {code: number for number, code in enumerate(CODES)}
OPERATIONS = {"create": Operation.CREATE, "put": Operation.PUT, "delete": Operation.DELETE}
_OPERATION_NAMES = ", ".join(OPERATIONS)


class ChunkHead(msgspec.Struct, frozen=True):
    """Who sends a chunk, and what its items have in common where they do not say otherwise.

    Attributes:
        asked: who; without a body.
        key: of idempotency, hexadecimal.
        operation: ``create``, ``put`` or ``delete``.
        template: ``name`` or ``name@version``.
        prefix: of items that have a suffix only.
        columns: whether the items are columns (Arrow's stream format), not lines of JSON.
    """

    asked: Asked
    key: str
    operation: str = "create"
    template: str = ""
    prefix: str = ""
    columns: bool = False


class ChunkAnswer(msgspec.Struct, frozen=True):
    """Codes by number (``CODES``), a byte each, in the order of the items; details of those that have one."""

    codes: bytes
    details: dict[int, str]


class _Plain(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """What nearly all items are: attributes of texts."""

    handle: str = ""
    suffix: str = ""
    attributes: dict[str, str] = {}


class _Item(msgspec.Struct, forbid_unknown_fields=True):
    """Any item."""

    handle: str = ""
    suffix: str = ""
    attributes: dict[str, str | int | float | bool | None] = {}
    template: str | None = None
    values: list[Any] = []
    operation: str | None = None
    overwrite: bool = False


_read_plain = msgspec.json.Decoder(list[_Plain]).decode
_read_item = msgspec.json.Decoder(_Item).decode


class ItemError(ValueError):
    """An item says nothing that could be done."""


def text_of(value: str | int | float | bool) -> str:
    """Return the text of an attribute that came as a JSON value."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


def attribute_texts(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Return attributes as texts; nulls are left out.

    Raises:
        ItemError: one is neither text, number nor boolean.
    """
    texts: dict[str, str] = {}
    for name, value in attributes.items():
        if value is None:
            continue
        if not isinstance(value, (str, int, float, bool)):
            raise ItemError(f"attribute {name[:64]}: a text, a number, true or false is expected")
        texts[name] = text_of(value)
    return texts


def encode_chunk(head: ChunkHead, items: bytes) -> bytes:
    """Return a chunk as it travels.

    Args:
        head: of it.
        items: lines of JSON, of which none is empty, with a line feed between each two; or columns.
    """
    return b"%b\n%b" % (msgspec.json.encode(head), items)


def split_chunk(data: bytes) -> tuple[ChunkHead, bytes]:
    """Return head and items of a chunk.

    Raises:
        msgspec.MsgspecError: it has no head.
    """
    head, _, items = data.partition(b"\n")
    return msgspec.json.decode(head, type=ChunkHead), items


def read_items(head: ChunkHead, lines: Sequence[bytes], now: int) -> list[Write | Outcome]:
    """Return the writes that the lines say, and where one says none what is wrong with it.

    Args:
        head: of the chunk.
        lines: JSON.
        now: UTC seconds.
    """
    operation = OPERATIONS[head.operation]
    try:
        plain = _read_plain(b"[" + b",".join(lines) + b"]")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return [_read_one(head, line, now) for line in lines]
    if len(plain) != len(lines):
        # Somebody wrote two items on a line.
        return [_read_one(head, line, now) for line in lines]
    template, prefix = head.template, head.prefix
    return [
        Write(
            operation=operation,
            handle=item.handle or (f"{prefix}/{item.suffix}" if prefix and item.suffix else ""),
            template=template,
            attributes=item.attributes,
        )
        for item in plain
    ]


def _read_one(head: ChunkHead, line: bytes, now: int) -> Write | Outcome:
    try:
        item = _read_item(line)
        operation = OPERATIONS.get(item.operation or head.operation)
        if operation is None:
            raise ItemError(f"operation must be one of {_OPERATION_NAMES}")
        return Write(
            operation=operation,
            handle=item.handle or (f"{head.prefix}/{item.suffix}" if head.prefix and item.suffix else ""),
            template=head.template if item.template is None else item.template,
            attributes=attribute_texts(item.attributes),
            values=tuple(from_json(value, now) for value in item.values),
            overwrite=item.overwrite,
        )
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, MalformedError, ItemError) as error:
        return Outcome(WriteCode.INVALID, str(error)[:200])


def encode_outcomes(outcomes: Sequence[Outcome]) -> ChunkAnswer:
    """Return outcomes as they travel."""
    return ChunkAnswer(
        bytes([_NUMBER_OF[one.code] for one in outcomes]),
        {number: one.detail for number, one in enumerate(outcomes) if one.detail},
    )
