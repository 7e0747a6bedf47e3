"""This node's identity in the records: its chain, its authority, and what it needs for the link up."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from gongfu.tree.membership.chain import decode_chain, encode_chain
from gongfu.tree.membership.documents import decode_document
from gongfu.tree.membership.refusals import Reason
from gongfu.tree.membership.types import Chain, Membership
from gongfu.tree.nodes.tables import identity as table

_ROW = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a node is in the tree.

    Attributes:
        chain: from the root to the node, in whatever state.
        authority: certificate of the own authority, PEM.
        parent_address: where it joined, ``host:port``; empty at the root.
        leaf_address: where the link up connects, ``host:port``; empty at the root.
        parent_authorities: certificates to believe there, PEM one after another; empty at the root.
        certificate: own certificate for the link up, PEM; empty at the root.
    """

    chain: Chain
    authority: str
    parent_address: str = ""
    leaf_address: str = ""
    parent_authorities: str = ""
    certificate: str = ""

    @property
    def node(self) -> str:
        """Own id."""
        return self.chain.node


def load_identity(connection: Connection) -> Identity | None:
    """Return what is stored, None when the node is not in a tree.

    Raises:
        Refused: the stored chain is not one.
    """
    row = connection.execute(select(table).where(table.c.id == _ROW)).one_or_none()
    if row is None:
        return None
    return Identity(
        chain=stored_chain(row.chain),
        authority=row.authority,
        parent_address=row.parent_address,
        leaf_address=row.leaf_address,
        parent_authorities=row.parent_authorities,
        certificate=row.certificate,
    )


def store_identity(connection: Connection, identity: Identity, now: int) -> None:
    """Store it in place of what was there; ``now`` is UTC ns."""
    connection.execute(delete(table).where(table.c.id == _ROW))
    connection.execute(
        insert(table).values(
            id=_ROW,
            node=identity.node,
            chain=encode_chain(identity.chain.signed),
            authority=identity.authority,
            parent_address=identity.parent_address,
            leaf_address=identity.leaf_address,
            parent_authorities=identity.parent_authorities,
            certificate=identity.certificate,
            changed=now,
        )
    )


def stored_chain(data: bytes) -> Chain:
    """Return a chain that was verified before it was stored. It may have ended since: who obeys looks at the time.

    Raises:
        Refused: ``chain-malformed`` or ``membership-malformed``; it is damaged.
    """
    signed = decode_chain(data)
    return Chain(signed, tuple(decode_document(one.body, Membership, Reason.MEMBERSHIP_MALFORMED) for one in signed))
