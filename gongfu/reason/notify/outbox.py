"""Queries of the outbox: what is to be sent, and what became of it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, update

from gongfu.reason.notify.routing import DIGEST_EVERY
from gongfu.reason.notify.states import Delivery
from gongfu.reason.notify.tables import outbox

# Waiting notifications of a node; further ones are counted, not kept.
MAX_QUEUED = 20_000
_CHUNK = 400


def add(connection: Connection, rows: Sequence[dict[str, Any]], room: int) -> tuple[list[dict[str, Any]], int]:
    """Add notifications that are not there yet; return those, and how many had no room.

    Args:
        connection: a transaction that writes.
        rows: all columns but those that tell what became of it.
        room: how many may be queued.
    """
    known: set[str] = set()
    ids = [row["id"] for row in rows]
    for start in range(0, len(ids), _CHUNK):
        query = select(outbox.c.id).where(outbox.c.id.in_(ids[start : start + _CHUNK]))
        known.update(connection.execute(query).scalars())
    fresh: list[dict[str, Any]] = []
    overflowed = 0
    for row in rows:
        if row["id"] in known:
            continue
        known.add(row["id"])
        if row["state"] == Delivery.QUEUED:
            if room <= 0:
                overflowed += 1
                continue
            room -= 1
        fresh.append(row)
    if fresh:
        connection.execute(insert(outbox), fresh)
    return fresh, overflowed


def row_of(**values: Any) -> dict[str, Any]:
    """Return a row with what nobody knows yet."""
    return {
        "subject": "",
        "text": "",
        "attempts": 0,
        "sent_at": None,
        "delivered_at": None,
        "acknowledged_at": None,
        "receipt": "",
        "error": "",
        "flood_id": 0,
        "alarm_id": "",
        "route_id": 0,
        "step": 0,
    } | values


def count_by_state(connection: Connection, tenant: int | None = None) -> Counter[str]:
    """Return how many notifications are in each state."""
    query = select(outbox.c.state, func.count()).group_by(outbox.c.state)
    if tenant is not None:
        query = query.where(outbox.c.tenant_id == tenant)
    return Counter({state: int(number) for state, number in connection.execute(query)})


def queued(connection: Connection) -> int:
    """Return how many notifications wait."""
    query = select(func.count()).where(outbox.c.state == str(Delivery.QUEUED))
    return int(connection.execute(query).scalar_one())


def due(connection: Connection, now: int, limit: int) -> list[Any]:
    """Return notifications that are to be sent by now: of each channel in turn the oldest, so that many which wait for
    one channel hold up no other."""
    c = outbox.c
    waiting = and_(c.state == str(Delivery.QUEUED), c.due_at <= now)
    place = func.row_number().over(partition_by=c.channel_id, order_by=(c.due_at, c.id)).label("place")
    ranked = select(c.id, place).where(waiting).subquery()
    query = select(outbox).join(ranked, ranked.c.id == c.id).order_by(ranked.c.place, c.due_at, c.id)
    return list(connection.execute(query.limit(limit)))


def of_the_future(connection: Connection, now: int) -> int:
    """Return how many notifications wait that were queued at a later time than this: the clock was set back since."""
    query = select(func.count()).where(outbox.c.state == str(Delivery.QUEUED), outbox.c.created_at > now)
    return int(connection.execute(query).scalar_one())


def begin_again(connection: Connection, later: int, now: int) -> None:
    """Let what waits, and was queued at a later time than ``later``, wait from now for as long as it was meant to."""
    c = outbox.c
    values = {"due_at": c.due_at - c.created_at + now, "created_at": now}
    connection.execute(update(outbox).where(c.state == str(Delivery.QUEUED), c.created_at > later).values(values))


def one(connection: Connection, key: str) -> Any:
    """Return a notification, locked; None when it is not there."""
    return connection.execute(select(outbox).where(outbox.c.id == key).with_for_update()).one_or_none()


def change(connection: Connection, key: str, before: str, **values: Any) -> bool:
    """Change a notification if it is still in a state; return whether it was."""
    query = update(outbox).where(outbox.c.id == key, outbox.c.state == before).values(values)
    return connection.execute(query).rowcount == 1


def forget(connection: Connection, before: int, limit: int = 1000) -> int:
    """Delete up to ``limit`` notifications from before a time that do not wait; return how many. What the alarms'
    journal says of their acknowledgement stays."""
    c = outbox.c
    old = select(c.id).where(c.created_at < before, c.state != str(Delivery.QUEUED)).limit(limit)
    ids = list(connection.execute(old).scalars())
    for start in range(0, len(ids), _CHUNK):
        connection.execute(delete(outbox).where(c.id.in_(ids[start : start + _CHUNK])))
    return len(ids)


def page(
    connection: Connection, tenant: int, after: tuple[int, str] | None, limit: int, state: str | None, alarm: str | None
) -> list[Any]:
    """Return notifications of a tenant, newest first."""
    c = outbox.c
    query = select(outbox).where(c.tenant_id == tenant)
    if state is not None:
        query = query.where(c.state == state)
    if alarm is not None:
        query = query.where(c.alarm_id == alarm)
    if after is not None:
        query = query.where(or_(c.created_at < after[0], and_(c.created_at == after[0], c.id < after[1])))
    return list(connection.execute(query.order_by(c.created_at.desc(), c.id.desc()).limit(limit)))


def collapsed(connection: Connection, digest: Any) -> list[Any]:
    """Return what a digest tells of: collapsed into its flood for its recipient, in the time up to it."""
    c = outbox.c
    mine = and_(
        c.tenant_id == digest.tenant_id,
        c.flood_id == digest.flood_id,
        c.state == str(Delivery.COLLAPSED),
        c.channel_id == digest.channel_id,
        c.recipient == digest.recipient,
        c.step == 0,
        # The part of time that it is for, whenever it is sent.
        c.due_at >= digest.annunciated_at,
        c.due_at < digest.annunciated_at + DIGEST_EVERY,
    )
    return list(connection.execute(select(c.alarm_id).where(mine).order_by(c.due_at).limit(10_000)))
