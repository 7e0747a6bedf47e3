"""Nodes and tokens as the API shows them. Times are RFC 3339."""

from typing import Any

import msgspec

from gongfu.kernel.times import SECOND, format_rfc3339
from gongfu.tree.host.section import LinkView
from gongfu.tree.membership.types import Attributes
from gongfu.tree.nodes.identity import Identity
from gongfu.tree.nodes.records import Token


class NodePlace(msgspec.Struct, frozen=True):
    """A node on a path from the root."""

    id: str
    name: str
    tier: str


class ParentDoc(msgspec.Struct, frozen=True):
    """The parent of this node, and where its children connect."""

    id: str
    name: str
    address: str


class LinkDoc(msgspec.Struct, frozen=True):
    """A link of this node to its parent or to a child."""

    up: bool
    since: str | None
    waiting: int
    lag_seconds: float
    clock_offset_seconds: float | None
    skewed: bool
    round_trip_ms: float | None


class NodeDoc(msgspec.Struct, frozen=True, kw_only=True):
    """A node below this one. ``link`` is there for children only, ``live`` when reports told it.

    ``health`` is ``ok``, ``degraded``, ``silent`` or ``unknown``.
    """

    id: str
    name: str
    tier: str
    parent: str
    prefix: str
    state: str
    attributes: Attributes
    revision: int
    valid_until: str
    children: int
    descendants: int
    version: str | None
    health: str
    heard_at: str | None
    console: str | None
    link: LinkDoc | None
    live: Any = None
    path: tuple[NodePlace, ...] | None = None


class NodePage(msgspec.Struct, frozen=True):
    """A page of nodes, by name."""

    items: list[NodeDoc]
    next: str | None


class OwnNodeDoc(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """This node; of one that is in no tree only ``enrolled`` and ``version`` are there."""

    enrolled: bool
    version: str
    id: str | None = None
    name: str | None = None
    tier: str | None = None
    prefix: str | None = None
    state: str | None = None
    attributes: Attributes | None = None
    parent: ParentDoc | msgspec.UnsetType | None = msgspec.UNSET
    path: tuple[NodePlace, ...] | None = None
    revision: int | None = None
    valid_until: str | None = None
    children: int | None = None
    descendants: int | None = None
    console: str | None = None
    link: LinkDoc | msgspec.UnsetType | None = msgspec.UNSET


class TokenDoc(msgspec.Struct, frozen=True, kw_only=True):
    """A join token in the ledger; its text is shown once, when it is made."""

    name: str
    tier: str
    prefix: str
    state: str
    node: str | None
    created_at: str
    valid_until: str


class NewTokenDoc(msgspec.Struct, frozen=True, kw_only=True):
    """A new join token; ``token`` is what the child needs, and is not shown again."""

    name: str
    token: str
    tier: str
    prefix: str
    valid_until: str


class TokenPage(msgspec.Struct, frozen=True):
    """A page of tokens, newest first."""

    items: list[TokenDoc]
    next: str | None


class ReleaseDoc(msgspec.Struct, frozen=True):
    """The text of a release, for the node that goes."""

    release: str
    valid_until: str


def enrolled_doc(identity: Identity, version: str) -> OwnNodeDoc:
    """Return what a node is that has just got its place, before its links are there."""
    chain = identity.chain
    membership, above = chain.membership, chain.memberships[:-1]
    return OwnNodeDoc(
        enrolled=True,
        version=version,
        id=membership.node,
        name=membership.name,
        tier=membership.tier,
        prefix=membership.prefix,
        state=chain.state.value,
        attributes=membership.attributes,
        parent=ParentDoc(above[-1].node, above[-1].name, identity.parent_address) if above else None,
        path=tuple(NodePlace(m.node, m.name, m.tier) for m in chain.memberships),
        revision=membership.revision,
        valid_until=format_rfc3339(membership.valid_until),
        link=None,
    )


def link_doc(view: LinkView | None, now: int) -> LinkDoc | None:
    """Return a link as it is shown; ``now`` is UTC ns, own clock."""
    if view is None:
        return None
    return LinkDoc(
        up=view.up,
        since=format_rfc3339(view.changed) if view.changed else None,
        waiting=view.waiting,
        lag_seconds=round(max(now - view.oldest, 0) / SECOND, 3) if view.waiting and view.oldest else 0.0,
        clock_offset_seconds=None if view.offset is None else round(view.offset / SECOND, 3),
        skewed=view.skewed,
        round_trip_ms=round(view.round_trip / 1e6, 3) if view.round_trip else None,
    )


def token_doc(token: Token, now: int) -> TokenDoc:
    """Return a token as it is listed; ``now`` is UTC ns."""
    record = token.record
    ended = record.state == "issued" and now >= record.valid_until
    return TokenDoc(
        name=record.name,
        tier=token.tier,
        prefix=token.prefix,
        state="expired" if ended else record.state.value,
        node=record.node or None,
        created_at=format_rfc3339(token.created),
        valid_until=format_rfc3339(record.valid_until),
    )
