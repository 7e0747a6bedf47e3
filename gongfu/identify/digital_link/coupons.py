"""North American coupon codes: AI 8110 and its positive offer form, AI 8112.

A row of fields, some of which begin with a digit that says how long they are.
"""

import calendar

from gongfu.identify.digital_link.character_sets import DIGITS


class _WrongCoupon(Exception):
    """What is wrong with a coupon."""


class _Fields:
    """Takes fields from the left."""

    def __init__(self, text: str) -> None:
        if not DIGITS.issuperset(text):
            raise _WrongCoupon("a coupon code has digits only")
        self._rest = text

    @property
    def left(self) -> bool:
        return bool(self._rest)

    def take(self, length: int, what: str) -> str:
        taken, self._rest = self._rest[:length], self._rest[length:]
        if len(taken) < length:
            raise _WrongCoupon(f"it ends in {what}")
        return taken

    def digit(self, allowed: str, what: str) -> str:
        digit = self.take(1, what)
        if digit not in allowed:
            raise _WrongCoupon(f"there is no {what} {digit}")
        return digit

    def sized(self, allowed: str, more: int, what: str) -> str:
        """Take a field behind the digit of its length, to which ``more`` is added; 9 where allowed is no field."""
        size = self.digit(allowed, f"length of {what}")
        if size == "9" and more and allowed != "0123456789":
            return ""
        return self.take(int(size) + more, what)

    def optional(self, number: str) -> bool:
        """Take the number of an optional field, if that is what comes."""
        there = self._rest.startswith(number)
        self._rest = self._rest[there:]
        return there

    def date(self, what: str) -> str:
        date = self.take(6, what)
        year, month, day = 2000 + int(date[:2]), int(date[2:4]), int(date[4:])
        if not 1 <= month <= 12 or not 1 <= day <= calendar.monthrange(year, month)[1]:
            raise _WrongCoupon(f"{what} is no date")
        return date

    def end(self) -> None:
        if self._rest:
            raise _WrongCoupon("something stands behind its end")


def _purchase(fields: _Fields, what: str) -> None:
    fields.sized("12345", 0, f"{what} purchase requirement")
    fields.digit("012349", f"{what} purchase requirement code")
    fields.take(3, f"{what} purchase family code")


def coupon_code(text: str) -> str | None:
    """Return what is wrong with a coupon code (AI 8110); None if nothing."""
    try:
        fields = _Fields(text)
        fields.sized("0123456", 6, "company prefix")
        fields.take(6, "offer code")
        fields.sized("12345", 0, "save value")
        _purchase(fields, "first")
        if fields.optional("1"):
            fields.digit("0123", "additional purchase rules code")
            _purchase(fields, "second")
            fields.sized("01234569", 6, "second company prefix")
        if fields.optional("2"):
            _purchase(fields, "third")
            fields.sized("01234569", 6, "third company prefix")
        _dates(fields)
        if fields.optional("5"):
            fields.sized("0123456789", 6, "serial number")
        if fields.optional("6"):
            fields.sized("1234567", 6, "retailer")
        if fields.optional("9"):
            fields.digit("01256", "save value code")
            fields.digit("012", "item that the save value applies to")
            fields.take(1, "store coupon flag")
            fields.digit("01", "don't multiply flag")
        fields.end()
    except _WrongCoupon as error:
        return str(error)
    return None


def _dates(fields: _Fields) -> None:
    expiration = fields.date("expiration date") if fields.optional("3") else ""
    start = fields.date("start date") if fields.optional("4") else ""
    if expiration and start > expiration:
        raise _WrongCoupon("it ends before it starts")


def positive_offer(text: str) -> str | None:
    """Return what is wrong with a positive offer coupon code (AI 8112); None if nothing."""
    try:
        fields = _Fields(text)
        fields.digit("01", "format")
        fields.sized("0123456", 6, "funder")
        fields.take(6, "offer code")
        fields.sized("0123456789", 6, "serial number")
        fields.end()
    except _WrongCoupon as error:
        return str(error)
    return None
