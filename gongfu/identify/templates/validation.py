"""Attributes of a record against its template: the values they become, or what is wrong with each."""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gongfu.identify.handle.codes import Permission
from gongfu.identify.handle.names import parse_handle
from gongfu.identify.handle.values import DEFAULT_PERMISSIONS, DEFAULT_TTL, HandleValue
from gongfu.identify.handle.wire import MalformedError
from gongfu.identify.templates.types import Attribute, DataType, Template, compiled_pattern
from gongfu.kernel.times import format_rfc3339, parse_rfc3339

_MOST = 10**30


class ValueReason(StrEnum):
    """What is wrong with an attribute of a record."""

    MISSING = "missing"
    UNKNOWN = "unknown"
    TYPE = "type"
    TOO_LONG = "too-long"
    PATTERN = "pattern"
    TOO_SMALL = "too-small"
    TOO_LARGE = "too-large"
    CHOICE = "choice"


class Wrong(msgspec.Struct, frozen=True):
    """One thing that is wrong: the attribute's name, why, and a detail for people."""

    attribute: str
    reason: ValueReason
    detail: str = ""


class Checker:
    """A template made ready to check many records."""

    def __init__(self, template: Template) -> None:
        """Compile what there is to compile.

        Raises:
            TemplateError: a pattern is none.
        """
        self.template = template
        numbered = list(enumerate(template.attributes))
        self._attributes = {attribute.name: _Reader(ordinal, attribute) for ordinal, attribute in numbered}
        self._ordinals = {attribute.index: ordinal for ordinal, attribute in numbered}
        self._required = [attribute.name for attribute in template.attributes if attribute.required]
        self._required_ordinals = frozenset(ordinal for ordinal, attribute in numbered if attribute.required)

    def check(self, given: Mapping[str, Any], now: int) -> tuple[list[HandleValue], list[Wrong]]:
        """Return the values of a record, by index, and all that is wrong with it; one of the two is empty.

        Args:
            given: attribute → JSON value. None is the same as left out.
            now: UTC seconds, for the time stamp of the values.
        """
        texts, wrong = self.texts(given)
        attributes = self.template.attributes
        values = [_value(attributes[ordinal], text, now) for ordinal, text in texts]
        return sorted(values, key=lambda value: value.index), wrong

    def texts(self, given: Mapping[str, Any], *, partial: bool = False) -> tuple[list[tuple[int, str]], list[Wrong]]:
        """Return (ordinal, text) of the attributes of a record, by ordinal, and all that is wrong with it.

        Args:
            given: attribute → JSON value. None is the same as left out.
            partial: required ones may be missing.
        """
        wrong: list[Wrong] = []
        if not partial:
            wrong += [Wrong(name, ValueReason.MISSING) for name in self._required if given.get(name) is None]
        texts: list[tuple[int, str]] = []
        for name, value in given.items():
            known = self._attributes.get(name)
            if known is None:
                wrong.append(Wrong(name[:64], ValueReason.UNKNOWN))
            elif value is not None:
                read = known.read(value)
                if isinstance(read, Wrong):
                    wrong.append(read)
                else:
                    texts.append((known.ordinal, read))
        if wrong:
            return [], wrong
        texts.sort()
        return texts, []

    def ordinal(self, index: int) -> int | None:
        """Return the ordinal of the attribute whose values have this index."""
        return self._ordinals.get(index)

    def required(self) -> frozenset[int]:
        """Return the ordinals of the attributes that each record has."""
        return self._required_ordinals


class _Reader:
    """One attribute made ready."""

    __slots__ = ("_attribute", "_limits", "_pattern", "_read", "ordinal")

    def __init__(self, ordinal: int, attribute: Attribute) -> None:
        self.ordinal = ordinal
        self._attribute = attribute
        self._pattern = compiled_pattern(attribute)
        self._read = _READERS[attribute.type]
        self._limits = attribute.type in (DataType.CHOICE, DataType.INTEGER, DataType.DECIMAL)

    def read(self, value: Any) -> str | Wrong:
        """Return the text that a value is kept as, or what is wrong with it."""
        attribute = self._attribute
        try:
            text = self._read(value)
        except (ValueError, MalformedError, InvalidOperation) as error:
            return Wrong(attribute.name, ValueReason.TYPE, str(error)[:200])
        if self._limits or len(text) > attribute.max_length:
            fault = _fault(attribute, text)
            if fault is not None:
                return fault
        if self._pattern is not None and self._pattern.fullmatch(text) is None:
            return Wrong(attribute.name, ValueReason.PATTERN, attribute.pattern)
        return text


def _value(attribute: Attribute, text: str, now: int) -> HandleValue:
    permissions = DEFAULT_PERMISSIONS if attribute.public else DEFAULT_PERMISSIONS & ~Permission.PUBLIC_READ
    return HandleValue(
        attribute.index, attribute.name, text.encode(), ttl=DEFAULT_TTL, timestamp=now, permissions=permissions
    )


def _fault(attribute: Attribute, text: str) -> Wrong | None:
    if attribute.type is DataType.CHOICE and text not in attribute.choices:
        return Wrong(attribute.name, ValueReason.CHOICE, ", ".join(attribute.choices[:20]))
    if len(text) > attribute.max_length:
        return Wrong(attribute.name, ValueReason.TOO_LONG, f"{len(text)} of {attribute.max_length} characters")
    if attribute.type in (DataType.INTEGER, DataType.DECIMAL):
        number = Decimal(text)
        if attribute.minimum is not None and number < Decimal(str(attribute.minimum)):
            return Wrong(attribute.name, ValueReason.TOO_SMALL, f"{attribute.minimum:g} or more")
        if attribute.maximum is not None and number > Decimal(str(attribute.maximum)):
            return Wrong(attribute.name, ValueReason.TOO_LARGE, f"{attribute.maximum:g} or less")
    return None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text is expected")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("a text is Unicode without surrogates") from None
    return value


def _integer(value: Any) -> str:
    if isinstance(value, str):
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdecimal() and len(digits) <= 30):
            raise ValueError("a whole number is expected")
        if digits[0] != "0":
            return value
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= _MOST:
        raise ValueError("a whole number of at most 30 digits is expected")
    return str(value)


def _decimal(value: Any) -> str:
    """Return a decimal number as it is written, without an exponent: 1.50 stays 1.50."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("a number is expected")
    text = value if isinstance(value, str) else repr(value)
    if len(text) > 60 or not text.isascii() or "_" in text or text != text.strip():
        raise ValueError("a number is expected")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError("a number is expected") from None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or not -30 <= exponent <= 30 or abs(number) >= _MOST:
        raise ValueError("a number of at most 30 digits before and after the point is expected")
    return format(number, "f")


def _boolean(value: Any) -> str:
    if value is True or value == "true":
        return "true"
    if value is False or value == "false":
        return "false"
    raise ValueError("true or false is expected")


def _date(value: Any) -> str:
    text = _text(value)
    if len(text) != 10:
        raise ValueError("a date is expected: 2026-11-22")
    return date.fromisoformat(text).isoformat()


def _time(value: Any) -> str:
    return format_rfc3339(parse_rfc3339(_text(value)))


def _url(value: Any) -> str:
    text = _text(value)
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or any(c.isspace() or c < " " for c in text):
        raise ValueError("an http or https address is expected")
    return text


def _identifier(value: Any) -> str:
    return str(parse_handle(_text(value)))


_READERS: Mapping[DataType, Callable[[Any], str]] = {
    DataType.TEXT: _text,
    DataType.INTEGER: _integer,
    DataType.DECIMAL: _decimal,
    DataType.BOOLEAN: _boolean,
    DataType.DATE: _date,
    DataType.TIME: _time,
    DataType.URL: _url,
    DataType.IDENTIFIER: _identifier,
    DataType.CHOICE: _text,
}
