"""The section of identifier services: topics ``identifier-service`` (up), ``identifier-above`` (down) and
``identifier-change`` (both ways).

A child states the service of its node, and of nodes below it that kept a prefix which only an ancestor can delegate. A
parent tells the service that resolution begins with: that of the highest node that has one. Both are registers: the
last one holds, and it is said again when a link is restored. Changes are news: who was away forgets its caches as well.
"""

import contextlib
from collections.abc import Callable, Collection, Sequence

import msgspec

from gongfu.identify.handle.names import HandleName
from gongfu.identify.resolver.caches import prefix_asked
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem, invalid
from gongfu.kernel.permissions import Subject
from gongfu.tree.host.section import Command, Host, Refusal, Turn
from gongfu.tree.nodes.directory import Directory
from gongfu.tree.services import records
from gongfu.tree.services.messages import (
    MOST_SERVICES,
    MessageError,
    PrefixesChanged,
    StatedService,
    StatedServices,
    decode_values,
    encode,
    read_changes,
    read_services,
    read_values,
)
from gongfu.tree.services.records import ABOVE

SERVICE, SERVICE_ABOVE, CHANGE = "identifier-service", "identifier-above", "identifier-change"
NUDGE = "identifier-services"
_TOGETHER_NS = 200_000_000
# Of services of nodes that kept a prefix, in one message.
_STATED_BYTES = 128 * 1024


class OwnService(msgspec.Struct, frozen=True):
    """What the identifier service of this node says of itself: values in the bytes of the Handle protocol."""

    values: tuple[bytes, ...] = ()


class ServicesSection:
    """Implements ``Section``."""

    def __init__(
        self, directory: Directory, changed: Callable[[PrefixesChanged], None], counters: Counters | None = None
    ) -> None:
        """Make it.

        Args:
            directory: who is around.
            changed: told, on the event loop, what the caches of this node must forget.
            counters: ``identifier_changes_refused``, ``identifier_services_dropped.<reason>``.
        """
        self._directory = directory
        self._changed = changed
        self._counters = Counters() if counters is None else counters
        self._host: Host | None = None
        self._unwatch: Callable[[], None] = lambda: None
        self._telling = False

    @property
    def topics(self) -> Collection[str]:
        """The topics of messages."""
        return (SERVICE, SERVICE_ABOVE, CHANGE)

    def received(self, turn: Turn, peer: str, topic: str, body: bytes) -> None:
        """Take a message of a neighbour.

        Raises:
            Refusal: ``way-wrong``, ``service-malformed``, ``node-wrong``, ``prefix-wrong``.
        """
        try:
            if topic == SERVICE:
                self._take_services(turn, peer, read_services(body))
            elif topic == SERVICE_ABOVE:
                self._take_above(turn, peer, read_values(body))
            else:
                self._take_change(turn, peer, read_changes(body))
        except MessageError as error:
            raise Refusal("service-malformed", str(error)[:200]) from None

    def _take_services(self, turn: Turn, peer: str, stated: StatedServices) -> None:
        directory = self._directory
        if directory.towards(peer) != peer:
            raise Refusal("way-wrong", "services are stated by children")
        said = {service.node: service.values for service in stated.services}
        for node in said:
            if directory.towards(node) != peer:
                raise Refusal("node-wrong", f"{node} is not reached through {peer}")
        known = records.services(turn.connection)
        gone = {node: tuple[bytes, ...]() for node in known if node != ABOVE and directory.towards(node) == peer}
        changed = {node: values for node, values in {**gone, **said}.items() if known.get(node, ()) != values}
        if not changed:
            return
        records.put_services(turn.connection, changed, turn.wall)
        turn.audit("identifiers.services-stated", f"node/{peer}", f"{len(changed)} changed")
        if any(self._is_kept(node) for node in changed):
            self._state(turn)
        turn.then(lambda: self._need().nudge(NUDGE))

    def _take_above(self, turn: Turn, peer: str, values: tuple[bytes, ...]) -> None:
        if peer != self._directory.parent:
            raise Refusal("way-wrong", "the service above is told by the parent")
        if records.services(turn.connection).get(ABOVE, ()) == values:
            return
        records.put_services(turn.connection, {ABOVE: values}, turn.wall)
        self._tell_children(turn)
        turn.then(lambda: self._need().nudge(NUDGE))

    def _take_change(self, turn: Turn, peer: str, change: PrefixesChanged) -> None:
        if peer != self._directory.parent and not self._may_change(peer, change):
            self._counters.add("identifier_changes_refused")
            raise Refusal("prefix-wrong", "a node says what has changed of its own prefixes")
        self._pass_on(turn, change, peer)
        turn.then(lambda: self._changed(change))

    def _may_change(self, peer: str, change: PrefixesChanged) -> bool:
        """Return whether a child may say so: it concerns a prefix of a node that is reached through it."""
        directory = self._directory
        own = [m.prefix for m in directory.descendants() if m.prefix and directory.towards(m.node) == peer]
        names = (HandleName(*handle.partition("/")[::2]) for handle in change.handles)
        named = [*change.prefixes, *(prefix_asked(name) for name in names)]
        return all(any(f"{name.lower()}.".startswith(f"{prefix}.") for prefix in own) for name in named)

    def _pass_on(self, turn: Turn, change: PrefixesChanged, source: str) -> None:
        body = encode(change)
        parent = self._directory.parent
        for peer in (*((parent,) if parent else ()), *(child.node for child in self._directory.children())):
            if peer != source:
                _send(turn, peer, CHANGE, body)

    # Stating and telling.

    def _is_kept(self, node: str) -> bool:
        member = self._directory.member(node)
        return member is not None and member.grant is not None

    def _state(self, turn: Turn) -> None:
        """Tell the parent all that it must know."""
        parent = self._directory.parent
        if parent is None:
            return
        own, known = self._directory.node, records.services(turn.connection)
        stated, size = [StatedService(own, known.get(own, ()))], 0
        for node, values in sorted(known.items()):
            if node in (ABOVE, own) or not self._is_kept(node):
                continue
            size += sum(map(len, values))
            if size > _STATED_BYTES or len(stated) == MOST_SERVICES:
                self._counters.add("identifier_services_dropped.too-many")
                break
            stated.append(StatedService(node, values))
        _send(turn, parent, SERVICE, encode(StatedServices(tuple(stated))))

    def _tell_children(self, turn: Turn) -> None:
        body = encode(self._first(turn))
        for child in self._directory.children():
            _send(turn, child.node, SERVICE_ABOVE, body)

    def _first(self, turn: Turn) -> tuple[bytes, ...]:
        """Return the service that resolution begins with for nodes below: the highest."""
        known = records.services(turn.connection)
        above = known.get(ABOVE, ()) if self._directory.parent is not None else ()
        return above or known.get(self._directory.node, ())

    def restate(self, turn: Turn, peer: str) -> None:
        """State to the parent, tell a child; whatever was missed is forgotten here."""
        if peer == self._directory.parent:
            self._state(turn)
        elif self._directory.towards(peer) == peer:
            turn.send(peer, SERVICE_ABOVE, encode(self._first(turn)))

    def link_changed(self, peer: str, up: bool) -> None:
        """Forget all caches when the parent is back: nobody knows what was said meanwhile."""
        if up and peer == self._directory.parent:
            self._changed(PrefixesChanged(prefixes=("",)))

    # Commands.

    def commands(self) -> Sequence[Command]:
        """What the identifier service of this node says."""
        return (
            Command("identifier-service", OwnService, self._own),
            Command("identifier-change", PrefixesChanged, self._announce),
        )

    async def _own(self, _: Subject, service: OwnService) -> None:
        try:
            decode_values(service.values)
        except MessageError as error:
            raise invalid(str(error)) from None
        await self._need().turn(lambda turn: self._take_own(turn, service.values))

    def _take_own(self, turn: Turn, values: tuple[bytes, ...]) -> None:
        own = self._directory.node
        if records.services(turn.connection).get(own, ()) == values:
            return
        records.put_services(turn.connection, {own: values}, turn.wall)
        turn.audit("identifiers.service-changed", f"node/{own}")
        self._state(turn)
        self._tell_children(turn)
        turn.then(lambda: self._need().nudge(NUDGE))

    async def _announce(self, _: Subject, change: PrefixesChanged) -> None:
        await self._need().turn(lambda turn: self._pass_on(turn, change, ""))

    async def start(self, host: Host) -> None:
        """Begin: when nodes have come, gone or moved, what they must know is told again."""
        self._host = host
        self._unwatch = self._directory.watch(self._members_changed)

    async def stop(self) -> None:
        """End."""
        self._unwatch()

    def _need(self) -> Host:
        if self._host is None:
            raise Problem(503, "unavailable", "Not available now", "the tree is starting")
        return self._host

    def _members_changed(self) -> None:
        """Forget the services of nodes that are below no more; many changes become one turn."""
        if self._telling:
            return
        self._telling = True

        def work(turn: Turn) -> None:
            own, directory = self._directory.node, self._directory
            known = records.services(turn.connection)
            gone = [node for node in known if node not in (ABOVE, own) and directory.towards(node) is None]
            if directory.parent is None and ABOVE in known:
                gone.append(ABOVE)
            if gone:
                records.forget_services(turn.connection, gone)
                self._state(turn)
                turn.then(lambda: self._need().nudge(NUDGE))

        host = self._need()

        def begin() -> None:
            self._telling = False
            host.submit(work)

        host.at(host.now() + _TOGETHER_NS, begin)


def _send(turn: Turn, peer: str, topic: str, body: bytes) -> None:
    """Send to a neighbour; one without a link yet is told all when it gets one."""
    with contextlib.suppress(KeyError):
        turn.send(peer, topic, body)
