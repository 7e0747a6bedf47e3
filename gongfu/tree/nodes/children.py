"""What a node does with its children: takes them in, suspends, resumes, retires, releases and renews them."""

import asyncio
from collections.abc import Callable

from gongfu.kernel.errors import Problem, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import format_rfc3339
from gongfu.tree.host.section import Turn
from gongfu.tree.membership.chain import encode_chain
from gongfu.tree.membership.join import BACKDATED, Admission, JoinParent, OpenedRequest, answer_join, open_request
from gongfu.tree.membership.keys import Signed
from gongfu.tree.membership.prefixes import extends, grant_prefix
from gongfu.tree.membership.refusals import Reason, Refused
from gongfu.tree.membership.rehome import release
from gongfu.tree.membership.transitions import Transition, renew, resume, retire, suspend
from gongfu.tree.membership.types import Chain, Membership, NodeState, PrefixGrant
from gongfu.tree.nodes import records
from gongfu.tree.nodes.documents import ReleaseDoc
from gongfu.tree.nodes.key_files import new_serial
from gongfu.tree.nodes.place import MOVED, Place
from gongfu.tree.nodes.port_certificates import authority_of
from gongfu.tree.nodes.records import Member
from gongfu.tree.nodes.release_text import ReleasePaper, encode_release
from gongfu.tree.nodes.requests import ChangeNode, ReleaseNode
from gongfu.tree.nodes.validity import CERTIFICATE, MEMBERSHIP, RELEASE, is_due

# A child that is suspended or retired hears so before its way is closed, if it hears at all.
_LOOK_S = 0.1
_LOOKS = 50
# Refusals of strangers that are audited, a minute; the others are counted only.
AUDITED_REFUSALS = 60

_VERBS: dict[str, Callable[[Membership, str], Transition]] = {"suspend": suspend, "resume": resume, "retire": retire}


class Children:
    """The children of a node.

    Args:
        place: of the node.
        leaf_address: where leaves of children connect, ``host:port``.
        allowed_changed: called on the event loop when other children may connect than before.
    """

    def __init__(self, place: Place, leaf_address: str, allowed_changed: Callable[[], None]) -> None:
        self._place = place
        self._leaf_address = leaf_address
        self._allowed_changed = allowed_changed
        self._grace: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusals = 0
        self._shown = self.allowed()

    def allowed(self) -> list[str]:
        """Return the ids of the children that may connect now, sorted."""
        active = {m.node for m in self._place.directory.children() if m.state is NodeState.ACTIVE}
        return sorted(active | self._grace)

    def look(self) -> None:
        """Say when other children may connect than before; called after each change of the directory."""
        allowed = self.allowed()
        if allowed != self._shown:
            self._shown = allowed
            self._allowed_changed()

    async def start(self) -> None:
        """End the links of children that were retired before a crash."""
        place = self._place
        place.directory.watch(self.look)
        retired = [
            view.peer
            for view in place.running.links()
            if (member := place.directory.member(view.peer)) is not None and member.state is NodeState.RETIRED
        ]
        for node in retired:
            await place.running.turn(lambda turn, node=node: place.running.close_link(turn, node))
        place.running.at(place.running.now() + 60 * 10**9, self._forget_refusals)

    async def stop(self) -> None:
        """Wait for nobody any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def admit(self, data: bytes, address: str) -> bytes:
        """Return the answer to a request to join.

        Args:
            data: the request.
            address: where it comes from, for the audit.

        Raises:
            Refused: the child is not taken; it is audited.
        """
        place = self._place
        host = place.running
        try:
            opened = open_request(data, place.key.id, host.now())
        except Refused as refusal:
            self._refused("", address, refusal)
            raise
        answer = await host.turn(lambda turn: self._admit(turn, opened, address))
        if isinstance(answer, Refused):
            self._refused(opened.node, address, answer)
            raise answer
        return answer.message

    def _admit(self, turn: Turn, opened: OpenedRequest, address: str) -> Admission | Refused:
        place, connection = self._place, turn.connection
        identity = place.stored(connection)
        own = identity.chain
        token = records.find_token(connection, opened.token.name)
        known = records.find_member(connection, opened.node)
        existing = known if known is not None and known.membership.parent == own.node else None
        try:
            if known is not None and not known.gone and existing is None and opened.former is None:
                raise Refused(Reason.RELEASE_MISSING, f"{known.membership.parent} is its parent")
            admission = answer_join(
                JoinParent(place.key, own, authority_of(identity, place.files), self._leaf_address),
                opened,
                token.record if token else None,
                turn.now,
                existing=existing.signed if existing else None,
                valid_until=turn.now + MEMBERSHIP,
                certificate_until=turn.now + CERTIFICATE,
                serial=new_serial(),
                attributes=token.attributes if token else None,
            )
        except Refused as refusal:
            return refusal
        if token is None or not records.change_token(connection, token.record, admission.record):
            return Refused(Reason.TOKEN_USED, "at the same moment")
        released = opened.former.release if opened.former else None
        member = Member(admission.signed, admission.membership, released or (existing.released if existing else None))
        old_way = None
        if known is not None and not known.gone and existing is None:
            old_chain = records.chain_of(connection, own, opened.node)
            old_way = old_chain.nodes[len(own.nodes)] if old_chain else None
        place.put(turn, [member])
        place.running.open_link(turn, opened.node)
        if old_way is not None:
            place.send(turn, old_way, MOVED, encode_chain((*own.signed, admission.signed)))
        note = admission.audit
        turn.audit(note.action, note.resource, f"{note.detail}, from {address}")
        return admission

    def _refused(self, node: str, address: str, refusal: Refused) -> None:
        self._place.counters.add("tree_joins_refused")
        self._refusals += 1
        if self._refusals > AUDITED_REFUSALS:
            self._place.counters.add("tree_joins_refused_not_audited")
            return
        detail = f"{refusal.reason.value}: {refusal.detail}"[:300] + f", from {address}"
        resource = f"node/{node or 'unknown'}"
        self._place.running.submit(lambda turn: turn.audit("node.join-refused", resource, detail))

    def _forget_refusals(self) -> None:
        self._refusals = 0
        host = self._place.running
        host.at(host.now() + 60 * 10**9, self._forget_refusals)

    async def change(self, subject: Subject, verb: str, request: ChangeNode) -> None:
        """Suspend, resume or retire a child.

        Raises:
            Problem: 404, not a child; 409 ``transition-wrong``.
        """
        node = request.id

        def work(turn: Turn) -> None:
            place = self._place
            child = place.child(turn.connection, node)
            if child is None:
                raise not_found(f"node {node[:40]} is not a child of this node")
            try:
                transition = _VERBS[verb](child.membership, request.reason)
            except Refused as refusal:
                raise Problem(409, refusal.code, "Not in this state", refusal.detail) from None
            # Before the directory changes: the child must not lose its way before it hears why.
            turn.then(lambda: self._changed(node, verb))
            member = place.signed(transition.membership)
            place.put(turn, [member])
            place.tell_chain(turn, place.stored(turn.connection).chain, member)
            turn.audit(transition.audit.action, transition.audit.resource, transition.audit.detail, subject=subject)

        await self._place.running.turn(work)

    def _changed(self, node: str, verb: str) -> None:
        if verb == "resume":
            self._grace.discard(node)
            return
        self._grace.add(node)
        task = asyncio.get_running_loop().create_task(self._cut(node, verb == "retire"), name=f"cut {node}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cut(self, node: str, retired: bool) -> None:
        """Close the way of a child when it has heard why, or after a while."""
        host = self._place.running
        for _ in range(_LOOKS):
            if not any(view.peer == node and view.up and view.waiting for view in host.links()):
                break
            await asyncio.sleep(_LOOK_S)
        if node not in self._grace:
            return  # resumed meanwhile
        self._grace.discard(node)
        if retired:
            await host.turn(lambda turn: host.close_link(turn, node))
        self.look()

    async def release(self, subject: Subject, request: ReleaseNode) -> ReleaseDoc:
        """Return the release of a node below this one.

        Raises:
            Problem: 404, not below; 409, not in its state; the reasons of ``rehome.release``.
        """
        node = request.id

        def work(turn: Turn) -> ReleaseDoc:
            place, connection = self._place, turn.connection
            own = place.stored(connection).chain
            chain = records.chain_of(connection, own, node)
            if chain is None or node == own.node:
                raise not_found(f"node {node[:40]} is not below this node")
            until = turn.now + RELEASE
            signed, note = release(
                place.key,
                chain,
                request.to,
                keep_prefix=request.keep_prefix,
                valid_from=max(turn.now - BACKDATED, 0),
                valid_until=until,
                reason=request.reason,
            )
            grant = self._grant(turn, own, chain.membership, request)
            turn.audit(note.action, note.resource, note.detail, subject=subject)
            return ReleaseDoc(encode_release(ReleasePaper(signed, grant)), format_rfc3339(until))

        return await self._place.running.turn(work)

    def _grant(self, turn: Turn, own: Chain, membership: Membership, request: ReleaseNode) -> Signed | None:
        """Return the grant of a kept prefix that the new parent cannot delegate, if this node may grant it."""
        prefix = membership.prefix
        to = own if request.to == own.node else records.chain_of(turn.connection, own, request.to)
        if not request.keep_prefix or to is None or not extends(prefix, own.membership.prefix):
            return None
        if extends(prefix, to.membership.prefix):
            return None
        grant = PrefixGrant(
            node=membership.node,
            prefix=prefix,
            valid_from=max(turn.now - BACKDATED, 0),
            valid_until=turn.now + 10 * MEMBERSHIP,
        )
        return grant_prefix(self._place.key, grant)

    async def renew(self) -> int:
        """Renew the memberships of children that end in less than half their time; return how many."""
        return await self._place.running.turn(self._renew)

    def _renew(self, turn: Turn) -> int:
        place = self._place
        own = place.stored(turn.connection).chain
        due = [
            child
            for child in records.children_of(turn.connection, own.node)
            if child.membership.state is not NodeState.RETIRED
            and is_due(child.membership.valid_until, turn.now, MEMBERSHIP)
        ][: records.PAGE]
        members: list[Member] = []
        for child in due:
            renewal = renew(child.membership, own.membership, valid_until=turn.now + MEMBERSHIP)
            member = place.signed(renewal.membership)
            members.append(member)
            turn.audit(renewal.audit.action, renewal.audit.resource, renewal.audit.detail)
        if members:
            place.put(turn, members)
        for member in members:
            place.tell_chain(turn, own, member)
        return len(members)
