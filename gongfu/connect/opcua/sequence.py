"""Sequence numbers of a subscription: which notifications are missing.

Source: OPC 10000-4 §5.14.1.1 and §7.26: numbers begin with 1, grow by one with each NotificationMessage, a keep-alive
carries the next one without using it, and 1 follows 4,294,967,295. Pure.
"""

from enum import Enum, auto

_LAST = 0xFFFF_FFFF
_FAR = 0x8000_0000


class Order(Enum):
    """What a message is, judged by its number."""

    NEXT = auto()
    KEEP_ALIVE = auto()
    REPEATED = auto()


class SequenceWatch:
    """The numbers of one subscription.

    Attributes:
        last: number of the last NotificationMessage, 0 before the first.
    """

    def __init__(self, last: int = 0) -> None:
        self.last = last

    @staticmethod
    def following(number: int) -> int:
        """Return the number after ``number``; 0 is never used."""
        return 1 if number >= _LAST else number + 1

    def seen(self, number: int, empty: bool) -> tuple[Order, list[int]]:
        """Note the message ``number``.

        Args:
            number: its sequence number.
            empty: it is a keep-alive.

        Returns:
            What it is, and the numbers that should have come before it and did not (at most 10,000).
        """
        expected = self.following(self.last)
        ahead = (number - expected) % (_LAST + 1)
        if ahead >= _FAR:
            return (Order.KEEP_ALIVE if empty else Order.REPEATED), []
        missing: list[int] = []
        step = expected
        while step != number and len(missing) < 10_000:
            missing.append(step)
            step = self.following(step)
        if empty:
            if missing:
                self.last = missing[-1]
            return Order.KEEP_ALIVE, missing
        self.last = number
        return Order.NEXT, missing
