"""What changes handles, and what became of it. Pure."""

from collections.abc import Callable, Sequence
from enum import IntEnum, StrEnum

import msgspec

from gongfu.identify.handle.names import HandleName
from gongfu.identify.handle.values import HandleValue


class Operation(IntEnum):
    """What is done with a handle.

    CREATE needs it not to be there, PUT makes it or takes its place, DELETE removes it, member of a range or not. The
    others change single values of one that is there; on the member of a range they begin with the class's values.
    """

    CREATE = 1
    PUT = 2
    DELETE = 3
    ADD_VALUES = 4
    MODIFY_VALUES = 5
    REMOVE_VALUES = 6


class Write(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change of one handle.

    Attributes:
        operation: what.
        handle: prefix/suffix; the prefix in any case. ``0.NA/<prefix>`` are the values of a prefix itself.
        template: ``name`` (the newest published version) or ``name@version``; "" is a record of free values only, and,
            for an operation on values, the template that the record has.
        attributes: text by the name of the attribute; checked by the template.
        values: others: keys, administrators, sites, whatever clients write. One whose index is an attribute's is
            checked as that attribute. Their time stamps are the node's.
        indexes: of REMOVE_VALUES.
        overwrite: CREATE and ADD_VALUES take the place of what is there.
    """

    operation: Operation
    handle: str
    template: str = ""
    attributes: dict[str, str] = {}
    values: tuple[HandleValue, ...] = ()
    indexes: tuple[int, ...] = ()
    overwrite: bool = False


class WriteCode(StrEnum):
    """What became of a write; all but the first four have changed nothing."""

    CREATED = "created"
    REPLACED = "replaced"
    DELETED = "deleted"
    UNCHANGED = "unchanged"
    ALREADY_EXISTS = "already-exists"
    NOT_FOUND = "not-found"
    VALUE_ALREADY_EXISTS = "value-already-exists"
    VALUE_NOT_FOUND = "value-not-found"
    INVALID = "invalid"
    PREFIX_UNKNOWN = "prefix-unknown"
    PREFIX_SUSPENDED = "prefix-suspended"
    DENIED = "denied"
    QUOTA = "quota"


DONE = frozenset({WriteCode.CREATED, WriteCode.REPLACED, WriteCode.DELETED, WriteCode.UNCHANGED})


class Outcome(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What became of one write; ``detail`` is for people."""

    code: WriteCode
    detail: str = ""

    @property
    def done(self) -> bool:
        """Whether what was wished is so now."""
        return self.code in DONE


Allowed = Callable[[HandleName, Sequence[HandleValue] | None, Write], bool]
"""Whether a write may be done, asked in the writer's thread before each: nothing comes between the question and the
write. The values are those that the handle has now, None if it is not there."""


class WriteReason(StrEnum):
    """Why a whole batch is refused, before anything of it was done."""

    TOO_MANY = "batch-too-large"
    KEY_REUSED = "idempotency-key-reused"
    KEY_TOO_LONG = "idempotency-key-too-long"
    BUSY = "identifiers-busy"
    CLOSED = "identifiers-closed"
    FAILED = "identifiers-cannot-write"


class BatchError(Exception):
    """A batch is refused, and nothing of it was done.

    Attributes:
        reason: why. After ``FAILED`` it is unknown whether it was done: send it again with the same key.
    """

    def __init__(self, reason: WriteReason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail
