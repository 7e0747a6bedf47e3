"""Whether a record is what its owner signed, and whether a root that this node trusts lets that owner sign it.

From a signature the way leads up by certificates (``HS_CERT``): each certifies the key that made the one below, and
each must permit the handle in question. It ends at a certificate that certifies itself, which is trusted only if this
node was told its key.
"""

import base64
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum

import msgspec

from gongfu.identify.handle.values import HandleValue
from gongfu.identify.trust.claims import (
    MAX_CHAIN,
    Claims,
    Digests,
    decode_claims,
    handle_of,
    permits,
    same_handle,
    value_digest,
)
from gongfu.identify.trust.jws import Jws, JwsError, parse
from gongfu.identify.trust.keys import VerifyingKey
from gongfu.identify.trust.signing import HS_CERT, HS_SIGNATURE, signable

MAX_SIGNATURES = 20

Lookup = Callable[[str], Awaitable[Sequence[HandleValue] | None]]
"""Returns the values of a handle, None where there are none."""


class Trust(StrEnum):
    """What is to be thought of a value or a record.

    ``trusted``: signed, and permitted by a trusted root. ``signed``: signed, but the way to a trusted root is missing.
    ``broken``: a signature, a digest or a certificate is wrong. ``unsigned``: nothing says anything.
    """

    TRUSTED = "trusted"
    SIGNED = "signed"
    BROKEN = "broken"
    UNSIGNED = "unsigned"


class Root(msgspec.Struct, frozen=True):
    """A key that this node trusts, and the handle that has it; "" where only the key is known."""

    subject: str
    key: VerifyingKey


class Hop(msgspec.Struct, frozen=True):
    """One step of the way up: who signed, with what kind of key, and what is wrong with it ("" for nothing)."""

    issuer: str
    subject: str
    algorithm: str
    wrong: str = ""


class SignatureReport(msgspec.Struct, frozen=True):
    """What one signature is worth.

    Attributes:
        index: of the ``HS_SIGNATURE`` value.
        trust: of the signature, whatever the values are.
        verified: indexes of values that are as they were signed.
        changed: indexes of values that are not.
        absent: signed indexes that are not among the values: deleted, or not shown to who asks.
        hops: the way up, from the signer to the root.
        why: in words, what is missing or wrong.
    """

    index: int
    trust: Trust
    verified: tuple[int, ...] = ()
    changed: tuple[int, ...] = ()
    absent: tuple[int, ...] = ()
    hops: tuple[Hop, ...] = ()
    why: str = ""


class RecordReport(msgspec.Struct, frozen=True):
    """What a record is worth: the worst of its values' trust, and each signature's report.

    Attributes:
        trust: of the record. A changed value makes it broken, unless another trusted signature holds for that value.
        unsigned: indexes that no valid signature is of.
        signatures: one report each.
    """

    trust: Trust
    unsigned: tuple[int, ...] = ()
    signatures: tuple[SignatureReport, ...] = ()


async def verify_record(
    handle: str, values: Sequence[HandleValue], lookup: Lookup, roots: Sequence[Root], now: int
) -> RecordReport:
    """Return what a record is worth.

    Args:
        handle: its name.
        values: as they were resolved; those that were not shown are missing, which breaks nothing.
        lookup: finds certificates.
        roots: what this node trusts.
        now: UTC seconds.
    """
    signatures = [value for value in values if value.type.upper() == HS_SIGNATURE][:MAX_SIGNATURES]
    content = signable(values)
    reports = tuple([await _signature(handle, value, content, lookup, roots, now) for value in signatures])
    return combine(content, reports)


def combine(content: Sequence[HandleValue], reports: Sequence[SignatureReport]) -> RecordReport:
    """Return what the reports of all signatures of a record mean together."""
    rank = {Trust.TRUSTED: 2, Trust.SIGNED: 1}
    best: dict[int, int] = {}
    changed: set[int] = set()
    for report in reports:
        for index in report.verified:
            best[index] = max(best.get(index, 0), rank.get(report.trust, 0))
        if report.trust in rank:
            changed.update(report.changed)
    unsigned = tuple(value.index for value in content if not best.get(value.index))
    if any(best.get(index, 0) < rank[Trust.TRUSTED] for index in changed) or any(
        report.trust is Trust.BROKEN for report in reports
    ):
        return RecordReport(Trust.BROKEN, unsigned, tuple(reports))
    if not content or unsigned:
        return RecordReport(Trust.UNSIGNED, unsigned, tuple(reports))
    least = min(best[value.index] for value in content)
    return RecordReport(Trust.TRUSTED if least == rank[Trust.TRUSTED] else Trust.SIGNED, (), tuple(reports))


async def _signature(
    handle: str,
    value: HandleValue,
    content: Sequence[HandleValue],
    lookup: Lookup,
    roots: Sequence[Root],
    now: int,
) -> SignatureReport:
    try:
        jws = parse(value.data)
        claims = decode_claims(jws.payload)
    except (JwsError, ValueError) as error:
        return SignatureReport(value.index, Trust.BROKEN, why=str(error))
    if claims.digests is None or claims.digests.alg != "SHA-256":
        return SignatureReport(value.index, Trust.BROKEN, why="it has no digests by SHA-256")
    if not same_handle(claims.sub, handle):
        return SignatureReport(value.index, Trust.BROKEN, why=f"it is of {claims.sub[:100]}")
    verified, changed, absent = compare(claims.digests, content)
    trust, hops, why = await climb(handle, jws, claims, lookup, roots, now)
    return SignatureReport(value.index, trust, verified, changed, absent, hops, why)


def compare(
    digests: Digests, content: Sequence[HandleValue]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return the indexes that are as signed, changed, and signed but not there."""
    said = {one.index: one.digest for one in digests.digests}
    verified: list[int] = []
    changed: list[int] = []
    for value in content:
        digest = said.pop(value.index, None)
        if digest is not None:
            same = digest == base64.b64encode(value_digest(value)).decode()
            (verified if same else changed).append(value.index)
    return tuple(verified), tuple(changed), tuple(said)


async def climb(
    handle: str, jws: Jws, claims: Claims, lookup: Lookup, roots: Sequence[Root], now: int
) -> tuple[Trust, tuple[Hop, ...], str]:
    """Follow the certificates from a signature to a root.

    Returns:
        What the signature is worth, the way, and in words what is missing.
    """
    hops: list[Hop] = []
    places: Sequence[str] = ()
    seen: set[str] = set()
    while True:
        if not claims.valid_at(now):
            return _ended(hops, jws, claims, "it is not valid at this time")
        if claims.self_issued:
            return _at_root(hops, jws, claims, roots)
        if len(hops) >= MAX_CHAIN:
            return _ended(hops, jws, claims, "the way up is too long")
        places = places or claims.chain or (handle_of(claims.iss)[1],)
        place, places = places[0], places[1:]
        if place in seen:
            return _ended(hops, jws, claims, "the way up goes in a circle")
        seen.add(place)
        above = _certificate(await lookup(handle_of(place)[1]), place, claims.iss)
        if above is None:
            hops.append(Hop(claims.iss, claims.sub, jws.algorithm, "no certificate was found"))
            return Trust.SIGNED, tuple(hops), f"there is no certificate for {claims.iss[:100]}"
        certificate, certified = above
        if certified.public_key is None or not jws.verifies(certified.public_key):
            return _ended(hops, jws, claims, "the certified key did not sign it")
        if not permits(certified.perms, handle):
            return _ended(hops, jws, claims, f"its signer may not sign {handle[:100]}")
        hops.append(Hop(claims.iss, claims.sub, jws.algorithm))
        jws, claims = certificate, certified


def _ended(hops: list[Hop], jws: Jws, claims: Claims, wrong: str) -> tuple[Trust, tuple[Hop, ...], str]:
    hops.append(Hop(claims.iss, claims.sub, jws.algorithm, wrong))
    return Trust.BROKEN, tuple(hops), f"{claims.sub[:100]}: {wrong}"


def _at_root(hops: list[Hop], jws: Jws, claims: Claims, roots: Sequence[Root]) -> tuple[Trust, tuple[Hop, ...], str]:
    key = claims.public_key
    if key is None or not jws.verifies(key):
        return _ended(hops, jws, claims, "the key it certifies did not sign it")
    subject = handle_of(claims.sub)[1]
    if any(
        root.key == key and (not root.subject or same_handle(handle_of(root.subject)[1], subject)) for root in roots
    ):
        hops.append(Hop(claims.iss, claims.sub, jws.algorithm))
        return Trust.TRUSTED, tuple(hops), ""
    hops.append(Hop(claims.iss, claims.sub, jws.algorithm, "this root is not trusted here"))
    return Trust.SIGNED, tuple(hops), f"the root {claims.sub[:100]} is not trusted here"


def _certificate(values: Sequence[HandleValue] | None, place: str, subject: str) -> tuple[Jws, Claims] | None:
    """Return the certificate of a subject among the values at a place; its index, where named, must be it.

    One by somebody above counts more than one by the subject itself, a later one more than an earlier.
    """
    found: list[tuple[bool, int, Jws, Claims]] = []
    index = handle_of(place)[0]
    for value in values or ():
        if value.type.upper() != HS_CERT or (index and value.index != index):
            continue
        try:
            jws = parse(value.data)
            claims = decode_claims(jws.payload)
        except (JwsError, ValueError):
            continue
        (their, of), (mine, whose) = handle_of(claims.sub), handle_of(subject)
        if same_handle(of, whose) and their == mine:
            found.append((not claims.self_issued, claims.iat or 0, jws, claims))
    if not found:
        return None
    _, _, jws, claims = max(found, key=lambda one: one[:2])
    return jws, claims
