"""Cells on the move: statements of children into ledgers, changes of ledgers to the parent."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping

from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem
from gongfu.tree.host.section import Host, Refusal, Turn
from gongfu.tree.nodes.directory import Directory
from gongfu.tree.reports import cell_records
from gongfu.tree.reports.cell_records import LEFT, SAID
from gongfu.tree.reports.cells import Cells
from gongfu.tree.reports.folding import Folding
from gongfu.tree.reports.kind_ledger import KindLedger, Taken
from gongfu.tree.reports.leaving import LeavingError
from gongfu.tree.reports.messages import MISSING, STATEMENT, Missing, Said, pack, unpack
from gongfu.tree.reports.neighbourhood import counted_children, tier_of
from gongfu.tree.reports.pace import SECOND, Pace, ended, waited
from gongfu.tree.reports.uplink import Uplink
from gongfu.tree.reports.wire import CodecError, unpack_batch

log = logging.getLogger(__name__)

EPOCHS = "epoch "
_TICK_S = 0.25
_REST_S = 10.0


class Flow:
    """Ledgers of all kinds, filled by the children's statements, and the streams to the parent.

    In memory on the event loop; what a turn of ``received`` stores is applied after its commit.

    Args:
        directory: of the node.
        pace: how often.
        counters: of the role.
        changed: called with the kinds whose totals changed.
    """

    def __init__(
        self, directory: Directory, pace: Pace, counters: Counters, changed: Callable[[set[str]], None]
    ) -> None:
        self._directory = directory
        self._pace = pace
        self._counters = counters
        self._changed = changed
        self.books: dict[str, KindLedger] = {}
        # Kinds whose stream waits for the first own figures, so that a restart does not tell a total without them.
        self.held: set[str] = set()
        self._uplinks: dict[str, Uplink] = {}
        self._epochs: dict[str, int] = {}
        self._since = 0
        self._told: tuple[str | None, str, bool] = (None, "", False)
        # (kind, child) → when to ask again, and after how long then.
        self._asked: dict[tuple[str, str], tuple[float, float]] = {}
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        # While it is stored who is told from when on, nobody is.
        self._moving: asyncio.Task[None] | None = None
        self._folding: Folding

    async def start(self, host: Host, kinds: Mapping[str, KindLedger], held: set[str]) -> None:
        """Begin with the ledgers as they were stored."""
        self._host = host
        self.books = dict(kinds)
        self.held = set(held)
        self._epochs = await host.read(lambda c: cell_records.numbers(c, EPOCHS))
        self._folding = Folding(host, self._pace, self.books)
        self._folding.unfolded = await host.read(cell_records.unfolded_bytes)
        told = await host.read(cell_records.parent_told)
        if told is not None and told[0] == self._directory.parent:
            self._since = told[1]
            self._told = (told[0], "", False)
        self.neighbours_changed()
        self._task = asyncio.create_task(self._run(), name="reports")

    async def stop(self) -> None:
        """End."""
        self._stopping = True
        self._wake.set()
        await ended(self._moving, self._task)

    def wake(self) -> None:
        """Something is to be told."""
        self._wake.set()

    # What neighbours say

    def received(self, turn: Turn, peer: str, topic: str, body: bytes) -> None:
        """Take a statement of a child, or the parent's request for everything."""
        if topic == MISSING:
            if peer != self._directory.parent:
                raise Refusal("not-the-parent")
            asked = unpack(body, Missing)
            turn.then(lambda: self._begin_anew(asked))
            return
        if peer not in counted_children(self._directory):
            raise Refusal("not-a-child", "reports of an active child are taken only")
        said = unpack(body, Said)
        try:
            wire, _ = unpack_batch(said.data)
        except CodecError as error:
            raise Refusal("damaged", str(error)) from None
        if wire.kind != said.kind:
            raise Refusal("malformed", "a batch of another kind")
        heard = turn.now
        if said.kind not in self.books:
            cell_records.count_unknown(turn.connection, said.kind, peer, heard)
            turn.then(lambda: self._counters.add("reports_unknown_kind"))
            return
        number = cell_records.add_statement(turn.connection, said.kind, peer, SAID, heard, body)
        turn.then(lambda: self._take(peer, said, number, heard))

    def _take(self, child: str, said: Said, number: int, heard: int) -> None:
        book = self.books.get(said.kind)
        if book is None:
            return
        book.join(child)
        taken = book.take(child, said, number, heard)
        self._folding.grew(said.kind, child, len(said.data))
        self._counters.add("reports_taken" if taken.applied else f"reports_refused.{taken.reason}")
        if taken.unknown:
            self._counters.add("reports_unknown_measures", taken.unknown)
        self._follow_up(said.kind, child, taken)
        if taken.applied is not None and (taken.applied.changed or book.changed):
            self._wake.set()
            self._changed({said.kind})

    def _follow_up(self, kind: str, child: str, taken: Taken) -> None:
        """Ask for everything when something is missing, again and again, but ever more seldom."""
        book = self.books[kind]
        if taken.applied is None:
            self._ask(kind, child, taken.epoch)
            return
        missing = book.ledger.missing(child)
        if not missing.complete and not missing.ranges:
            self._asked.pop((kind, child), None)
        elif missing.ranges:
            self._ask(kind, child, taken.epoch)
        else:
            # The rest of a complete statement is on its way.
            later = asyncio.get_running_loop().time() + _REST_S
            self._asked[kind, child] = (later, self._asked.get((kind, child), (0.0, self._pace.ask))[1])

    def _ask(self, kind: str, child: str, about: int) -> None:
        now = asyncio.get_running_loop().time()
        due, wait = self._asked.get((kind, child), (0.0, self._pace.ask))
        if now < due:
            return
        self._asked[kind, child] = (now + wait, min(2 * wait, 64 * self._pace.ask))
        known = self.books[kind].known_epoch(child) if kind in self.books else 0
        body = pack(Missing(kind, known, about))
        self._counters.add("reports_asked_for")

        def send(turn: Turn) -> None:
            with contextlib.suppress(KeyError):
                turn.send(child, MISSING, body)

        self._host.submit(send)

    def ask_for(self, found: list[tuple[str, str]]) -> None:
        """Ask children for kinds that were not known when they stated them."""
        for kind, child in found:
            self._asked.pop((kind, child), None)
            self._ask(kind, child, 0)

    def _begin_anew(self, asked: Missing) -> None:
        uplink = self._uplinks.get(asked.kind)
        if asked.kind not in self.books or (0 < asked.about < self._epochs.get(asked.kind, 0) and uplink is not None):
            return
        self._epochs[asked.kind] = max(self._epochs.get(asked.kind, 0), asked.known, asked.about)
        self._uplinks.pop(asked.kind, None)
        self._wake.set()

    def begin_all_anew(self) -> None:
        """State everything anew to the parent: one of the two databases was restored."""
        self._uplinks.clear()
        self._wake.set()

    # Who is around

    def neighbours_changed(self) -> None:
        """Children came or went, the parent or the own tier is another one."""
        directory = self._directory
        children = counted_children(directory)
        for kind, book in self.books.items():
            for child in children:
                if book.join(child):
                    self._wake.set()
                    # Of one that was here before: what it said then does not hold any more.
                    if book.known_epoch(child):
                        self._ask(kind, child, 0)
            for child in set(book.ledger.children) - children:
                self._let_go(kind, child)
        told = (directory.parent, tier_of(directory), directory.active)
        if told != self._told:
            if told[0] != self._told[0]:
                self._moved(told[0])
            self._told = told
            self.begin_all_anew()

    def _moved(self, parent: str | None) -> None:
        """Tell the new parent what happened from then on; before, it happened elsewhere."""
        membership = self._directory.chain.membership
        first = not self._told[0]

        def store(turn: Turn) -> int:
            stored = cell_records.parent_told(turn.connection)
            since = 0 if stored is None and first else membership.valid_from
            if stored is not None and stored[0] == parent:
                return stored[1]
            if parent is not None:
                cell_records.set_parent_told(turn.connection, parent, since)
            return since

        async def run() -> None:
            while not self._stopping:
                try:
                    self._since = await self._host.turn(store)
                except Problem:
                    await asyncio.sleep(_TICK_S)
                    continue
                self._moving = None
                self.begin_all_anew()
                return

        self._moving = asyncio.create_task(run(), name="reports: new parent")

    def _let_go(self, kind: str, child: str) -> None:
        book = self.books[kind]
        node = self._directory.node

        def leave(turn: Turn) -> None:
            at = cell_records.moved_at(turn.connection, child, node) or turn.now
            number = cell_records.add_statement(turn.connection, kind, child, LEFT, at, b"")

            def after() -> None:
                if child not in counted_children(self._directory):
                    book.leave(child, at, number)
                    self._asked.pop((kind, child), None)
                    self._wake.set()
                    self._changed({kind})

            turn.then(after)

        self._host.submit(leave)

    def link_changed(self, peer: str) -> None:
        """A link came up or went down."""
        if peer == self._directory.parent:
            self._wake.set()

    # Own cells and kinds

    def state(self, kind: str, period: int, cells: Cells, as_of: int) -> bool:
        """Replace the node's own cells; return whether a total changed.

        Raises:
            CellError: the cells are wrong.
            LedgerError: a total would be out of range.
        """
        book = self.books[kind]
        applied = book.own(period, cells, as_of)
        self.held.discard(kind)
        if applied.changed or book.changed:
            self._wake.set()
        if applied.changed:
            self._changed({kind})
        return bool(applied.changed)

    def put(self, kind: str, book: KindLedger) -> None:
        """Take a new kind, or another version of one."""
        self.books[kind] = book
        self._folding.books = self.books
        self._uplinks.pop(kind, None)
        for child in counted_children(self._directory):
            book.join(child)
        self._wake.set()

    def remove(self, kind: str) -> None:
        """A kind is none any more."""
        self.books.pop(kind, None)
        self._uplinks.pop(kind, None)

    # To the parent

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        spoke = tick = 0.0
        while not self._stopping:
            await waited(self._wake, _TICK_S)
            if self._stopping:
                return
            try:
                if self._wake.is_set():
                    await asyncio.sleep(max(self._pace.gather, spoke + self._pace.spacing - loop.time()))
                    self._wake.clear()
                    spoke = loop.time()
                    await self._speak()
                if loop.time() - tick >= _TICK_S:
                    tick = loop.time()
                    self._tick()
                    await self._folding.run()
            except Problem as problem:
                log.warning("reports wait: %s", problem.detail or problem.title)
                self._wake.set()
                await asyncio.sleep(_TICK_S)
            except Exception:
                self._counters.add("reports_failed")
                log.exception("reports")
                await asyncio.sleep(_TICK_S)

    def _tick(self) -> None:
        now = self._host.now()
        for kind, book in self.books.items():
            if book.refresh(now, int(self._pace.silent * SECOND)):
                self._changed({kind})
            if book.changed:
                self._wake.set()
            for child in book.ledger.children:
                if (kind, child) in self._asked and book.incomplete(child):
                    self._ask(kind, child, 0)
        if any(self._due(uplink, now) for uplink in self._uplinks.values()) or len(self._uplinks) < len(self.books):
            self._wake.set()

    def _due(self, uplink: Uplink, now: int) -> bool:
        return uplink.pending or now - uplink.spoke_at >= self._pace.heartbeat * SECOND

    def _room(self) -> bool:
        parent = self._directory.parent
        view = next((link for link in self._host.links() if link.peer == parent), None)
        return view is not None and view.up and view.waiting <= self._pace.most_waiting

    async def _speak(self) -> None:
        """Put what changed into the outbox upward. While the link is down it is kept back: only the latest counts."""
        parent, active = self._directory.parent, self._directory.active
        if parent is None:
            for book in self.books.values():
                book.changed = set()
            return
        if parent != self._told[0] or not active or self._moving is not None or not self._room():
            return
        now, tier = self._host.now(), tier_of(self._directory)
        bodies: list[bytes] = []
        opened: dict[str, int] = {}
        spoken: list[tuple[str, Uplink]] = []
        for kind, book in self.books.items():
            if kind in self.held:
                continue
            uplink = self._uplinks.get(kind)
            if uplink is None:
                epoch = self._epochs.get(kind, 0) + 1
                try:
                    uplink = Uplink(book, tier, epoch, self._since)
                except LeavingError:
                    book.changed = set()
                    continue
                self._epochs[kind] = opened[kind] = epoch
                self._uplinks[kind] = uplink
            heartbeat = now - uplink.spoke_at >= self._pace.heartbeat * SECOND
            if not uplink.pending and not heartbeat:
                continue
            spoken.append((kind, uplink))
            try:
                bodies += [pack(said) for said in uplink.speak(now, heartbeat=heartbeat)]
            except Exception:
                self._forget_uplinks(spoken)
                raise
        if not bodies:
            return

        def send(turn: Turn) -> None:
            cell_records.set_numbers(turn.connection, {EPOCHS + kind: epoch for kind, epoch in opened.items()})
            for body in bodies:
                turn.send(parent, STATEMENT, body)

        try:
            await self._host.turn(send)
        except Exception:
            self._forget_uplinks(spoken)
            raise
        self._counters.add("reports_stated", len(bodies))
        self._counters.add("report_bytes_stated", sum(map(len, bodies)))

    def _forget_uplinks(self, spoken: list[tuple[str, Uplink]]) -> None:
        """What was said did not leave: begin anew."""
        for kind, uplink in spoken:
            if self._uplinks.get(kind) is uplink:
                del self._uplinks[kind]
