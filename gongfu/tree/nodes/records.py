"""Rows of members, of what they say of themselves, and of join tokens."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from gongfu.tree.membership.documents import decode_document
from gongfu.tree.membership.keys import Signed, decode_signed, encode_signed
from gongfu.tree.membership.refusals import Reason
from gongfu.tree.membership.token import TokenRecord, TokenState
from gongfu.tree.membership.types import Attributes, Chain, Membership
from gongfu.tree.nodes import tables

# Members in one turn of renewal.
PAGE = 100


@dataclass(frozen=True, slots=True)
class Member:
    """A node below, as it is stored: its membership as it was signed, and the release by which it was moved."""

    signed: Signed
    membership: Membership
    released: Signed | None = None
    gone: bool = False


class Status(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is known of how a node below does, as its parent says.

    Attributes:
        node: id.
        version: of its software.
        health: ``ok``, ``degraded`` or ``silent``.
        console: http address of its console, or empty.
        heard_at: when its parent heard of it last, UTC ns.
    """

    node: str
    version: str
    health: str
    console: str
    heard_at: int


@dataclass(frozen=True, slots=True)
class Token:
    """A join token in the ledger: its record and what it gives."""

    record: TokenRecord
    tier: str
    prefix: str
    attributes: Attributes | None
    created: int


# Made once: with ten thousand nodes below, making a statement takes longer than executing it.
_find_member = select(tables.member).where(tables.member.c.node == bindparam("of"))
_delete_member = delete(tables.member).where(tables.member.c.node == bindparam("of"))
_insert_member = insert(tables.member)
_delete_status = delete(tables.status).where(tables.status.c.node == bindparam("of"))
_insert_status = insert(tables.status)


def membership_of(signed: Signed) -> Membership:
    """Return what is in a signed membership; nothing is verified.

    Raises:
        Refused: ``membership-malformed``.
    """
    return decode_document(signed.body, Membership, Reason.MEMBERSHIP_MALFORMED)


def find_member(connection: Connection, node: str) -> Member | None:
    """Return a member by id, those that are gone too."""
    row = connection.execute(_find_member, {"of": node}).one_or_none()
    return None if row is None else _member(row)


def all_members(connection: Connection) -> list[Member]:
    """Return all members that are not gone, nearest first."""
    rows = connection.execute(select(tables.member).where(tables.member.c.gone == 0)).all()
    return sorted(map(_member, rows), key=lambda member: len(member.membership.path))


def children_of(connection: Connection, parent: str) -> list[Member]:
    """Return the children of a node that are not gone."""
    table = tables.member
    rows = connection.execute(select(table).where(table.c.parent == parent, table.c.gone == 0)).all()
    return [_member(row) for row in rows]


def put_member(connection: Connection, member: Member) -> None:
    """Store a member in place of what was there."""
    membership = member.membership
    connection.execute(_delete_member, {"of": membership.node})
    connection.execute(
        _insert_member,
        {
            "node": membership.node,
            "parent": membership.parent,
            "name": membership.name,
            "tier": membership.tier,
            "prefix": membership.prefix,
            "state": membership.state.value,
            "revision": membership.revision,
            "valid_until": membership.valid_until,
            "signed": encode_signed(member.signed),
            "released": encode_signed(member.released) if member.released else b"",
            "gone": int(member.gone),
        },
    )


def mark_gone(connection: Connection, nodes: Iterable[str]) -> None:
    """Note that nodes are below no more."""
    for node in nodes:
        connection.execute(update(tables.member).where(tables.member.c.node == node).values(gone=1))
        connection.execute(delete(tables.status).where(tables.status.c.node == node))


def chain_of(connection: Connection, own: Chain, node: str) -> Chain | None:
    """Return the chain of this node or of one below, from what is stored; None when it is not below."""
    way: list[Member] = []
    at = node
    while at not in own.nodes:
        member = find_member(connection, at)
        if member is None or member.gone or len(way) > len(own.nodes) + 16:
            return None
        way.append(member)
        at = member.membership.parent
    if at != own.node:
        return None
    way.reverse()
    return Chain(
        (*own.signed, *(member.signed for member in way)),
        (*own.memberships, *(member.membership for member in way)),
    )


def put_status(connection: Connection, status: Status) -> None:
    """Store what is known of a node in place of what was there."""
    connection.execute(_delete_status, {"of": status.node})
    connection.execute(_insert_status, msgspec.structs.asdict(status))


def find_status(connection: Connection, node: str) -> Status | None:
    """Return what is known of a node."""
    row = connection.execute(select(tables.status).where(tables.status.c.node == node)).one_or_none()
    return None if row is None else Status(**row._mapping)


def all_status(connection: Connection) -> dict[str, Status]:
    """Return what is known of all nodes."""
    return {row.node: Status(**row._mapping) for row in connection.execute(select(tables.status)).all()}


def add_token(connection: Connection, token: Token) -> None:
    """Add a new token to the ledger."""
    record = token.record
    connection.execute(
        insert(tables.token).values(
            name=record.name,
            state=record.state.value,
            node=record.node,
            tier=token.tier,
            prefix=token.prefix,
            attributes=msgspec.json.encode(token.attributes).decode() if token.attributes else "",
            created=token.created,
            valid_until=record.valid_until,
            changed=record.changed,
        )
    )


def find_token(connection: Connection, name: str) -> Token | None:
    """Return a token of the ledger."""
    row = connection.execute(select(tables.token).where(tables.token.c.name == name)).one_or_none()
    return None if row is None else _token(row)


def change_token(connection: Connection, before: TokenRecord, after: TokenRecord) -> bool:
    """Store a record if it is still as it was; return whether it was."""
    table = tables.token
    done = connection.execute(
        update(table)
        .where(
            table.c.name == before.name,
            table.c.state == before.state.value,
            table.c.node == before.node,
            table.c.changed == before.changed,
        )
        .values(state=after.state.value, node=after.node, changed=after.changed)
    )
    return done.rowcount == 1


def tokens_of(connection: Connection, node: str) -> list[Token]:
    """Return the tokens that a node has used."""
    return [_token(r) for r in connection.execute(select(tables.token).where(tables.token.c.node == node)).all()]


def open_tokens(connection: Connection, now: int) -> list[Token]:
    """Return the tokens that can still be used by anybody; ``now`` is UTC ns."""
    table = tables.token
    query = select(table).where(table.c.state == TokenState.ISSUED.value, table.c.valid_until > now)
    return [_token(row) for row in connection.execute(query).all()]


def page_of_tokens(connection: Connection, before: tuple[int, str] | None, limit: int) -> list[Token]:
    """Return tokens, newest first, beginning after a key (time of creation, name)."""
    table = tables.token
    query = select(table).order_by(table.c.created.desc(), table.c.name.desc()).limit(limit)
    if before is not None:
        created, name = before
        query = query.where(
            (table.c.created < created) | ((table.c.created == created) & (table.c.name < name)),
        )
    return [_token(row) for row in connection.execute(query).all()]


def forget_tokens(connection: Connection, before: int) -> None:
    """Forget the tokens that ended before a time, UTC ns."""
    connection.execute(delete(tables.token).where(tables.token.c.valid_until < before))


def descendants_of(members: Sequence[Member], node: str) -> set[str]:
    """Return the ids of all nodes below one, and of the node itself."""
    children: dict[str, list[str]] = {}
    for member in members:
        children.setdefault(member.membership.parent, []).append(member.membership.node)
    found, waiting = {node}, [node]
    while waiting:
        below = [child for child in children.get(waiting.pop(), ()) if child not in found]
        found.update(below)
        waiting += below
    return found


def _member(row: Any) -> Member:
    signed = decode_signed(row.signed)
    return Member(signed, membership_of(signed), decode_signed(row.released) if row.released else None, bool(row.gone))


def _token(row: Any) -> Token:
    record = TokenRecord(
        name=row.name, state=TokenState(row.state), valid_until=row.valid_until, changed=row.changed, node=row.node
    )
    attributes = msgspec.json.decode(row.attributes, type=Attributes) if row.attributes else None
    return Token(record, row.tier, row.prefix, attributes, row.created)
