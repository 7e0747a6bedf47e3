"""Contracts: proposed by the consumer, signed by both, kept by both, ended by either. Both sides."""

import secrets
from typing import Any

import msgspec
from sqlalchemy import Engine

from gongfu.appkit.calls import records
from gongfu.appkit.calls.documents import ANYONE, Agreement, ContractDocument, Terms
from gongfu.appkit.calls.identity import FindIdentity, needed
from gongfu.appkit.calls.shown import contract_document, terms_of
from gongfu.appkit.calls.signing import believed_agreement, denied, signed_agreement
from gongfu.kernel.errors import Problem, conflict, not_found
from gongfu.kernel.permissions import NODE_TENANT, Role, Subject
from gongfu.kernel.times import Clock
from gongfu.registry import audit
from gongfu.store.records.engine import reading, writing

MOST_PROPOSED = 200


def peer_subject(node: str) -> Subject:
    """Return who acts when another node does: shown in the audit, and counted as a caller of models."""
    return Subject(0, f"node:{node}", NODE_TENANT, Role.OPERATOR)


class Answered(msgspec.Struct, frozen=True):
    """What the provider says of a contract: its state, why, and its signature once it is valid."""

    state: str
    reason: str
    signed: bytes


class Contracts:
    """Contracts of this node on either side. Methods block: call them in a thread."""

    def __init__(self, engine: Engine, clock: Clock, identity: FindIdentity) -> None:
        self._engine = engine
        self._clock = clock
        self._identity = identity

    # The consumer.

    def draft(self, subject: Subject, terms: Terms, provider_key: bytes, url: str) -> tuple[str, bytes]:
        """Write down a contract that is going to be proposed; return its id and the signed agreement."""
        own, now = needed(self._identity), self._clock.now_ns()
        agreement = Agreement(
            id=f"call-{secrets.token_hex(12)}",
            terms=terms,
            consumer=own.key.id,
            consumer_name=own.name[:200],
            consumer_key=own.key.public_key,
            provider_key=provider_key,
            person=subject.name[:200],
            made_at=now,
        )
        body = msgspec.json.encode(agreement)
        signed = signed_agreement(own.key, body)
        with writing(self._engine) as connection:
            records.add_contract(
                connection,
                id=agreement.id,
                side="consumer",
                offer=terms.offer,
                peer=terms.provider,
                peer_key=provider_key,
                peer_name=terms.provider_name,
                url=url,
                agreement=body,
                by_consumer=signed,
                by_provider=b"",
                state="proposed",
                reason="",
                made_by=subject.name,
                made_at=now,
                changed_at=now,
            )
            words = f"{terms.kind} {terms.target} of {terms.provider} at {url}"
            audit.record(connection, subject, "calls.propose", f"contract/{agreement.id}", now, words)
        return agreement.id, signed

    def learned(self, identifier: str, answered: Answered) -> ContractDocument:
        """Take what the provider says of a contract.

        Raises:
            Problem: 502 ``answer-forged``: its signature is for something else.
        """
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            row = self._find(connection, identifier)
            values: dict[str, Any] = {}
            if answered.signed and not row.by_provider:
                _, body = believed_agreement(answered.signed, "provider")
                if body != row.agreement:
                    raise denied("answer-forged", "the provider signed another agreement", 502)
                values["by_provider"] = answered.signed
            signed = values.get("by_provider") or row.by_provider
            # A contract is valid with both signatures only, whatever is said; what has ended stays so.
            state = answered.state if answered.state != "valid" or signed else row.state
            if row.state not in ("ended", "refused") and state != row.state:
                values |= {"state": state, "reason": answered.reason[:1000], "changed_at": now}
            if values:
                records.change_contract(connection, identifier, **values)
                audit.record(
                    connection, peer_subject(row.peer), f"calls.{state}", f"contract/{identifier}", now, answered.reason
                )
        return self.get(identifier)

    # The provider.

    def proposed(self, signed: bytes, sender: bytes) -> Answered:
        """Take a proposal. Where the offer names the consumer it is signed at once, else a person decides.

        Raises:
            Problem: 403 or 404, the code says why.
        """
        own, now = needed(self._identity), self._clock.now_ns()
        agreement, body = believed_agreement(signed, "consumer")
        if agreement.consumer_key != sender or agreement.provider_key != own.key.public_key:
            raise denied("signature-bad", "another node's agreement")
        with writing(self._engine) as connection:
            offered = records.find_offer(connection, agreement.terms.offer)
            if offered is None or not _may(terms_of(offered), agreement.consumer):
                raise denied("offer-unknown", agreement.terms.offer, 404)
            if offered.revoked_at or offered.expires_at <= now:
                raise denied("offer-ended", offered.reason or "its time is over")
            if agreement.terms != terms_of(offered):
                raise denied("terms-changed", "the terms are not those of the offer")
            found = records.find_contract(connection, agreement.id)
            if found is not None:
                if found.agreement != body:
                    raise denied("contract-id-reused", agreement.id, 409)
                return Answered(found.state, found.reason, found.by_provider)
            waiting = [row for row in records.contracts(connection, "provider", None, 1000) if row.state == "proposed"]
            if len(waiting) >= MOST_PROPOSED:
                raise denied("busy", f"{MOST_PROPOSED} proposals wait here", 503)
            named = ANYONE not in agreement.terms.to
            by_provider = signed_agreement(own.key, body) if named else b""
            records.add_contract(
                connection,
                id=agreement.id,
                side="provider",
                offer=agreement.terms.offer,
                peer=agreement.consumer,
                peer_key=agreement.consumer_key,
                peer_name=agreement.consumer_name,
                url="",
                agreement=body,
                by_consumer=signed,
                by_provider=by_provider,
                state="valid" if named else "proposed",
                reason="",
                made_by=agreement.person,
                made_at=now,
                changed_at=now,
            )
            words = f"{agreement.terms.kind} {agreement.terms.target} by {agreement.consumer_name}"
            subject = peer_subject(agreement.consumer)
            audit.record(connection, subject, "calls.proposed", f"contract/{agreement.id}", now, words)
            return Answered("valid" if named else "proposed", "", by_provider)

    def accept(self, subject: Subject, identifier: str) -> ContractDocument:
        """Sign a contract that waits for it.

        Raises:
            Problem: 404, 409.
        """
        own, now = needed(self._identity), self._clock.now_ns()
        with writing(self._engine) as connection:
            row = self._find(connection, identifier)
            if row.side != "provider" or row.state != "proposed":
                raise conflict(f"{identifier} is {row.state}")
            signed = signed_agreement(own.key, row.agreement)
            records.change_contract(connection, identifier, state="valid", by_provider=signed, changed_at=now)
            audit.record(connection, subject, "calls.accept", f"contract/{identifier}", now, row.peer)
        return self.get(identifier)

    # Both.

    def end(self, subject: Subject, identifier: str, reason: str) -> ContractDocument:
        """Refuse a proposal, or end a contract, at once on this side.

        Raises:
            Problem: 404, 409 when it has ended.
        """
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            row = self._find(connection, identifier)
            if row.state not in ("proposed", "valid"):
                raise conflict(f"{identifier} is {row.state}: {row.reason}")
            state = "refused" if row.side == "provider" and row.state == "proposed" else "ended"
            records.change_contract(connection, identifier, state=state, reason=reason, changed_at=now)
            audit.record(connection, subject, f"calls.{state}", f"contract/{identifier}", now, reason)
        return self.get(identifier)

    def answered(self, identifier: str, sender: bytes) -> Answered:
        """Return what this node says of a contract to its other party.

        Raises:
            Problem: 404 ``contract-unknown``.
        """
        with reading(self._engine) as connection:
            row = records.find_contract(connection, identifier)
        if row is None or row.peer_key != sender:
            raise denied("contract-unknown", identifier, 404)
        return Answered(row.state, row.reason, row.by_provider)

    def get(self, identifier: str) -> ContractDocument:
        """Return a contract.

        Raises:
            Problem: 404.
        """
        now = self._clock.now_ns()
        with reading(self._engine) as connection:
            return self._document(connection, self._find(connection, identifier), now)

    def page(
        self, side: str | None, after: tuple[int, str] | None, limit: int
    ) -> tuple[list[ContractDocument], tuple[int, str] | None]:
        """Return contracts, newest first, and the key after which the next page starts."""
        now = self._clock.now_ns()
        with reading(self._engine) as connection:
            rows = records.contracts(connection, side, after, limit + 1)
            items = [self._document(connection, row, now) for row in rows[:limit]]
        return items, (rows[limit - 1].made_at, rows[limit - 1].id) if len(rows) > limit else None

    @staticmethod
    def _document(connection: Any, row: Any, now: int) -> ContractDocument:
        period = records.period_of(records.agreement_of(row).terms, now)
        if row.side == "provider":
            return contract_document(row, records.used_under(connection, row.offer, row.peer, period), now)
        return contract_document(row, records.used(connection, row.id, period), now)

    @staticmethod
    def _find(connection: Any, identifier: str) -> Any:
        row = records.find_contract(connection, identifier)
        if row is None:
            raise not_found(f"contract {identifier[:40]}")
        return row


def _may(terms: Terms, node: str) -> bool:
    return ANYONE in terms.to or node in terms.to


def standing(row: Any, now: int) -> Problem | None:
    """Return why no call may be made under a contract now, None when one may."""
    if row is None:
        return denied("contract-unknown", "", 404)
    if row.state != "valid":
        return denied(f"contract-{row.state}", row.reason)
    if records.agreement_of(row).terms.until <= now:
        return denied("contract-expired", "its time is over")
    return None
