"""Rows of report kinds. The only place with their SQL."""

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from gongfu.tree.reports.kinds import KindError, ReportKind, check_evolution, check_kind
from gongfu.tree.reports.messages import Declared
from gongfu.tree.reports.record_kinds import RecordKind, check_record_kind
from gongfu.tree.reports.tables import kind as table

CELLS = "cells"
RECORD = "record"


class Known(msgspec.Struct, frozen=True):
    """A kind as a node knows it.

    Attributes:
        kind: the declaration.
        declared_by: node that declared it; empty for one that is built in.
        inherited: it came from the parent.
    """

    kind: ReportKind | RecordKind
    declared_by: str
    inherited: bool

    @property
    def form(self) -> str:
        """Return whether it is of cells or of records."""
        return CELLS if isinstance(self.kind, ReportKind) else RECORD

    def travelling(self) -> Declared:
        """Return it as it travels down."""
        return Declared(self.form, self.declared_by, msgspec.json.encode(self.kind))


def read_declaration(form: str, document: bytes | str) -> ReportKind | RecordKind:
    """Return a declaration, checked.

    Raises:
        KindError: it is wrong.
        msgspec.MsgspecError: it is not one.
    """
    if form == CELLS:
        kind = msgspec.json.decode(document, type=ReportKind)
        check_kind(kind)
        return kind
    if form != RECORD:
        raise msgspec.ValidationError("neither of cells nor of records")
    record_kind = msgspec.json.decode(document, type=RecordKind)
    check_record_kind(record_kind)
    return record_kind


def compatible(old: Known, new: Known) -> bool:
    """Whether what is known under one declaration may be kept under the other."""
    if old.declared_by != new.declared_by or old.form != new.form:
        return False
    if old.kind == new.kind or isinstance(old.kind, RecordKind) or isinstance(new.kind, RecordKind):
        return True
    older, newer = sorted((old.kind, new.kind), key=lambda kind: kind.version)
    try:
        check_evolution(older, newer)
    except KindError:
        return False
    return True


def current(connection: Connection) -> dict[str, Known]:
    """Return all kinds by name."""
    query = select(table).where(table.c.current == 1).order_by(table.c.name)
    return {
        row.name: Known(read_declaration(row.form, row.document), row.declared_by, bool(row.inherited))
        for row in connection.execute(query)
    }


def put(connection: Connection, known: Iterable[Known], now: int) -> None:
    """Store kinds as the current ones of their names."""
    for entry in known:
        name, version = entry.kind.name, entry.kind.version
        connection.execute(update(table).where(table.c.name == name).values(current=0))
        connection.execute(delete(table).where(table.c.name == name, table.c.version == version))
        connection.execute(
            insert(table).values(
                name=name,
                version=version,
                form=entry.form,
                document=msgspec.json.encode(entry.kind).decode(),
                declared_by=entry.declared_by,
                inherited=int(entry.inherited),
                current=1,
                changed=now,
            )
        )


def withdraw(connection: Connection, names: Iterable[str]) -> None:
    """Let kinds be none any more; their declarations stay."""
    connection.execute(update(table).where(table.c.name.in_(list(names))).values(current=0))
