"""Publication at work: the cells of a period are frozen when it is first published, the pattern goes on.

Two publications of one period come from the same cells, so a late report does not tell by its difference whose it
was. A snapshot is published once an hour: its periods are hours.
"""

from collections.abc import Callable

import msgspec
import numpy as np
from sqlalchemy import Connection, delete, insert, select, update

from gongfu.kernel.errors import Problem, conflict, invalid
from gongfu.kernel.permissions import Subject
from gongfu.tree.host.section import Host, Turn
from gongfu.tree.reports.cells import Cells
from gongfu.tree.reports.kinds import ReportKind
from gongfu.tree.reports.pace import SECOND
from gongfu.tree.reports.publication import EMPTY, Pattern, PublicationError, Rule, publish, tabulate
from gongfu.tree.reports.stored import pack_cells, unpack_cells
from gongfu.tree.reports.tables import publication as table
from gongfu.tree.reports.views import PublicationDoc, publication_doc

_HOUR = 3_600 * SECOND
_KEPT = 200


class Publications:
    """Publishes tables of the node's totals."""

    def __init__(self, totals: Callable[[str, int], Cells]) -> None:
        self._totals = totals

    def start(self, host: Host) -> None:
        """Begin."""
        self._host = host

    async def publish(
        self, subject: Subject, kind: ReportKind, period: int | None, row: str, column: str | None, measure: str
    ) -> PublicationDoc:
        """Return a table as it may be shown; ``period`` is UTC ns, None for the latest that is over.

        Raises:
            Problem: 400, the table does not fit the kind; 409, it cannot be shown.
        """
        now = self._host.now()
        length = kind.period * SECOND
        name = period if period is not None else (now // length - 1) * length if length else now // _HOUR * _HOUR
        if name % (length or _HOUR) or name < 0:
            raise invalid(f"no period of {kind.name} begins then")
        if length and name + length > now:
            raise conflict("the period is not over")
        if not length and name > now:
            raise conflict("that hour is still to come")
        # The event loop's memory: taken before the turn, used only when nothing was published of the period yet.
        fresh = self._totals(kind.name, name if length else 0)
        may_freeze = bool(length) or name == now // _HOUR * _HOUR

        def work(turn: Turn) -> PublicationDoc:
            cells, pattern, at = self._frozen(turn, kind, name, fresh, may_freeze)
            try:
                made = tabulate(cells, measure, row, column)
                rule = Rule(least=cells.kind.least_contributors)
                shown, after = publish(made, rule, pattern)
            except PublicationError as error:
                raise Problem(409, "not-publishable", "The table cannot be published", str(error)) from None
            data = msgspec.msgpack.encode(after)
            where = (table.c.kind == kind.name, table.c.period == name)
            turn.connection.execute(update(table).where(*where).values(pattern=data))
            turn.audit("report.publish", kind.name, f"{measure} by {row} {column or ''}".strip(), subject=subject)
            return publication_doc(cells.kind, shown, name, at, rule.least)

        return await self._host.turn(work)

    @staticmethod
    def _frozen(
        turn: Turn, kind: ReportKind, period: int, fresh: Cells, may_freeze: bool
    ) -> tuple[Cells, Pattern, int]:
        connection = turn.connection
        where = (table.c.kind == kind.name, table.c.period == period)
        row = connection.execute(select(table).where(*where)).first()
        if row is not None:
            cells, _ = unpack_cells(row.cells)
            return cells, msgspec.msgpack.decode(row.pattern, type=Pattern), int(row.at)
        if not may_freeze:
            raise conflict("nothing was published in that hour")
        kept = list(connection.execute(select(table.c.period).where(table.c.kind == kind.name)).scalars())
        if len(kept) >= _KEPT and period < min(kept):
            raise conflict("it may have been published: what was shown then is not known any more")
        pattern = _last_pattern(connection, kind.name)
        connection.execute(
            insert(table).values(
                kind=kind.name,
                period=period,
                at=turn.now,
                cells=pack_cells(fresh, np.zeros(len(fresh), dtype=np.int64)),
                pattern=msgspec.msgpack.encode(pattern),
            )
        )
        newest = select(table.c.at).where(table.c.kind == kind.name).order_by(table.c.at.desc())
        oldest = connection.execute(newest.offset(_KEPT).limit(1)).scalar()
        if oldest is not None:
            connection.execute(delete(table).where(table.c.kind == kind.name, table.c.at <= oldest))
        return fresh, pattern, turn.now


def _last_pattern(connection: Connection, kind: str) -> Pattern:
    """Return what to begin with: what was suppressed last stays suppressed."""
    query = select(table.c.pattern).where(table.c.kind == kind).order_by(table.c.at.desc()).limit(1)
    data = connection.execute(query).scalar()
    return EMPTY if data is None else msgspec.msgpack.decode(data, type=Pattern).next_period()
