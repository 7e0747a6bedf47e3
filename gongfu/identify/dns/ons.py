"""GS1 keys as names in the DNS (GS1 Object Name Service 2.0.1).

The check digit is left out, the first digit of a GTIN or SSCC (indicator, extension) stays first, all others follow
from the last to the first, each a label: GTIN 06901234000016 is ``0.1.0.0.0.0.4.3.2.1.0.9.6.gtin.gs1.id.<root>``.
Serial numbers are no part of the name.
"""

from collections.abc import Sequence

from gongfu.identify.dns.names import PART, Part


class Key:
    """A GS1 key that has a name.

    Attributes:
        ai: application identifier.
        digits: with the check digit.
        leading: how many digits keep their place before the others.
    """

    __slots__ = ("ai", "digits", "leading")

    def __init__(self, ai: str, digits: int, leading: int = 0) -> None:
        self.ai = ai
        self.digits = digits
        self.leading = leading


KEYS = {
    b"gtin": Key("01", 14, 1),
    b"sscc": Key("00", 18, 1),
    b"gln": Key("414", 13),
    b"gsrn": Key("8018", 18),
}
BASE = (b"gs1", b"id")


def check_digit(digits: str) -> str:
    """Return the check digit of a GS1 key without one."""
    total = sum(int(digit) * (3 if at % 2 == 0 else 1) for at, digit in enumerate(reversed(digits)))
    return str(-total % 10)


def labels_of_key(kind: bytes, value: str) -> tuple[bytes, ...]:
    """Return the labels of a key, without the root's.

    Raises:
        ValueError: the kind has no names, or the value is none of it.
    """
    key = KEYS.get(kind)
    if key is None or len(value) != key.digits or not (value.isascii() and value.isdigit()):
        raise ValueError(f"{value!r} is no {kind.decode()}")
    body = value[:-1]
    if check_digit(body) != value[-1]:
        raise ValueError(f"{value}: wrong check digit")
    return (*(digit.encode() for digit in _turned(body, key.leading)), kind, *BASE)


def _turned(digits: str, leading: int) -> str:
    return digits[:leading] + digits[leading:][::-1]


def key_of(labels: Sequence[bytes]) -> tuple[str, str] | Part | None:
    """Return application identifier and value of the key that labels (without the root's) name.

    ``PART`` is a name with fewer digits, None one that can never name a key.
    """
    small = [label.lower() for label in labels]
    count = len(BASE)
    if tuple(small[-count:]) != BASE:
        return PART if small and tuple(small) == BASE[-len(small) :] else None
    if len(small) == count:
        return PART
    key = KEYS.get(small[-count - 1])
    digits = small[: -count - 1]
    if key is None or len(digits) >= key.digits or any(len(d) != 1 or not d.isdigit() for d in digits):
        return None
    if len(digits) < key.digits - 1:
        return PART
    body = _turned(b"".join(digits).decode(), key.leading)
    return key.ai, body + check_digit(body)
