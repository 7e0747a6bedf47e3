"""Reports as a section of the tree's host: kinds, cells, live figures, claims of devices, signed records."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from typing import Protocol

from sqlalchemy import Connection

from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem
from gongfu.tree.host.section import Command, Host, Refusal, Turn
from gongfu.tree.nodes.directory import Directory
from gongfu.tree.reports import cell_records, messages
from gongfu.tree.reports.cells import Cells
from gongfu.tree.reports.commands import ReportCommands
from gongfu.tree.reports.device_claims import DeviceClaims
from gongfu.tree.reports.flow import Flow
from gongfu.tree.reports.identifier_report import IDENTIFIERS_DAILY
from gongfu.tree.reports.kind_exchange import KindChange, KindExchange
from gongfu.tree.reports.kind_ledger import KindLedger
from gongfu.tree.reports.kind_records import CELLS, Known
from gongfu.tree.reports.kinds import ReportKind
from gongfu.tree.reports.live_figures import LiveStatements
from gongfu.tree.reports.live_report import NODE_LIVE, LiveDoc, LiveSource, live_of
from gongfu.tree.reports.live_requests import LiveRequests
from gongfu.tree.reports.neighbourhood import counted_children
from gongfu.tree.reports.pace import DEFAULT_PACE, Pace
from gongfu.tree.reports.publications import Publications
from gongfu.tree.reports.signed_records import SignedRecords

_NOTICE_S = 0.05

log = logging.getLogger(__name__)


class _Part(Protocol):
    def received(self, turn: Turn, peer: str, topic: str, body: bytes) -> None: ...


class ReportsSection:
    """Implements ``Section``.

    Args:
        directory: of the node.
        source: the node's own live figures.
        counters: of the role.
        pace: how often.
    """

    def __init__(
        self,
        directory: Directory,
        source: LiveSource,
        *,
        counters: Counters | None = None,
        pace: Pace = DEFAULT_PACE,
    ) -> None:
        self._directory = directory
        self._counters = counters or Counters()
        self.kinds = KindExchange(directory, [NODE_LIVE, IDENTIFIERS_DAILY], self._counters, self._kinds_changed)
        self.flow = Flow(directory, pace, self._counters, self._cells_changed)
        self.claims = DeviceClaims(directory, pace, self._counters, self._look)
        self.figures = LiveStatements(source, directory, self.flow, pace, lambda: self.claims.elsewhere)
        self.requests = LiveRequests(directory, self._counters, self._own_live)
        self.records = SignedRecords(directory, self.kinds, self._counters)
        self.publications = Publications(lambda kind, period: self.flow.books[kind].ledger.read(period))
        self._commands = ReportCommands(directory, self.kinds, self.flow, self.records, self.publications)
        self._parts: dict[str, _Part] = {
            messages.STATEMENT: self.flow,
            messages.MISSING: self.flow,
            messages.KINDS: self.kinds,
            messages.LIVE_ASK: self.requests,
            messages.LIVE_ANSWER: self.requests,
            messages.CLAIM: self.claims,
            messages.ANSWER: self.claims,
            messages.GONE: self.claims,
            messages.RECORD: self.records,
            messages.RECORD_POSITIONS: self.records,
            messages.RECORDS_ASK: self.records,
        }
        self._children: set[str] = set()
        self._parent: str | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._noticing: asyncio.TimerHandle | None = None
        self._running = False

    # Section

    @property
    def topics(self) -> Collection[str]:
        """The topics of reports."""
        return self._parts.keys()

    def received(self, turn: Turn, peer: str, topic: str, body: bytes) -> None:
        """Hand a message to its part."""
        if not self._running:
            raise Refusal("not-started")
        self._parts[topic].received(turn, peer, topic, body)

    def restate(self, turn: Turn, peer: str) -> None:
        """Tell a child kinds and what is here of its records; tell the parent everything anew."""
        if peer == self._directory.parent:
            turn.then(self.flow.begin_all_anew)
            turn.then(self.claims.claim_all_anew)
            turn.send(peer, messages.RECORDS_ASK, b"")
            return
        self.kinds.tell(turn, peer)
        self.records.tell(turn, peer)

    def link_changed(self, peer: str, up: bool) -> None:
        """A link came up or went down."""
        self.flow.link_changed(peer)

    def commands(self) -> Sequence[Command]:
        """Return what the API asks for."""
        return self._commands.all()

    async def start(self, host: Host) -> None:
        """Begin with what is stored."""
        self._host = host
        await self.kinds.start(host)
        kinds = [known for known in self.kinds.known.values() if isinstance(known.kind, ReportKind)]

        def load(connection: Connection) -> dict[str, KindLedger]:
            return {known.kind.name: self._load(connection, known) for known in kinds}

        books = await host.read(load)
        self.records.start(host)
        self.publications.start(host)
        self.requests.start(host)
        self._commands.start(host)
        await self.claims.start(host)
        self._children = counted_children(self._directory)
        self._parent = self._directory.parent
        self._running = True
        await self.flow.start(host, books, {NODE_LIVE.name})
        await self.figures.start(host)
        self._unwatch = self._directory.watch(self._neighbours_changed)

    async def stop(self) -> None:
        """End."""
        if not self._running:
            return
        self._running = False
        self._unwatch()
        if self._noticing is not None:
            self._noticing.cancel()
        self.requests.stop()
        await self.figures.stop()
        await self.claims.stop()
        await self.flow.stop()
        for task in tuple(self._tasks):
            task.cancel()

    # Own cells

    async def state(self, kind: ReportKind, period: int, cells: Cells) -> bool:
        """State all own cells of a period of a built-in kind; return whether a total changed.

        Raises:
            CellError: the cells are wrong.
            LedgerError: a total would be out of range.
            Problem: 503, they could not be stored.
        """
        return await self._commands.store(kind, period, cells)

    def has_own(self, kind: str, period: int) -> bool:
        """Return whether own cells of a period were stated."""
        book = self.flow.books.get(kind)
        return book is not None and period in book.ledger.periods_of(book.ledger.node)

    # Live figures

    def live_of(self, node: str) -> LiveDoc | None:
        """Return the live figures of a node's subtree without waiting: its own, a child's, or what was just learnt."""
        return self.requests.known(node)

    async def live(self, nodes: Collection[str]) -> dict[str, LiveDoc]:
        """Return the live figures of the subtrees of some nodes; who cannot be reached now is not in it."""
        return await self.requests.live(nodes)

    def _own_live(self, node: str) -> LiveDoc | None:
        book = self.flow.books.get(NODE_LIVE.name)
        return live_of(book.ledger, node, self._host.now()) if book is not None else None

    def _look(self) -> None:
        self.figures.look()

    # Changes

    def _load(self, connection: Connection, known: Known) -> KindLedger:
        kind = known.kind
        if not isinstance(kind, ReportKind):
            raise TypeError(f"{kind.name} has no cells")
        book, unreadable = cell_records.load(connection, kind, known.declared_by, self._directory.node)
        if unreadable:
            self._counters.add("reports_unreadable", unreadable)
        return book

    def _cells_changed(self, kinds: set[str]) -> None:
        self._host.nudge("reports", *(["nodes"] if NODE_LIVE.name in kinds else []))

    def _neighbours_changed(self) -> None:
        # Thousands of nodes may join in a second: what the directory says then is looked at together.
        if self._noticing is None:
            self._noticing = asyncio.get_running_loop().call_later(_NOTICE_S, self._notice)

    def _notice(self) -> None:
        self._noticing = None
        children = counted_children(self._directory)
        for child in children - self._children:
            self.records.ask(child)
        self._children = children
        if self._parent != self._directory.parent:
            self._parent = self._directory.parent
            self.claims.claim_all_anew()
        self.claims.members_changed()
        self.flow.neighbours_changed()

    def _kinds_changed(self, change: KindChange) -> None:
        for name in change.gone:
            self.flow.remove(name)
        fresh: list[Known] = []
        for known in change.put:
            kind, name = known.kind, known.kind.name
            book = self.flow.books.get(name)
            if known.form != CELLS:
                self.flow.remove(name)
            elif name in change.emptied and isinstance(kind, ReportKind):
                self.flow.put(name, KindLedger(kind, known.declared_by, self._directory.node))
            elif book is not None and isinstance(kind, ReportKind):
                self.flow.put(name, book.evolved(kind))
            else:
                fresh.append(known)
        task = asyncio.create_task(self._take_up(fresh, change), name="new kinds")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._host.nudge("reports")

    async def _take_up(self, fresh: Sequence[Known], change: KindChange) -> None:
        """Bring back what is stored of kinds, and ask for what was said of them before they were known."""
        try:
            for known in fresh:
                book = await self._host.read(lambda connection, known=known: self._load(connection, known))
                self.flow.put(known.kind.name, book)
            names = [known.kind.name for known in change.put]
            found = await self._host.turn(lambda turn: cell_records.now_known(turn.connection, names))
            self.flow.ask_for(found)
            if any(known.form != CELLS for known in change.put):
                await self.records.send_all()
        except Problem as problem:
            log.warning("new kinds wait: %s", problem.detail or problem.title)
