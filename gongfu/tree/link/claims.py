"""Whether what the other end says that it has can be true: which of the two databases was restored from a backup."""

from typing import Literal, TypeAlias

from gongfu.tree.link.effects import RenewalReason
from gongfu.tree.link.position import Position

Verdict: TypeAlias = Literal["agreed", "check"] | RenewalReason


def judge(epoch: int, last: int, acknowledged: Position, claim: Position) -> Verdict:
    """Judge the other end's claim about this end's outbox.

    Args:
        epoch: of the outbox.
        last: number of the last message in it.
        acknowledged: what the other end has confirmed before; never behind (``epoch``, ``last``).
        claim: what it says now that it has. It was made after anything that it has confirmed.

    Returns:
        ``agreed``; ``check`` when the digest of the claim must be compared with the messages behind
        ``acknowledged``; else the reason for a new epoch.
    """
    if claim.before(acknowledged):
        return "peer-rewound"
    if (epoch, last) < (claim.epoch, claim.number):
        return "own-rewound"
    if not acknowledged.before(claim):
        return "agreed" if claim.digest == acknowledged.digest else "diverged"
    if claim.epoch < epoch or claim.number == 0:
        return "agreed"
    return "check"
