"""What a write makes of the record that a handle has. Pure.

A record is of one template or of none. A value whose index is an attribute's is that attribute: it is checked as such,
and kept in the template's short form unless it differs in its permissions, TTL or references.
"""

from collections.abc import Iterable, Sequence

import msgspec

from gongfu.identify.handle.codes import TtlType
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.namespace.attribute_values import attribute_value
from gongfu.identify.records.form import StoredRecord
from gongfu.identify.service.encoding import Encoder
from gongfu.identify.service.writes import Operation, Write, WriteCode
from gongfu.identify.templates.types import Template
from gongfu.identify.templates.validation import Checker, Wrong

MAX_VALUES = 1000
MAX_VALUE_BYTES = 256 * 1024
MAX_RECORD_BYTES = 512 * 1024
MAX_TYPE_BYTES = 255
MAX_REFERENCES = 100
_MOST = 2**32 - 1


class Refused(Exception):
    """A write is refused: ``code`` says how."""

    def __init__(self, code: WriteCode, detail: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Form(msgspec.Struct, frozen=True):
    """A template's version that records are of: its number at this node, its checker, and its encoder."""

    number: int
    checker: Checker
    encoder: Encoder

    @property
    def template(self) -> Template:
        """The template."""
        return self.checker.template


_Field = tuple[int, bytes] | HandleValue


def fresh(write: Write, form: Form | None, now: int) -> StoredRecord:
    """Return the record of a CREATE or PUT.

    Args:
        write: what is wished.
        form: what ``write.template`` names.
        now: UTC seconds.

    Raises:
        Refused: INVALID.
    """
    fields = _given(write, form, now)
    return _record(fields, form, now)


def changed(write: Write, present: StoredRecord, form: Form | None, now: int) -> StoredRecord:
    """Return the record after an operation on single values.

    Args:
        write: ADD_VALUES, MODIFY_VALUES or REMOVE_VALUES.
        present: what there is.
        form: of its template.
        now: UTC seconds.

    Raises:
        Refused: INVALID, VALUE_ALREADY_EXISTS, VALUE_NOT_FOUND.
    """
    if write.template and (form is None or write.template not in names_of(form.template)):
        raise Refused(WriteCode.INVALID, f"the record is not of the template {write.template}")
    fields: dict[int, _Field] = {value.index: value for value in present.values}
    if form is not None:
        attributes = form.template.attributes
        fields |= {attributes[ordinal].index: (ordinal, data) for ordinal, data in present.attributes}
    if write.operation is Operation.REMOVE_VALUES:
        if write.values or write.attributes:
            raise Refused(WriteCode.INVALID, "values are removed by index")
        _remove(fields, write.indexes)
    else:
        given = _given(write, form, now)
        if not given:
            raise Refused(WriteCode.INVALID, "no values")
        for index in given:
            if write.operation is Operation.MODIFY_VALUES and index not in fields:
                raise Refused(WriteCode.VALUE_NOT_FOUND, f"index {index}")
            if write.operation is Operation.ADD_VALUES and index in fields and not write.overwrite:
                raise Refused(WriteCode.VALUE_ALREADY_EXISTS, f"index {index}")
        fields |= {index: _kept(fields.get(index), field) for index, field in given.items()}
    return _record(fields, form, now)


def same(one: StoredRecord, other: StoredRecord) -> bool:
    """Return whether two records say the same, whenever it was written."""
    return (
        one.template == other.template
        and one.attributes == other.attributes
        and len(one.values) == len(other.values)
        and all(map(_says_the_same, one.values, other.values))
    )


def names_of(template: Template) -> tuple[str, str]:
    """Return the two ways to name a template's version."""
    return template.name, f"{template.name}@{template.version}"


def _remove(fields: dict[int, _Field], indexes: Sequence[int]) -> None:
    if not indexes:
        raise Refused(WriteCode.INVALID, "no indexes")
    for index in dict.fromkeys(indexes):
        if fields.pop(index, None) is None:
            raise Refused(WriteCode.VALUE_NOT_FOUND, f"index {index}")


def _kept(old: _Field | None, new: _Field) -> _Field:
    """A value that is written again as it was keeps its time stamp."""
    return old if isinstance(old, HandleValue) and isinstance(new, HandleValue) and _says_the_same(old, new) else new


def _says_the_same(one: HandleValue, other: HandleValue) -> bool:
    return one == other or msgspec.structs.replace(one, timestamp=other.timestamp) == other


def _given(write: Write, form: Form | None, now: int) -> dict[int, _Field]:
    """Return the attributes and values of a write, by index."""
    if write.indexes and write.operation is not Operation.REMOVE_VALUES:
        raise Refused(WriteCode.INVALID, "indexes are of values that are removed")
    fields: dict[int, _Field] = {}
    if write.attributes:
        if form is None:
            raise Refused(WriteCode.INVALID, "attributes are of a template")
        # Whether required ones are missing is seen when the values are there too.
        texts, wrong = form.checker.texts(write.attributes, partial=True)
        if wrong:
            raise Refused(WriteCode.INVALID, said(wrong))
        attributes = form.template.attributes
        fields = {attributes[ordinal].index: (ordinal, text.encode()) for ordinal, text in texts}
    for value in write.values:
        if value.index in fields:
            raise Refused(WriteCode.INVALID, f"index {value.index} stands twice")
        _check_value(value)
        fields[value.index] = _placed(value, form, now)
    return fields


def _placed(value: HandleValue, form: Form | None, now: int) -> _Field:
    ordinal = form.checker.ordinal(value.index) if form is not None else None
    if form is None or ordinal is None:
        return msgspec.structs.replace(value, timestamp=now)
    attribute = form.template.attributes[ordinal]
    if value.type != attribute.name:
        raise Refused(WriteCode.INVALID, f"index {value.index} is {attribute.name}, not {value.type}")
    try:
        text = value.data.decode()
    except UnicodeDecodeError:
        raise Refused(WriteCode.INVALID, f"{attribute.name}: a text is UTF-8") from None
    texts, wrong = form.checker.texts({attribute.name: text}, partial=True)
    if wrong:
        raise Refused(WriteCode.INVALID, said(wrong))
    data = texts[0][1].encode()
    value = msgspec.structs.replace(value, data=data, timestamp=now)
    return (ordinal, data) if value == attribute_value(attribute, data, now) else value


def _record(fields: dict[int, _Field], form: Form | None, now: int) -> StoredRecord:
    if len(fields) > MAX_VALUES:
        raise Refused(WriteCode.INVALID, f"a record has at most {MAX_VALUES:,} values")
    if form is None:
        values = tuple(field for _, field in sorted(fields.items()) if isinstance(field, HandleValue))
        return StoredRecord(0, now, (), values)
    attributes = form.template.attributes
    missing = [attributes[n].name for n in form.checker.required() if attributes[n].index not in fields]
    if missing:
        raise Refused(WriteCode.INVALID, f"missing: {', '.join(sorted(missing))}"[:500])
    placed = tuple(sorted(field for field in fields.values() if isinstance(field, tuple)))
    values = tuple(field for _, field in sorted(fields.items()) if isinstance(field, HandleValue))
    return StoredRecord(form.number, now, placed, values)


def _check_value(value: HandleValue) -> None:
    fault = ""
    if not 1 <= value.index <= _MOST:
        fault = "an index is 1 to 4294967295"
    elif not 0 <= value.ttl <= _MOST or value.ttl_type not in (TtlType.RELATIVE, TtlType.ABSOLUTE):
        fault = "a TTL is 0 to 4294967295 seconds, relative or absolute"
    elif not 0 <= value.permissions <= 0x0F:
        fault = "permissions are four bits"
    elif len(value.data) > MAX_VALUE_BYTES:
        fault = f"a value has at most {MAX_VALUE_BYTES:,} bytes"
    elif len(value.references) > MAX_REFERENCES:
        fault = f"a value has at most {MAX_REFERENCES} references"
    elif any(not 0 <= item.index <= _MOST for item in value.references):
        fault = "the index of a reference is 0 to 4294967295"
    elif not 1 <= _bytes_of(value.type) <= MAX_TYPE_BYTES or not value.type.isprintable():
        fault = f"a type is a printable text of at most {MAX_TYPE_BYTES} bytes"
    elif any(_bytes_of(item.handle) < 1 for item in value.references):
        fault = "a reference is Unicode text"
    if fault:
        raise Refused(WriteCode.INVALID, f"index {value.index}: {fault}")


def _bytes_of(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return -1


def said(wrong: Iterable[Wrong]) -> str:
    """Return what is wrong with a record as one line for people."""
    parts = [f"{item.attribute}: {item.reason} {item.detail}".rstrip() for item in wrong]
    return "; ".join(parts)[:500]
