"""Effects that stand: what a thing is to be while several orders are about it, and what is left when one is taken back.

The latest order that stands decides. When it is taken back, the one before it decides again, and when none is left the
thing is as it was before the first. What is here is written before the thing is changed, so that a call that is
repeated after a crash finds how it was.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, delete, insert, select

from gongfu.node.drivers.tables import driver_effect as effect


class Effect(NamedTuple):
    """An order that stands. ``base`` is how the thing was before the first of those that stand."""

    order: str
    base: Any
    wanted: Any


def due(standing: Sequence[Effect], without: str = "") -> Any:
    """Return how a thing is to be: ``standing`` in order of time, at least one; ``without`` an order."""
    left = [item for item in standing if item.order != without]
    return left[-1].wanted if left else standing[0].base


def standing_of(connection: Connection, driver: str, thing: str) -> list[Effect]:
    """Return the orders that stand, in order of time."""
    query = select(effect.c.order_id, effect.c.base, effect.c.wanted).order_by(effect.c.id)
    rows = connection.execute(query.where(effect.c.driver == driver, effect.c.thing == thing))
    return [Effect(*row) for row in rows]


def stand(
    connection: Connection, driver: str, thing: str, order: str, observe: Callable[[], Any], wanted: Any, now: int
) -> Any:
    """Let an order stand and return how the thing is to be; the same order again changes nothing.

    Args:
        connection: a writing transaction.
        driver: name of the driver.
        thing: what is changed.
        order: id of the order.
        observe: returns how the thing is now; called for the first order that is about it.
        wanted: how the order wants it.
        now: UTC ns.
    """
    present = standing_of(connection, driver, thing)
    if all(item.order != order for item in present):
        base = present[0].base if present else observe()
        row = {"driver": driver, "thing": thing, "order_id": order, "base": base, "wanted": wanted, "at": now}
        connection.execute(insert(effect).values(row))
        present.append(Effect(order, base, wanted))
    return due(present)


def things_of(connection: Connection, driver: str, order: str) -> list[tuple[str, Any]]:
    """Return what an order is about, and how each is to be without it."""
    query = select(effect.c.thing).where(effect.c.driver == driver, effect.c.order_id == order).order_by(effect.c.id)
    things = list(connection.execute(query).scalars())
    return [(thing, due(standing_of(connection, driver, thing), order)) for thing in things]


def forget(connection: Connection, driver: str, order: str) -> None:
    """Let an order no longer stand, after all that it was about is as it is to be without it."""
    connection.execute(delete(effect).where(and_(effect.c.driver == driver, effect.c.order_id == order)))
