"""Rows of targets: their registers, this node's own record, watches of probes. The only place with their SQL."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from gongfu.tree.orders.combined import NOTHING, Registers
from gongfu.tree.orders.effects import TargetRecord
from gongfu.tree.orders.order_records import json_of
from gongfu.tree.orders.tables import cursor, inbox, order, parked, record, target, watch
from gongfu.tree.orders.types import Execution, OrderDocument, Revocation
from gongfu.tree.orders.verification import Watch

T = TypeVar("T")

TargetRow = Any
"""A row of ``tree_order_target``."""

# Parameters of one statement: SQLite takes 32,766, PostgreSQL 65,535.
_AT_ONCE = 500

_registers_in = msgspec.msgpack.Decoder(Registers)
_watch_in = msgspec.msgpack.Decoder(Watch)
_out = msgspec.msgpack.Encoder()
_execution_in = msgspec.json.Decoder(Execution)
_revocation_in = msgspec.json.Decoder(Revocation)

_CHANGE = (
    update(target)
    .where(target.c.order_key == bindparam("of_order"), target.c.node == bindparam("of_node"))
    .values(
        registers=bindparam("new_registers"),
        shown=bindparam("new_shown"),
        change=bindparam("new_change"),
        changed_at=bindparam("new_changed_at"),
    )
)
_MOVE = (
    update(target)
    .where(target.c.order_key == bindparam("of_order"), target.c.node == bindparam("of_node"))
    .values(child=bindparam("new_child"), tier=bindparam("new_tier"), name=bindparam("new_name"))
)


def registers_of(data: bytes | None) -> Registers:
    """Return what a row says of a target."""
    return NOTHING if data is None else _registers_in.decode(data)


def registers_bytes(registers: Registers) -> bytes:
    """Return how registers are stored, and travel."""
    return _out.encode(registers)


def chunks(items: Iterable[T], size: int = _AT_ONCE) -> Iterator[list[T]]:
    """Cut items into lists of at most ``size``."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def add(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert targets: order_key, node, child, tier, name, shown, registers, changed_at, change."""
    for chunk in chunks(rows, 5000):
        connection.execute(insert(target), chunk)


def load(connection: Connection, order_key: int, nodes: Iterable[str]) -> dict[str, TargetRow]:
    """Return the rows of some targets of an order, by node."""
    found: dict[str, TargetRow] = {}
    for chunk in chunks(nodes):
        wanted = target.c.node == chunk[0] if len(chunk) == 1 else target.c.node.in_(chunk)
        rows = connection.execute(select(target).where(target.c.order_key == order_key, wanted)).all()
        found.update((row.node, row) for row in rows)
    return found


def change(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write registers: of_order, of_node, new_registers, new_shown, new_change, new_changed_at."""
    if rows:
        connection.execute(_CHANGE, list(rows))


def move(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write through which child targets are reached: of_order, of_node, new_child, new_tier, new_name."""
    if rows:
        connection.execute(_MOVE, list(rows))


def next_change(connection: Connection) -> int:
    """Return the number of the next change."""
    last = connection.execute(select(func.max(target.c.change)).where(target.c.change.is_not(None))).scalar()
    return max(last or 0, sent(connection)) + 1


def sent(connection: Connection) -> int:
    """Return the number of the last change that was put into the outbox to the parent."""
    return connection.execute(select(cursor.c.value).where(cursor.c.name == "sent")).scalar() or 0


def set_sent(connection: Connection, number: int) -> None:
    """Note that changes up to this one are in the outbox."""
    found = connection.execute(update(cursor).where(cursor.c.name == "sent").values(value=number))
    if not found.rowcount:
        connection.execute(insert(cursor).values(name="sent", value=number))


def changes_after(connection: Connection, number: int, limit: int) -> Sequence[Any]:
    """Return (change, registers) of targets that changed after a number, in the order of the changes."""
    return connection.execute(
        select(target.c.change, target.c.registers)
        .where(target.c.change > number)
        .order_by(target.c.change)
        .limit(limit)
    ).all()


def renumber(connection: Connection) -> None:
    """Make every register that the parent should know a change that it has not heard of."""
    set_sent(connection, 0)


def through(connection: Connection, order_key: int, child: str) -> Sequence[Any]:
    """Return (node, registers) of the targets of an order at or below a child."""
    return connection.execute(
        select(target.c.node, target.c.registers)
        .where(target.c.order_key == order_key, target.c.child == child)
        .order_by(target.c.node)
    ).all()


def everything(connection: Connection, order_key: int) -> Sequence[Any]:
    """Return (node, child, registers) of all targets of an order."""
    columns = (target.c.node, target.c.child, target.c.registers)
    return connection.execute(select(*columns).where(target.c.order_key == order_key).order_by(target.c.node)).all()


def children(connection: Connection, order_key: int) -> list[str]:
    """Return the children through which targets of an order are reached."""
    return list(connection.execute(select(target.c.child).where(target.c.order_key == order_key).distinct()).scalars())


def of_nodes(connection: Connection, nodes: Iterable[str] | None) -> list[Any]:
    """Return (order columns, node, child, tier, shown) of the targets with these nodes; None for all open orders'."""
    columns = (target.c.order_key, target.c.node, target.c.child, target.c.tier, target.c.shown, order.c.deadline)
    query = select(*columns).join(order, order.c.key == target.c.order_key)
    if nodes is None:
        return list(connection.execute(query.where(order.c.open_targets > 0)))
    found: list[Any] = []
    for chunk in chunks(nodes):
        found.extend(connection.execute(query.where(target.c.node.in_(chunk))))
    return found


def page(
    connection: Connection, order_key: int, shown: str | None, tier: str | None, after: str, limit: int
) -> Sequence[TargetRow]:
    """Return targets of an order by node id."""
    query = select(target).where(target.c.order_key == order_key, target.c.node > after)
    if shown is not None:
        query = query.where(target.c.shown == shown)
    if tier is not None:
        query = query.where(target.c.tier == tier)
    return connection.execute(query.order_by(target.c.node).limit(limit)).all()


def recount(connection: Connection, order_key: int) -> list[tuple[str, str, str, int]]:
    """Return (tier, child, shown, targets) of an order, counted anew."""
    rows = connection.execute(
        select(target.c.tier, target.c.child, target.c.shown, func.count())
        .where(target.c.order_key == order_key)
        .group_by(target.c.tier, target.c.child, target.c.shown)
        .order_by(target.c.tier, target.c.child, target.c.shown)
    )
    return [(tier, child, shown, count) for tier, child, shown, count in rows]


def own(connection: Connection, order_id: str, node: str, document: OrderDocument | None) -> TargetRecord | None:
    """Return what this node, as a target, knows of an order; ``document`` is the order's, if it has come."""
    row = connection.execute(select(record).where(record.c.id == order_id)).one_or_none()
    if row is None:
        return None
    return TargetRecord(
        order_id,
        node,
        row.digest,
        document if row.digest else None,
        _execution_in.decode(row.execution) if row.execution else None,
        _revocation_in.decode(row.revocation) if row.revocation else None,
    )


def keep_own(connection: Connection, kept: TargetRecord, now: int) -> None:
    """Store what this node, as a target, knows of an order."""
    values = {
        "digest": kept.digest,
        "state": "" if kept.execution is None else kept.execution.state.value,
        "execution": json_of(kept.execution),
        "revocation": json_of(kept.revocation),
        "changed_at": now,
    }
    found = connection.execute(update(record).where(record.c.id == kept.order).values(**values))
    if not found.rowcount:
        connection.execute(insert(record).values(id=kept.order, **values))


def own_in(connection: Connection, states: Iterable[str]) -> list[str]:
    """Return the ids of the orders whose execution here is in one of some states."""
    query = select(record.c.id).where(record.c.state.in_(list(states))).order_by(record.c.id)
    return list(connection.execute(query).scalars())


def watches(connection: Connection, order_id: str, nodes: Iterable[str]) -> dict[str, Watch]:
    """Return the watches of some targets of an order, by node."""
    found: dict[str, Watch] = {}
    for chunk in chunks(nodes):
        query = select(watch.c.target, watch.c.watch).where(watch.c.id == order_id, watch.c.target.in_(chunk))
        found.update((node, _watch_in.decode(data)) for node, data in connection.execute(query))
    return found


def keep_watches(connection: Connection, kept: Sequence[Watch]) -> None:
    """Store watches."""
    forget_watches(connection, [(one.order, one.target) for one in kept])
    if kept:
        connection.execute(
            insert(watch),
            [
                {
                    "id": one.order,
                    "target": one.target,
                    "next_at": one.next_at if one.open else None,
                    "watch": _out.encode(one),
                }
                for one in kept
            ],
        )


def forget_watches(connection: Connection, of: Sequence[tuple[str, str]]) -> None:
    """Delete watches by order and target."""
    if of:
        connection.execute(
            delete(watch).where(watch.c.id == bindparam("of_id"), watch.c.target == bindparam("of_target")),
            [{"of_id": order_id, "of_target": node} for order_id, node in of],
        )


def due_watches(connection: Connection, now: int, limit: int) -> list[Watch]:
    """Return watches whose time has come, earliest first."""
    query = select(watch.c.watch).where(watch.c.next_at <= now).order_by(watch.c.next_at).limit(limit)
    return [_watch_in.decode(data) for data in connection.execute(query).scalars()]


def next_look(connection: Connection, after: int) -> int | None:
    """Return when the next look after a time is due, None when there is none."""
    return connection.execute(select(func.min(watch.c.next_at)).where(watch.c.next_at > after)).scalar()


def park(connection: Connection, peer: str, registers: Registers, now: int, limit: int) -> bool:
    """Keep a register for a moment; return whether there was room."""
    if connection.execute(select(func.count()).select_from(parked)).scalar_one() >= limit:
        return False
    connection.execute(insert(parked).values(peer=peer, at=now, registers=_out.encode(registers)))
    return True


def take_parked(connection: Connection) -> list[tuple[str, int, Registers]]:
    """Return all that is parked, oldest first, and park it no longer: (peer, since when, registers)."""
    rows = connection.execute(select(parked).order_by(parked.c.key)).all()
    if rows:
        connection.execute(delete(parked).where(parked.c.key <= rows[-1].key))
    return [(row.peer, row.at, _registers_in.decode(row.registers)) for row in rows]


def queue(connection: Connection, peer: str, body: bytes, now: int) -> None:
    """Keep a message whose registers are merged later, with those of others."""
    connection.execute(insert(inbox).values(peer=peer, at=now, body=body))


def take_queued(connection: Connection, limit: int) -> list[tuple[str, int, bytes]]:
    """Return the oldest messages that are queued, and queue them no longer: (peer, since when, body)."""
    rows = connection.execute(select(inbox).order_by(inbox.c.key).limit(limit)).all()
    if rows:
        connection.execute(delete(inbox).where(inbox.c.key <= rows[-1].key))
    return [(row.peer, row.at, row.body) for row in rows]
