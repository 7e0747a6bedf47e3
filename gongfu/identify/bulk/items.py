"""Items of a batch as columns: of those batches whose items are all names and attributes of one template. Pure."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from gongfu.identify.bulk.batch_form import text_of
from gongfu.identify.bulk.reading import HANDLE, SUFFIX, Part

_Scalar = str | int | float | bool | None
_Decode = Callable[[bytes], list[Any]]
# Forms of rows that are remembered: one a template.
_FORMS = 64


class ItemReader:
    """Reads items of templates; each template's rows have a type of their own."""

    def __init__(self) -> None:
        """Know none yet."""
        self._decoders: dict[tuple[str, ...], _Decode] = {}

    def lines(self, items: bytes, names: Sequence[str], prefix: str) -> Part | None:
        """Return lines of JSON as columns; None where one is malformed, or says more than name and attributes.

        Args:
            items: with a line feed between each two.
            names: of the template's attributes.
            prefix: of items that have a suffix only.
        """
        decode = self._decoder(tuple(names))
        count = items.count(b"\n") + 1
        try:
            rows = decode(b"[%b]" % items.replace(b"\n", b","))
            if len(rows) != count:
                # Somebody wrote two items on a line.
                return None
            said = [row.attributes for row in rows]
            columns = {name: _texts(list(map(attrgetter(f"a{place}"), said))) for place, name in enumerate(names)}
            return _part(list(map(attrgetter("handle"), rows)), list(map(attrgetter("suffix"), rows)), columns, prefix)
        except (msgspec.MsgspecError, UnicodeError, RecursionError, pa.ArrowException):
            return None

    def columns(self, items: bytes, names: Sequence[str], prefix: str) -> Part | None:
        """Return columns that came as such; None where there are others than of name and attributes.

        Args:
            items: Arrow's stream format.
            names: of the template's attributes.
            prefix: of items that have a suffix only.
        """
        try:
            given = read_columns(items)
        except ValueError:
            # Whoever writes them one by one says so.
            return None
        columns = {name: column for name, column in given.items() if name not in (HANDLE, SUFFIX)}
        if any(name not in names and column.null_count < len(column) for name, column in columns.items()):
            return None
        count = len(next(iter(given.values())))
        nothing = pa.nulls(count, pa.string())
        known = {name: column for name, column in columns.items() if name in names}
        if HANDLE not in given and SUFFIX in given and prefix and "/" not in prefix:
            return Part({SUFFIX: given[SUFFIX], **known}, range(count), {})
        handles = given.get(HANDLE, nothing).fill_null("").to_pylist()
        return _part(handles, given.get(SUFFIX, nothing).fill_null("").to_pylist(), known, prefix)

    def _decoder(self, names: tuple[str, ...]) -> _Decode:
        decode = self._decoders.get(names)
        if decode is None:
            if len(self._decoders) >= _FORMS:
                self._decoders.clear()
            decode = self._decoders[names] = _decoder(names)
        return decode


def _decoder(names: Sequence[str]) -> _Decode:
    # Attributes are not all names of Python.
    fields: list[Any] = [(f"a{place}", _Scalar, None) for place in range(len(names))]
    said = {f"a{place}": name for place, name in enumerate(names)}
    attributes = msgspec.defstruct("Attributes", fields, rename=said, forbid_unknown_fields=True, gc=False)
    members: list[Any] = [
        (HANDLE, str, ""),
        (SUFFIX, str, ""),
        ("attributes", attributes, msgspec.field(default_factory=attributes)),
    ]
    item = msgspec.defstruct("Item", members, forbid_unknown_fields=True, gc=False)
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[item])
    return decoder.decode


def read_columns(items: bytes) -> dict[str, pa.Array]:
    """Return columns of texts by name, each as long as the others.

    Raises:
        ValueError: it is no stream of one batch of texts.
    """
    try:
        with pa.ipc.open_stream(items) as stream:
            batch = stream.read_next_batch()
    except (OSError, StopIteration) as error:
        raise ValueError(f"no stream of columns: {error}") from None
    if not batch.num_columns or any(not pa.types.is_string(column.type) for column in batch.columns):
        raise ValueError("columns of a batch are texts")
    return dict(zip(batch.schema.names, batch.columns, strict=True))


def rows_of(columns: Mapping[str, pa.Array]) -> list[dict[str, str]]:
    """Return columns row by row, without what is not said."""
    rows: list[dict[str, str]] = pa.RecordBatch.from_pydict(dict(columns)).to_pylist()
    return [{name: text for name, text in row.items() if text is not None} for row in rows]


def _part(handles: list[str], suffixes: list[str], columns: Mapping[str, pa.Array], prefix: str) -> Part:
    """Return rows with a suffix each if that is what they have, else with a handle each."""
    rows = range(len(handles))
    if prefix and "/" not in prefix and not any(handles):
        return Part({SUFFIX: pa.array([text or None for text in suffixes], pa.string()), **columns}, rows, {})
    whole = [
        handle or (f"{prefix}/{suffix}" if prefix and suffix else None)
        for handle, suffix in zip(handles, suffixes, strict=True)
    ]
    return Part({HANDLE: pa.array(whole, pa.string()), **columns}, rows, {})


def _texts(values: list[_Scalar]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return pa.array([None if value is None else text_of(value) for value in values], pa.string())


def has_naming_authority(part: Part) -> bool:
    """Return whether a row may be the handle of a prefix: those have rules of their own."""
    handles = part.columns.get(HANDLE)
    if handles is None:
        return False
    found = pc.call_function("match_substring_regex", [handles], pc.MatchSubstringOptions(r"(?i)\A0\.na/"))
    return bool(pc.call_function("any", [found]).as_py())
