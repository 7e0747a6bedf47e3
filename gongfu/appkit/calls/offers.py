"""What this node offers: made, listed, revoked. The provider's side."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from sqlalchemy import Engine

from gongfu.appkit.calls import records
from gongfu.appkit.calls.documents import ANYONE, MAX_TERMS, NewOffer, OfferDocument, PortTerms, Terms
from gongfu.appkit.calls.identity import FindIdentity, needed
from gongfu.appkit.calls.shown import offer_document
from gongfu.appkit.calls.signing import terms_digest
from gongfu.kernel.errors import conflict, invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock, parse_rfc3339
from gongfu.registry import audit
from gongfu.store.records.engine import reading, writing

MOST_STANDING = 500

# Returns the input and output ports of a model of this node; raises ``Problem`` 404.
Ports = Callable[[Subject, str, str], Awaitable[tuple[tuple[PortTerms, ...], tuple[PortTerms, ...]]]]


class Offers:
    """Offers of this node. Methods block: call them in a thread."""

    def __init__(self, engine: Engine, clock: Clock, identity: FindIdentity) -> None:
        self._engine = engine
        self._clock = clock
        self._identity = identity

    def make(self, subject: Subject, request: NewOffer) -> OfferDocument:
        """Make an offer.

        Raises:
            Problem: 400 for what the terms cannot be, 409 ``not-in-a-tree`` or too many.
        """
        own, now = needed(self._identity), self._clock.now_ns()
        try:
            until = parse_rfc3339(request.until)
        except ValueError as error:
            raise invalid(f"until: {error}") from None
        if until <= now:
            raise invalid("until must be later than now")
        if request.kind == "route" and not (request.method and request.path):
            raise invalid("an offered route has a method and a path")
        if request.kind == "model" and (request.method or request.path):
            raise invalid("a model has neither method nor path")
        if ANYONE in request.to and len(request.to) > 1:
            raise invalid("to is '*' alone, or ids of nodes")
        terms: dict[str, Any] = {
            **msgspec.structs.asdict(request),
            "offer": f"offer-{secrets.token_hex(10)}",
            "provider": own.key.id,
            "provider_name": own.name[:200],
            "until": until,
        }
        try:
            made = msgspec.convert(msgspec.to_builtins(terms), Terms)
        except msgspec.ValidationError as error:
            raise invalid(str(error)) from None
        if any(node != ANYONE and (len(node) != 24 or not node.isalnum()) for node in made.to):
            raise invalid("to is '*', or ids of nodes (24 characters)")
        if len(msgspec.json.encode(made)) > MAX_TERMS:
            raise invalid(f"the terms have more than {MAX_TERMS} bytes")
        with writing(self._engine) as connection:
            if len(records.standing_offers(connection, now)) >= MOST_STANDING:
                raise conflict(f"{MOST_STANDING} offers stand; revoke one first")
            records.add_offer(connection, made, terms_digest(made), subject.name, now)
            words = f"{made.kind} {made.target} to {' '.join(made.to)}, {made.quota} a {made.period_s} s"
            audit.record(connection, subject, "calls.offer", f"offer/{made.offer}", now, words)
        return self.get(made.offer)

    def get(self, identifier: str) -> OfferDocument:
        """Return an offer.

        Raises:
            Problem: 404.
        """
        with reading(self._engine) as connection:
            row = records.find_offer(connection, identifier)
            if row is None:
                raise not_found(f"offer {identifier[:40]}")
            counts = records.contracts_under(connection, [identifier])
        return offer_document(row, counts.get(identifier, 0), self._clock.now_ns())

    def page(self, after: tuple[int, str] | None, limit: int) -> tuple[list[OfferDocument], tuple[int, str] | None]:
        """Return offers, newest first, and the key after which the next page starts."""
        now = self._clock.now_ns()
        with reading(self._engine) as connection:
            rows = records.offers(connection, after, limit + 1)
            counts = records.contracts_under(connection, [row.id for row in rows])
        items = [offer_document(row, counts.get(row.id, 0), now) for row in rows[:limit]]
        return items, (rows[limit - 1].made_at, rows[limit - 1].id) if len(rows) > limit else None

    def revoke(self, subject: Subject, identifier: str, reason: str) -> OfferDocument:
        """End an offer and every contract under it, at once.

        Raises:
            Problem: 404, 409 when it was revoked.
        """
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            row = records.find_offer(connection, identifier)
            if row is None:
                raise not_found(f"offer {identifier[:40]}")
            if row.revoked_at:
                raise conflict(f"{identifier} was revoked: {row.reason}")
            ended = records.revoke_offer(connection, identifier, reason, now)
            words = f"{reason} ({ended} contracts end)"
            audit.record(connection, subject, "calls.revoke", f"offer/{identifier}", now, words)
        return self.get(identifier)
