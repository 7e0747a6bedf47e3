"""Rows of the links and their outboxes. One writer; ``load`` may be called beside it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from gongfu.tree.host.tables import tree_link, tree_outbox
from gongfu.tree.link.effects import Load
from gongfu.tree.link.position import NOWHERE, Durable, Position, confirmed

# Rows of one statement that inserts or renumbers.
_PAGE = 1000


@dataclass(slots=True, eq=False)
class LinkRow:
    """One end of a link as it is stored.

    Attributes:
        id: key of the row.
        peer: node id of the other end.
        upward: the peer is the parent.
        epoch: of the own outbox.
        last: number of the last message in it.
        acknowledged: what the other end has.
        received: what this end has.
        retired: the link has ended.
        stated: the sections have said what the peer must know since the link began.
        clock_offset: other end's clock minus own, ns, as last measured.
        oldest: when the first message of the outbox was stored, UTC ns; 0 without one.
        floor: messages up to it are not in the outbox any more.
    """

    id: int
    peer: str
    upward: bool
    epoch: int = 1
    last: int = 0
    acknowledged: Position = NOWHERE
    received: Position = NOWHERE
    retired: bool = False
    stated: bool = False
    clock_offset: int | None = None
    oldest: int = 0
    floor: int = 0

    def durable(self) -> Durable:
        """Return it as a session needs it."""
        return Durable(self.epoch, self.last, self.acknowledged, self.received, self.retired, self.clock_offset)


def links(connection: Connection) -> dict[str, LinkRow]:
    """Return all links by peer."""
    rows = connection.execute(select(tree_link).order_by(tree_link.c.id)).all()
    return {row.peer: _link(connection, row) for row in rows}


def _link(connection: Connection, row: Any) -> LinkRow:
    acknowledged = Position(row.acknowledged_epoch, row.acknowledged_number, row.acknowledged_digest)
    base = confirmed(row.epoch, acknowledged).number
    box = tree_outbox.c
    mine = (box.link == row.id) & (box.epoch == row.epoch)
    last = connection.execute(select(func.max(box.number)).where(mine)).scalar() or 0
    waiting = select(box.number, box.stored_at).where(mine, box.number > base).order_by(box.number).limit(1)
    first = connection.execute(waiting).one_or_none()
    return LinkRow(
        row.id,
        row.peer,
        row.upward,
        row.epoch,
        max(last, base),
        acknowledged,
        Position(row.received_epoch, row.received_number, row.received_digest),
        row.retired,
        row.stated,
        row.clock_offset,
        first.stored_at if first is not None else 0,
        first.number - 1 if first is not None else max(last, base),
    )


def add_link(connection: Connection, peer: str, upward: bool, now: int) -> LinkRow:
    """Add a link to a new neighbour."""
    values: dict[str, Any] = {"peer": peer, "upward": upward, "epoch": 1, "retired": False, "stated": False}
    for name in ("acknowledged", "received"):
        values |= {f"{name}_epoch": 0, f"{name}_number": 0, f"{name}_digest": 0}
    key = connection.execute(insert(tree_link).values(**values, opened_at=now)).inserted_primary_key
    assert key is not None
    return LinkRow(key[0], peer, upward)


def reopen_link(connection: Connection, link: LinkRow, upward: bool, now: int) -> LinkRow:
    """Begin again a link that had ended. Its epoch grows, so that nothing of the earlier one is taken for the new."""
    values = {"epoch": link.epoch + 1, "upward": upward, "retired": False, "stated": False, "opened_at": now}
    connection.execute(update(tree_link).where(tree_link.c.id == link.id).values(**values))
    return LinkRow(link.id, link.peer, upward, link.epoch + 1, 0, link.acknowledged, link.received)


def retire_link(connection: Connection, link: LinkRow) -> None:
    """End a link: it stays as retired, so that the other end is told."""
    connection.execute(update(tree_link).where(tree_link.c.id == link.id).values(retired=True))
    connection.execute(delete(tree_outbox).where(tree_outbox.c.link == link.id))


def drop(connection: Connection, link: LinkRow) -> None:
    """Empty the outbox of a link: the peer is told anew what it must know, when it finds the gap or at a restart."""
    connection.execute(delete(tree_outbox).where(tree_outbox.c.link == link.id))
    connection.execute(update(tree_link).where(tree_link.c.id == link.id).values(stated=False))
    link.stated = False


def set_stated(connection: Connection, link: LinkRow) -> None:
    """Remember that the sections have said what the peer must know."""
    connection.execute(update(tree_link).where(tree_link.c.id == link.id).values(stated=True))


_set_received = (
    update(tree_link)
    .where(tree_link.c.id == bindparam("link"))
    .values(
        received_epoch=bindparam("to_epoch"),
        received_number=bindparam("to_number"),
        received_digest=bindparam("to_digest"),
    )
)


def set_received(connection: Connection, positions: Mapping[int, Position]) -> None:
    """Write what this end has, by key of the link."""
    rows = [
        {"link": link, "to_epoch": to.epoch, "to_number": to.number, "to_digest": to.digest}
        for link, to in positions.items()
    ]
    if rows:
        connection.execute(_set_received, rows)


def set_clock_offset(connection: Connection, link: int, offset: int) -> None:
    """Write the clock offset."""
    connection.execute(update(tree_link).where(tree_link.c.id == link).values(clock_offset=offset))


def append(connection: Connection, rows: Sequence[tuple[int, int, int, bytes]], now: int) -> None:
    """Put messages into outboxes: key of the link, epoch, number, body."""
    for start in range(0, len(rows), _PAGE):
        connection.execute(
            insert(tree_outbox),
            [
                {"link": link, "epoch": epoch, "number": number, "body": body, "stored_at": now}
                for link, epoch, number, body in rows[start : start + _PAGE]
            ],
        )


def forget(connection: Connection, link: LinkRow, acknowledged: Position) -> None:
    """Write what the other end has and delete it from the outbox."""
    values = _acknowledged(acknowledged)
    connection.execute(update(tree_link).where(tree_link.c.id == link.id).values(**values))
    box = tree_outbox.c
    mine = (box.link == link.id) & (box.epoch == acknowledged.epoch) & (box.number <= acknowledged.number)
    connection.execute(delete(tree_outbox).where(mine))


def _acknowledged(position: Position) -> dict[str, int]:
    return {
        "acknowledged_epoch": position.epoch,
        "acknowledged_number": position.number,
        "acknowledged_digest": position.digest,
    }


def renumber(connection: Connection, link: LinkRow, epoch: int, acknowledged: Position, behind: int) -> int:
    """Begin a new epoch; what is still in the outbox is numbered from ``behind + 1``. Returns the last number."""
    base, box = confirmed(link.epoch, link.acknowledged).number, tree_outbox.c
    mine = (box.link == link.id) & (box.epoch == link.epoch)
    connection.execute(delete(tree_outbox).where(box.link == link.id, (box.epoch != link.epoch) | (box.number <= base)))
    numbers = connection.execute(select(box.number).where(mine).order_by(box.number)).scalars().all()
    last = behind
    for first, end in _runs(numbers):
        shift = last + 1 - first
        connection.execute(
            update(tree_outbox)
            .where(mine, box.number >= first, box.number <= end)
            .values(epoch=epoch, number=box.number + shift)
        )
        last += end - first + 1
    values = {"epoch": epoch, "stated": True, **_acknowledged(acknowledged)}
    connection.execute(update(tree_link).where(tree_link.c.id == link.id).values(**values))
    return last


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return first and last of the runs without a gap; there is one, unless messages were lost."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def load(connection: Connection, link: int, wanted: Load) -> list[bytes]:
    """Return the messages that are there from ``wanted.first`` on, without a gap, within its bounds."""
    box = tree_outbox.c
    query = (
        select(box.number, box.body)
        .where(box.link == link, box.epoch == wanted.epoch, box.number >= wanted.first)
        .order_by(box.number)
        .limit(wanted.messages)
    )
    bodies: list[bytes] = []
    size = 0
    # In small steps: a message may have a megabyte.
    with connection.execute(query, execution_options={"yield_per": 64}) as rows:
        for number, body in rows:
            size += len(body)
            if number != wanted.first + len(bodies) or (bodies and size > wanted.size):
                break
            bodies.append(body)
    return bodies
