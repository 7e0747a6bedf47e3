"""Requests and answers of the commands of reports."""

import msgspec

from gongfu.tree.reports.kinds import ReportKind
from gongfu.tree.reports.record_kinds import RecordKind
from gongfu.tree.reports.signed_records import RecordDoc
from gongfu.tree.reports.views import NewCell


class ListKinds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All kinds."""


class DeclareKind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A declaration: of cells, or of a record."""

    cells: ReportKind | None = None
    record: RecordKind | None = None


class KindDoc(msgspec.Struct, frozen=True, kw_only=True, tag="known", tag_field="state"):
    """A kind as it is known here.

    Attributes:
        form: ``cells`` or ``record``.
        declared_by: id of the node that declared it; empty for a built-in one.
        inherited: it came from the parent.
        leaves: whether anything of it goes on to the parent.
        cells, record: the declaration; one of the two.
    """

    name: str
    version: int
    form: str
    declared_by: str
    inherited: bool
    leaves: bool
    cells: ReportKind | None = None
    record: RecordKind | None = None


class UnknownDoc(msgspec.Struct, frozen=True, tag="unknown", tag_field="state"):
    """A kind that a child states and nobody declared here."""

    name: str
    child: str
    statements: int
    last_at: str


class ShowReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cells of a period: of the subtree, or of one child's; merged to the keys ``by``."""

    kind: str
    period: str | None = None
    node: str | None = None
    by: list[str] | None = None


class StateCells(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All own cells of a period (the present one by default)."""

    kind: str
    cells: list[NewCell]
    period: str | None = None


class StatedDoc(msgspec.Struct, frozen=True):
    """What became of own cells."""

    kind: str
    period: str | None
    changed: bool


class PublishTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of one measure by one or two keys."""

    kind: str
    measure: str
    row: str
    column: str | None = None
    period: str | None = None


class AddRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document to sign."""

    kind: str
    body: msgspec.Raw


class ListRecords(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of records, last received first."""

    kind: str | None = None
    node: str | None = None
    limit: int = 50
    before: tuple[int, str] | None = None


class RecordPage(msgspec.Struct, frozen=True):
    """Records, and what comes before the rest."""

    items: list[RecordDoc]
    before: tuple[int, str] | None = None
