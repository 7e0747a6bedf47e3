"""From attributes to the bytes of a record in one step, for the many that are as they should be.

It gives the bytes that ``Checker.texts`` and ``encode_record`` would, or nothing: then those two say what is wrong.
Texts that are seen often (a model, a date, a class) are checked once.
"""

from collections.abc import Callable, Mapping

from gongfu.identify.records.form import StoredRecord, encode_record
from gongfu.identify.templates.types import Attribute, DataType
from gongfu.identify.templates.validation import Checker

# Texts that are remembered for an attribute, and the longest of them.
_KNOWN = 512
_LONGEST = 64
# Most digits of a number that is looked at in short.
_DIGITS = 15

_Piece = Callable[[str], bytes | None]
"""From a text to ordinal, length and bytes; None where it has to be looked at more closely."""


class Encoder:
    """Makes records of one template."""

    def __init__(self, number: int, checker: Checker) -> None:
        """Make it for a template with its number at this node."""
        self._number = number
        self._pieces = [
            (attribute.name, attribute.required, _piece(ordinal, attribute, checker))
            for ordinal, attribute in enumerate(checker.template.attributes)
        ]
        self._heads: list[bytes] = []
        self._now = -1

    def encode(self, given: Mapping[str, str], now: int) -> bytes | None:
        """Return the bytes of a record with these attributes, None where something may be wrong with it.

        Args:
            given: text by attribute.
            now: its time stamp, UTC seconds.
        """
        if now != self._now:
            self._begin(now)
        parts = [b""]
        get = given.get
        try:
            for name, required, piece in self._pieces:
                text = get(name)
                if text is not None:
                    found = piece(text)
                    if found is None:
                        return None
                    parts.append(found)
                elif required:
                    return None
        except (AttributeError, TypeError, UnicodeEncodeError):
            # Not a text, or one that is not Unicode.
            return None
        count = len(parts) - 1
        if count != len(given):
            return None
        parts[0] = self._heads[count]
        return b"".join(parts)

    def _begin(self, now: int) -> None:
        """Prepare what stands before the attributes, by how many there are."""
        empty = encode_record(StoredRecord(self._number, now))
        self._heads = [empty[:-1] + _varint(count) for count in range(len(self._pieces) + 1)]
        self._now = now


def _varint(value: int) -> bytes:
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80, value >> 7])


def _piece(ordinal: int, attribute: Attribute, checker: Checker) -> _Piece:
    """Return what makes the piece of an attribute."""
    number = _varint(ordinal)
    heads = [number + _varint(length) for length in range(0x80)]
    longest = min(attribute.max_length, len(heads) - 1)
    name = attribute.name

    def slow(text: str) -> bytes | None:
        texts, wrong = checker.texts({name: text}, partial=True)
        data = texts[0][1].encode() if texts and not wrong else None
        return heads[len(data)] + data if data is not None and len(data) < len(heads) else None

    if attribute.type is DataType.TEXT and not attribute.pattern:

        def plain(text: str) -> bytes | None:
            data = text.encode()
            length = len(data)
            # As many bytes have not more characters.
            return heads[length] + data if length <= longest else slow(text)

        return plain
    if attribute.type is DataType.INTEGER and attribute.minimum is None and attribute.maximum is None:

        def whole(text: str) -> bytes | None:
            if text.isdecimal() and text.isascii() and text[0] != "0" and len(text) <= min(longest, _DIGITS):
                return heads[len(text)] + text.encode()
            return slow(text)

        return whole
    return _remembered(slow)


def _remembered(piece: _Piece) -> _Piece:
    """Return the same, which remembers what it has found."""
    known: dict[str, bytes] = {}
    get = known.get

    def look(text: str) -> bytes | None:
        found = get(text)
        if found is None:
            found = piece(text)
            if found is not None and len(text) <= _LONGEST:
                if len(known) >= _KNOWN:
                    known.clear()
                known[text] = found
        return found

    return look
