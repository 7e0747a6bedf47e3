"""Both sides' notes of the calls under a contract compared. Pure, but for reading the own ones."""

from collections.abc import Iterable

from sqlalchemy import Engine

from gongfu.appkit.calls import records
from gongfu.appkit.calls.answering import UsageRow
from gongfu.appkit.calls.documents import Difference, Reconciliation, Sums
from gongfu.kernel.times import format_rfc3339
from gongfu.store.records.engine import reading

MOST_TOLD = 1_000
_PAGE = 5_000


def compare(here: Iterable[UsageRow], there: Iterable[UsageRow], price: int, since: int, until: int) -> Reconciliation:
    """Return what the two sides do not have alike.

    Args:
        here: this side's notes.
        there: the other side's.
        price: of a charged call, hundredths.
        since: of the time that is compared, UTC ns.
        until: its end.
    """
    own, other = {row.id: row for row in here}, {row.id: row for row in there}
    found = [
        Difference(call, _said(own.get(call)), _said(other.get(call)))
        for call in sorted({*own, *other})
        if _said(own.get(call)) != _said(other.get(call))
    ]
    return Reconciliation(
        since=format_rfc3339(since),
        until=format_rfc3339(until),
        here=_sums(own.values(), price),
        there=_sums(other.values(), price),
        differences=found[:MOST_TOLD],
    )


def notes_of(engine: Engine, contract: str, since: int, until: int) -> list[UsageRow]:
    """Return this node's notes of the calls under a contract; blocks."""
    found: list[UsageRow] = []
    after: tuple[int, str] | None = None
    with reading(engine) as connection:
        while True:
            rows = records.calls(connection, contract, since, until, after, _PAGE)
            found.extend(UsageRow(row.id, row.at, row.state, row.status, row.charged) for row in rows)
            if len(rows) < _PAGE:
                return found
            after = (rows[-1].at, rows[-1].id)


def _said(row: UsageRow | None) -> str:
    if row is None:
        return ""
    return f"{row.state} {row.status}{' charged' if row.charged else ''}"


def _sums(rows: Iterable[UsageRow], price: int) -> Sums:
    calls = charged = 0
    for row in rows:
        calls += 1
        charged += row.charged
    return Sums(calls, charged, charged * price)
