"""Calls across platforms: two nodes with records of their own; what travels is what would travel over HTTPS."""

import asyncio
import hashlib
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from gongfu.appkit.calls.answering import Answering, Carried, UsageRow
from gongfu.appkit.calls.calling import Calling
from gongfu.appkit.calls.contracts import Contracts
from gongfu.appkit.calls.documents import ColumnIn, NewCall, NewOffer, PortTerms, Proposing, Terms
from gongfu.appkit.calls.identity import Identity
from gongfu.appkit.calls.link import Link, NoAnswerError, NotSentError, check_url
from gongfu.appkit.calls.offers import Offers
from gongfu.appkit.calls.reconciling import compare, notes_of
from gongfu.appkit.calls.signing import Request, open_request, seal_request
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Role, Subject
from gongfu.store.records.engine import open_records
from gongfu.tree.membership.keys import NodeKey

ADMIN = Subject(1, "wang", 1, Role.ADMIN)
BEGIN = 1_793_448_000 * 10**9
URL = "https://provider.example:8443"
PORTS = ((PortTerms("flow", "m3/s"), PortTerms("head", "m")), (PortTerms("power", "kW"),))


class Clock:
    """A clock that is set."""

    now = BEGIN

    def now_ns(self) -> int:
        return self.now


class Wire(Link):
    """The way from the consumer to the provider, which can be cut."""

    def __init__(self, provider: Callable[[bytes], Awaitable[bytes]]) -> None:
        super().__init__()
        self.provider = provider
        self.cut = ""
        self.sent: list[bytes] = []

    async def post(self, url: str, data: bytes, timeout_s: float) -> bytes:
        assert url == URL
        if self.cut == "before":
            raise NotSentError("refused")
        self.sent.append(data)
        answer = await self.provider(data)
        if self.cut == "after":
            raise NoAnswerError("reset")
        return answer


class Two:
    """A provider with a model that multiplies, and a consumer."""

    def __init__(self, provider: Engine, consumer: Engine) -> None:
        self.clock = Clock()
        self.engines = provider, consumer
        keys = [NodeKey(hashlib.sha256(name).digest()) for name in (b"provider", b"consumer")]
        self.provider, self.consumer = (Identity(key, name) for key, name in zip(keys, ("厂甲", "b"), strict=True))
        self.offers = Offers(provider, self.clock, lambda: self.provider)
        self.theirs = Contracts(provider, self.clock, lambda: self.provider)
        self.answering = Answering(provider, self.clock, lambda: self.provider, self.theirs, self._carry_out)
        self.wire = Wire(self.answering.answer)
        self.ours = Contracts(consumer, self.clock, lambda: self.consumer)
        self.calling = Calling(consumer, self.clock, lambda: self.consumer, self.ours, self.wire)
        self.carried: list[bytes] = []
        self.outcome: Carried | Problem | None = None

    async def _carry_out(self, terms: Terms, subject: Subject, payload: bytes) -> Carried:
        assert subject.name == f"node:{self.consumer.key.id}"
        self.carried.append(payload)
        await asyncio.sleep(0)
        if isinstance(self.outcome, Problem):
            raise self.outcome
        return self.outcome or Carried(200, b'{"columns":{"power":[1.0]}}', 1)

    def offer(self, **terms: Any) -> str:
        given: dict[str, Any] = {"to": (self.consumer.key.id,), "quota": 3, "price": 25, **terms}
        made = NewOffer(
            kind="model", target="pump.power", until="2026-12-31T00:00:00Z", inputs=PORTS[0], outputs=PORTS[1], **given
        )
        return self.offers.make(ADMIN, made).terms.offer

    async def contract(self, **terms: Any) -> str:
        made = await self.calling.propose(ADMIN, Proposing(URL, self.offer(**terms), self.provider.key.id))
        return made.id

    async def call(self, contract: str, key: str | None = None, flow: float = 3600.0) -> Any:
        columns = {"flow": ColumnIn([flow], "m3/h"), "head": ColumnIn([10.0], "m")}
        return await self.calling.call(ADMIN, contract, NewCall(columns=columns, key=key))

    async def difference(self, contract: str) -> list[str]:
        since, until = BEGIN - 10**9, self.clock.now + 10**9
        there = await self.calling.usage_there(contract, since, until)
        here = notes_of(self.engines[1], contract, since, until)
        return [f"{d.here} | {d.there}" for d in compare(here, there, 25, since, until).differences]


@pytest.fixture
def two(sqlite_template: Path, tmp_path: Path) -> Iterator[Two]:
    engines: list[Engine] = []
    for name in ("provider", "consumer"):
        shutil.copyfile(sqlite_template, tmp_path / f"{name}.db")
        engines.append(open_records(f"sqlite:///{tmp_path / name}.db"))
    yield Two(*engines)
    for engine in engines:
        engine.dispose()


async def refusal(action: Awaitable[Any]) -> tuple[int, str]:
    with pytest.raises(Problem) as caught:
        await action
    return caught.value.status, caught.value.code


async def test_a_call_is_made_under_a_contract_that_both_keep(two: Two) -> None:
    found = await two.calling.look(URL)
    assert (found.node, found.offers) == (two.provider.key.id, [])
    contract = await two.contract()
    ours, theirs = two.ours.get(contract), two.theirs.get(contract)
    assert (ours.state, theirs.state, ours.digest) == ("valid", "valid", theirs.digest)
    assert (ours.peer_name, theirs.peer_name) == ("厂甲", "b")
    done = await two.call(contract)
    assert (done.status, done.charged, done.repeated) == (200, True, False)
    assert msgspec.json.decode(done.answer) == {"columns": {"power": [1.0]}}
    # 3,600 m3/h left the caller as 1 m3/s.
    assert msgspec.json.decode(two.carried[0])["columns"] == {"flow": [1.0], "head": [10.0]}
    assert await two.difference(contract) == []
    assert (two.ours.get(contract).used, two.theirs.get(contract).used) == (1, 1)


async def test_units_ports_and_shapes_are_refused_before_anything_is_sent(two: Two) -> None:
    contract = await two.contract()
    two.wire.sent.clear()
    head = ColumnIn([1.0], "m")
    wrong = {
        "unit-mismatch": {"flow": ColumnIn([1.0], "bar"), "head": head},
        "port-missing": {"head": head},
        "port-unknown": {"flow": head, "head": head, "speed": head},
        "shape-wrong": {"flow": ColumnIn([1.0, 2.0], "m3/s"), "head": head},
    }
    for code, columns in wrong.items():
        request = NewCall(columns=columns)
        assert await refusal(two.calling.call(ADMIN, contract, request)) == (400, code)
    assert two.wire.sent == []
    assert two.ours.get(contract).used == 0


async def test_the_quota_is_the_providers_and_ends_with_its_period(two: Two) -> None:
    contract = await two.contract(period_s=3600)
    for _ in range(3):
        await two.call(contract)
    with pytest.raises(Problem) as caught:
        await two.call(contract)
    assert (caught.value.status, caught.value.code) == (429, "quota-exceeded")
    assert 0 < caught.value.extra["retry_after_s"] <= 3600
    assert len(two.carried) == 3
    assert await two.difference(contract) == []
    two.clock.now += 3600 * 10**9
    await two.call(contract)


async def test_a_call_with_a_key_is_carried_out_once(two: Two) -> None:
    contract = await two.contract()
    first = await two.call(contract, "order-7")
    again = await two.call(contract, "order-7")
    assert (again.repeated, again.id, msgspec.json.decode(again.answer)) == (
        True, first.id, msgspec.json.decode(first.answer)
    )  # fmt: skip
    assert len(two.carried) == 1
    assert await refusal(two.call(contract, "order-7", flow=1.0)) == (409, "key-reused")
    # Many at once: one is made.
    several = await asyncio.gather(*(two.call(contract, "order-8") for _ in range(5)), return_exceptions=True)
    assert len(two.carried) == 2
    assert {problem.code for problem in several if isinstance(problem, Problem)} <= {"in-progress"}


async def test_an_answer_that_is_lost_is_asked_for_again_and_costs_once(two: Two) -> None:
    contract = await two.contract()
    two.wire.cut = "after"
    assert await refusal(two.call(contract, "k")) == (504, "outcome-unknown")
    two.wire.cut = ""
    assert await two.difference(contract) == ["unknown 0 | answered 200 charged"]
    done = await two.call(contract, "k")
    assert done.status == 200
    assert len(two.carried) == 1
    assert await two.difference(contract) == []
    # One that was never sent leaves no note.
    two.wire.cut = "before"
    assert await refusal(two.call(contract, "never")) == (502, "unreachable")
    two.wire.cut = ""
    assert await two.difference(contract) == []


@pytest.mark.parametrize("again", ["before", "busy"])
async def test_a_retry_that_is_not_taken_does_not_make_it_another_call(two: Two, again: str) -> None:
    contract = await two.contract()
    two.wire.cut = "after"
    assert await refusal(two.call(contract, "order-1")) == (504, "outcome-unknown")
    two.wire.cut = "before" if again == "before" else ""
    two.answering._running = 16 if again == "busy" else 0  # pyright: ignore[reportPrivateUsage]
    assert (await refusal(two.call(contract, "order-1")))[0] in (502, 503)
    two.wire.cut, two.answering._running = "", 0  # pyright: ignore[reportPrivateUsage]
    done = await two.call(contract, "order-1")
    assert (done.charged, len(two.carried)) == (True, 1)
    assert await two.difference(contract) == []


@pytest.mark.parametrize("how", ["gateway", "trickle"])
async def test_an_answer_that_nobody_signed_wholly_is_no_answer(how: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"body")
        if how == "gateway":
            writer.write(b"HTTP/1.1 504 Gateway Time-out\r\ncontent-length: 0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
            for _ in range(200):
                writer.write(b".")
                await asyncio.sleep(0.1)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    link = Link()
    # Long enough for an answer on a busy machine; short against the twenty seconds of the trickle.
    patience = 60.0 if how == "gateway" else 3.0
    try:
        with pytest.raises(NoAnswerError, match="504" if how == "gateway" else "no whole answer"):
            await link.post(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", b"body", patience)
    finally:
        await link.close()
        server.close()


async def test_what_fails_is_noted_alike_and_not_charged(two: Two) -> None:
    contract = await two.contract()
    two.outcome = Problem(422, "model-failed", "The model failed", "it divides by zero")
    assert await refusal(two.call(contract)) == (422, "model-failed")
    two.outcome = Carried(200, b"x" * (2 << 20))
    assert await refusal(two.call(contract)) == (502, "answer-too-large")
    assert await two.difference(contract) == []
    there = await two.calling.usage_there(contract, 0, 2**62)
    assert [(row.state, row.charged) for row in there] == [("failed", 0), ("failed", 0)]


async def test_revocation_holds_at_once(two: Two) -> None:
    contract = await two.contract()
    offer = two.ours.get(contract).terms.offer
    two.offers.revoke(ADMIN, offer, "retired")
    assert await refusal(two.call(contract)) == (403, "contract-ended")
    assert two.carried == []
    # The consumer has learned it.
    assert two.ours.get(contract).state == "ended"
    assert (await two.calling.look(URL)).offers == []
    other = await two.contract()
    await two.calling.end(ADMIN, other, "too dear")
    assert two.theirs.get(other).state == "ended"
    assert await refusal(two.call(other)) == (403, "contract-ended")


async def test_an_offer_to_everybody_is_accepted_by_hand(two: Two) -> None:
    contract = await two.contract(to=("*",))
    assert two.ours.get(contract).state == "proposed"
    assert await refusal(two.call(contract)) == (403, "contract-proposed")
    two.theirs.accept(ADMIN, contract)
    assert (await two.calling.refresh(contract)).state == "valid"
    await two.call(contract)
    two.clock.now = BEGIN + 400 * 86_400 * 10**9
    assert await refusal(two.call(contract)) == (403, "contract-expired")


async def test_who_is_no_party_gets_nothing(two: Two) -> None:
    contract = await two.contract()
    await two.call(contract)
    stolen = two.wire.sent[-1]
    # The same bytes again: the same answer, no second call.
    await two.answering.answer(stolen)
    assert len(two.carried) == 1
    # Later they are too old.
    two.clock.now += 3600 * 10**9
    assert await refusal(two.answering.answer(stolen)) == (403, "too-old")
    two.clock.now = BEGIN
    stranger = NodeKey(hashlib.sha256(b"stranger").digest())
    for action in ("invoke", "status", "usage", "end"):
        request = Request(
            action=action, to=two.provider.key.id, contract=contract, id="0" * 32, at=BEGIN, deadline=BEGIN + 10**10,
            digest=hashlib.sha256(b"{}").hexdigest(),
        )  # fmt: skip
        answer = await two.answering.answer(seal_request(stranger, request, b"{}"))
        assert b"contract-unknown" in answer
    assert len(two.carried) == 1
    assert two.theirs.get(contract).state == "valid"
    # An offer to others is not shown.
    hidden = two.offer(to=(stranger.id,))
    assert hidden not in [terms.offer for terms in (await two.calling.look(URL)).offers]
    proposal = Proposing(URL, hidden, two.provider.key.id)
    assert await refusal(two.calling.propose(ADMIN, proposal)) == (404, "not-found")


async def test_any_flipped_byte_of_a_request_is_refused(two: Two) -> None:
    request = Request(
        action="offers", to="", id="0" * 32, digest=hashlib.sha256(b"x").hexdigest(), at=BEGIN, deadline=BEGIN
    )
    sealed = seal_request(two.consumer.key, request, b"x")
    open_request(sealed, BEGIN, two.provider.key.id, 10)
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(Problem):
            open_request(bytes(changed), BEGIN, two.provider.key.id, 10)


rows = st.builds(
    UsageRow, st.sampled_from("abcdef"), st.integers(0, 9), st.sampled_from(["answered", "failed"]), st.just(200),
    st.integers(0, 1),
)  # fmt: skip


@given(st.lists(rows, unique_by=lambda row: row.id), st.lists(rows, unique_by=lambda row: row.id))
def test_differences_are_those_of_the_slow_way(here: list[UsageRow], there: list[UsageRow]) -> None:
    report = compare(here, there, 25, 0, 10)
    expected = sorted(
        {row.id for row in here + there}
        - {
            a.id
            for a in here
            for b in there
            if (a.id, a.state, a.status, a.charged) == (b.id, b.state, b.status, b.charged)
        }
    )
    assert [difference.id for difference in report.differences] == expected
    assert report.here.amount - report.there.amount == 25 * (
        sum(r.charged for r in here) - sum(r.charged for r in there)
    )


@pytest.mark.parametrize("url", ["http://10.0.0.1:80", "ftp://x", "https://a@b", "https://x/path", "https://x?y", "x"])
def test_addresses_that_are_not_private_are_refused(url: str) -> None:
    with pytest.raises(Problem):
        check_url(url)


def test_addresses() -> None:
    assert check_url("http://127.0.0.1:8080/") == "http://127.0.0.1:8080"
    assert check_url("https://[::1]:8443") == "https://[::1]:8443"
