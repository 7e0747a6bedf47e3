"""Rows of orders: documents, counts, revocations, timers, events, kinds. The only place with their SQL."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from gongfu.tree.orders.draft import Issued
from gongfu.tree.orders.effects import Audit
from gongfu.tree.orders.tables import event, kind, order, progress, record, revocation, target, timer, watch
from gongfu.tree.orders.timers import Timer
from gongfu.tree.orders.types import Revocation, Signed

OrderRow = Any
"""A row of ``tree_order``."""
Group = tuple[str, str, str]
"""Tier, child, shown state: what targets are counted by."""

ISSUED = "issued"
UNKNOWN = "unknown"


def by_id(connection: Connection, order_id: str) -> OrderRow | None:
    """Return the row of an order."""
    return connection.execute(select(order).where(order.c.id == order_id)).one_or_none()


def by_ids(connection: Connection, order_ids: Collection[str]) -> dict[str, OrderRow]:
    """Return the rows of orders that are there, by id."""
    if not order_ids:
        return {}
    rows = connection.execute(select(order).where(order.c.id.in_(list(order_ids))))
    return {row.id: row for row in rows}


def by_keys(connection: Connection, keys: Collection[int]) -> Sequence[OrderRow]:
    """Return the rows of orders by key."""
    return connection.execute(select(order).where(order.c.key.in_(list(keys)))).all() if keys else ()


def add(connection: Connection, **values: Any) -> OrderRow:
    """Insert an order with some columns, the rest empty, and return its row."""
    empty = {
        "kind": "",
        "issuer": "",
        "own": False,
        "draft": "",
        "body": None,
        "signature": None,
        "digest": "",
        "issued_at": 0,
        "deadline": 0,
        "targets": 0,
        "open_targets": 0,
        "revoked": False,
    }
    connection.execute(insert(order).values({**empty, **values}))
    return connection.execute(select(order).where(order.c.id == values["id"])).one()


def change(connection: Connection, key: int, **values: Any) -> None:
    """Change columns of an order."""
    connection.execute(update(order).where(order.c.key == key).values(**values))


def unknown_count(connection: Connection) -> int:
    """Return how many orders there are of which only registers have come."""
    return connection.execute(select(func.count()).where(order.c.state == UNKNOWN)).scalar_one()


def issued_since(connection: Connection, kind_name: str, since: int) -> list[Issued]:
    """Return when orders of a kind were issued here, and to how many targets."""
    rows = connection.execute(
        select(order.c.issued_at, order.c.targets).where(
            order.c.issued_at > since, order.c.kind == kind_name, order.c.own
        )
    )
    return [Issued(at, targets) for at, targets in rows]


def page(
    connection: Connection, states: Collection[str] | None, closed: bool | None, before: int | None, limit: int
) -> Sequence[OrderRow]:
    """Return orders, newest first.

    Args:
        connection: of the records.
        states: stored states; None for all that are known.
        closed: of the issued ones, whether only those with open targets (False) or without (True); None for both.
        before: key before which the page begins, None at the start.
        limit: rows.
    """
    wanted: list[ColumnElement[bool]] = [order.c.state != UNKNOWN if states is None else order.c.state.in_(states)]
    if closed is not None:
        wanted.append(order.c.open_targets == 0 if closed else order.c.open_targets > 0)
    if before is not None:
        wanted.append(order.c.key < before)
    return connection.execute(select(order).where(and_(*wanted)).order_by(order.c.key.desc()).limit(limit)).all()


def add_counts(connection: Connection, key: int, moves: Mapping[Group, int]) -> None:
    """Add to the counts of an order; nothing may become negative."""
    deltas = [(group, by) for group, by in moves.items() if by]
    for (tier, child, shown), by in deltas:
        found = connection.execute(
            update(progress)
            .where(
                progress.c.order_key == key,
                progress.c.tier == tier,
                progress.c.child == child,
                progress.c.shown == shown,
            )
            .values(targets=progress.c.targets + by)
        )
        if not found.rowcount:
            connection.execute(insert(progress).values(order_key=key, tier=tier, child=child, shown=shown, targets=by))


def counts(connection: Connection, keys: Collection[int]) -> dict[int, list[tuple[str, str, str, int]]]:
    """Return the counts of orders: tier, child, shown state, targets."""
    found: dict[int, list[tuple[str, str, str, int]]] = {key: [] for key in keys}
    if keys:
        rows = connection.execute(
            select(progress)
            .where(progress.c.order_key.in_(list(keys)), progress.c.targets > 0)
            .order_by(progress.c.order_key, progress.c.tier, progress.c.child, progress.c.shown)
        )
        for key, tier, child, shown, targets in rows:
            found[key].append((tier, child, shown, targets))
    return found


def add_targets(connection: Connection, key: int, targets: int, still_open: int) -> None:
    """Add to the number of targets of an order, and of those that are open."""
    if targets or still_open:
        connection.execute(
            update(order)
            .where(order.c.key == key)
            .values(targets=order.c.targets + targets, open_targets=order.c.open_targets + still_open)
        )


def keep_revocation(connection: Connection, document: Revocation, signed: Signed) -> None:
    """Keep a revocation, in place of another one of the same order."""
    connection.execute(delete(revocation).where(revocation.c.id == document.order))
    connection.execute(
        insert(revocation).values(
            id=document.order,
            issuer=document.issuer,
            body=signed.body,
            signature=signed.signature,
            deadline=document.deadline,
        )
    )


def revocation_of(connection: Connection, order_id: str) -> Signed | None:
    """Return the revocation of an order."""
    row = connection.execute(
        select(revocation.c.body, revocation.c.signature).where(revocation.c.id == order_id)
    ).one_or_none()
    return None if row is None else Signed(row.body, row.signature)


def add_timers(connection: Connection, key: int, timers: Iterable[Timer]) -> None:
    """Add the timers of an order."""
    rows = [
        {
            "order_key": key,
            "due": one.due,
            "step": one.step.value,
            "escalation": one.escalation,
            "escalate_to": one.to,
            "fired": False,
        }
        for one in timers
    ]
    if rows:
        connection.execute(insert(timer), rows)


def due_timers(connection: Connection, now: int, limit: int = 200) -> Sequence[Any]:
    """Return timers that are due and have not fired, with the order: (key, order_key, step, escalation, to, id)."""
    return connection.execute(
        select(timer, order.c.id)
        .join(order, order.c.key == timer.c.order_key)
        .where(timer.c.fired.is_(False), timer.c.due <= now)
        .order_by(timer.c.due, timer.c.key)
        .limit(limit)
    ).all()


def fire(connection: Connection, keys: Sequence[int]) -> None:
    """Note that timers have fired."""
    connection.execute(update(timer).where(timer.c.key.in_(list(keys))).values(fired=True))


def next_due(connection: Connection) -> int | None:
    """Return when the next timer is due, None when there is none."""
    return connection.execute(select(func.min(timer.c.due)).where(timer.c.fired.is_(False))).scalar()


def add_events(connection: Connection, events: Sequence[Audit]) -> None:
    """Note what happened."""
    if events:
        connection.execute(
            insert(event),
            [
                {
                    "id": one.order[:64],
                    "at": one.at,
                    "event": one.event[:40],
                    "reason": one.reason[:60],
                    # PostgreSQL takes no U+0000.
                    "who": one.who[:200].replace("\0", ""),
                    "detail": one.detail[:2000].replace("\0", ""),
                }
                for one in events
            ],
        )


def events_of(connection: Connection, order_id: str, before: int | None, limit: int) -> Sequence[Any]:
    """Return what happened to an order here, newest first."""
    query = select(event).where(event.c.id == order_id).order_by(event.c.key.desc()).limit(limit)
    return connection.execute(query if before is None else query.where(event.c.key < before)).all()


def happened(connection: Connection, order_id: str, name: str, who: str = "", since: int = 0) -> bool:
    """Return whether something happened to an order here, by somebody, since a time."""
    query = select(event.c.key).where(
        event.c.id == order_id, event.c.event == name, event.c.who == who, event.c.at >= since
    )
    return connection.execute(query.limit(1)).first() is not None


def count_events(connection: Connection, name: str, since: int) -> int:
    """Return how often something happened, to any order, since a time."""
    query = select(func.count()).where(event.c.at > since, event.c.event == name)
    return connection.execute(query).scalar_one()


def own_answers(connection: Connection, order_ids: Collection[str]) -> dict[str, str]:
    """Return the registers of this node as a target, as JSON, by order."""
    rows = connection.execute(select(record.c.id, record.c.execution).where(record.c.id.in_(list(order_ids))))
    return {row.id: row.execution for row in rows}


def allowances(connection: Connection) -> dict[str, bool]:
    """Return what this node says of kinds: obeyed or not."""
    return {row.name: row.allowed for row in connection.execute(select(kind.c.name, kind.c.allowed))}


def allow(connection: Connection, name: str, allowed: bool | None, by: str, now: int) -> None:
    """Obey a kind, or do not; None is what the kind itself says."""
    connection.execute(delete(kind).where(kind.c.name == name))
    if allowed is not None:
        connection.execute(insert(kind).values(name=name, allowed=allowed, changed_by=by, changed_at=now))


def forget(connection: Connection, before: int, limit: int = 50) -> list[str]:
    """Delete orders that are over and whose deadline was before a time, with all that hangs on them; return their ids.

    An order whose record here may still be needed stays.
    """
    rows = connection.execute(
        select(order.c.key, order.c.id)
        .outerjoin(record, record.c.id == order.c.id)
        .where(
            # Of an order that never came, nobody will say how it ended.
            or_(order.c.open_targets == 0, order.c.state == UNKNOWN),
            order.c.deadline < before,
            order.c.created_at < before,
            or_(record.c.id.is_(None), record.c.state.not_in(("delivered", "accepted", "executing", "rolling_back"))),
        )
        .limit(limit)
    ).all()
    if rows:
        keys, ids = [row.key for row in rows], [row.id for row in rows]
        for table in (target, progress, timer):
            connection.execute(delete(table).where(table.c.order_key.in_(keys)))
        for table in (record, watch, revocation, event):
            connection.execute(delete(table).where(table.c.id.in_(ids)))
        connection.execute(delete(order).where(order.c.key.in_(keys)))
    # What belongs to no order: forgeries, revocations of orders that never came.
    connection.execute(delete(event).where(event.c.at < before, event.c.id.not_in(select(order.c.id))))
    connection.execute(
        delete(revocation).where(revocation.c.deadline < before, revocation.c.id.not_in(select(order.c.id)))
    )
    connection.execute(
        delete(record).where(record.c.changed_at < before, record.c.state == "", record.c.id.not_in(select(order.c.id)))
    )
    return [row.id for row in rows]


def signed_of(row: OrderRow) -> Signed:
    """Return the document of an order as it was signed; the order must have one."""
    return Signed(row.body, row.signature)


def issued_or_unknown(row: OrderRow) -> bool:
    """Return whether registers of an order are taken."""
    return row.state in (ISSUED, UNKNOWN)


def of_child(connection: Connection, child: str) -> Sequence[OrderRow]:
    """Return the orders with a document that have targets at or below a child, oldest first."""
    return connection.execute(
        select(order)
        .where(
            order.c.body.is_not(None),
            order.c.key.in_(select(progress.c.order_key).where(progress.c.child == child, progress.c.targets > 0)),
        )
        .order_by(order.c.key)
    ).all()


def json_of(value: msgspec.Struct | None) -> str:
    """Return how a struct is stored in a text column, "" for None."""
    return "" if value is None else msgspec.json.encode(value).decode()
