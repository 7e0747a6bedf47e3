"""What this node answers to others: offers, proposals, calls. The provider's side."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gongfu.appkit.calls import records
from gongfu.appkit.calls.contracts import Contracts, peer_subject, standing
from gongfu.appkit.calls.documents import ANYONE, MAX_PAYLOAD, Terms
from gongfu.appkit.calls.identity import FindIdentity, Identity, needed
from gongfu.appkit.calls.shown import terms_of
from gongfu.appkit.calls.signing import Receipt, Request, denied, open_request, seal_receipt
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import SECOND, Clock
from gongfu.store.records.engine import reading, writing
from gongfu.tree.membership.keys import node_id

_log = logging.getLogger(__name__)

MOST_AT_ONCE = 16
# Of one consumer, so that no one takes the room of all.
MOST_OF_ONE = 8
# Before the answer of a call is lost because the records do not take it.
_AGAIN_S = (0.2, 1.0, 3.0)
# A kept answer: who asks again gets it, without a second call.
KEPT_BYTES = 256 * 1024
USAGE_PAGE = 1000


class Carried(NamedTuple):
    """What came of a call: status as of HTTP, JSON, and how many rows a model computed."""

    status: int
    body: bytes
    rows: int = 0


# Carries out a call that was admitted, as a caller of this node; the payload is JSON. Raises ``Problem``.
CarryOut = Callable[[Terms, Subject, bytes], Awaitable[Carried]]


class UsageAsk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which calls the other party wants to compare: made from ``since`` until ``until`` (UTC ns), after (at, id)."""

    since: int
    until: int
    after: tuple[int, str] | None = None


class UsageRow(msgspec.Struct, frozen=True, array_like=True):
    """A call as one side noted it."""

    id: str
    at: int
    state: str
    status: int
    charged: int


class Introduced(msgspec.Struct, frozen=True):
    """What this node offers to who asked."""

    node: str
    name: str
    offers: list[Terms]


class Answering:
    """Answers requests of other nodes."""

    def __init__(
        self, engine: Engine, clock: Clock, identity: FindIdentity, contracts: Contracts, carry_out: CarryOut
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._identity = identity
        self._contracts = contracts
        self._carry_out = carry_out
        self._running = 0
        self._of: dict[str, int] = {}
        self._tasks: set[asyncio.Task[tuple[int, bytes, bool, bool]]] = set()

    async def answer(self, data: bytes) -> bytes:
        """Return the signed answer to a signed request.

        Raises:
            Problem: the request is not believed, or this node is in no tree; then nothing is signed.
        """
        own = needed(self._identity)
        request, key, payload = await asyncio.to_thread(
            open_request, data, self._clock.now_ns(), own.key.id, MAX_PAYLOAD
        )
        charged = noted = False
        try:
            if request.action == "invoke":
                status, body, charged, noted = await self._invoke(request, key, payload)
            else:
                status, body = 200, await asyncio.to_thread(self._asked, own, request, key, payload)
        except Problem as problem:
            status, body = problem.status, msgspec.json.encode(problem.document())
        receipt = Receipt(
            id=request.id,
            by=own.key.id,
            contract=request.contract,
            status=status,
            charged=charged,
            noted=noted,
            digest=hashlib.sha256(body).hexdigest(),
            at=self._clock.now_ns(),
        )
        return await asyncio.to_thread(seal_receipt, own.key, receipt, body)

    def _asked(self, own: Identity, request: Request, key: bytes, payload: bytes) -> bytes:
        match request.action:
            case "offers":
                return msgspec.json.encode(Introduced(own.key.id, own.name, self._offers(node_id(key))))
            case "propose":
                return msgspec.json.encode(self._contracts.proposed(payload, key))
            case "status":
                return msgspec.json.encode(self._contracts.answered(request.contract, key))
            case "end":
                before = self._contracts.answered(request.contract, key)
                if before.state in ("proposed", "valid"):
                    reason = f"ended by the other party: {payload.decode(errors='replace')[:900]}"
                    self._contracts.end(peer_subject(node_id(key)), request.contract, reason)
                return msgspec.json.encode(self._contracts.answered(request.contract, key))
            case "usage":
                return msgspec.json.encode(self._usage(request.contract, key, payload))
            case "invoke":
                raise AssertionError

    def _offers(self, node: str) -> list[Terms]:
        with reading(self._engine) as connection:
            rows = records.standing_offers(connection, self._clock.now_ns())
        offered = [terms_of(row) for row in rows]
        return [terms for terms in offered if ANYONE in terms.to or node in terms.to][:200]

    def _usage(self, contract: str, key: bytes, payload: bytes) -> list[UsageRow]:
        self._contracts.answered(contract, key)
        try:
            ask = msgspec.json.decode(payload, type=UsageAsk)
        except (msgspec.MsgspecError, ValueError) as error:
            raise denied("malformed", str(error)[:200], 400) from None
        with reading(self._engine) as connection:
            rows = records.calls(connection, contract, ask.since, ask.until, ask.after, USAGE_PAGE)
        return [UsageRow(row.id, row.at, row.state, row.status, row.charged) for row in rows]

    async def _invoke(self, request: Request, key: bytes, payload: bytes) -> tuple[int, bytes, bool, bool]:
        """Return status, JSON, whether the call is charged, and whether it is noted.

        A consumer that goes away breaks nothing off: a call that was admitted is carried out and noted to its end."""
        node = node_id(key)
        if self._running >= MOST_AT_ONCE:
            raise denied("busy", f"{MOST_AT_ONCE} calls run here", 503)
        if self._of.get(node, 0) >= MOST_OF_ONE:
            raise denied("busy", f"{MOST_OF_ONE} calls of this node run here", 503)
        # At once: a task begins later, and many requests may be let in before it does.
        self._running += 1
        self._of[node] = self._of.get(node, 0) + 1
        task = asyncio.create_task(self._admitted(request, key, payload), name="call of another node")
        self._tasks.add(task)

        def over(ended: asyncio.Task[tuple[int, bytes, bool, bool]]) -> None:
            self._tasks.discard(ended)
            self._running -= 1
            self._of[node] -= 1
            if not self._of[node]:
                del self._of[node]

        task.add_done_callback(over)
        return await asyncio.shield(task)

    async def _admitted(self, request: Request, key: bytes, payload: bytes) -> tuple[int, bytes, bool, bool]:
        terms, row = await asyncio.to_thread(self._admit, request, key, payload)
        if row is not None:
            return row.status, bytes(row.answer), bool(row.charged), True
        began = time.monotonic()
        # As long as the caller waits by its own clock: the two clocks may differ.
        seconds = min(terms.timeout_s, max(0.0, (request.deadline - request.at) / SECOND))
        carried = await self._carried(terms, node_id(key), payload, seconds)
        taken = int((time.monotonic() - began) * 1e6)
        charged = 200 <= carried.status < 300
        await self._noted(request, carried, charged, taken)
        return carried.status, carried.body, charged, True

    async def _noted(self, request: Request, carried: Carried, charged: bool, microseconds: int) -> None:
        for wait in (*_AGAIN_S, None):
            try:
                return await asyncio.to_thread(self._finish, request, carried, charged, microseconds)
            except SQLAlchemyError:
                if wait is None:
                    raise
                await asyncio.sleep(wait)

    def _admit(self, request: Request, key: bytes, payload: bytes) -> tuple[Terms, Any]:
        """Note a call that may be carried out; return its terms, and the row of one that was carried out before."""
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            row = records.find_contract(connection, request.contract)
            if row is not None and row.side == "provider":
                # The offer before the contract, as who revokes an offer has them: else each may wait for the other.
                records.lock_offer(connection, row.offer)
                row = records.find_contract(connection, request.contract, lock=True)
            if row is None or row.side != "provider" or row.peer_key != key:
                raise denied("contract-unknown", request.contract, 404)
            terms = records.agreement_of(row).terms
            # What was taken while the contract stood is settled also after its end, else nobody could agree on it.
            before = records.find_call(connection, request.contract, request.id)
            if before is not None:
                return terms, self._again(connection, request, before)
            if (problem := standing(row, now)) is not None:
                raise problem
            if len(payload) > terms.payload_bytes:
                raise denied("payload-too-large", f"at most {terms.payload_bytes} bytes", 413)
            # By this node's clock: a caller's does not open the next period early.
            period = records.period_of(terms, now)
            # Of the offer and the consumer: one more contract under an offer is no more quota.
            if records.used_under(connection, row.offer, row.peer, period) >= terms.quota:
                wait = (period + terms.period_s * SECOND - now) / SECOND
                raise Problem(
                    429,
                    "quota-exceeded",
                    "The quota of the contract is used up",
                    f"{terms.quota} calls in {terms.period_s} s; the next period begins in {wait:.0f} s",
                    {"retry_after_s": round(wait, 3)},
                )
            records.add_call(
                connection,
                contract=request.contract,
                id=request.id,
                key=request.id,
                digest=request.digest,
                at=request.at,
                period=period,
            )
        return terms, None

    @staticmethod
    def _again(connection: Any, request: Request, before: Any) -> Any:
        if before.digest != request.digest:
            raise denied("call-id-reused", "another payload under the same id", 409)
        if before.state == records.OPEN:
            raise denied("in-progress", "the same call is being carried out", 409)
        if before.state == records.UNKNOWN:
            problem = denied("interrupted", "the provider ended while it carried the call out", 502)
            body = msgspec.json.encode(problem.document())
            records.change_call(connection, request.contract, request.id, state=records.FAILED, status=502, answer=body)
            return records.find_call(connection, request.contract, request.id)
        if not before.answer:
            raise denied("answer-not-kept", "it was carried out, and its answer was too large or too old to keep", 409)
        return before

    async def _carried(self, terms: Terms, node: str, payload: bytes, seconds: float) -> Carried:
        try:
            async with asyncio.timeout(seconds):
                carried = await self._carry_out(terms, peer_subject(node), payload)
        except TimeoutError:
            return _told(denied("timed-out", f"no answer in {seconds:g} s", 504))
        except Problem as problem:
            return _told(problem)
        except Exception:
            _log.exception("a call of %s %s failed", terms.kind, terms.target)
            return _told(denied("failed", "see the log of the node that was called", 502))
        if not carried.body:
            # Nothing would look like an answer that was not kept.
            return carried._replace(body=b"null")
        if len(carried.body) > terms.payload_bytes:
            return _told(denied("answer-too-large", f"{len(carried.body)} bytes, at most {terms.payload_bytes}", 502))
        return carried

    def _finish(self, request: Request, carried: Carried, charged: bool, microseconds: int) -> None:
        with writing(self._engine) as connection:
            records.change_call(
                connection,
                request.contract,
                request.id,
                state=records.ANSWERED if charged else records.FAILED,
                status=carried.status,
                charged=int(charged),
                rows=carried.rows,
                microseconds=microseconds,
                answer=carried.body if len(carried.body) <= KEPT_BYTES else b"",
            )


def _told(problem: Problem) -> Carried:
    return Carried(problem.status, msgspec.json.encode(problem.document()))
