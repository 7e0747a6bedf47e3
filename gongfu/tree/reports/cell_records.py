"""Rows of cells: statements as they came, folded cells, own cells, epochs. The only place with their SQL."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from gongfu.tree.host.section import Refusal
from gongfu.tree.membership.keys import decode_signed
from gongfu.tree.membership.refusals import Refused
from gongfu.tree.membership.types import Membership
from gongfu.tree.nodes.tables import member
from gongfu.tree.reports.cells import CellError
from gongfu.tree.reports.kind_ledger import KindLedger, rearranged
from gongfu.tree.reports.kinds import ReportKind
from gongfu.tree.reports.messages import Said, unpack
from gongfu.tree.reports.stored import unpack_cells, unpack_position, unpack_stream
from gongfu.tree.reports.tables import cells, counter, own_cells, position, publication, statement, unknown, uplink

SAID = "said"
LEFT = "left"


class Fold(msgspec.Struct, frozen=True):
    """What is known of a child, to be stored instead of its statements up to one."""

    kind: str
    child: str
    upto: int
    position: bytes
    stream: bytes
    cells: Sequence[tuple[int, bytes]]


def add_statement(connection: Connection, kind: str, child: str, what: str, heard: int, data: bytes) -> int:
    """Store what a child said, or that it left; return its id."""
    row = insert(statement).values(kind=kind, child=child, what=what, heard=heard, data=data)
    key = connection.execute(row).inserted_primary_key
    return int(key[0]) if key else 0


def fold(connection: Connection, folded: Fold) -> None:
    """Replace statements of a child by what came of them."""
    where = (position.c.kind == folded.kind, position.c.child == folded.child)
    connection.execute(delete(position).where(*where))
    connection.execute(
        insert(position).values(
            kind=folded.kind,
            child=folded.child,
            upto=folded.upto,
            position=folded.position,
            stream=folded.stream,
        )
    )
    for period, data in folded.cells:
        where = (cells.c.kind == folded.kind, cells.c.child == folded.child, cells.c.period == period)
        connection.execute(delete(cells).where(*where))
        connection.execute(insert(cells).values(kind=folded.kind, child=folded.child, period=period, data=data))
    where = (statement.c.kind == folded.kind, statement.c.child == folded.child, statement.c.id <= folded.upto)
    connection.execute(delete(statement).where(*where))


def forget(connection: Connection, kind: str, before: int) -> None:
    """Delete periods that begin before a time."""
    connection.execute(delete(cells).where(cells.c.kind == kind, cells.c.period < before))
    connection.execute(delete(own_cells).where(own_cells.c.kind == kind, own_cells.c.period < before))


def drop(connection: Connection, kind: str) -> None:
    """Delete all cells of a kind: another one has its name now."""
    for table in (statement, position, cells, own_cells, publication):
        connection.execute(delete(table).where(table.c.kind == kind))


def put_own(connection: Connection, kind: str, period: int, as_of: int, data: bytes) -> None:
    """Replace the node's own cells of a period."""
    connection.execute(delete(own_cells).where(own_cells.c.kind == kind, own_cells.c.period == period))
    connection.execute(insert(own_cells).values(kind=kind, period=period, as_of=as_of, data=data))


def load(connection: Connection, kind: ReportKind, declared_by: str, node: str) -> tuple[KindLedger, int]:
    """Return the ledger of a kind as it was, and how many stored statements could not be read any more."""
    book = KindLedger(kind, declared_by, node)
    parts: dict[str, list[bytes]] = {}
    query = select(cells.c.child, cells.c.data).where(cells.c.kind == kind.name).order_by(cells.c.child, cells.c.period)
    for child, data in connection.execute(query):
        parts.setdefault(child, []).append(data)
    unreadable = 0
    for row in connection.execute(select(position).where(position.c.kind == kind.name)):
        stored = [unpack_cells(data) for data in parts.get(row.child, ())]
        restored = [(rearranged(columns, kind), revisions) for columns, revisions in stored]
        book.ledger.restore(row.child, unpack_position(row.position), restored)
        book.upto[row.child] = row.upto
        if row.stream:
            book.streams[row.child] = unpack_stream(row.stream, kind)
    query = select(own_cells).where(own_cells.c.kind == kind.name).order_by(own_cells.c.period)
    for row in connection.execute(query):
        try:
            book.own(row.period, rearranged(unpack_cells(row.data)[0], kind), row.as_of)
        except (CellError, ValueError):
            unreadable += 1
    query = select(statement).where(statement.c.kind == kind.name).order_by(statement.c.id)
    for row in connection.execute(query):
        if row.id <= book.upto.get(row.child, 0):
            continue
        if row.what == LEFT:
            book.leave(row.child, row.heard, row.id)
            continue
        book.join(row.child)
        try:
            taken = book.take(row.child, unpack(row.data, Said), row.id, row.heard)
        except Refusal:
            unreadable += 1
            continue
        unreadable += taken.applied is None
    return book, unreadable


def unfolded_bytes(connection: Connection) -> dict[tuple[str, str], int]:
    """Return how many bytes of statements there are, by kind and child."""
    query = select(statement.c.kind, statement.c.child, func.sum(func.length(statement.c.data)))
    return {(kind, child): int(n) for kind, child, n in connection.execute(query.group_by("kind", "child"))}


def numbers(connection: Connection, prefix: str) -> dict[str, int]:
    """Return the counters whose names begin with a text, by the rest of the name."""
    query = select(counter.c.name, counter.c.value).where(counter.c.name.startswith(prefix, autoescape=True))
    return {name[len(prefix) :]: value for name, value in connection.execute(query)}


def set_numbers(connection: Connection, values: Mapping[str, int]) -> None:
    """Set counters."""
    for name, value in values.items():
        done = connection.execute(update(counter).where(counter.c.name == name).values(value=value))
        if not done.rowcount:
            connection.execute(insert(counter).values(name=name, value=value))


def parent_told(connection: Connection) -> tuple[str, int] | None:
    """Return the parent that is told, and from what time (UTC ns) on; None before the first."""
    row = connection.execute(select(uplink.c.parent, uplink.c.since)).first()
    return None if row is None else (row.parent, row.since)


def set_parent_told(connection: Connection, parent: str, since: int) -> None:
    """Store the parent that is told."""
    connection.execute(delete(uplink))
    connection.execute(insert(uplink).values(id=1, parent=parent, since=since))


def count_unknown(connection: Connection, kind: str, child: str, now: int) -> None:
    """Count a statement of a kind that is not known."""
    where = (unknown.c.kind == kind, unknown.c.child == child)
    done = connection.execute(update(unknown).where(*where).values(statements=unknown.c.statements + 1, last_at=now))
    if not done.rowcount:
        connection.execute(insert(unknown).values(kind=kind, child=child, statements=1, last_at=now))


def unknown_kinds(connection: Connection) -> list[tuple[str, str, int, int]]:
    """Return kind, child, statements and time of the last, of what is not known."""
    query = select(unknown.c.kind, unknown.c.child, unknown.c.statements, unknown.c.last_at)
    return [tuple(row) for row in connection.execute(query.order_by(unknown.c.kind, unknown.c.child))]


def now_known(connection: Connection, kinds: Iterable[str]) -> list[tuple[str, str]]:
    """Return kind and child of what was not known and is one of these, and forget it."""
    names = list(kinds)
    query = select(unknown.c.kind, unknown.c.child).where(unknown.c.kind.in_(names))
    found = [(kind, child) for kind, child in connection.execute(query)]
    connection.execute(delete(unknown).where(unknown.c.kind.in_(names)))
    return found


def moved_at(connection: Connection, child: str, node: str) -> int | None:
    """Return the time from which a former child belongs to another parent; None when that is not known."""
    data = connection.execute(select(member.c.signed).where(member.c.node == child)).scalar()
    if data is None:
        return None
    try:
        membership = msgspec.json.decode(decode_signed(data).body, type=Membership)
    except (Refused, msgspec.MsgspecError):
        return None
    return membership.valid_from if membership.parent != node else None
