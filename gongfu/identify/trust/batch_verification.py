"""What a proof from a signed batch is worth for a record as it is now."""

from collections.abc import Sequence

from gongfu.identify.handle.names import NAMING_AUTHORITY, folded, parse_handle
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.trust.batches import BatchProof, in_batch
from gongfu.identify.trust.claims import Digest, Digests, decode_claims
from gongfu.identify.trust.jws import JwsError, parse
from gongfu.identify.trust.signing import signable
from gongfu.identify.trust.verification import Lookup, Root, SignatureReport, Trust, climb, compare

# No value has this index: reports of proofs stand beside those of ``HS_SIGNATURE`` values.
PROOF_INDEX = 0


async def verify_batch_proof(
    handle: str, values: Sequence[HandleValue], proof: BatchProof, lookup: Lookup, roots: Sequence[Root], now: int
) -> SignatureReport:
    """Return what the proof is worth; index ``PROOF_INDEX``.

    Args:
        handle: of the record.
        values: as they were resolved.
        proof: that came with them.
        lookup: finds certificates.
        roots: what this node trusts.
        now: UTC seconds.
    """
    try:
        jws = parse(proof.signature)
        claims = decode_claims(jws.payload)
        prefix = folded(parse_handle(handle).prefix)
    except (JwsError, ValueError) as error:
        return SignatureReport(PROOF_INDEX, Trust.BROKEN, why=str(error))
    root = claims.merkle
    if root is None or not in_batch(handle, proof, root):
        return SignatureReport(PROOF_INDEX, Trust.BROKEN, why="the proof does not lead to the root of its batch")
    if folded(claims.sub) != f"{NAMING_AUTHORITY}/{prefix}":
        return SignatureReport(PROOF_INDEX, Trust.BROKEN, why=f"the batch is of {claims.sub[:100]}")
    stated = Digests("SHA-256", tuple(Digest(one.index, one.digest) for one in proof.digests))
    verified, changed, absent = compare(stated, signable(values))
    trust, hops, why = await climb(handle, jws, claims, lookup, roots, now)
    return SignatureReport(PROOF_INDEX, trust, verified, changed, absent, hops, why)
