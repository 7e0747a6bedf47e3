"""Contracts between peers and calls under them: ``/v1/peers``."""

from collections.abc import Sequence

from gongfu.bus.commands import Ask
from gongfu.kernel.permissions import Action
from gongfu.rest.paging import Page, cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Route
from gongfu.tree.peers.requests import (
    CallResult,
    ContractDoc,
    ContractEnding,
    ContractListing,
    ContractPage,
    Ending,
    NewCall,
    NewContract,
)


def routes(ask: Ask) -> Sequence[Route]:
    """Return the routes."""

    async def contracts(call: Call) -> Page:
        wanted = ContractListing(limit_of(call), cursor_of(call, tuple[int, str]))
        page = await ask(call.subject, "contract-list", wanted, ContractPage)
        return Page(list(page.items), None if page.next is None else encode_cursor(page.next))

    async def make(call: Call) -> ContractDoc:
        return await ask(call.subject, "contract-make", call.body, ContractDoc)

    async def revoke(call: Call) -> ContractDoc:
        ending = ContractEnding(call.path["id"], call.body.reason)
        return await ask(call.subject, "contract-revoke", ending, ContractDoc)

    async def peer_call(call: Call) -> CallResult:
        return await ask(call.subject, "peer-call", call.body, CallResult)

    return (
        Route("GET", "/peers/contracts", Action.READ, contracts, "Contracts between peers known here", response=Page),
        Route(
            "POST", "/peers/contracts", Action.TREE_WRITE, make, "Make a contract between two parties below this node",
            request=NewContract, response=ContractDoc, status=201,
        ),
        Route(
            "POST", "/peers/contracts/{id}:revoke", Action.TREE_WRITE, revoke, "End a contract of this node",
            request=Ending, response=ContractDoc,
        ),
        Route(
            "POST", "/peers/calls", Action.TREE_WRITE, peer_call, "Call a peer and wait for its answer",
            request=NewCall, response=CallResult,
        ),
    )  # fmt: skip
