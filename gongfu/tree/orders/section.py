"""The order engine of a node as a section of the tree's host (docs/tree.md, Orders at work)."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Subject
from gongfu.tree.host.section import Command, Host, Turn
from gongfu.tree.nodes.directory import Directory
from gongfu.tree.orders import messages, order_records
from gongfu.tree.orders.carrying_out import CarryingOut
from gongfu.tree.orders.clocks import Clocks
from gongfu.tree.orders.context import Context, Limits, log
from gongfu.tree.orders.documents import (
    AllowRequest,
    ApproveRequest,
    ChangeRequest,
    DraftRequest,
    EventList,
    EventsRequest,
    KindView,
    ListRequest,
    OrderList,
    OrderRequest,
    OrderView,
    PreviewView,
    ReasonRequest,
    TargetList,
    TargetsRequest,
)
from gongfu.tree.orders.issuing import Issuing
from gongfu.tree.orders.kinds import OrderKind
from gongfu.tree.orders.plugins import Driver, Probe
from gongfu.tree.orders.probing import Probing
from gongfu.tree.orders.recovering import Recovering
from gongfu.tree.orders.register_book import RegisterBook
from gongfu.tree.orders.register_inbox import RegisterInbox
from gongfu.tree.orders.register_intake import RegisterIntake
from gongfu.tree.orders.relaying import Relaying
from gongfu.tree.orders.rerouting import Rerouting
from gongfu.tree.orders.showing import Showing

_FORGET_SECONDS = 3600.0
_DEFAULT_LIMITS = Limits()


class OrdersSection:
    """Orders down, registers up."""

    def __init__(
        self,
        directory: Directory,
        kinds: Iterable[OrderKind],
        drivers: Mapping[str, Driver],
        probes: Mapping[str, Probe],
        *,
        limits: Limits = _DEFAULT_LIMITS,
        counters: Counters | None = None,
    ) -> None:
        """Make the engine of a node.

        Args:
            directory: who is in the tree.
            kinds: all kinds the node knows.
            drivers: by name, as kinds name them.
            probes: by name, as kinds name them.
            limits: bounds.
            counters: of the process.

        Raises:
            KindError: a kind contradicts itself.
        """
        context = Context(directory, kinds, drivers, probes, limits, counters or Counters())
        self._context = context
        self._probing = Probing(context)
        self._book = RegisterBook(context, self._probing.alarm)
        self._probing.attach(self._book)
        self._carrying_out = CarryingOut(context, self._book)
        self._relaying = Relaying(context, self._book, self._carrying_out)
        self._clocks = Clocks(context)
        self._recovering = Recovering(context, self._book, self._clocks)
        self._intake = RegisterIntake(context, self._book, self._carrying_out, self._recovering)
        self._inbox = RegisterInbox(context, self._intake)
        self._rerouting = Rerouting(context, self._book, self._relaying, self._intake)
        self._issuing = Issuing(context, self._relaying, self._clocks)
        self._showing = Showing(context)
        self._takers: dict[str, Callable[[Turn, str, bytes], None]] = {
            messages.ORDER: self._relaying.order_received,
            messages.REVOCATION: self._relaying.revocation_received,
            messages.REGISTERS: self._inbox.received,
            messages.REMEMBER: self._intake.remembered,
            messages.WANT: self._recovering.wanted,
            messages.COPY: self._recovering.copied,
        }
        self._forgetting: asyncio.TimerHandle | None = None

    # As a section.

    @property
    def topics(self) -> Collection[str]:
        """Topics of its messages."""
        return tuple(self._takers)

    def received(self, turn: Turn, peer: str, topic: str, body: bytes) -> None:
        """Take a message of a neighbour."""
        self._takers[topic](turn, peer, body)

    def restate(self, turn: Turn, peer: str) -> None:
        """Tell the parent all registers, or a child its registers, then revocations, then orders."""
        directory = self._context.directory
        # A new neighbour may not be in the directory yet: it is told as a parent and as a child then.
        if directory.towards(peer) is None:
            self._book.tell_all(turn)
        if peer != directory.parent:
            self._relaying.restate(turn, peer)

    def link_changed(self, peer: str, up: bool) -> None:
        """Registers go up while the link to the parent is up."""
        if peer == self._context.directory.parent:
            self._book.link_changed(up)

    async def start(self, host: Host) -> None:
        """Go on with what was interrupted."""
        self._context.attach(host)
        await self._rerouting.start()
        self._inbox.start()
        await self._carrying_out.start()
        await self._probing.start()
        await self._clocks.start()
        self._forget_later()

    async def stop(self) -> None:
        """End drivers, probes and clocks."""
        if self._forgetting is not None:
            self._forgetting.cancel()
        self._rerouting.stop()
        self._clocks.stop()
        self._book.stop()
        await self._inbox.stop()
        await self._probing.stop()
        await self._carrying_out.stop()

    def offer(self, kinds: Iterable[OrderKind]) -> None:
        """Let these be the kinds known besides those given at first; others that were offered are withdrawn.

        Orders of a withdrawn kind are refused from now on; those that are being verified end as unverifiable. May be
        called before ``start``; on the event loop.

        Raises:
            KindError: one contradicts itself, or has the name of one that was given at first; nothing has changed then.
        """
        self._context.offer(kinds)

    # Commands.

    def commands(self) -> Sequence[Command]:
        """What the API asks for."""
        return (
            Command("order-kinds", None, self.kinds),
            Command("order-allow", AllowRequest, self.allow),
            Command("order-preview", DraftRequest, self.preview),
            Command("order-draft", DraftRequest, self.draft),
            Command("order-change", ChangeRequest, self.change),
            Command("order-approve", ApproveRequest, self.approve),
            Command("order-issue", OrderRequest, self.issue),
            Command("order-discard", ReasonRequest, self.discard),
            Command("order-revoke", ReasonRequest, self.revoke),
            Command("order-accept", OrderRequest, self.accept),
            Command("order-refuse", ReasonRequest, self.refuse),
            Command("order-list", ListRequest, self.orders),
            Command("order-show", OrderRequest, self.show),
            Command("order-targets", TargetsRequest, self.targets),
            Command("order-audit", EventsRequest, self.events),
        )

    async def kinds(self, subject: Subject, _: None = None) -> list[KindView]:
        """Return the kinds this node knows."""
        return await self._context.host.read(self._showing.kinds)

    async def allow(self, subject: Subject, request: AllowRequest) -> list[KindView]:
        """Say whether this node obeys a kind."""
        if request.kind not in self._context.kinds:
            raise invalid(f"there is no kind {request.kind[:60]!r} here")

        def allow(turn: Turn) -> None:
            order_records.allow(turn.connection, request.kind, request.allowed, subject.name, turn.now)
            said = {True: "obeyed", False: "not obeyed", None: "as the kind says"}[request.allowed]
            turn.audit("order.allow", f"order-kind/{request.kind}", said, subject=subject)

        await self._context.host.turn(allow)
        return await self.kinds(subject)

    async def preview(self, subject: Subject, request: DraftRequest) -> PreviewView:
        """Return whom an order would reach."""
        host = self._context.host
        return await host.read(lambda connection: self._issuing.preview(connection, request, host.now()))

    async def draft(self, subject: Subject, request: DraftRequest) -> OrderView:
        """Begin an order."""
        return await self._changed(lambda turn: self._issuing.draft(turn, subject, request))

    async def change(self, subject: Subject, request: ChangeRequest) -> OrderView:
        """Write another content."""
        return await self._changed(lambda turn: self._issuing.change(turn, subject, request.id, request.draft))

    async def approve(self, subject: Subject, request: ApproveRequest) -> OrderView:
        """Say yes to a text."""
        return await self._changed(lambda turn: self._issuing.approve(turn, subject, request.id, request.digest))

    async def issue(self, subject: Subject, request: OrderRequest) -> OrderView:
        """Sign an order and send it out."""
        return await self._changed(lambda turn: self._issuing.issue(turn, subject, request.id))

    async def discard(self, subject: Subject, request: ReasonRequest) -> OrderView:
        """Give up an order that was not issued."""
        return await self._changed(lambda turn: self._issuing.discard(turn, subject, request.id, request.reason))

    async def revoke(self, subject: Subject, request: ReasonRequest) -> OrderView:
        """Take an issued order back."""
        return await self._changed(lambda turn: self._issuing.revoke(turn, subject, request.id, request.reason))

    async def accept(self, subject: Subject, request: OrderRequest) -> OrderView:
        """Say yes for this node as a target."""

        def accept(turn: Turn) -> str:
            turn.audit("order.accept", f"order/{request.id}", subject=subject)
            self._carrying_out.accept(turn, request.id, subject.name)
            return request.id

        return await self._changed(accept)

    async def refuse(self, subject: Subject, request: ReasonRequest) -> OrderView:
        """Say no for this node as a target."""

        def refuse(turn: Turn) -> str:
            turn.audit("order.refuse", f"order/{request.id}", request.reason[:1000].replace("\0", ""), subject=subject)
            self._carrying_out.refuse(turn, request.id, subject.name, request.reason[:1000])
            return request.id

        return await self._changed(refuse)

    async def orders(self, subject: Subject, request: ListRequest) -> OrderList:
        """Return a page of orders."""
        host = self._context.host
        return await host.read(lambda connection: self._showing.orders(connection, request, host.now()))

    async def show(self, subject: Subject, request: OrderRequest) -> OrderView:
        """Return an order."""
        return await self._shown(request.id)

    async def targets(self, subject: Subject, request: TargetsRequest) -> TargetList:
        """Return a page of the targets of an order."""
        host = self._context.host
        return await host.read(lambda connection: self._showing.targets(connection, request, host.now()))

    async def events(self, subject: Subject, request: EventsRequest) -> EventList:
        """Return what happened to an order at this node."""
        return await self._context.host.read(lambda connection: self._showing.events(connection, request))

    async def _changed(self, work: Callable[[Turn], str]) -> OrderView:
        return await self._shown(await self._context.host.turn(work))

    async def _shown(self, order_id: str) -> OrderView:
        host = self._context.host
        return await host.read(lambda connection: self._showing.order(connection, order_id, host.now()))

    # Forgetting.

    def _forget_later(self) -> None:
        self._forgetting = asyncio.get_running_loop().call_later(_FORGET_SECONDS, self._forget)

    def _forget(self) -> None:
        self._context.host.submit(self.forget)
        self._forget_later()

    def forget(self, turn: Turn) -> None:
        """Delete some of the orders that are over and kept long enough."""
        ids = order_records.forget(turn.connection, turn.now - self._context.limits.keep)
        if ids:
            log.info("%s orders were over and are forgotten", len(ids))
