"""What may become of a membership, from which state, and what the audit log says of it.

| function | from | to | signed by | audit entry |
|---|---|---|---|---|
| ``join.answer_join`` | (none), active | active | parent | ``node.join`` |
| ``renew`` | active, suspended | the same | parent | ``node.renew`` |
| ``suspend`` | active | suspended | parent | ``node.suspend`` |
| ``resume`` | suspended | active | parent | ``node.resume`` |
| ``retire`` | active, suspended | retired | parent | ``node.retire`` |
| ``rehome.release`` | active | (unchanged) | old parent or a node above it | ``node.release`` |
| ``rehome.accept_release`` | active | active, new parent | new parent | ``node.accept`` |
| ``rehome.take_chain`` | any | what the parent says | (nobody) | ``node.rehome`` when the parent is another |

Every new membership has a revision that is one larger. Its beginning stays: a child whose clock is slow would
otherwise call its own suspension not yet valid. The root cannot suspend or retire itself: nobody above could resume
it.
"""

from dataclasses import dataclass

import msgspec

from gongfu.tree.membership.keys import Signed
from gongfu.tree.membership.prefixes import extends
from gongfu.tree.membership.refusals import Reason, Refused
from gongfu.tree.membership.types import Attributes, Membership, NodeState

_FROM = {
    "renew": (NodeState.ACTIVE, NodeState.SUSPENDED),
    "suspend": (NodeState.ACTIVE,),
    "resume": (NodeState.SUSPENDED,),
    "retire": (NodeState.ACTIVE, NodeState.SUSPENDED),
    "release": (NodeState.ACTIVE,),
    "accept": (NodeState.ACTIVE,),
}


@dataclass(frozen=True, slots=True)
class AuditNote:
    """What the audit log says: ``action`` such as ``node.suspend``, ``resource`` ``node/<id>``, ``detail`` in words."""

    action: str
    resource: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Transition:
    """A membership to be signed, and what is to be audited with it."""

    membership: Membership
    audit: AuditNote


def note(verb: str, node: str, detail: str = "") -> AuditNote:
    """Return the audit entry of something done to a node."""
    return AuditNote(f"node.{verb}", f"node/{node}", detail)


def check_transition(membership: Membership, verb: str) -> None:
    """Check that something may be done to a node in its state.

    Raises:
        Refused: ``transition-wrong``.
    """
    if membership.state not in _FROM[verb]:
        raise Refused(Reason.TRANSITION_WRONG, f"{verb}: {membership.node} is {membership.state}")
    if verb != "renew" and membership.parent == "":
        raise Refused(Reason.TRANSITION_WRONG, f"{verb}: {membership.node} is the root")


def suspend(membership: Membership, reason: str) -> Transition:
    """Return the membership of a child that is to take no orders for now.

    Raises:
        Refused: ``transition-wrong``; it is not active, or is the root.
    """
    return _become(membership, "suspend", NodeState.SUSPENDED, reason)


def resume(membership: Membership, reason: str) -> Transition:
    """Return the membership of a child that was suspended and is active again.

    Raises:
        Refused: ``transition-wrong``; it is not suspended.
    """
    return _become(membership, "resume", NodeState.ACTIVE, reason)


def retire(membership: Membership, reason: str) -> Transition:
    """Return the last membership of a child.

    Raises:
        Refused: ``transition-wrong``; it is retired already, or is the root.
    """
    return _become(membership, "retire", NodeState.RETIRED, reason)


def renew(
    membership: Membership,
    parent: Membership | None,
    *,
    valid_until: int,
    name: str | None = None,
    tier: str | None = None,
    prefix: str | None = None,
    attributes: Attributes | None = None,
    grant: Signed | None = None,
) -> Transition:
    """Return the membership of a child for a longer time, with what is changed.

    A parent renews all its children when its own path has changed, since theirs goes through it.

    Args:
        membership: the latest.
        parent: the parent's own latest; None for the root.
        valid_until: UTC ns.
        name: another name.
        tier: another tier.
        prefix: another prefix; empty for none.
        attributes: other attributes.
        grant: another grant of a kept prefix; without it the present one stays as long as the prefix does.

    Raises:
        Refused: ``transition-wrong``, it is retired; ``parent-wrong``, ``parent`` is not its parent.
    """
    check_transition(membership, "renew")
    if membership.parent != (parent.node if parent else ""):
        raise Refused(Reason.PARENT_WRONG, f"{membership.node} has the parent {membership.parent or '(none)'}")
    wanted = membership.prefix if prefix is None else prefix
    kept = parent is not None and wanted != "" and not extends(wanted, parent.prefix)
    renewed = msgspec.structs.replace(
        membership,
        revision=membership.revision + 1,
        valid_until=valid_until,
        path=(*parent.path, parent.node) if parent else (),
        name=membership.name if name is None else name,
        tier=membership.tier if tier is None else tier,
        prefix=wanted,
        attributes=membership.attributes if attributes is None else attributes,
        grant=(grant or membership.grant) if kept else None,
    )
    changed = [
        field
        for field in ("name", "tier", "prefix", "attributes", "path")
        if getattr(renewed, field) != getattr(membership, field)
    ]
    return Transition(renewed, note("renew", membership.node, ", ".join(changed)))


def _become(membership: Membership, verb: str, state: NodeState, reason: str) -> Transition:
    check_transition(membership, verb)
    changed = msgspec.structs.replace(membership, state=state, revision=membership.revision + 1)
    return Transition(changed, note(verb, membership.node, reason))
