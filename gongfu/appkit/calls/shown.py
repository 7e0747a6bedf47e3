"""Rows of calls across platforms as documents."""

from typing import Any

import msgspec

from gongfu.appkit.calls import records
from gongfu.appkit.calls.documents import ContractDocument, OfferDocument, Terms, TermsDocument, UsageDocument
from gongfu.appkit.calls.signing import terms_digest
from gongfu.kernel.times import SECOND, format_rfc3339


def terms_document(terms: Terms) -> TermsDocument:
    """Return terms as they are shown."""
    members: dict[str, Any] = {**msgspec.structs.asdict(terms), "until": format_rfc3339(terms.until)}
    return TermsDocument(**members)


def terms_of(row: Any) -> Terms:
    """Return the terms of an offer's row."""
    return msgspec.convert(row.terms, Terms)


def offer_document(row: Any, contracts: int, now: int) -> OfferDocument:
    """Return an offer of this node."""
    state = "revoked" if row.revoked_at else "expired" if row.expires_at <= now else "standing"
    return OfferDocument(
        terms=terms_document(terms_of(row)),
        digest=row.digest,
        state=state,
        reason=row.reason,
        made_by=row.made_by,
        made_at=format_rfc3339(row.made_at),
        contracts=contracts,
    )


def contract_document(row: Any, used: int, now: int) -> ContractDocument:
    """Return a contract as this node has it."""
    terms = records.agreement_of(row).terms
    ends = records.period_of(terms, now) + terms.period_s * SECOND
    expired = row.state == "valid" and terms.until <= now
    return ContractDocument(
        id=row.id,
        side=row.side,
        state="expired" if expired else row.state,
        reason=row.reason,
        peer=row.peer,
        peer_name=row.peer_name,
        url=row.url,
        terms=terms_document(terms),
        digest=terms_digest(terms),
        made_by=row.made_by,
        made_at=format_rfc3339(row.made_at),
        changed_at=format_rfc3339(row.changed_at),
        used=used,
        period_ends=format_rfc3339(ends),
    )


def usage_document(row: Any) -> UsageDocument:
    """Return a call as this node noted it."""
    return UsageDocument(
        id=row.id,
        key=row.key,
        at=format_rfc3339(row.at),
        state=row.state,
        status=row.status,
        charged=bool(row.charged),
        rows=row.rows,
        milliseconds=row.microseconds / 1000,
    )
