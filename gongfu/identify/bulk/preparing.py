"""What rows of a file become before anything is written: sorted keys, records, what is wrong with the others. Pure."""

from collections.abc import Callable, Mapping

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gongfu.identify.bulk.checking import check_column
from gongfu.identify.bulk.reading import HANDLE, SUFFIX, Part
from gongfu.identify.handle.names import MAX_BYTES, NAMING_AUTHORITY, folded
from gongfu.identify.namespace.lookup import Namespace
from gongfu.identify.namespace.types import Prefix, PrefixState
from gongfu.identify.records.columns import encode_columns
from gongfu.identify.records.keys import record_key
from gongfu.identify.service.deciding import MAX_RECORD_BYTES, Form, Refused, said
from gongfu.identify.service.writes import WriteCode
from gongfu.identify.templates.validation import ValueReason, Wrong

CODES = tuple(WriteCode)
NUMBER_OF: Mapping[WriteCode, int] = {code: number for number, code in enumerate(CODES)}
UNDECIDED = 0xFE
_MOST_DETAILS = 10_000

Admitted = Callable[[Prefix], bool]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done with the rows of a file.

    Attributes:
        form: of the template that they are of.
        prefix: of rows that have a suffix only.
        of: number of the class whose attributes they have where they have none of their own; 0 is none.
        overwrite: take the place of what is there; else what is there stays.
        admitted: whether the importer may write below a prefix; None: below all.
    """

    form: Form
    prefix: str = ""
    of: int = 0
    overwrite: bool = False
    admitted: Admitted | None = None


class Prepared(msgspec.Struct):
    """Rows that are ready. Places are those in the part.

    Attributes:
        codes: number of what became of each row; UNDECIDED of those that are right.
        details: for people, by place; of the first rows that are wrong, not of millions.
        keys: of the store, sorted and different, of the rows that are right.
        values: records, of each key.
        places: of each key's row: the first with this key.
        numbers: of each key's prefix.
        again: place → place of the first row with its key, of the rows whose key stands in an earlier row.
        prefixes: texts, by place.
        suffixes: texts, by place.
        texts: of attributes, by name: checked columns.
    """

    codes: np.ndarray
    details: dict[int, str]
    keys: list[bytes]
    values: list[bytes]
    places: np.ndarray
    numbers: np.ndarray
    again: dict[int, int]
    prefixes: pa.Array
    suffixes: pa.Array
    texts: dict[str, pa.Array]

    def refuse(self, places: np.ndarray, code: WriteCode, detail: str = "") -> None:
        """Say what is wrong with rows of which nothing else is known to be wrong."""
        places = places[self.codes[places] == UNDECIDED]
        self.codes[places] = NUMBER_OF[code]
        if detail:
            for place in places[: max(0, _MOST_DETAILS - len(self.details))]:
                self.details[int(place)] = detail


def prefix_of(space: Namespace, text: str, admitted: Admitted | None) -> Prefix:
    """Return the prefix that is written so.

    Raises:
        Refused: nothing may be written below it.
    """
    key = folded(text)
    if key == NAMING_AUTHORITY:
        raise Refused(WriteCode.DENIED, "prefixes are granted, not imported")
    prefix = space.prefixes.get(key)
    if prefix is None or prefix.state is PrefixState.REVOKED:
        raise Refused(WriteCode.PREFIX_UNKNOWN, "" if prefix is None else "it is revoked")
    if admitted is not None and not admitted(prefix):
        raise Refused(WriteCode.DENIED)
    if prefix.state is PrefixState.SUSPENDED:
        raise Refused(WriteCode.PREFIX_SUSPENDED)
    return prefix


def prepare(part: Part, wish: Wish, space: Namespace, now: int) -> Prepared:
    """Check and encode rows.

    Args:
        part: the rows.
        wish: what is to be done with them.
        space: prefixes as they are now.
        now: UTC seconds.
    """
    count = len(part.rows)
    prefixes, suffixes = _names(part, wish, count)
    made = Prepared(
        np.full(count, UNDECIDED, np.uint8),
        {},
        [],
        [],
        np.zeros(0, np.int64),
        np.zeros(0, np.int64),
        {},
        prefixes,
        suffixes,
        {},
    )
    leads = _check_names(made, wish, space)
    values = _records(made, part, wish, now)
    _sort(made, leads, values)
    return made


def _names(part: Part, wish: Wish, count: int) -> tuple[pa.Array, pa.Array]:
    """Return prefixes and suffixes; null where a handle is none."""
    whole = part.columns.get(HANDLE)
    if whole is not None and whole.null_count < count:
        pattern = pc.ExtractRegexOptions(r"(?s)\A(?P<prefix>[^/]*)/(?P<suffix>.*)\z")
        parts = pc.call_function("extract_regex", [whole.cast(pa.string())], pattern)
        # Where nothing matches, the whole is null and its fields are empty.
        there = parts.is_valid()
        nothing = pa.scalar(None, pa.string())
        prefixes, suffixes = (
            pc.call_function("if_else", [there, parts.field(place), nothing])
            if parts.null_count
            else parts.field(place)
            for place in (0, 1)
        )
        return prefixes, suffixes
    suffixes = part.columns.get(SUFFIX)
    if suffixes is None or not wish.prefix:
        return pa.nulls(count, pa.string()), pa.nulls(count, pa.string())
    return pa.array([wish.prefix], pa.string()).take(pa.array(np.zeros(count, np.int32))), suffixes.cast(pa.string())


def _check_names(made: Prepared, wish: Wish, space: Namespace) -> pa.Array:
    """Refuse what is no handle of a prefix that may be written; return what keys begin with."""
    encoded = made.prefixes.dictionary_encode()
    starts: list[bytes | None] = []
    places = np.asarray(encoded.indices.fill_null(-1))
    made.refuse(
        np.flatnonzero((places < 0) | ~np.asarray(made.suffixes.is_valid())),
        WriteCode.INVALID,
        "a handle is prefix/suffix",
    )
    for number, text in enumerate(encoded.dictionary.to_pylist()):
        try:
            starts.append(record_key(prefix_of(space, text, wish.admitted).number, b""))
        except Refused as refused:
            starts.append(None)
            made.refuse(np.flatnonzero(places == number), refused.code, refused.detail)
    suffixes = made.suffixes
    sizes = np.asarray(pc.call_function("binary_length", [suffixes]).fill_null(1))
    long = np.asarray(pc.call_function("binary_length", [made.prefixes]).fill_null(0)) + sizes >= MAX_BYTES
    made.refuse(np.flatnonzero(sizes == 0), WriteCode.INVALID, "the suffix is empty")
    made.refuse(np.flatnonzero(long), WriteCode.INVALID, f"a handle has at most {MAX_BYTES} bytes")
    control = pc.call_function("match_substring_regex", [suffixes], pc.MatchSubstringOptions("[\\x00-\\x1f\\x7f]"))
    if pc.call_function("any", [control]).as_py():
        bad = np.flatnonzero(np.asarray(control.fill_null(False)))
        made.refuse(bad, WriteCode.INVALID, "a suffix has no control characters")
    leads = pa.array(starts, pa.binary())
    return leads.take(encoded.indices)


def _records(made: Prepared, part: Part, wish: Wish, now: int) -> pa.Array:
    """Refuse what the template does; return the records."""
    checker = wish.form.checker
    wrong: dict[int, list[Wrong]] = {}
    columns: list[tuple[int, pa.Array]] = []
    for ordinal, attribute in enumerate(checker.template.attributes):
        given = part.columns.get(attribute.name)
        if given is not None and given.null_count < len(given):
            column = check_column(checker, attribute, given)
            columns.append((ordinal, column.texts))
            made.texts[attribute.name] = column.texts
            for place, fault in column.wrong.items():
                wrong.setdefault(place, []).append(fault)
        if attribute.required and not wish.of:
            missing = Wrong(attribute.name, ValueReason.MISSING)
            if given is None or given.null_count == len(given):
                made.refuse(np.arange(len(made.codes)), WriteCode.INVALID, said([missing]))
            elif given.null_count:
                for place in np.flatnonzero(np.asarray(given.is_null())):
                    wrong.setdefault(int(place), []).append(missing)
    for place, faults in wrong.items():
        made.refuse(np.array([place]), WriteCode.INVALID, said(faults))
    values = encode_columns(wish.form.number, now, columns, len(made.codes), of=wish.of)
    large = np.asarray(pc.call_function("binary_length", [values])) > MAX_RECORD_BYTES
    if large.any():
        made.refuse(np.flatnonzero(large), WriteCode.INVALID, f"a record has at most {MAX_RECORD_BYTES:,} bytes")
    return values


def _sort(made: Prepared, leads: pa.Array, values: pa.Array) -> None:
    """Sort what is right by key; rows whose key stands in an earlier row are put aside."""
    places = np.flatnonzero(made.codes == UNDECIDED)
    suffixes = made.suffixes.cast(pa.binary())
    keys = pc.call_function("binary_join_element_wise", [leads, suffixes, pa.scalar(b"", pa.binary())])
    if len(places) < len(made.codes):
        chosen = pa.array(places)
        keys, values = keys.take(chosen), values.take(chosen)
    if not _ascending(keys):
        order = pc.call_function("sort_indices", [keys])
        places = places[np.asarray(order)]
        keys, values = keys.take(order), values.take(order)
        if len(keys) > 1:
            first = np.ones(len(keys), bool)
            first[1:] = np.asarray(pc.call_function("not_equal", [keys[1:], keys[:-1]]))
            if not first.all():
                # The order of equal keys is that of their rows.
                leaders = places[np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))]
                made.again = dict(zip(places[~first].tolist(), leaders[~first].tolist(), strict=True))
                places, chosen = places[first], pa.array(np.flatnonzero(first))
                keys, values = keys.take(chosen), values.take(chosen)
    made.keys, made.values, made.places = keys.to_pylist(), values.to_pylist(), places
    made.numbers = _numbers(keys)


def _ascending(keys: pa.Array) -> bool:
    return len(keys) < 2 or bool(pc.call_function("all", [pc.call_function("less", [keys[:-1], keys[1:]])]).as_py())


def _numbers(keys: pa.Array) -> np.ndarray:
    """Return the numbers of prefixes that keys begin with."""
    if not len(keys):
        return np.zeros(0, np.int64)
    offsets = np.frombuffer(keys.buffers()[1], np.int32)[keys.offset : keys.offset + len(keys)]
    data = np.frombuffer(keys.buffers()[2], np.uint8)
    numbers = np.zeros(len(keys), np.int64)
    for place in range(4):
        numbers = numbers << 8 | data[offsets + place]
    return numbers
