"""What a channel gets and gives."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Message:
    """A notification as a channel sends it.

    Attributes:
        id: the same each time it is sent; recipients drop what they have already.
        recipient: address, number, or a word for the receiver of a webhook.
        subject: one line.
        text: for people, with the link where there is one.
        document: for programs.
    """

    id: str
    recipient: str
    subject: str
    text: str
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the channel told: ``reached`` when the recipient has it for certain, ``reference`` its id for it."""

    reached: bool
    reference: str = ""


class MissedError(Exception):
    """The channel did not take it now; try again. The text has no secrets."""


class RefusedError(Exception):
    """The channel will not take it, however often it is tried. The text has no secrets."""
