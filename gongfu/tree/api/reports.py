"""HTTP of reports: forwarded to the reports' section in the tree role."""

import msgspec

from gongfu.bus.commands import Ask
from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Action
from gongfu.rest.paging import cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Route
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
from gongfu.tree.reports.signed_records import RecordDoc
from gongfu.tree.reports.views import NewCell, PublicationDoc, ReportDoc


class ReportKindPage(msgspec.Struct, frozen=True):
    """All kinds of reports and records, and those that children state though nobody declared them here."""

    items: list[KindDoc | UnknownDoc]
    next: str | None = None


class OwnCells(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of the node's own cells of a period; the present one by default."""

    cells: list[NewCell]
    period: str | None = None


class SignedRecordPage(msgspec.Struct, frozen=True):
    """A page of signed records, last received first."""

    items: list[RecordDoc]
    next: str | None = None


def routes(ask: Ask) -> list[Route]:
    """Return the operations."""

    async def list_kinds(call: Call) -> ReportKindPage:
        return ReportKindPage(await ask(call.subject, "report-kinds", ListKinds(), list[KindDoc | UnknownDoc]))

    async def declare(call: Call) -> KindDoc:
        return await ask(call.subject, "report-kind-declare", call.body, KindDoc)

    async def show(call: Call) -> ReportDoc:
        by = call.query.get("by")
        request = ShowReport(
            call.path["kind"],
            call.query.get("period") or None,
            call.query.get("node") or None,
            None if by is None else [key for key in by.split(",") if key],
        )
        return await ask(call.subject, "report-show", request, ReportDoc)

    async def state(call: Call) -> StatedDoc:
        request = StateCells(call.path["kind"], call.body.cells, call.body.period)
        return await ask(call.subject, "report-state", request, StatedDoc)

    async def publication(call: Call) -> PublicationDoc:
        row, measure = call.query.get("row"), call.query.get("measure")
        if not row or not measure:
            raise invalid("row (a key) and measure must be given")
        request = PublishTable(
            kind=call.path["kind"],
            measure=measure,
            row=row,
            column=call.query.get("column") or None,
            period=call.query.get("period") or None,
        )
        return await ask(call.subject, "report-publish", request, PublicationDoc)

    async def add_record(call: Call) -> RecordDoc:
        return await ask(call.subject, "record-add", call.body, RecordDoc)

    async def list_records(call: Call) -> SignedRecordPage:
        request = ListRecords(
            kind=call.query.get("kind") or None,
            node=call.query.get("node") or None,
            limit=limit_of(call),
            before=cursor_of(call, tuple[int, str]),
        )
        page = await ask(call.subject, "record-list", request, RecordPage)
        return SignedRecordPage(page.items, encode_cursor(page.before) if page.before is not None else None)

    read, write = Action.READ, Action.REPORT_WRITE
    return [
        Route("GET", "/report-kinds", read, list_kinds, "Kinds of reports and records", None, ReportKindPage),
        Route("POST", "/report-kinds", write, declare, "Declare a kind for the subtree", DeclareKind, KindDoc, 201),
        Route("GET", "/reports/{kind}", read, show, "Cells of a period, with coverage and age", None, ReportDoc),
        Route("POST", "/reports/{kind}/cells", write, state, "State the node's own cells", OwnCells, StatedDoc),
        Route(
            "GET",
            "/reports/{kind}/publication",
            read,
            publication,
            "A table as it may be published, small cells suppressed",
            None,
            PublicationDoc,
        ),
        Route("POST", "/records", write, add_record, "Sign a record, and send it up", AddRecord, RecordDoc, 201),
        Route("GET", "/records", read, list_records, "Signed records of this node and below", None, SignedRecordPage),
    ]
