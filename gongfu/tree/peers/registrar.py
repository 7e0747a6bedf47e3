"""Contracts as people make, end and list them."""

import secrets
from typing import Any

from sqlalchemy import Row

from gongfu.kernel.errors import conflict, invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import format_rfc3339, parse_rfc3339
from gongfu.tree.host.section import Host, Turn
from gongfu.tree.membership.types import NodeState
from gongfu.tree.nodes.directory import Directory
from gongfu.tree.peers import records
from gongfu.tree.peers.admission import Known
from gongfu.tree.peers.contract import (
    Contract,
    ContractEnd,
    Party,
    read_contract,
    signed_contract,
    signed_end,
)
from gongfu.tree.peers.requests import (
    ContractDoc,
    ContractEnding,
    ContractListing,
    ContractPage,
    NewContract,
    PartyDoc,
)
from gongfu.tree.peers.telling import bring_all

MOST_CONTRACTS = 1_000


class Registrar:
    """Makes contracts of this node, ends them, and shows all that are known here.

    Attributes:
        host: set when the section starts.
    """

    host: Host

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def make(self, subject: Subject, request: NewContract) -> ContractDoc:
        """Make a contract and tell the parties and everyone between.

        Raises:
            Problem: 400 or 409; this node is not the nearest common ancestor of the parties, or the times are wrong.
        """
        for party in (request.caller, request.callee):
            if self._directory.towards(party.node) is None:
                raise conflict(f"{party.node} is not below this node: a contract is made at the common ancestor")
            if self._directory.state(party.node) is not NodeState.ACTIVE:
                raise conflict(f"{party.node} is not active")
        towards = self._directory.towards(request.caller.node)
        if towards == self._directory.towards(request.callee.node):
            raise conflict(f"both parties are below {towards}: the contract is made there, or further down")
        now = self.host.now()
        valid_from = _time(request.valid_from, "valid_from") if request.valid_from else now
        valid_until = _time(request.valid_until, "valid_until")
        if valid_until <= max(valid_from, now):
            raise invalid("valid_until must be later than now and than valid_from")
        contract = Contract(
            id=f"contract-{secrets.token_hex(10)}",
            ancestor=self._directory.node,
            caller=request.caller,
            callee=request.callee,
            kinds=tuple(dict.fromkeys(request.kinds)),
            calls_per_minute=request.calls_per_minute,
            payload_bytes=request.payload_bytes,
            valid_from=valid_from,
            valid_until=valid_until,
            person=subject.name or "node",
            reason=request.reason,
            made_at=now,
        )

        def work(turn: Turn) -> None:
            if records.count_standing(turn.connection, self._directory.node, turn.now) >= MOST_CONTRACTS:
                raise conflict(f"this node has {MOST_CONTRACTS} contracts; revoke one first")
            records.add_contract(turn.connection, contract, signed_contract(self._directory.key, contract))
            parties = f"{contract.caller.node} may call {contract.callee.node}: {' '.join(contract.kinds)}"
            turn.audit("peers.contract-made", f"contract/{contract.id}", parties, subject=subject)
            bring_all(self._directory, turn)

        await self.host.turn(work)
        self.host.nudge("peers")
        return self._document(Known(contract), "", now)

    async def revoke(self, subject: Subject, request: ContractEnding) -> ContractDoc:
        """End a contract of this node and tell everyone who was told of it.

        Raises:
            Problem: 404, 409.
        """
        now = self.host.now()

        def work(turn: Turn) -> tuple[Known, str]:
            found = records.find_contract(turn.connection, request.contract)
            if found is None:
                raise not_found(f"contract {request.contract}")
            known, row = found
            if known.contract.ancestor != self._directory.node:
                raise conflict(f"only {known.contract.ancestor}, which made it, revokes it")
            if known.ended_at:
                return known, str(row.end_reason)
            end = ContractEnd(
                contract=request.contract,
                ancestor=self._directory.node,
                person=subject.name or "node",
                reason=request.reason,
                ended_at=now,
            )
            records.end_contract(turn.connection, end, signed_end(self._directory.key, end))
            turn.audit("peers.contract-revoked", f"contract/{request.contract}", request.reason, subject=subject)
            bring_all(self._directory, turn)
            return Known(known.contract, now), request.reason

        known, reason = await self.host.turn(work)
        self.host.nudge("peers")
        return self._document(known, reason, now)

    async def list(self, subject: Subject, request: ContractListing) -> ContractPage:
        """Return a page of the contracts that are known here."""
        now = self.host.now()
        rows = await self.host.read(lambda c: records.list_contracts(c, request.limit + 1, request.after))
        page = rows[: request.limit]
        following = (page[-1].made_at, page[-1].id) if len(rows) > len(page) else None
        return ContractPage([self._row(row, now) for row in page], following)

    def _row(self, row: Row[Any], now: int) -> ContractDoc:
        return self._document(Known(read_contract(row.signed), row.ended_at), row.end_reason, now)

    def _document(self, known: Known, end_reason: str, now: int) -> ContractDoc:
        contract = known.contract
        return ContractDoc(
            id=contract.id,
            ancestor=self._party(Party(contract.ancestor)),
            caller=self._party(contract.caller),
            callee=self._party(contract.callee),
            kinds=contract.kinds,
            calls_per_minute=contract.calls_per_minute,
            payload_bytes=contract.payload_bytes,
            valid_from=format_rfc3339(contract.valid_from),
            valid_until=format_rfc3339(contract.valid_until),
            person=contract.person,
            reason=contract.reason,
            made_at=format_rfc3339(contract.made_at),
            own=contract.ancestor == self._directory.node,
            state=known.state(now) or "valid",
            ended_at=format_rfc3339(known.ended_at) if known.ended_at else None,
            end_reason=end_reason,
        )

    def _party(self, party: Party) -> PartyDoc:
        member = self._directory.member(party.node)
        return PartyDoc(party.node, party.subtree, member.name if member else "")


def _time(text: str, name: str) -> int:
    try:
        return parse_rfc3339(text)
    except ValueError as error:
        raise invalid(f"{name}: {error}") from None
