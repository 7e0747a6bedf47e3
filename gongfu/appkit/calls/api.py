"""HTTP of calls across platforms: ``/v1/calls``."""

import asyncio

import msgspec
from sqlalchemy import Engine

from gongfu.appkit.calls import records
from gongfu.appkit.calls.answering import Answering
from gongfu.appkit.calls.calling import Calling
from gongfu.appkit.calls.contracts import Contracts
from gongfu.appkit.calls.documents import (
    CallDone,
    ContractDocument,
    Ending,
    Found,
    Looking,
    NewCall,
    NewOffer,
    OfferDocument,
    Proposing,
    Reconciliation,
    UsageDocument,
)
from gongfu.appkit.calls.link import MAX_MESSAGE, MEDIA_TYPE
from gongfu.appkit.calls.offers import Offers, Ports
from gongfu.appkit.calls.reconciling import compare, notes_of
from gongfu.appkit.calls.shown import usage_document
from gongfu.kernel.errors import Problem, forbidden, invalid
from gongfu.kernel.permissions import NODE_TENANT, Action
from gongfu.kernel.times import Clock, parse_rfc3339
from gongfu.rest.paging import cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Incoming, Raw, Route
from gongfu.store.records.engine import reading

_DAY = 86_400 * 10**9


class OfferPage(msgspec.Struct, frozen=True):
    """A page of offers, newest first."""

    items: list[OfferDocument]
    next: str | None


class ContractPage(msgspec.Struct, frozen=True):
    """A page of contracts, newest first."""

    items: list[ContractDocument]
    next: str | None


class UsagePage(msgspec.Struct, frozen=True):
    """A page of calls, oldest first."""

    items: list[UsageDocument]
    next: str | None


def offer_routes(offers: Offers, ports: Ports) -> list[Route]:
    """Return the routes of what this node offers."""

    async def page(call: Call) -> OfferPage:
        _own(call)
        items, following = await asyncio.to_thread(offers.page, cursor_of(call, tuple[int, str]), limit_of(call))
        return OfferPage(items, encode_cursor(following) if following else None)

    async def make(call: Call) -> OfferDocument:
        wanted: NewOffer = call.body
        if wanted.kind == "model" and not wanted.inputs:
            inputs, outputs = await ports(call.subject, wanted.target, wanted.version)
            wanted = msgspec.structs.replace(wanted, inputs=inputs, outputs=outputs)
        return await asyncio.to_thread(offers.make, call.subject, wanted)

    async def revoke(call: Call) -> OfferDocument:
        return await asyncio.to_thread(offers.revoke, call.subject, call.path["id"], call.body.reason)

    write = Action.CALL_WRITE
    return [
        Route("GET", "/calls/offers", Action.READ, page, "What this node offers to others", response=OfferPage),
        Route("POST", "/calls/offers", write, make, "Offer a model or a route of an app to other nodes", NewOffer,
              OfferDocument, 201),
        Route("POST", "/calls/offers/{id}:revoke", write, revoke, "End an offer and all contracts under it", Ending,
              OfferDocument),
    ]  # fmt: skip


def contract_routes(contracts: Contracts, calling: Calling) -> list[Route]:
    """Return the routes of contracts."""

    async def look(call: Call) -> Found:
        return await calling.look(call.body.url)

    async def page(call: Call) -> ContractPage:
        _own(call)
        side = call.query.get("side")
        if side not in (None, "provider", "consumer"):
            raise invalid("side is provider or consumer")
        after = cursor_of(call, tuple[int, str])
        items, following = await asyncio.to_thread(contracts.page, side, after, limit_of(call))
        return ContractPage(items, encode_cursor(following) if following else None)

    async def one(call: Call) -> ContractDocument:
        _own(call)
        return await asyncio.to_thread(contracts.get, call.path["id"])

    async def propose(call: Call) -> ContractDocument:
        return await calling.propose(call.subject, call.body)

    async def accept(call: Call) -> ContractDocument:
        return await asyncio.to_thread(contracts.accept, call.subject, call.path["id"])

    async def end(call: Call) -> ContractDocument:
        return await calling.end(call.subject, call.path["id"], call.body.reason)

    async def refresh(call: Call) -> ContractDocument:
        return await calling.refresh(call.path["id"])

    write, place = Action.CALL_WRITE, "/calls/contracts/{id}"
    return [
        Route("POST", "/calls:look", write, look, "What another node offers to this one", Looking, Found),
        Route("GET", "/calls/contracts", Action.READ, page, "Contracts, newest first (?side)", response=ContractPage),
        Route("GET", place, Action.READ, one, "A contract", response=ContractDocument),
        Route("POST", "/calls/contracts", write, propose, "Agree to an offer of another node", Proposing,
              ContractDocument, 201),
        Route("POST", f"{place}:accept", write, accept, "Sign a contract that another node proposed",
              response=ContractDocument),
        Route("POST", f"{place}:end", write, end, "Refuse a proposal, or end a contract", Ending, ContractDocument),
        Route("POST", f"{place}:refresh", write, refresh, "Ask the provider how a contract stands",
              response=ContractDocument),
    ]  # fmt: skip


def call_routes(
    engine: Engine, clock: Clock, contracts: Contracts, calling: Calling, answering: Answering
) -> list[Route]:
    """Return the routes of calls, of their notes, and the one that other nodes ask."""

    async def make(call: Call) -> CallDone:
        return await calling.call(call.subject, call.path["id"], call.body)

    async def usage(call: Call) -> UsagePage:
        _own(call)
        await asyncio.to_thread(contracts.get, call.path["id"])
        since, until = _time(call, "since", 0), _time(call, "until", 2**62)
        after, limit = cursor_of(call, tuple[int, str]), limit_of(call)

        def read() -> UsagePage:
            with reading(engine) as connection:
                rows = records.calls(connection, call.path["id"], since, until, after, limit + 1)
            items = [usage_document(row) for row in rows[:limit]]
            last = (rows[limit - 1].at, rows[limit - 1].id) if len(rows) > limit else None
            return UsagePage(items, encode_cursor(last) if last else None)

        return await asyncio.to_thread(read)

    async def reconcile(call: Call) -> Reconciliation:
        contract = await asyncio.to_thread(contracts.get, call.path["id"])
        until = _time(call, "until", clock.now_ns())
        since = _time(call, "since", max(0, until - 31 * _DAY))
        there = await calling.usage_there(contract.id, since, until)
        here = await asyncio.to_thread(notes_of, engine, contract.id, since, until)
        return compare(here, there, contract.terms.price, since, until)

    async def receive(call: Call) -> Raw:
        incoming: Incoming = call.body
        data = bytearray()
        async for chunk in incoming.chunks:
            data += chunk
            if len(data) > MAX_MESSAGE:
                raise Problem(413, "body-too-large", "The body is too large", f"at most {MAX_MESSAGE} bytes")
        return Raw(await answering.answer(bytes(data)), MEDIA_TYPE)

    place = "/calls/contracts/{id}"
    return [
        Route("POST", f"{place}:call", Action.CALL_MAKE, make, "Make a call under a contract", NewCall, CallDone),
        Route("GET", f"{place}/usage", Action.READ, usage, "Calls under a contract (?since, ?until)",
              response=UsagePage),
        Route("POST", f"{place}:reconcile", Action.CALL_MAKE, reconcile, "Compare the notes of both sides (?since, "
              "?until; default: the last 31 days)", response=Reconciliation),
        Route("POST", "/calls:receive", None, receive, "What other nodes ask: signed with their keys, see "
              "docs/calls.md", Incoming),
    ]  # fmt: skip


def _own(call: Call) -> None:
    if call.subject.tenant != NODE_TENANT:
        raise forbidden("calls between platforms are the matter of the node, not of its tenants")


def _time(call: Call, name: str, default: int) -> int:
    text = call.query.get(name)
    if not text:
        return default
    try:
        return parse_rfc3339(text)
    except ValueError as error:
        raise invalid(f"{name}: {error}") from None
