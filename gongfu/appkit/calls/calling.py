"""Calls of this node to others under a contract. The consumer's side."""

import asyncio
import contextlib
import hashlib
import secrets
import time
from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from gongfu.appkit.calls import records
from gongfu.appkit.calls.answering import KEPT_BYTES, Introduced, UsageAsk, UsageRow
from gongfu.appkit.calls.columns import model_call
from gongfu.appkit.calls.contracts import Answered, Contracts, standing
from gongfu.appkit.calls.documents import CallDone, ContractDocument, Found, NewCall, Proposing, Terms
from gongfu.appkit.calls.identity import FindIdentity, needed
from gongfu.appkit.calls.link import Link, NoAnswerError, NotSentError, check_url
from gongfu.appkit.calls.shown import terms_document
from gongfu.appkit.calls.signing import Action, Receipt, Request, denied, open_receipt, seal_request
from gongfu.kernel.errors import Problem, conflict, invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import SECOND, Clock
from gongfu.store.records.engine import writing

_ASK_S = 20.0
# What the provider says that ends the contract here too.
_ENDS = frozenset({"contract-ended", "contract-refused", "contract-expired"})
# Statuses of the provider that are told as they are; others are 502.
_PASSED_ON = frozenset({400, 403, 404, 409, 413, 422, 429, 501, 503, 504})
# Of the provider's notes, of 1,000 calls each.
_MOST_PAGES = 200
T = TypeVar("T")


class RouteCall(msgspec.Struct, frozen=True):
    """What travels for a route of an app."""

    body: msgspec.Raw | None = None
    query: dict[str, str] = {}


class _Made(NamedTuple):
    """A call that was noted and is to be sent; ``before`` is what is known when it was made before, ``again`` whether
    an earlier try may have been carried out."""

    id: str
    key: str
    terms: Terms
    peer: str
    url: str
    before: Any
    again: bool = False


class Calling:
    """Asks other nodes."""

    def __init__(self, engine: Engine, clock: Clock, identity: FindIdentity, contracts: Contracts, link: Link) -> None:
        self._engine = engine
        self._clock = clock
        self._identity = identity
        self._contracts = contracts
        self._link = link

    async def look(self, url: str) -> Found:
        """Return what another node offers to this one.

        Raises:
            Problem: 400 for the address, 502 when it does not answer as a node.
        """
        receipt, key, body = await self._ask(check_url(url), "", "offers", "", b"")
        introduced = _decoded(receipt, body, Introduced)
        return Found(receipt.by, introduced.name, key, [terms_document(terms) for terms in introduced.offers])

    async def propose(self, subject: Subject, request: Proposing) -> ContractDocument:
        """Agree to an offer of another node: signed here, and there at once or when a person accepts.

        Raises:
            Problem: 404 when it offers no such thing, or what it answers.
        """
        url = check_url(request.url)
        receipt, key, body = await self._ask(url, "", "offers", "", b"")
        introduced = _decoded(receipt, body, Introduced)
        if receipt.by != request.provider:
            raise denied("wrong-node", f"{url} is {receipt.by}, not {request.provider}", 409)
        if receipt.by == needed(self._identity).key.id:
            raise conflict("that is this node itself: it calls its own models without a contract")
        terms = next((terms for terms in introduced.offers if terms.offer == request.offer), None)
        if terms is None or terms.provider != receipt.by:
            raise not_found(f"offer {request.offer} of {receipt.by}")
        contract, signed = await asyncio.to_thread(self._contracts.draft, subject, terms, key, url)
        receipt, _, body = await self._ask(url, request.provider, "propose", contract, signed)
        if receipt.status != 200:
            problem = _problem_of(receipt, body)
            await asyncio.to_thread(self._contracts.end, subject, contract, problem.detail or problem.code)
            raise problem
        return await self._learned(contract, receipt, body)

    async def refresh(self, contract: str) -> ContractDocument:
        """Ask the provider how a contract stands.

        Raises:
            Problem: what it answers.
        """
        known = await asyncio.to_thread(self._contracts.get, contract)
        if known.side != "consumer":
            raise conflict("the consumer asks the provider, not the other way round")
        receipt, _, body = await self._ask(known.url, known.peer, "status", contract, b"")
        return await self._learned(contract, receipt, body)

    async def end(self, subject: Subject, contract: str, reason: str) -> ContractDocument:
        """End a contract here at once, and tell the provider when this node is the consumer.

        Raises:
            Problem: 404, 409.
        """
        ended = await asyncio.to_thread(self._contracts.end, subject, contract, reason)
        if ended.side == "consumer":
            # Where the provider is not reached it stays valid there until it expires; nothing calls under it.
            with contextlib.suppress(Problem):
                await self._ask(ended.url, ended.peer, "end", contract, reason.encode())
        return ended

    async def usage_there(self, contract: str, since: int, until: int) -> list[UsageRow]:
        """Return the provider's notes of the calls that were made in a time.

        Raises:
            Problem: what it answers.
        """
        known = await asyncio.to_thread(self._contracts.get, contract)
        if known.side != "consumer":
            raise conflict("the consumer compares: it knows where the provider is")
        rows: list[UsageRow] = []
        after: tuple[int, str] | None = None
        for _ in range(_MOST_PAGES):
            ask = msgspec.json.encode(UsageAsk(since, until, after))
            receipt, _, body = await self._ask(known.url, known.peer, "usage", contract, ask)
            page = _decoded(receipt, body, list[UsageRow])
            if not page:
                break
            rows.extend(page)
            after = (page[-1].at, page[-1].id)
        return rows

    async def call(self, subject: Subject, contract: str, request: NewCall) -> CallDone:
        """Make a call and return its answer. With ``key`` it is made at most once, however often it is asked for.

        Raises:
            Problem: 400 for ports, units and shapes, before anything is sent; 429 ``quota-exceeded``; 504
                ``outcome-unknown``: the same call again, with the same key, tells; others of the provider.
        """
        own = needed(self._identity)
        began, now = time.monotonic(), self._clock.now_ns()
        payload, rows = await asyncio.to_thread(self._payload, contract, request)
        made = await asyncio.to_thread(self._note, contract, request.key, payload, rows, now)
        if made.before is not None:
            return _done(made, made.before.status, bool(made.before.charged), bytes(made.before.answer), True, began)
        seconds = min(request.timeout_s or made.terms.timeout_s, made.terms.timeout_s)
        asked = Request(
            action="invoke",
            to=made.peer,
            contract=contract,
            id=made.id,
            digest=hashlib.sha256(payload).hexdigest(),
            at=now,
            deadline=now + int(seconds * SECOND),
        )
        data = await asyncio.to_thread(seal_request, own.key, asked, payload)
        try:
            answer = await self._link.post(made.url, data, seconds + 1.0)
            receipt, _, body = await asyncio.to_thread(open_receipt, answer, made.id, made.peer)
        except NotSentError as error:
            await self._forget(contract, made)
            raise denied("unreachable", str(error), 502) from None
        except NoAnswerError as error:
            await self._change(contract, made, state=records.UNKNOWN)
            raise _unknown(made, str(error)) from None
        except Problem as problem:
            # Nobody signed it, so whoever stands between may have said it, after the provider carried the call out.
            await self._change(contract, made, state=records.UNKNOWN)
            problem.extra |= {"call": made.id, "key": made.key}
            raise
        except asyncio.CancelledError:
            # Who asked has gone; whether the call was carried out the same key tells.
            await asyncio.shield(self._change(contract, made, state=records.UNKNOWN))
            raise
        return await self._taken(contract, made, receipt, body, began)

    async def _taken(self, contract: str, made: _Made, receipt: Receipt, body: bytes, began: float) -> CallDone:
        if not receipt.noted:
            problem = _problem_of(receipt, body)
            if problem.code == "in-progress" or problem.code == "answer-not-kept":
                await self._change(contract, made, state=records.UNKNOWN)
            else:
                await self._forget(contract, made)
            if problem.code in _ENDS:
                state = problem.code.removeprefix("contract-")
                state = "ended" if state == "expired" else state
                await asyncio.to_thread(self._contracts.learned, contract, Answered(state, problem.detail, b""))
            raise problem
        await self._change(
            contract,
            made,
            state=records.ANSWERED if receipt.charged else records.FAILED,
            status=receipt.status,
            charged=int(receipt.charged),
            microseconds=int((time.monotonic() - began) * 1e6),
            answer=body if len(body) <= KEPT_BYTES else b"",
        )
        return _done(made, receipt.status, receipt.charged, body, False, began)

    def _payload(self, contract: str, request: NewCall) -> tuple[bytes, int]:
        with writing(self._engine) as connection:
            row = records.find_contract(connection, contract)
            # What became of an earlier call is asked also after the contract's end.
            before = records.call_with_key(connection, contract, request.key) if request.key else None
        if row is None or row.side != "consumer":
            raise not_found(f"contract {contract[:40]} in which this node is the consumer")
        if (problem := standing(row, self._clock.now_ns())) is not None and before is None:
            raise problem
        terms = records.agreement_of(row).terms
        if terms.kind == "model":
            if request.columns is None or request.body is not None or request.query:
                raise invalid("a model is called with columns")
            called, rows = model_call(terms, request.columns, request.parameters)
            payload = msgspec.json.encode(called)
        else:
            if request.columns is not None or request.parameters:
                raise invalid("a route is called with body and query")
            payload, rows = msgspec.json.encode(RouteCall(request.body, request.query)), 0
        if len(payload) > terms.payload_bytes:
            raise denied("payload-too-large", f"{len(payload)} bytes, at most {terms.payload_bytes}", 413)
        return payload, rows

    def _note(self, contract: str, key: str | None, payload: bytes, rows: int, now: int) -> _Made:
        """Note a call before it is sent."""
        digest = hashlib.sha256(payload).hexdigest()
        identifier = secrets.token_hex(16)
        name = key or identifier
        try:
            with writing(self._engine) as connection:
                row = records.find_contract(connection, contract)
                if row is None:
                    raise not_found(f"contract {contract}")
                terms = records.agreement_of(row).terms
                before = records.call_with_key(connection, contract, name)
                if before is None:
                    period = records.period_of(terms, now)
                    records.add_call(
                        connection, contract=contract, id=identifier, key=name, digest=digest, at=now, period=period,
                        rows=rows,
                    )  # fmt: skip
                    return _Made(identifier, name, terms, row.peer, row.url, None)
                if before.digest != digest:
                    raise denied("key-reused", f"{name} was another call", 409)
                made = _Made(before.id, name, terms, row.peer, row.url, None)
                if before.state == records.OPEN:
                    raise denied("in-progress", f"{name} is being called", 409)
                if before.state != records.UNKNOWN:
                    if not before.answer:
                        raise denied("answer-not-kept", f"{name} was answered; its answer is not kept", 409)
                    return made._replace(before=before)
                records.change_call(connection, contract, before.id, state=records.OPEN, at=before.at)
                return made._replace(again=True)
        except IntegrityError:
            raise denied("in-progress", f"{name} is being called", 409) from None

    async def _forget(self, contract: str, made: _Made) -> None:
        """Forget a call that was not taken. One that an earlier try may have brought there keeps its id: else the same
        key would be another call."""
        if made.again:
            await self._change(contract, made, state=records.UNKNOWN)
            return

        def forget() -> None:
            with writing(self._engine) as connection:
                records.drop_call(connection, contract, made.id)

        await asyncio.to_thread(forget)

    async def _change(self, contract: str, made: _Made, **values: Any) -> None:
        def change() -> None:
            with writing(self._engine) as connection:
                records.change_call(connection, contract, made.id, **values)

        await asyncio.to_thread(change)

    async def _ask(
        self, url: str, to: str, action: Action, contract: str, payload: bytes
    ) -> tuple[Receipt, bytes, bytes]:
        own, now = needed(self._identity), self._clock.now_ns()
        request = Request(
            action=action,
            to=to,
            contract=contract,
            id=secrets.token_hex(16),
            digest=hashlib.sha256(payload).hexdigest(),
            at=now,
            deadline=now + int(_ASK_S * SECOND),
        )
        data = await asyncio.to_thread(seal_request, own.key, request, payload)
        try:
            answer = await self._link.post(url, data, _ASK_S)
        except (NotSentError, NoAnswerError) as error:
            raise denied("unreachable", str(error), 502) from None
        return await asyncio.to_thread(open_receipt, answer, request.id, to)

    async def _learned(self, contract: str, receipt: Receipt, body: bytes) -> ContractDocument:
        return await asyncio.to_thread(self._contracts.learned, contract, _decoded(receipt, body, Answered))


def _done(made: _Made, status: int, charged: bool, body: bytes, repeated: bool, began: float) -> CallDone:
    if status >= 400:
        problem = _told(status, body, made.peer)
        problem.extra |= {"call": made.id, "key": made.key, "charged": charged, "repeated": repeated}
        raise problem
    return CallDone(
        id=made.id,
        key=made.key,
        status=status,
        charged=charged,
        repeated=repeated,
        milliseconds=(time.monotonic() - began) * 1000,
        answer=msgspec.Raw(body or b"null"),
    )


def _unknown(made: _Made, detail: str) -> Problem:
    return Problem(
        504,
        "outcome-unknown",
        "Nobody knows whether the call was carried out",
        f"{detail}; call again with the key {made.key}: it is not carried out twice",
        {"call": made.id, "key": made.key},
    )


def _decoded(receipt: Receipt, body: bytes, kind: type[T]) -> T:
    if receipt.status != 200:
        raise _problem_of(receipt, body)
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, ValueError) as error:
        raise denied("answer-forged", str(error)[:200], 502) from None


def _problem_of(receipt: Receipt, body: bytes) -> Problem:
    return _told(receipt.status, body, receipt.by)


def _told(status: int, body: bytes, by: str) -> Problem:
    """Return the problem that another node tells."""
    try:
        document = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError):
        document = {}
    code = str(document.get("code", "failed"))[:60]
    detail = str(document.get("detail") or document.get("title") or f"status {status}")[:1000]
    extra: dict[str, Any] = {"by": by}
    if "retry_after_s" in document:
        extra["retry_after_s"] = document["retry_after_s"]
    return Problem(status if status in _PASSED_ON else 502, code, "The other platform refuses the call", detail, extra)
