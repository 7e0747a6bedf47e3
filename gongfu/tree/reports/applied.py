"""What a ledger answers: what a statement did, why it is not taken, and how much of the subtree a figure speaks of."""

from enum import StrEnum

import msgspec


class LedgerReason(StrEnum):
    """Why a ledger does not take a statement."""

    UNKNOWN_CHILD = "unknown-child"
    KIND = "other-kind"
    GAP = "gap-too-large"
    RANGE = "total-out-of-range"
    KEYS = "too-many-keys"


class LedgerError(ValueError):
    """A statement is not taken; the ledger is as it was.

    Attributes:
        reason: the stable code.
    """

    def __init__(self, reason: LedgerReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Applied(msgspec.Struct, frozen=True):
    """What a statement did.

    Attributes:
        repeated: it was applied before.
        changed: totals that it changed; ``withdrawn``: cells of the child that went because it has them no more.
        outdated: cells that said nothing, because something newer is known or their period is forgotten.
    """

    repeated: bool = False
    changed: int = 0
    withdrawn: int = 0
    outdated: int = 0


class Coverage(msgspec.Struct, frozen=True):
    """How much of a subtree a figure speaks of.

    Attributes:
        known: nodes there are; ``reported``: those of them that are in the period. A node that states nothing of its
            own is not counted.
        silent: children that have not been heard for too long: no visibility, not zero.
        never: children that have never been heard.
    """

    known: int
    reported: int
    silent: tuple[str, ...]
    never: tuple[str, ...]
