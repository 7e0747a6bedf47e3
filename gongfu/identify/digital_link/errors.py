"""What is wrong with something that should be a GS1 identifier or a link of one."""

from enum import StrEnum


class Reason(StrEnum):
    """Why it is refused. ``NOT_A_LINK``: nothing in it is a GS1 key; all others: it is one gone wrong."""

    NOT_A_LINK = "not-a-link"
    NO_KEY = "no-primary-key"
    UNKNOWN_AI = "unknown-application-identifier"
    SHORT_NAME = "short-name"
    VALUE = "value"
    ORDER = "key-qualifiers"
    NOT_AN_ATTRIBUTE = "not-a-data-attribute"
    REPEATED = "repeated"
    MISSING = "requires-another"
    EXCLUDED = "excludes-another"
    ENCODING = "encoding"
    TOO_LONG = "too-long"
    LINK = "link"


class GS1Error(ValueError):
    """It is refused.

    Attributes:
        reason: why.
        detail: for people.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
