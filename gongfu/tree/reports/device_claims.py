"""A device counts once: claims travel to the home of its identifier, answers back (``claims``)."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Iterable

import msgspec

from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem
from gongfu.tree.host.section import Host, Refusal, Turn
from gongfu.tree.membership.prefixes import extends
from gongfu.tree.membership.types import Membership, NodeState
from gongfu.tree.nodes.directory import Directory
from gongfu.tree.reports import claim_records, identifiers
from gongfu.tree.reports.claims import Answer, ClaimError
from gongfu.tree.reports.messages import ANSWER, CLAIM, GONE, AnswerMessage, ClaimMessage, Gone, pack, unpack
from gongfu.tree.reports.pace import Pace, ended, waited

log = logging.getLogger(__name__)

_MOST_DEVICES = 2_000


class DeviceClaims:
    """Claims the node's foreign devices, decides on claims to its own, passes on those of others.

    What is decided, is decided within a turn, on what is stored.

    Args:
        directory: of the node.
        pace: how often.
        counters: of the role.
        changed: called when another set of devices counts here.
    """

    def __init__(self, directory: Directory, pace: Pace, counters: Counters, changed: Callable[[], None]) -> None:
        self._directory = directory
        self._pace = pace
        self._counters = counters
        self._changed = changed
        # Ids in the registry of the devices that do not count here.
        self.elsewhere: frozenset[int] = frozenset()
        self._known: set[str] | None = None
        self._all_anew = True
        self._look = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    async def start(self, host: Host) -> None:
        """Begin."""
        self._host = host
        self._members = self._ids()
        await self._note()
        self._task = asyncio.create_task(self._run(), name="device claims")

    async def stop(self) -> None:
        """End."""
        self._stopping = True
        self._look.set()
        await ended(self._task)

    def claim_all_anew(self) -> None:
        """State all claims again: something between here and the homes was restored or is another."""
        self._all_anew = True
        self._look.set()

    # Where identifiers are at home

    def _home(self, prefix: str) -> str | None:
        """Return the node at which identifiers are at home: who has the prefix; at the root, else the nearest above.

        None: somewhere above.
        """
        directory = self._directory
        own = directory.chain.membership
        if prefix == own.prefix.lower():
            return own.node
        below = [m for m in directory.descendants() if m.prefix]
        exact = next((m.node for m in below if m.prefix.lower() == prefix), None)
        if exact is not None or directory.parent is not None:
            return exact
        near: list[Membership] = [m for m in (own, *below) if extends(prefix, m.prefix.lower())]
        return max(near, key=lambda m: len(m.prefix)).node if near else own.node

    def _abroad(self, devices: Iterable[tuple[str, int]]) -> set[str]:
        """Return the prefixes of identifiers that are at home elsewhere."""
        prefixes = {identifiers.prefix_of(name) for name, _ in devices}
        return {prefix for prefix in prefixes if self._home(prefix) != self._directory.node}

    def _way(self, node: str) -> str | None:
        """Return the neighbour on the way to a node: down to who is below, else up."""
        return self._directory.towards(node) or self._directory.parent

    # The node's own foreign devices

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        anew = loop.time() + self._pace.restate_claims
        while not self._stopping:
            began = loop.time()
            try:
                if loop.time() >= anew:
                    anew, self._all_anew = loop.time() + self._pace.restate_claims, True
                await self._compare()
                await self._look_at_home()
            except Problem as problem:
                log.warning("claims of devices wait: %s", problem.detail or problem.title)
            except Exception:
                self._counters.add("reports_failed")
                log.exception("claims of devices")
            # Where all of a million identifiers are foreign, looking takes a second.
            await waited(self._look, max(self._pace.claims, 20 * (loop.time() - began)))
            self._look.clear()

    async def _compare(self) -> None:
        """Claim what is registered here and at home elsewhere; release what is here no more."""
        own = self._directory.chain.membership.prefix.lower()
        found = await self._host.read(lambda connection: identifiers.devices(connection, own))
        abroad = self._abroad(found)
        names = {name for name, _ in found if identifiers.prefix_of(name) in abroad}
        if self._known is None or names != self._known or self._all_anew:
            whole, self._all_anew = self._all_anew, False
            await self._host.turn(lambda turn: self._claim(turn, names, whole))
            self._known = names
            await self._note()

    def _claim(self, turn: Turn, names: set[str], whole: bool) -> None:
        known = claim_records.foreign_names(turn.connection)
        prefixes = {identifiers.prefix_of(name) for name in names} | {prefix for prefix, _ in known.values()}
        for prefix in sorted(prefixes):
            claimer = f"{self._directory.node}/{prefix}"
            devices = claim_records.foreign(turn.connection, claimer, prefix, turn.wall)
            mine = {name for name in names if identifiers.prefix_of(name) == prefix}
            before = {name for name, (of, _) in known.items() if of == prefix}
            claims = [devices.register(name) for name in sorted(mine - before)]
            claims += [devices.unregister(name) for name in sorted(before - mine)]
            stated = sorted(mine)[:_MOST_DEVICES]
            message = ClaimMessage(prefix, self._directory.node, "", tuple(claims[:_MOST_DEVICES]))
            if whole:
                # Beyond so many, claims are stated one by one.
                if len(mine) <= _MOST_DEVICES:
                    message = msgspec.structs.replace(message, claims=(), whole=devices.restate(stated))
                else:
                    claims = [devices.register(name) for name in sorted(mine)] + claims
                    message = msgspec.structs.replace(message, claims=tuple(claims[:_MOST_DEVICES]))
            claim_records.put_foreign(turn.connection, devices, prefix, mine | before)
            if message.claims or message.whole is not None:
                self._route_claim(turn, message)
            for start in range(_MOST_DEVICES, len(claims), _MOST_DEVICES):
                rest = tuple(claims[start : start + _MOST_DEVICES])
                self._route_claim(turn, ClaimMessage(prefix, self._directory.node, "", rest))

    async def _note(self) -> None:
        """Note which devices do not count here."""
        own = self._directory.chain.membership.prefix.lower()
        found = await self._host.read(lambda connection: identifiers.devices(connection, own))
        counts = await self._host.read(claim_records.foreign_names)
        abroad = self._abroad(found)
        elsewhere = frozenset(
            number
            for name, number in found
            if identifiers.prefix_of(name) in abroad and not counts.get(name, ("", False))[1]
        )
        if elsewhere != self.elsewhere:
            self.elsewhere = elsewhere
            self._changed()

    # Messages

    def received(self, turn: Turn, peer: str, topic: str, body: bytes) -> None:
        """Take a claim, an answer, or word of nodes that are gone."""
        if topic == CLAIM:
            message = unpack(body, ClaimMessage)
            self._check_way(peer, message.node)
            if len(message.claims) > _MOST_DEVICES:
                raise Refusal("too-many")
            self._route_claim(turn, message)
        elif topic == ANSWER:
            answer = unpack(body, AnswerMessage)
            self._check_way(peer, answer.home)
            self._route_answer(turn, answer)
        else:
            gone = unpack(body, Gone)
            if peer != self._directory.parent:
                for node in gone.nodes:
                    member, way = self._directory.member(node), self._directory.towards(node)
                    if member is not None and member.state is not NodeState.RETIRED and way != peer:
                        raise Refusal("not-below", "word of nodes elsewhere comes from above")
            self._forget(turn, gone.nodes, peer)

    def _check_way(self, peer: str, node: str) -> None:
        if peer != self._directory.parent and self._directory.towards(node) != peer:
            raise Refusal("not-below", "it speaks for a node that is not below it")

    def _route_claim(self, turn: Turn, message: ClaimMessage) -> None:
        home = message.home or self._home(message.prefix) or ""
        message = msgspec.structs.replace(message, home=home)
        if home == self._directory.node:
            self._decide(turn, message)
            return
        self._pass_on(turn, self._way(home) if home else self._directory.parent, CLAIM, pack(message))

    def _route_answer(self, turn: Turn, message: AnswerMessage) -> None:
        if message.node == self._directory.node:
            self._take_answer(turn, message)
            return
        towards = self._directory.towards(message.node)
        if towards is not None and self._directory.towards(message.home) is not None:
            # Where it turns down it is seen whether the home is one: below, nobody could tell.
            home = self._home(message.prefix)
            if home is not None and home != message.home:
                raise Refusal("not-the-home", "identifiers with this prefix are at home elsewhere")
        self._pass_on(turn, towards or self._directory.parent, ANSWER, pack(message))

    def _pass_on(self, turn: Turn, peer: str | None, topic: str, body: bytes) -> None:
        try:
            if peer is None:
                raise KeyError(topic)
            turn.send(peer, topic, body)
        except KeyError:
            # Claims are stated anew now and then.
            turn.then(lambda: self._counters.add("report_claims_lost"))

    def _decide(self, turn: Turn, message: ClaimMessage) -> None:
        """Decide on claims to devices that are at home here."""
        connection, claimer = turn.connection, f"{message.node}/{message.prefix}"
        names = {claim.device for claim in message.claims} | set(message.whole.devices if message.whole else ())
        of_claimer = (claim.claimer for claim in message.claims)
        if any(who != claimer for who in of_claimer) or (message.whole and message.whole.claimer != claimer):
            raise Refusal("malformed", "claims of another node")
        if any(identifiers.prefix_of(name) != message.prefix for name in names):
            raise Refusal("malformed", "a claim to a device with another prefix")
        if message.node == self._directory.node:
            return
        home = claim_records.home_of(
            connection, self._directory.node, turn.wall, names, claimer if message.whole else ""
        )
        answers: list[Answer] = []
        try:
            if message.whole is not None:
                names |= set(claim_records.claimed_by(connection, claimer))
                answers += home.restate(message.whole)
                claim_records.put_floor(connection, claimer, message.whole.revision)
            for claim in message.claims:
                answers += home.claim(claim)
        except ClaimError as error:
            raise Refusal(str(error.reason), str(error)) from None
        claim_records.put_home(connection, home, names)
        self._send_answers(turn, answers)

    def _send_answers(self, turn: Turn, answers: Iterable[Answer]) -> None:
        by_claimer: dict[str, list[Answer]] = {}
        for answer in answers:
            by_claimer.setdefault(answer.claimer, []).append(answer)
        for claimer, some in by_claimer.items():
            node, _, prefix = claimer.partition("/")
            for start in range(0, len(some), _MOST_DEVICES):
                part = tuple(some[start : start + _MOST_DEVICES])
                self._route_answer(turn, AnswerMessage(prefix, node, self._directory.node, part))

    def _take_answer(self, turn: Turn, message: AnswerMessage) -> None:
        claimer = f"{self._directory.node}/{message.prefix}"
        devices = claim_records.foreign(turn.connection, claimer, message.prefix, turn.wall)
        changed = [answer.device for answer in message.answers if devices.answer(answer)]
        claim_records.put_foreign(turn.connection, devices, message.prefix, [a.device for a in message.answers])
        if changed:
            turn.then(lambda: self._note_soon())

    def _note_soon(self) -> None:
        self._noting = asyncio.create_task(self._note_now(), name="devices that count")

    async def _note_now(self) -> None:
        with contextlib.suppress(Problem):
            await self._note()

    # At home: own devices come and go, nodes go

    async def _look_at_home(self) -> None:
        """Decide anew on claimed devices that were registered here, or are no more."""
        node = self._directory.node
        found = await self._host.read(
            lambda connection: [
                name
                for name, counted in claim_records.counted_elsewhere(connection)
                if identifiers.registered(connection, name) != (counted == node)
            ]
        )
        if found:
            await self._host.turn(lambda turn: self._decide_anew(turn, found))

    def _decide_anew(self, turn: Turn, names: Collection[str]) -> None:
        home = claim_records.home_of(turn.connection, self._directory.node, turn.wall, names)
        answers: list[Answer] = []
        for name in names:
            if identifiers.registered(turn.connection, name):
                answers += home.register(name)
            else:
                answers += home.unregister(name)
        claim_records.put_home(turn.connection, home, names)
        self._send_answers(turn, answers)

    def members_changed(self) -> None:
        """Look for nodes that were retired: whoever was their parent tells the tree."""
        before, self._members = self._members, self._ids()
        retired = [
            node
            for node in before - self._members
            if (member := self._directory.member(node)) is not None and member.state is NodeState.RETIRED
        ]
        if retired:
            self._host.submit(lambda turn: self._forget(turn, tuple(retired), ""))
        self._look.set()

    def _ids(self) -> set[str]:
        return {member.node for member in self._directory.descendants()}

    def _forget(self, turn: Turn, nodes: tuple[str, ...], peer: str) -> None:
        """Release what nodes claimed that are gone, and let it be known on all other sides."""
        for claimer in claim_records.claimers_of(turn.connection, nodes):
            home = claim_records.home_of(turn.connection, self._directory.node, turn.wall, (), claimer)
            names = claim_records.claimed_by(turn.connection, claimer)
            answers = home.remove_claimer(claimer)
            claim_records.put_home(turn.connection, home, names)
            self._send_answers(turn, answers)
        body = pack(Gone(nodes))
        sides = [self._directory.parent, *(child.node for child in self._directory.children())]
        for side in sides:
            if side is not None and side != peer and side not in nodes:
                with contextlib.suppress(KeyError):
                    turn.send(side, GONE, body)
