"""What all parts of the order engine of a node share: who it is, what it knows, and the host that runs it."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

import msgspec
from sqlalchemy import Connection

from gongfu.kernel.counters import Counters
from gongfu.tree.host.section import Host, Turn
from gongfu.tree.membership.keys import verify_bytes
from gongfu.tree.membership.refusals import Refused
from gongfu.tree.membership.types import Membership, NodeState
from gongfu.tree.nodes.directory import Directory
from gongfu.tree.orders import order_records
from gongfu.tree.orders.admission import Standing
from gongfu.tree.orders.effects import Audit
from gongfu.tree.orders.kinds import KindError, OrderKind, allow_list, checked
from gongfu.tree.orders.order_records import OrderRow
from gongfu.tree.orders.plugins import Driver, Probe
from gongfu.tree.orders.selection import Member, with_section
from gongfu.tree.orders.types import OrderDocument, decode_order

log = logging.getLogger(__name__)

DAY = 86_400_000_000_000
_MINUTE = 60_000_000_000
_DOCUMENTS = 256


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the order engine of a node.

    Attributes:
        keep: how long after its deadline an order that is over is kept, ns.
        driver_seconds: a driver that has not answered by then has failed.
        probe_seconds: a look that has not come back by then saw nothing.
        calls: drivers, and likewise probes, that run at once.
        unknown_orders: orders of which only registers have come.
        parked: registers that wait for the directory to know of their targets.
        parked_for: how long they wait, ns.
        gather_seconds: how long changes are gathered before they go up.
        disbelieved: what is not believed is noted so often a minute; more is only counted.
    """

    keep: int = 30 * DAY
    driver_seconds: float = 600.0
    probe_seconds: float = 60.0
    calls: int = 16
    unknown_orders: int = 10_000
    parked: int = 10_000
    parked_for: int = 5_000_000_000
    gather_seconds: float = 0.02
    disbelieved: int = 200


class Context:
    """Shared by the parts of one node's order engine.

    Args:
        directory: who is in the tree.
        kinds: all kinds this node knows; checked here (``KindError``).
        drivers: by name.
        probes: by name.
        limits: bounds.
        counters: of the process.
    """

    def __init__(
        self,
        directory: Directory,
        kinds: Iterable[OrderKind],
        drivers: Mapping[str, Driver],
        probes: Mapping[str, Probe],
        limits: Limits,
        counters: Counters,
    ) -> None:
        self.counters = counters
        self.directory = directory
        self._fixed: dict[str, OrderKind] = {kind.name: checked(kind) for kind in kinds}
        self.kinds = dict(self._fixed)
        self.drivers = drivers
        self.probes = probes
        self.limits = limits
        self._host: Host | None = None
        self._documents: dict[str, OrderDocument] = {}
        # What a probe that is not here could see: nothing, at once. Kinds that were withdrawn stay among them, so that
        # their orders come to an end.
        self._without_probe = {name: msgspec.structs.replace(kind, probe=None) for name, kind in self.kinds.items()}

    def offer(self, kinds: Iterable[OrderKind]) -> None:
        """Let these be the kinds known besides those given at first; others that were offered are withdrawn.

        Any thread may look at ``kinds`` meanwhile: it is replaced as a whole.

        Raises:
            KindError: one contradicts itself, or has the name of one that was given at first; nothing has changed then.
        """
        offered = {kind.name: checked(kind) for kind in kinds}
        if twice := sorted(offered.keys() & self._fixed.keys()):
            raise KindError(f"kind {twice[0]} is there already")
        without = {name: msgspec.structs.replace(kind, probe=None) for name, kind in offered.items()}
        self._without_probe = {**self._without_probe, **without}
        self.kinds = {**self._fixed, **offered}

    @property
    def host(self) -> Host:
        """The host that runs the engine; there from its start on."""
        if self._host is None:
            raise RuntimeError("not started")
        return self._host

    def attach(self, host: Host) -> None:
        """Note the host."""
        self._host = host

    @property
    def node(self) -> str:
        """Id of this node."""
        return self.directory.node

    def standing(self, connection: Connection) -> Standing:
        """Return what this node is and obeys now."""
        chain = self.directory.chain
        said = order_records.allowances(connection)
        allowed = allow_list(
            self.kinds, (name for name, yes in said.items() if yes), (name for name, yes in said.items() if not yes)
        )

        def verify(node: str, message: bytes, signature: bytes) -> bool:
            try:
                verify_bytes(chain.key_of(node), message, signature)
            except Refused:
                return False
            return True

        return Standing(
            member_of(chain.membership),
            {membership.node: membership.tier for membership in chain.memberships},
            self.kinds,
            allowed,
            verify,
            chain.state is NodeState.ACTIVE,
        )

    def members(self) -> list[Member]:
        """Return this node and all below it, which may be targets."""
        own = self.directory.chain.membership
        return [member_of(own), *map(member_of, self.directory.descendants())]

    def document(self, row: OrderRow) -> OrderDocument | None:
        """Return the document of an order; None when it has not come or is not issued."""
        if row is None or row.body is None:
            return None
        # By digest: what a transaction that is rolled back has put here is right all the same.
        found = self._documents.get(row.digest)
        if found is None:
            if len(self._documents) >= _DOCUMENTS:
                self._documents.clear()
            found = self._documents[row.digest] = decode_order(row.body)
        return found

    def probed_kind(self, name: str) -> OrderKind | None:
        """Return a kind as far as this node can look at its effects; one whose probe is not here has none."""
        kind = self.kinds.get(name)
        if kind is not None and (kind.probe is None or kind.probe.name in self.probes):
            return kind
        return self._without_probe.get(name)

    def child_of(self, node: str) -> str:
        """Return the child through which a node is reached, the node itself for this one, "" when it is not below."""
        return node if node == self.node else self.directory.towards(node) or ""

    def note(self, turn: Turn, *events: Audit) -> None:
        """Note what happened to an order, so that it is shown with it."""
        order_records.add_events(turn.connection, events)

    def disbelieve(self, turn: Turn, peer: str, event: Audit) -> None:
        """Note what is not believed, with the order and in the node's audit; nothing else comes of it."""
        turn.then(lambda: self.counters.add(f"tree_orders_disbelieved.{event.reason}"))
        noted = order_records.count_events(turn.connection, event.event, turn.now - _MINUTE)
        if noted >= self.limits.disbelieved:
            turn.then(lambda: self.counters.add("tree_orders_events_shed.disbelieved-full"))
            return
        order_records.add_events(turn.connection, [event])
        turn.audit(
            "order.disbelieve",
            f"order/{event.order}",
            f"{event.reason}: said to be of {event.who or 'nobody'}, from {peer}; {event.detail}"[:1000].replace(
                "\0", ""
            ),
        )


def member_of(membership: Membership) -> Member:
    """Return what a selection may ask of a node."""
    attributes = membership.attributes
    return Member(
        membership.node,
        membership.path,
        membership.tier,
        attributes.region,
        with_section(attributes.industry),
        attributes.size,
        attributes.free,
    )


class Alarm:
    """Calls something at the earliest of the times it was told, in the parent's time. On the event loop."""

    def __init__(self, context: Context, ring: Callable[[], None]) -> None:
        self._context = context
        self._ring = ring
        self._cancel: Callable[[], None] | None = None
        self._at = 0

    def set(self, when: int | None) -> None:
        """Ring at that time, or earlier if an earlier one was told."""
        if when is None or (self._cancel is not None and self._at <= when):
            return
        self.clear()
        self._at = when
        self._cancel = self._context.host.at(when, self._rung)

    def clear(self) -> None:
        """Do not ring."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None

    def _rung(self) -> None:
        self._cancel = None
        self._ring()


class Gathering:
    """Does something soon, once for many requests. On the event loop."""

    def __init__(self, seconds: float, action: Callable[[], None]) -> None:
        self._seconds = seconds
        self._action = action
        self._handle: asyncio.TimerHandle | None = None

    def soon(self) -> None:
        """Ask for it."""
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_later(self._seconds, self._now)

    def stop(self) -> None:
        """Do not do it any more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _now(self) -> None:
        self._handle = None
        self._action()
