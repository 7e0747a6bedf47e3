"""Offers, contracts and calls in the records."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select, update

from gongfu.appkit.calls.documents import Agreement, Terms
from gongfu.appkit.calls.tables import contract, offer, usage
from gongfu.kernel.times import SECOND

# A call that may still be answered, and one whose caller does not know what became of it.
OPEN, ANSWERED, FAILED, UNKNOWN = "open", "answered", "failed", "unknown"


def period_of(terms: Terms, at: int) -> int:
    """Return the begin of the quota's period that a time is in, UTC ns."""
    return at - at % (terms.period_s * SECOND)


def add_offer(connection: Connection, terms: Terms, digest: str, person: str, now: int) -> None:
    """Add an offer."""
    connection.execute(
        insert(offer).values(
            id=terms.offer,
            terms=msgspec.to_builtins(terms),
            digest=digest,
            made_by=person,
            made_at=now,
            expires_at=terms.until,
            revoked_at=0,
            reason="",
        )
    )


def find_offer(connection: Connection, identifier: str) -> Row[Any] | None:
    """Return an offer."""
    return connection.execute(select(offer).where(offer.c.id == identifier)).one_or_none()


def offers(connection: Connection, after: tuple[int, str] | None, limit: int) -> Sequence[Row[Any]]:
    """Return offers, newest first."""
    query = select(offer)
    if after is not None:
        same = and_(offer.c.made_at == after[0], offer.c.id > after[1])
        query = query.where(or_(offer.c.made_at < after[0], same))
    return connection.execute(query.order_by(offer.c.made_at.desc(), offer.c.id).limit(limit)).all()


def standing_offers(connection: Connection, now: int) -> Sequence[Row[Any]]:
    """Return the offers that stand, at most 1,000."""
    query = select(offer).where(offer.c.revoked_at == 0, offer.c.expires_at > now).order_by(offer.c.id)
    return connection.execute(query.limit(1000)).all()


def revoke_offer(connection: Connection, identifier: str, reason: str, now: int) -> int:
    """End an offer and all contracts under it; return how many."""
    connection.execute(update(offer).where(offer.c.id == identifier).values(revoked_at=now, reason=reason))
    under = (contract.c.offer == identifier) & (contract.c.side == "provider")
    live = contract.c.state.in_(("proposed", "valid"))
    values = {"state": "ended", "reason": f"the offer was revoked: {reason}"[:1000], "changed_at": now}
    return connection.execute(update(contract).where(under & live).values(**values)).rowcount


def contracts_under(connection: Connection, identifiers: Sequence[str]) -> dict[str, int]:
    """Return how many valid contracts offers have."""
    query = select(contract.c.offer, func.count().label("total")).where(
        contract.c.offer.in_(identifiers), contract.c.side == "provider", contract.c.state == "valid"
    )
    return {row.offer: row.total for row in connection.execute(query.group_by(contract.c.offer))}


def add_contract(connection: Connection, **values: Any) -> None:
    """Add a contract."""
    connection.execute(insert(contract).values(**values))


def change_contract(connection: Connection, identifier: str, **values: Any) -> None:
    """Change columns of a contract."""
    connection.execute(update(contract).where(contract.c.id == identifier).values(**values))


def find_contract(connection: Connection, identifier: str, *, lock: bool = False) -> Row[Any] | None:
    """Return a contract; ``lock`` lets no other transaction count against its quota meanwhile (SQLite has one writer
    anyway)."""
    query = select(contract).where(contract.c.id == identifier)
    return connection.execute(query.with_for_update() if lock else query).one_or_none()


def contracts(
    connection: Connection, side: str | None, after: tuple[int, str] | None, limit: int
) -> Sequence[Row[Any]]:
    """Return contracts, newest first."""
    query = select(contract)
    if side is not None:
        query = query.where(contract.c.side == side)
    if after is not None:
        same = and_(contract.c.made_at == after[0], contract.c.id > after[1])
        query = query.where(or_(contract.c.made_at < after[0], same))
    return connection.execute(query.order_by(contract.c.made_at.desc(), contract.c.id).limit(limit)).all()


def agreement_of(row: Any) -> Agreement:
    """Return what was agreed in a contract."""
    return msgspec.json.decode(row.agreement, type=Agreement)


def used(connection: Connection, identifier: str, period: int) -> int:
    """Return how many calls count against the quota of a period."""
    query = select(func.count()).select_from(usage).where(usage.c.contract == identifier, usage.c.period == period)
    return connection.execute(query).scalar_one()


def used_under(connection: Connection, offered: str, peer: str, period: int) -> int:
    """Return how many calls of a consumer under an offer of this node, by whatever contract, count against a period."""
    same = and_(contract.c.offer == offered, contract.c.peer == peer, contract.c.side == "provider")
    query = select(func.count()).select_from(usage.join(contract, contract.c.id == usage.c.contract))
    return connection.execute(query.where(same, usage.c.period == period)).scalar_one()


def lock_offer(connection: Connection, identifier: str) -> None:
    """Let no other transaction count against the quota of an offer meanwhile (SQLite has one writer anyway)."""
    connection.execute(select(offer.c.id).where(offer.c.id == identifier).with_for_update())


def add_call(connection: Connection, **values: Any) -> None:
    """Note a call before it is made or carried out."""
    empty = {"state": OPEN, "status": 0, "charged": 0, "rows": 0, "microseconds": 0, "answer": b""}
    connection.execute(insert(usage).values(**{**empty, **values}))


def find_call(connection: Connection, identifier: str, call: str) -> Row[Any] | None:
    """Return a call by its id."""
    return connection.execute(select(usage).where(usage.c.contract == identifier, usage.c.id == call)).one_or_none()


def call_with_key(connection: Connection, identifier: str, key: str) -> Row[Any] | None:
    """Return a call by the caller's name for it."""
    return connection.execute(select(usage).where(usage.c.contract == identifier, usage.c.key == key)).one_or_none()


def change_call(connection: Connection, identifier: str, call: str, **values: Any) -> None:
    """Change columns of a call."""
    place = (usage.c.contract == identifier) & (usage.c.id == call)
    connection.execute(update(usage).where(place).values(**values))


def drop_call(connection: Connection, identifier: str, call: str) -> None:
    """Forget a call that the other side has not taken."""
    connection.execute(delete(usage).where(usage.c.contract == identifier, usage.c.id == call))


def calls(
    connection: Connection, identifier: str, since: int, until: int, after: tuple[int, str] | None, limit: int
) -> Sequence[Row[Any]]:
    """Return the calls under a contract that were made in a time, in order of it; ``at`` is the caller's clock at both
    sides, so both page alike."""
    query = select(usage).where(usage.c.contract == identifier, usage.c.at >= since, usage.c.at < until)
    if after is not None:
        query = query.where(or_(usage.c.at > after[0], and_(usage.c.at == after[0], usage.c.id > after[1])))
    return connection.execute(query.order_by(usage.c.at, usage.c.id).limit(limit)).all()


def forget_answers(connection: Connection, before: int) -> None:
    """Drop the kept answers of calls made before a time; the calls stay."""
    old = (usage.c.at < before) & (func.length(usage.c.answer) > 0)
    connection.execute(update(usage).where(old).values(answer=b""))


def close_open(connection: Connection) -> int:
    """After a restart: of calls that were open nobody knows what became of them; return how many."""
    left = usage.c.state == OPEN
    return connection.execute(update(usage).where(left).values(state=UNKNOWN)).rowcount
