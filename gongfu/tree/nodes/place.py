"""This node's place in the tree while it runs: what is stored, changed in turns, and the same in memory."""

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import Connection

from gongfu.kernel.counters import Counters
from gongfu.tree.host.section import Host, Turn
from gongfu.tree.membership.chain import encode_chain, sign_membership
from gongfu.tree.membership.documents import pack
from gongfu.tree.membership.keys import NodeKey, Signed
from gongfu.tree.membership.prefixes import check_prefix, extends
from gongfu.tree.membership.refusals import Refused
from gongfu.tree.membership.transitions import renew
from gongfu.tree.membership.types import Chain, Membership, NodeState
from gongfu.tree.nodes import records
from gongfu.tree.nodes.directory import Directory
from gongfu.tree.nodes.identity import Identity, load_identity, store_identity
from gongfu.tree.nodes.key_files import KeyFiles
from gongfu.tree.nodes.records import Member, Status
from gongfu.tree.nodes.validity import MEMBERSHIP

MEMBER, CHAIN, STATUS, MOVED = "member", "chain", "status", "moved"
CERTIFICATE_REQUEST, CERTIFICATE = "certificate-request", "certificate"

# Memberships in one message.
BATCH = 100


class MemberItem(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a node says upward of one below: its membership, and the release if it came from another parent."""

    signed: Signed
    released: Signed | None = None


class Place:
    """What the parts of the nodes section share.

    Attributes:
        key: of this node.
        files: its keys and certificates.
        identity: as last committed.
        directory: who is around, as last committed.
        status: what is known of the nodes below, as last committed.
        host: set when the section starts.
        counters: what was refused.
    """

    def __init__(
        self,
        files: KeyFiles,
        key: NodeKey,
        identity: Identity,
        members: Iterable[Membership],
        status: dict[str, Status],
        counters: Counters,
    ) -> None:
        self.files = files
        self.key = key
        self.identity = identity
        self.directory = Directory(key, identity.chain, members)
        self.status = status
        self.counters = counters
        self.host: Host | None = None

    @property
    def running(self) -> Host:
        """The host.

        Raises:
            RuntimeError: the section has not started.
        """
        if self.host is None:
            raise RuntimeError("the section of nodes has not started")
        return self.host

    def stored(self, connection: Connection) -> Identity:
        """Return the identity as this transaction sees it.

        Raises:
            RuntimeError: it is gone.
        """
        identity = load_identity(connection)
        if identity is None:
            raise RuntimeError("the records have no identity any more")
        return identity

    def child(self, connection: Connection, node: str) -> Member | None:
        """Return a child, retired ones too, as this transaction sees it."""
        member = records.find_member(connection, node)
        if member is None or member.gone or member.membership.parent != self.key.id:
            return None
        return member

    def put(self, turn: Turn, members: Sequence[Member]) -> None:
        """Store members and tell the parent of them."""
        for member in members:
            records.put_member(turn.connection, member)
        self.announce(turn, members)

    def announce(self, turn: Turn, members: Sequence[Member]) -> None:
        """Let the directory and the parent know of members that are stored."""
        changed = [member.membership for member in members]
        turn.then(lambda: self.directory.replace(changed=changed))
        turn.then(lambda: self.running.nudge("nodes"))
        parent = self.stored(turn.connection).chain.membership.parent
        if parent:
            self.tell_members(turn, parent, members)

    def tell_members(self, turn: Turn, peer: str, members: Sequence[Member]) -> None:
        """Send memberships upward."""
        for start in range(0, len(members), BATCH):
            items = [MemberItem(one.signed, one.released) for one in members[start : start + BATCH]]
            self.send(turn, peer, MEMBER, pack(items))

    def tell_chain(self, turn: Turn, own: Chain, child: Member) -> None:
        """Send a child its chain."""
        self.send(turn, child.membership.node, CHAIN, encode_chain((*own.signed, child.signed)))

    def send(self, turn: Turn, peer: str, topic: str, body: bytes) -> None:
        """Send if there is a link; one that begins says everything anyway."""
        try:
            turn.send(peer, topic, body)
        except KeyError:
            self.counters.add("tree_messages_without_link")

    def adopt(self, turn: Turn, identity: Identity) -> None:
        """Store a new identity. Children whose path or prefix it changes are renewed; all get their chains."""
        before = self.stored(turn.connection).chain.membership
        store_identity(turn.connection, identity, turn.wall)
        own, now = identity.chain, identity.chain.membership
        anew = (before.path, before.prefix) != (now.path, now.prefix)
        turn.then(lambda: self._become(identity))
        children = [
            child
            for child in records.children_of(turn.connection, own.node)
            if child.membership.state is not NodeState.RETIRED
        ]
        if anew:
            children = [self._carried(own, before, child.membership, turn.now) for child in children]
            self.put(turn, children)
        for child in children:
            self.tell_chain(turn, own, child)

    def signed(self, membership: Membership) -> Member:
        """Return what this node says of a child."""
        return Member(sign_membership(self.key, membership), membership)

    def _carried(self, own: Chain, before: Membership, child: Membership, now: int) -> Member:
        """Return the membership of a child when this node has moved: its prefix moves with it."""
        prefix, base = child.prefix, own.membership.prefix
        if extends(prefix, before.prefix):
            prefix = base + prefix[len(before.prefix) :] if base else ""
        until = now + MEMBERSHIP
        membership = renew(child, own.membership, valid_until=until, prefix=prefix).membership
        try:
            check_prefix(membership, own.memberships, now)
        except Refused:
            membership = renew(child, own.membership, valid_until=until, prefix="").membership
        return self.signed(membership)

    def _become(self, identity: Identity) -> None:
        self.identity = identity
        self.directory.replace(chain=identity.chain)
        self.running.nudge("nodes")
