"""Commands of reports: what the API asks the tree role."""

from collections.abc import Sequence

import numpy as np

from gongfu.kernel.errors import conflict, invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import parse_rfc3339
from gongfu.rest.paging import MAX_LIMIT
from gongfu.tree.host.section import Command, Host
from gongfu.tree.nodes.directory import Directory
from gongfu.tree.reports import cell_records
from gongfu.tree.reports.applied import Coverage, LedgerError
from gongfu.tree.reports.cells import CellError, Cells, columns_of, concatenate
from gongfu.tree.reports.flow import Flow
from gongfu.tree.reports.identifier_report import IDENTIFIERS_DAILY
from gongfu.tree.reports.kind_exchange import KindExchange
from gongfu.tree.reports.kind_ledger import KindLedger
from gongfu.tree.reports.kind_records import Known
from gongfu.tree.reports.kinds import ReportKind
from gongfu.tree.reports.live_report import NODE_LIVE
from gongfu.tree.reports.measures import MeasureError
from gongfu.tree.reports.neighbourhood import enterprise_of
from gongfu.tree.reports.pace import SECOND
from gongfu.tree.reports.publications import Publications
from gongfu.tree.reports.record_kinds import RecordKind
from gongfu.tree.reports.requests import (
    AddRecord,
    DeclareKind,
    KindDoc,
    ListKinds,
    ListRecords,
    PublishTable,
    RecordPage,
    ShowReport,
    StateCells,
    StatedDoc,
    UnknownDoc,
)
from gongfu.tree.reports.signed_records import RecordDoc, SignedRecords
from gongfu.tree.reports.stored import pack_cells
from gongfu.tree.reports.views import (
    PublicationDoc,
    ReportDoc,
    cell_docs,
    coverage_doc,
    grouped,
    stated_cells,
    time_text,
)

_MOST_ITEMS = 5_000


class ReportCommands:
    """Answers commands, on the event loop."""

    def __init__(
        self,
        directory: Directory,
        kinds: KindExchange,
        flow: Flow,
        records: SignedRecords,
        publications: Publications,
    ) -> None:
        self._directory = directory
        self._kinds = kinds
        self._flow = flow
        self._records = records
        self._publications = publications

    def start(self, host: Host) -> None:
        """Begin."""
        self._host = host

    def all(self) -> Sequence[Command]:
        """Return all commands."""
        return [
            Command("report-kinds", ListKinds, self.list_kinds),
            Command("report-kind-declare", DeclareKind, self.declare),
            Command("report-show", ShowReport, self.show),
            Command("report-state", StateCells, self.state),
            Command("report-publish", PublishTable, self.publish),
            Command("record-add", AddRecord, self.add_record),
            Command("record-list", ListRecords, self.list_records),
        ]

    def _book(self, name: str) -> KindLedger:
        book = self._flow.books.get(name)
        if book is None:
            raise not_found(f"report kind {name[:80]!r}")
        return book

    async def list_kinds(self, subject: Subject, request: ListKinds) -> list[KindDoc | UnknownDoc]:
        """Return the kinds that are known here, and those that only children speak of."""
        out: list[KindDoc | UnknownDoc] = [self._kind_doc(known) for _, known in sorted(self._kinds.known.items())]
        unknown = await self._host.read(cell_records.unknown_kinds)
        out += [UnknownDoc(name, child, statements, time_text(last) or "") for name, child, statements, last in unknown]
        return out

    def _kind_doc(self, known: Known) -> KindDoc:
        kind, tier = known.kind, self._directory.chain.membership.tier
        if isinstance(kind, RecordKind):
            return KindDoc(
                name=kind.name,
                version=kind.version,
                form=known.form,
                declared_by=known.declared_by,
                inherited=known.inherited,
                leaves=bool(self._directory.parent),
                record=kind,
            )
        return KindDoc(
            name=kind.name,
            version=kind.version,
            form=known.form,
            declared_by=known.declared_by,
            inherited=known.inherited,
            leaves=bool(self._directory.parent) and kind.leaving_from(tier) is not None,
            cells=kind,
        )

    async def declare(self, subject: Subject, request: DeclareKind) -> KindDoc:
        """Declare a kind here."""
        kind = request.cells or request.record
        if kind is None or (request.cells is not None and request.record is not None):
            raise invalid("a declaration is either of cells or of a record")
        return self._kind_doc(await self._kinds.declare(subject, kind))

    async def show(self, subject: Subject, request: ShowReport) -> ReportDoc:
        """Return the cells of a period: of the whole subtree, or of one child's."""
        book = self._book(request.kind)
        kind, ledger = book.kind, book.ledger
        period = self._period(book, request.period)
        node = request.node or self._directory.node
        if node == self._directory.node:
            cells, coverage, as_of = ledger.read(period), ledger.coverage(period), ledger.as_of()
        else:
            cells, coverage, as_of = self._of_child(book, node, period)
        by = list(kind.keys) if request.by is None else [key for key in kind.keys if key in request.by]
        try:
            shown = cells if request.by is None else grouped(cells, request.by)
        except MeasureError as error:
            raise conflict(str(error)) from None
        if int(np.count_nonzero(shown.present)) > _MOST_ITEMS:
            raise invalid(f"more than {_MOST_ITEMS} cells: ask for fewer keys with ?by=")
        return ReportDoc(
            kind=kind.name,
            version=kind.version,
            period=time_text(period),
            periods=[time_text(start) or "" for start in ledger.periods[-100:]] if kind.period else [],
            node=node,
            by=by,
            items=cell_docs(shown),
            coverage=coverage_doc(coverage),
            as_of=time_text(as_of),
        )

    @staticmethod
    def _of_child(book: KindLedger, node: str, period: int) -> tuple[Cells, Coverage, int]:
        ledger, position = book.ledger, book.ledger.position(node)
        if position is None or not position.member:
            raise not_found(f"child {node[:24]}: the cells of nodes further below are merged here")
        _, parts = ledger.stored(node, {period})
        cells = concatenate(book.kind, [part for part, _ in parts])
        _, reported, known = position.coverage.get(period, (0, 0, position.known))
        silent = (node,) if position.silent else ()
        never = () if position.newest else (node,)
        return cells, Coverage(known, reported, silent, never), position.as_of

    @staticmethod
    def _period(book: KindLedger, text: str | None) -> int:
        length = book.kind.period * SECOND
        if text is None:
            return book.ledger.periods[-1] if book.ledger.periods and length else 0
        try:
            start = parse_rfc3339(text)
        except ValueError as error:
            raise invalid(str(error)) from None
        if not length:
            raise invalid(f"{book.kind.name} has no periods: it says what is now")
        return start - start % length

    async def state(self, subject: Subject, request: StateCells) -> StatedDoc:
        """State the node's own cells of a period, all of them."""
        if request.kind in (NODE_LIVE.name, IDENTIFIERS_DAILY.name):
            raise conflict(f"{request.kind} is stated by the node itself")
        book = self._book(request.kind)
        now = self._host.now()
        length = book.kind.period * SECOND
        if request.period is None:
            period = book.kind.period_start(now)
        else:
            period = self._period(book, request.period)
            if length and period > now:
                raise invalid("the period is still to come")
        changed = await self.state_cells(book.kind, period, request)
        return StatedDoc(book.kind.name, time_text(period), changed)

    async def state_cells(self, kind: ReportKind, period: int, request: StateCells) -> bool:
        """State own cells, and store them."""
        made = stated_cells(kind, period, request.cells, enterprise_of(self._directory))
        try:
            return await self.store(kind, period, columns_of(kind, made))
        except (CellError, MeasureError, LedgerError) as error:
            raise invalid(str(error), reason=str(error.reason)) from None

    async def store(self, kind: ReportKind, period: int, cells: Cells) -> bool:
        """State own cells, and store them; return whether a total changed.

        Raises:
            CellError: the cells are wrong.
            LedgerError: a total would be out of range.
        """
        now = self._host.now()
        changed = self._flow.state(kind.name, period, cells, now)
        data = pack_cells(cells, np.zeros(len(cells), dtype=np.int64))
        await self._host.turn(lambda turn: cell_records.put_own(turn.connection, kind.name, period, now, data))
        return changed

    async def publish(self, subject: Subject, request: PublishTable) -> PublicationDoc:
        """Publish a table."""
        book = self._book(request.kind)
        period: int | None = None
        if request.period is not None:
            try:
                period = parse_rfc3339(request.period)
            except ValueError as error:
                raise invalid(str(error)) from None
        return await self._publications.publish(
            subject, book.kind, period, request.row, request.column, request.measure
        )

    async def add_record(self, subject: Subject, request: AddRecord) -> RecordDoc:
        """Sign a record."""
        return await self._records.add(subject, request.kind, bytes(request.body))

    async def list_records(self, subject: Subject, request: ListRecords) -> RecordPage:
        """Return a page of records."""
        if not 1 <= request.limit <= MAX_LIMIT:
            raise invalid(f"limit must be 1 to {MAX_LIMIT}")
        docs, after = await self._records.list_(request.kind, request.node, request.limit, request.before)
        return RecordPage(docs, after)
