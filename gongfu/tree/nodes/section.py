"""The section of nodes: who is in the tree, told to the neighbours, and what is done with it."""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Subject
from gongfu.tree.host.section import Command, Host, Refusal, Turn
from gongfu.tree.membership.chain import sign_membership
from gongfu.tree.membership.join_documents import Former
from gongfu.tree.membership.refusals import Reason, Refused
from gongfu.tree.membership.transitions import renew
from gongfu.tree.membership.types import Chain, NodeState
from gongfu.tree.nodes import lineage, records
from gongfu.tree.nodes.children import Children
from gongfu.tree.nodes.directory import Directory
from gongfu.tree.nodes.documents import NodeDoc, NodePage, OwnNodeDoc
from gongfu.tree.nodes.enrolment import FoundParent, already_in_a_tree, seek_parent
from gongfu.tree.nodes.facts import NodeFacts
from gongfu.tree.nodes.identity import Identity, load_identity
from gongfu.tree.nodes.key_files import KeyFiles
from gongfu.tree.nodes.place import (
    CERTIFICATE,
    CERTIFICATE_REQUEST,
    CHAIN,
    MEMBER,
    MOVED,
    STATUS,
    Place,
)
from gongfu.tree.nodes.port_certificates import write_certificates
from gongfu.tree.nodes.release_text import decode_release
from gongfu.tree.nodes.requests import (
    ChangeNode,
    Founding,
    Joining,
    NodeQuery,
    OneNode,
    OneToken,
    Rehoming,
    ReleaseNode,
    TokenQuery,
    TokenWanted,
)
from gongfu.tree.nodes.statuses import Statuses
from gongfu.tree.nodes.tokens import Tokens
from gongfu.tree.nodes.validity import MEMBERSHIP, is_due
from gongfu.tree.nodes.views import NodeViews

_LOOK_S = 1.0
_RENEWAL_S = 600.0

logger = logging.getLogger(__name__)


LiveFigures = Callable[[Sequence[str]], Awaitable[Mapping[str, Any]]]


class NodesSection:
    """Implements ``Section``.

    Attributes:
        directory: who is around; other sections get it.
        live: returns live figures of the subtrees of nodes; those that cannot be reached now are not in the answer.
    """

    def __init__(
        self,
        place: Place,
        facts: NodeFacts,
        *,
        links_changed: Callable[[], None] = lambda: None,
    ) -> None:
        """Make the section; ``open_place`` reads what it starts from.

        Args:
            place: of this node.
            facts: of this node.
            links_changed: called on the event loop when other children may connect, the link up goes elsewhere, or a
                certificate is new: the server of the links must be told.
        """
        self.live: LiveFigures | None = None
        self._place = place
        self._facts = facts
        self._links_changed = links_changed
        self._views = NodeViews(place, facts.version, facts.console)
        self._children = Children(place, facts.leaf_address, links_changed)
        self._tokens = Tokens(place, facts.join_address)
        self._statuses = Statuses(place, facts)
        self._tasks: list[asyncio.Task[None]] = []
        self._moving = asyncio.Lock()
        self._link: tuple[str, ...] = self._link_of(place.identity)

    @property
    def directory(self) -> Directory:
        """Who is around this node."""
        return self._place.directory

    @property
    def identity(self) -> Identity:
        """What this node is, as last committed."""
        return self._place.identity

    @property
    def counters(self) -> Counters:
        """What was refused."""
        return self._place.counters

    def allowed(self) -> list[str]:
        """Return the ids of the children that may connect now, sorted."""
        return self._children.allowed()

    async def admit(self, data: bytes, address: str) -> bytes:
        """Answer a request to join; see ``Children.admit``."""
        return await self._children.admit(data, address)

    # Section.

    @property
    def topics(self) -> Collection[str]:
        """The topics of messages about nodes."""
        return (MEMBER, CHAIN, STATUS, MOVED, CERTIFICATE_REQUEST, CERTIFICATE)

    def received(self, turn: Turn, peer: str, topic: str, body: bytes) -> None:
        """Take a message of a neighbour.

        Raises:
            Refusal: not taken.
        """
        place = self._place
        if topic == CHAIN:
            lineage.take_new_chain(place, turn, peer, body)
        elif topic == MOVED:
            lineage.take_moved(place, turn, peer, body)
        elif topic == CERTIFICATE:
            lineage.take_certificate(place, turn, peer, body)
            turn.then(self._look_at_link)
        else:
            child = place.child(turn.connection, peer)
            # What a suspended child says of those below is kept: it will not say it again when it is resumed.
            if child is None or child.membership.state is NodeState.RETIRED:
                raise Refusal("node-wrong", f"{peer} is not a child")
            if topic == MEMBER:
                lineage.take_members(place, turn, peer, body)
            elif topic == STATUS:
                self._statuses.put(turn, lineage.take_status(place, turn, peer, body))
            else:
                lineage.give_certificate(place, turn, peer, body, self._facts.leaf_address)

    def restate(self, turn: Turn, peer: str) -> None:
        """Tell a child its chain, the parent everything below."""
        place = self._place
        own = place.stored(turn.connection).chain
        if peer == own.membership.parent:
            place.tell_members(turn, peer, records.all_members(turn.connection))
            self._statuses.restate(turn, peer)
        elif (child := place.child(turn.connection, peer)) is not None:
            place.tell_chain(turn, own, child)

    def link_changed(self, peer: str, up: bool) -> None:
        """Note that a child is silent when its link is down for a while, and that it speaks again."""
        self._place.running.nudge("nodes")
        self._statuses.link_changed(peer, up)

    def commands(self) -> Sequence[Command]:
        """What may be asked about nodes."""
        change, tokens = self._change, self._tokens
        return (
            Command("node-show", None, self._show),
            Command("node-list", NodeQuery, self._list),
            Command("node-get", OneNode, self._get),
            Command("node-found", Founding, self._found),
            Command("node-join", Joining, self._join),
            Command("node-rehome", Rehoming, self._rehome),
            Command("node-suspend", ChangeNode, lambda s, r: change(s, "suspend", r)),
            Command("node-resume", ChangeNode, lambda s, r: change(s, "resume", r)),
            Command("node-retire", ChangeNode, lambda s, r: change(s, "retire", r)),
            Command("node-release", ReleaseNode, self._children.release),
            Command("token-issue", TokenWanted, tokens.issue),
            Command("token-list", TokenQuery, tokens.page),
            Command("token-revoke", OneToken, tokens.revoke),
        )

    async def start(self, host: Host) -> None:
        """Begin to look at health and at what is to be renewed; open the links that should be."""
        place = self._place
        place.host = host
        parent = place.directory.parent
        wanted = [(m.node, False) for m in place.directory.children()] + ([(parent, True)] if parent else [])

        def open_links(turn: Turn) -> None:
            for peer, upward in wanted:
                host.open_link(turn, peer, parent=upward)

        if wanted:
            await host.turn(open_links)
        await self._children.start()
        self._statuses.start()
        self._tasks = [
            asyncio.create_task(self._every(_LOOK_S, self._statuses.look), name="nodes"),
            asyncio.create_task(self._every(_RENEWAL_S, self._renew), name="nodes renewal"),
        ]

    async def stop(self) -> None:
        """End."""
        self._statuses.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._children.stop()

    async def _every(self, seconds: float, look: Callable[[], Any]) -> None:
        while True:
            try:
                await look()
            except Problem as problem:
                logger.warning("nodes: %s", problem)
            except Exception:
                logger.exception("nodes")
            await asyncio.sleep(seconds)

    # Renewal.

    async def _renew(self) -> None:
        place, host = self._place, self._place.running
        if not place.directory.parent:
            await host.turn(self._renew_root)
        while await self._children.renew() == records.PAGE:
            pass
        await host.turn(lambda turn: lineage.ask_for_certificate(place, turn))
        if await asyncio.to_thread(self.write_certificates):
            self._links_changed()

    def _renew_root(self, turn: Turn) -> None:
        place = self._place
        identity = place.stored(turn.connection)
        membership = identity.chain.membership
        if not is_due(membership.valid_until, turn.now, MEMBERSHIP):
            return
        renewal = renew(membership, None, valid_until=turn.now + MEMBERSHIP)
        signed = sign_membership(place.key, renewal.membership)
        turn.audit(renewal.audit.action, renewal.audit.resource, renewal.audit.detail)
        chain = Chain((signed,), (renewal.membership,))
        place.adopt(turn, dataclasses.replace(identity, chain=chain))

    def write_certificates(self) -> bool:
        """Write the files that TLS reads, where they are not as they must be; return whether one has changed.

        Raises:
            OSError: a file cannot be written.
        """
        place = self._place
        hosts = self._facts.hosts
        return write_certificates(place.identity, place.files, hosts, time.time_ns())

    @staticmethod
    def _link_of(identity: Identity) -> tuple[str, ...]:
        return (identity.leaf_address, identity.parent_authorities, identity.certificate)

    def _look_at_link(self) -> None:
        link = self._link_of(self._place.identity)
        if link != self._link:
            self._link = link
            self.write_certificates()
            self._links_changed()

    # Commands.

    async def _show(self, _: Subject, __: None) -> OwnNodeDoc:
        return self._views.own(self._place.running.now())

    async def _list(self, _: Subject, query: NodeQuery) -> NodePage:
        page = self._views.page(query, self._place.running.now())
        return NodePage(await self._with_live(page.items), page.next)

    async def _get(self, _: Subject, request: OneNode) -> NodeDoc:
        return (await self._with_live([self._views.one(request.id, self._place.running.now())]))[0]

    async def _with_live(self, documents: list[NodeDoc]) -> list[NodeDoc]:
        if self.live is None or not documents:
            return documents
        figures = await self.live([document.id for document in documents])
        return [msgspec.structs.replace(one, live=figures.get(one.id)) for one in documents]

    async def _change(self, subject: Subject, verb: str, request: ChangeNode) -> NodeDoc:
        await self._children.change(subject, verb, request)
        return self._views.one(request.id, self._place.running.now())

    async def _found(self, _: Subject, __: Founding) -> OwnNodeDoc:
        raise already_in_a_tree(self._place.key.id)

    async def _join(self, subject: Subject, joining: Joining) -> OwnNodeDoc:
        """Ask the present parent again, with a token of its own: for a new certificate."""
        await self._seek(subject, joining, None)
        return await self._show(subject, None)

    async def _rehome(self, subject: Subject, request: Rehoming) -> OwnNodeDoc:
        paper = decode_release(request.release)
        identity = self._place.identity
        membership = identity.chain.membership
        former = Former(identity.chain.signed, paper.release, paper.grant)
        joining = Joining(request.token, membership.name, membership.attributes)
        await self._seek(subject, joining, former)
        return await self._show(subject, None)

    async def _seek(self, subject: Subject, joining: Joining, former: Former | None) -> None:
        place = self._place
        async with self._moving:
            before = place.identity
            now = place.running.now()
            taken = await asyncio.to_thread(seek_parent, place.files, joining, before, now, former)
            await place.running.turn(lambda turn: self._settle(turn, subject, taken))

    def _settle(self, turn: Turn, subject: Subject, taken: FoundParent) -> None:
        place, host = self._place, self._place.running
        before = place.stored(turn.connection)
        was, now = before.chain.membership, taken.identity.chain.membership
        if now.revision < was.revision:
            raise Problem(409, "conflict", "Conflict with what is stored", "the parent has changed this node meanwhile")
        place.adopt(turn, taken.identity)
        if was.parent != now.parent:
            if was.parent:
                host.close_link(turn, was.parent)
            host.open_link(turn, now.parent, parent=True)
        turn.audit(taken.audit.action, taken.audit.resource, taken.audit.detail, subject=subject)
        turn.then(self._look_at_link)


def open_place(connection: Connection, files: KeyFiles, counters: Counters) -> Place | None:
    """Return the place of this node as it is stored; None when it is in no tree.

    Raises:
        OSError: the key cannot be read.
        Refused: ``key-wrong``, the key is not that of the records.
    """
    identity = load_identity(connection)
    if identity is None:
        return None
    key = files.node_key()
    if key.id != identity.node:
        raise Refused(Reason.KEY_WRONG, f"the records are of node {identity.node}, the key in {files.root} is not")
    members = [member.membership for member in records.all_members(connection)]
    return Place(files, key, identity, members, records.all_status(connection), counters)
