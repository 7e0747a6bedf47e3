"""Columns of attributes against their template: what ``templates.validation`` says, of many records at once. Pure.

What a text of a type looks like when it is plain is seen by one expression over the column. All others, and all of
columns with few different values, are read one by one by the template's own checker, each different value once.
"""

from collections.abc import Mapping

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gongfu.identify.templates.types import Attribute, DataType
from gongfu.identify.templates.validation import Checker, Wrong

_PLAIN: Mapping[DataType, str] = {
    DataType.INTEGER: r"\A(?:0|-?[1-9][0-9]{0,14})\z",
    DataType.DECIMAL: r"\A-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,10})?\z",
    DataType.URL: r"\Ahttps?://[0-9A-Za-z][0-9A-Za-z.-]*(?::[0-9]{1,5})?(?:/[!-~]*)?\z",
    DataType.IDENTIFIER: r"\A[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)*/[!-~]{0,200}\z",
}
_NUMBERS = (DataType.INTEGER, DataType.DECIMAL)


class Column(msgspec.Struct, frozen=True):
    """A column that was checked.

    Attributes:
        texts: as they are kept; null where there is none, or a wrong one.
        wrong: what is wrong, by row.
    """

    texts: pa.Array
    wrong: Mapping[int, Wrong]


def check_column(checker: Checker, attribute: Attribute, given: pa.Array) -> Column:
    """Return a column after checking it.

    Args:
        checker: of the template.
        attribute: of it.
        given: texts, numbers, booleans, dates or times; null where there is none.
    """
    given = _readable(given)
    plain = _plain(attribute, given) if pa.types.is_string(given.type) else None
    if plain is None:
        return _by_value(checker, attribute, given, None)
    if pc.call_function("all", [plain]).as_py() is not False:
        return Column(given, {})
    return _by_value(checker, attribute, given, np.asarray(pc.call_function("invert", [plain.fill_null(True)])))


def _readable(given: pa.Array) -> pa.Array:
    """Return a column of what the checker can read: dates and times are texts there."""
    kind = given.type
    if pa.types.is_dictionary(kind):
        return _readable(given.dictionary_decode())
    if pa.types.is_date(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return given.cast(pa.string())
    if pa.types.is_null(kind):
        return pa.nulls(len(given), pa.string())
    if pa.types.is_timestamp(kind):
        return pc.call_function("strftime", [given], pc.StrftimeOptions("%Y-%m-%dT%H:%M:%SZ"))
    return given


def _plain(attribute: Attribute, texts: pa.Array) -> pa.Array | None:
    """Return which texts are plain: right, and kept as they are; None if that is not to be seen."""
    if attribute.type is DataType.TEXT:
        plain = _not_longer(attribute, texts)
        if attribute.pattern:
            plain = pc.call_function("and", [plain, _matching(texts, rf"\A(?:{attribute.pattern})\z")])
        return plain
    expression = _PLAIN.get(attribute.type)
    if expression is None:
        return None
    plain = pc.call_function("and", [_matching(texts, expression), _not_longer(attribute, texts)])
    if attribute.type in _NUMBERS and not (attribute.minimum is None and attribute.maximum is None):
        plain = _within(attribute, texts, plain)
    return plain


def _not_longer(attribute: Attribute, texts: pa.Array) -> pa.Array:
    return pc.call_function("less_equal", [pc.call_function("utf8_length", [texts]), pa.scalar(attribute.max_length)])


def _matching(texts: pa.Array, expression: str) -> pa.Array:
    return pc.call_function("match_substring_regex", [texts], pc.MatchSubstringOptions(expression))


def _within(attribute: Attribute, texts: pa.Array, plain: pa.Array) -> pa.Array:
    """Return which of the plain are within the limits, and not so near to them that it is not sure."""
    numbers = pc.call_function("if_else", [plain, texts, pa.scalar(None, pa.string())]).cast(pa.float64())
    for limit, side in ((attribute.minimum, "greater"), (attribute.maximum, "less")):
        if limit is not None:
            inside = pc.call_function(side, [numbers, pa.scalar(float(limit))])
            plain = pc.call_function("and", [plain, inside.fill_null(False)])
    return plain


def _by_value(checker: Checker, attribute: Attribute, given: pa.Array, rows: np.ndarray | None) -> Column:
    """Read values one by one, each different one once: of all rows, or of those that ``rows`` says."""
    some = given if rows is None else pc.call_function("if_else", [pa.array(rows), given, pa.scalar(None, given.type)])
    encoded = some.dictionary_encode()
    indices = encoded.indices
    kept: list[str | None] = []
    faults: dict[int, Wrong] = {}
    for place, value in enumerate(encoded.dictionary.to_pylist()):
        texts, wrong = checker.texts({attribute.name: value}, partial=True)
        kept.append(texts[0][1] if texts else None)
        if wrong:
            faults[place] = wrong[0]
    read = pa.array(kept, pa.string()).take(indices)
    if rows is not None:
        read = pc.call_function("if_else", [pa.array(rows), read, given])
    wrong_rows: dict[int, Wrong] = {}
    if faults:
        places = np.asarray(indices.fill_null(-1))
        for row in np.flatnonzero(np.isin(places, list(faults))):
            wrong_rows[int(row)] = faults[int(places[row])]
    return Column(read, wrong_rows)
