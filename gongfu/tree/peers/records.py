"""Contracts and calls in the records."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row, func, insert, select, update

from gongfu.tree.peers.admission import Known, Traffic
from gongfu.tree.peers.calls import Call
from gongfu.tree.peers.contract import MINUTE, Contract, ContractEnd, read_contract
from gongfu.tree.peers.tables import call as calls
from gongfu.tree.peers.tables import contract as contracts
from gongfu.tree.peers.tables import told

OPEN, ANSWERED = "open", "answered"


def find_contract(connection: Connection, contract: str) -> tuple[Known, Row[Any]] | None:
    """Return a contract and its row."""
    row = connection.execute(select(contracts).where(contracts.c.id == contract)).one_or_none()
    return None if row is None else (Known(read_contract(row.signed), row.ended_at), row)


def add_contract(connection: Connection, contract: Contract, signed: bytes) -> None:
    """Store a contract."""
    connection.execute(
        insert(contracts).values(
            id=contract.id,
            ancestor=contract.ancestor,
            signed=signed,
            made_at=contract.made_at,
            valid_until=contract.valid_until,
            ended_at=0,
            end_reason="",
            end_signed=b"",
        )
    )


def end_contract(connection: Connection, end: ContractEnd, signed: bytes) -> None:
    """Store that a contract has ended."""
    values = {"ended_at": max(1, end.ended_at), "end_reason": end.reason, "end_signed": signed}
    connection.execute(update(contracts).where(contracts.c.id == end.contract).values(values))


def list_contracts(connection: Connection, limit: int, after: tuple[int, str] | None) -> Sequence[Row[Any]]:
    """Return contracts in the order in which they were made, after one of them."""
    query = select(contracts).order_by(contracts.c.made_at, contracts.c.id).limit(limit)
    if after is not None:
        query = query.where(sa.tuple_(contracts.c.made_at, contracts.c.id) > sa.tuple_(*map(sa.literal, after)))
    return connection.execute(query).all()


def count_standing(connection: Connection, ancestor: str, now: int) -> int:
    """Return how many contracts of an ancestor are neither ended nor expired."""
    standing = (contracts.c.ancestor == ancestor) & (contracts.c.ended_at == 0) & (contracts.c.valid_until > now)
    return connection.execute(select(func.count()).where(standing)).scalar_one()


def to_tell(connection: Connection, now: int) -> Sequence[tuple[Known, bytes, bytes]]:
    """Return contracts that are not expired, each as known, as signed, and its end as signed."""
    rows = connection.execute(select(contracts).where(contracts.c.valid_until > now).order_by(contracts.c.made_at))
    return [(Known(read_contract(row.signed), row.ended_at), row.signed, row.end_signed) for row in rows]


def told_to(connection: Connection, child: str) -> dict[str, int]:
    """Return what a child was told: contract → its end, 0 without one."""
    rows = connection.execute(select(told.c.contract, told.c.ended_at).where(told.c.child == child))
    return {row.contract: row.ended_at for row in rows}


def set_told(connection: Connection, contract: str, child: str, ended_at: int, *, first: bool) -> None:
    """Note that a child was told."""
    if first:
        connection.execute(insert(told).values(contract=contract, child=child, ended_at=ended_at))
        return
    this = (told.c.contract == contract) & (told.c.child == child)
    connection.execute(update(told).where(this).values(ended_at=ended_at))


def forget_told(connection: Connection, child: str) -> None:
    """Forget what a child was told."""
    connection.execute(told.delete().where(told.c.child == child))


def traffic(connection: Connection, contract: str, now: int, most_open: int) -> Traffic:
    """Return what this node has let through."""
    recent = (calls.c.contract == contract) & (calls.c.at > now - MINUTE) & (calls.c.admitted == 1)
    waiting = (calls.c.state == OPEN) & (calls.c.deadline > now)
    minute = connection.execute(select(func.count()).where(recent)).scalar_one()
    return Traffic(minute, connection.execute(select(func.count()).where(waiting)).scalar_one(), most_open)


def add_call(
    connection: Connection,
    call: Call,
    now: int,
    *,
    came_from: str = "",
    went_to: str = "",
    payload: bytes = b"",
    state: str = OPEN,
) -> None:
    """Store a call; any other state than ``open`` says that it was not let through."""
    connection.execute(
        insert(calls).values(
            id=call.id,
            contract=call.contract,
            kind=call.kind,
            caller=call.caller,
            callee=call.callee,
            came_from=came_from,
            went_to=went_to,
            state=state,
            admitted=int(state == OPEN),
            payload=payload,
            at=now,
            deadline=call.deadline,
        )
    )


def find_call(connection: Connection, call: str) -> Row[Any] | None:
    """Return the row of a call."""
    return connection.execute(select(calls).where(calls.c.id == call)).one_or_none()


def denied_lately(connection: Connection, contract: str, denial: str, now: int) -> bool:
    """Return whether a call under a contract was denied for this reason within the last minute."""
    same = (calls.c.contract == contract) & (calls.c.at > now - MINUTE)
    same &= (calls.c.admitted == 0) & (calls.c.state == denial)
    return connection.execute(select(calls.c.id).where(same).limit(1)).first() is not None


def close_call(connection: Connection, call: str, state: str) -> bool:
    """Set the final state of a call, once; return whether it was open."""
    still = (calls.c.id == call) & (calls.c.state == OPEN)
    return connection.execute(update(calls).where(still).values(state=state, payload=b"")).rowcount == 1


def open_calls(connection: Connection) -> Sequence[Row[Any]]:
    """Return the calls that have no final state."""
    return connection.execute(select(calls).where(calls.c.state == OPEN)).all()


def purge(connection: Connection, now: int, late: str, keep: int) -> None:
    """Close calls whose deadline has passed, forget those of long ago."""
    over = (calls.c.state == OPEN) & (calls.c.deadline < now)
    connection.execute(update(calls).where(over).values(state=late, payload=b""))
    connection.execute(calls.delete().where((calls.c.deadline < now - keep) & (calls.c.at < now - keep)))
