"""Calls across platforms with parties and ways that mean no good, or end at the wrong moment."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from gongfu.appkit.calls import answering
from gongfu.appkit.calls.answering import MOST_OF_ONE, Carried
from gongfu.appkit.calls.documents import Terms
from gongfu.appkit.calls.signing import denied
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Subject
from tests.unit.appkit.test_calls import ADMIN, URL, Proposing, Two, refusal, two

__all__ = ["two"]


class Gate:
    """A model that answers when it is told to."""

    def __init__(self, pair: Two) -> None:
        self.began, self.opened = asyncio.Semaphore(0), asyncio.Event()
        self.carried = 0
        pair.answering._carry_out = self.carry_out  # pyright: ignore[reportPrivateUsage]

    async def carry_out(self, terms: Terms, subject: Subject, payload: bytes) -> Carried:
        self.carried += 1
        self.began.release()
        await self.opened.wait()
        return Carried(200, b"[1]", 1)


async def test_more_contracts_under_an_offer_are_no_more_quota(two: Two) -> None:
    offer = two.offer()
    contracts = [(await two.calling.propose(ADMIN, Proposing(URL, offer, two.provider.key.id))).id for _ in range(3)]
    for contract in contracts:
        await two.call(contract)
    assert [await refusal(two.call(contract)) for contract in contracts] == [(429, "quota-exceeded")] * 3
    # Ending one and agreeing again is no way round either.
    await two.calling.end(ADMIN, contracts[0], "again")
    fresh = (await two.calling.propose(ADMIN, Proposing(URL, offer, two.provider.key.id))).id
    assert await refusal(two.call(fresh)) == (429, "quota-exceeded")
    assert len(two.carried) == 3
    assert two.theirs.get(fresh).used == 3
    assert await two.difference(contracts[1]) == []


async def test_callers_at_once_do_not_share_the_last_of_the_quota(two: Two) -> None:
    contract = await two.contract(quota=3)
    found = await asyncio.gather(*(two.call(contract) for _ in range(8)), return_exceptions=True)
    assert sorted(one.code for one in found if isinstance(one, Problem)) == ["quota-exceeded"] * 5
    assert len(two.carried) == 3
    assert await two.difference(contract) == []


async def test_who_goes_away_in_the_middle_leaves_no_call_open(two: Two) -> None:
    contract = await two.contract()
    gate = Gate(two)
    caller = asyncio.create_task(two.call(contract, "order-1"))
    await gate.began.acquire()
    # The web server ends the handler when the consumer's connection is gone.
    caller.cancel()
    await asyncio.wait({caller})
    assert await refusal(two.call(contract, "order-1")) == (409, "in-progress")
    gate.opened.set()
    while two.answering._running:  # noqa: ASYNC110 # pyright: ignore[reportPrivateUsage]
        await asyncio.sleep(0.01)
    done = await two.call(contract, "order-1")
    assert (done.status, done.charged, gate.carried) == (200, True, 1)
    assert await two.difference(contract) == []


async def test_a_callee_that_never_answers_ends_with_the_terms(two: Two) -> None:
    contract = await two.contract(timeout_s=0.2)
    gate = Gate(two)
    assert await refusal(two.call(contract)) == (504, "timed-out")
    assert await two.difference(contract) == []
    assert (two.answering._running, gate.carried) == (0, 1)  # pyright: ignore[reportPrivateUsage]


async def test_one_consumer_leaves_room_for_others(two: Two) -> None:
    contract = await two.contract(quota=100)
    gate = Gate(two)
    calls = [asyncio.create_task(two.call(contract)) for _ in range(MOST_OF_ONE)]
    for _ in calls:
        await gate.began.acquire()
    assert await refusal(two.call(contract)) == (503, "busy")
    gate.opened.set()
    assert [one.status for one in await asyncio.gather(*calls)] == [200] * MOST_OF_ONE
    assert (await two.call(contract)).status == 200
    assert two.answering._of == {}  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("side", ["provider", "consumer"])
async def test_a_call_that_was_under_way_when_the_contract_ended_is_settled(two: Two, side: str) -> None:
    contract = await two.contract()
    two.wire.cut = "after"
    assert await refusal(two.call(contract, "order-1")) == (504, "outcome-unknown")
    two.wire.cut = ""
    if side == "provider":
        two.theirs.end(ADMIN, contract, "enough")
    else:
        await two.calling.end(ADMIN, contract, "enough")
    done = await two.call(contract, "order-1")
    assert (done.status, done.charged, len(two.carried)) == (200, True, 1)
    assert await two.difference(contract) == []
    # Nothing new is called.
    assert (await refusal(two.call(contract, "order-2")))[1] == "contract-ended"
    assert len(two.carried) == 1


async def test_a_refusal_that_nobody_signed_is_not_believed(two: Two) -> None:
    contract = await two.contract()
    provider = two.wire.provider

    async def between(data: bytes) -> bytes:
        await provider(data)
        raise denied("not-found", "there is no such page", 404)

    two.wire.provider = between
    assert (await refusal(two.call(contract, "order-1")))[0] == 404
    two.wire.provider = provider
    done = await two.call(contract, "order-1")
    assert (done.status, len(two.carried)) == (200, 1), "the same key was carried out twice"
    assert await two.difference(contract) == []


async def test_an_empty_answer_is_an_answer(two: Two) -> None:
    contract = await two.contract()
    two.outcome = Carried(204, b"")
    two.wire.cut = "after"
    assert await refusal(two.call(contract, "order-1")) == (504, "outcome-unknown")
    two.wire.cut = ""
    done = await two.call(contract, "order-1")
    assert (done.status, bytes(done.answer), len(two.carried)) == (204, b"null", 1)


async def test_records_that_are_away_for_a_moment_lose_no_usage(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "_AGAIN_S", (0.01, 0.01))
    contract = await two.contract()
    finish: Any = two.answering._finish  # pyright: ignore[reportPrivateUsage]
    tries = 0

    def lost(*args: Any) -> None:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise OperationalError("update", {}, Exception("database is locked"))
        finish(*args)

    monkeypatch.setattr(two.answering, "_finish", lost)
    assert (await two.call(contract)).charged
    assert tries == 3
    assert await two.difference(contract) == []


async def test_what_is_too_large_is_refused_before_it_counts(two: Two, tmp_path: Path) -> None:
    contract = await two.contract(payload_bytes=200)
    request: dict[str, Any] = {"flow": 1.0}
    from gongfu.appkit.calls.documents import ColumnIn, NewCall

    columns = {name: ColumnIn([request["flow"]] * 10_000, unit) for name, unit in (("flow", "m3/s"), ("head", "m"))}
    assert await refusal(two.calling.call(ADMIN, contract, NewCall(columns=columns))) == (413, "payload-too-large")
    assert two.theirs.get(contract).used == 0
    two.outcome = Carried(200, b"[" + b"1," * 1000 + b"1]")
    assert await refusal(two.call(contract)) == (502, "answer-too-large")
    assert await two.difference(contract) == []


async def test_requests_that_come_in_one_moment_do_not_get_past_the_bound(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = asyncio.Event()

    async def admitted(*_: Any) -> tuple[int, bytes, bool, bool]:
        await opened.wait()
        return 200, b"[1]", True, True

    monkeypatch.setattr(two.answering, "_admitted", admitted)
    request: Any = None
    invoke: Any = two.answering._invoke  # pyright: ignore[reportPrivateUsage]
    calls = [asyncio.create_task(invoke(request, two.consumer.key.public_key, b"")) for _ in range(MOST_OF_ONE * 3)]
    done, _ = await asyncio.wait(calls, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    opened.set()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [one.code for one in found if isinstance(one, Problem)] == ["busy"] * (MOST_OF_ONE * 2)
    assert done
    assert (two.answering._running, two.answering._of) == (0, {})  # pyright: ignore[reportPrivateUsage]


async def test_who_calls_and_who_revokes_lock_in_one_order(two: Two) -> None:
    offer = two.offer()
    contract = (await two.calling.propose(ADMIN, Proposing(URL, offer, two.provider.key.id))).id
    locked: list[str] = []

    def before(_connection: Any, statement: Any, *_: Any) -> None:
        if getattr(statement, "is_update", False):
            locked.append(statement.table.name)
        elif getattr(statement, "_for_update_arg", None) is not None:
            locked.extend(table.name for table in statement.get_final_froms())

    event.listen(two.engines[0], "before_execute", before)
    await two.call(contract)
    calling = [name for name in locked if name in ("call_offer", "call_contract")]
    locked.clear()
    two.offers.revoke(ADMIN, offer, "enough")
    assert (
        [name for name in locked if name in ("call_offer", "call_contract")]
        == calling
        == ["call_offer", "call_contract"]
    )
