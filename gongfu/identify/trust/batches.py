"""Large batches, signed once: each record of a batch has a proof that leads to the batch's signed Merkle root.

A leaf is a record: its handle and the digests of its values, so that whoever may see some values only can check those,
with the digests of the others. ``merkle`` says how leaves become a root.
"""

import base64
import binascii
import struct
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from gongfu.identify.handle.names import parse_handle
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.trust.claims import MAX_VALUES, Claims, MerkleRoot, encode_claims, value_digest
from gongfu.identify.trust.jws import sign
from gongfu.identify.trust.keys import SigningKey
from gongfu.identify.trust.merkle import DIGEST_BYTES, MAX_PROOF, MerkleTree, verify_proof
from gongfu.identify.trust.signing import signable

_INDEX = struct.Struct(">I")


class LeafDigest(msgspec.Struct, frozen=True):
    """Index and SHA-256 (base64) of a value of the record, as it was signed."""

    index: int
    digest: str


class BatchProof(msgspec.Struct, frozen=True):
    """What proves a record.

    Attributes:
        signature: JWS over the root (``Claims.merkle``), one for the whole batch.
        position: of the record in the batch, from 0.
        digests: of all its values then, by index.
        path: hashes to the root, from below, base64.
    """

    signature: str
    position: int
    digests: Annotated[tuple[LeafDigest, ...], Meta(max_length=MAX_VALUES)]
    path: Annotated[tuple[str, ...], Meta(max_length=MAX_PROOF)]


def leaf_digests(values: Sequence[HandleValue]) -> tuple[LeafDigest, ...]:
    """Return the digests of a record's values that are signed."""
    return tuple(LeafDigest(one.index, base64.b64encode(value_digest(one)).decode()) for one in signable(values))


def leaf_of(handle: str, digests: Sequence[LeafDigest]) -> bytes:
    """Return what is hashed to be a leaf: length and key of the handle, then index and digest of each value.

    Raises:
        ValueError: no handle, or digests that are none.
    """
    key = parse_handle(handle).key.encode()
    parts = [_INDEX.pack(len(key)), key]
    for one in digests:
        data = _digest(one.digest)
        parts += (_INDEX.pack(one.index), data)
    return b"".join(parts)


def _digest(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("no base64") from None
    if len(data) != DIGEST_BYTES:
        raise ValueError("a digest has 32 bytes")
    return data


def sign_root(tree: MerkleTree, key: SigningKey, issuer: str, subject: str, *, now: int) -> str:
    """Return the signature of a batch.

    Args:
        tree: over its leaves.
        key: that signs.
        issuer: ``index:handle`` where its public part is known.
        subject: handle of the prefix whose records they are (``0.NA/…``).
        now: UTC seconds.
    """
    root = MerkleRoot("SHA-256", base64.b64encode(tree.root).decode(), len(tree))
    return sign(encode_claims(Claims(iss=issuer, sub=subject, iat=now, nbf=now, merkle=root)), key)


def proof_of(tree: MerkleTree, signature: str, position: int, digests: Sequence[LeafDigest]) -> BatchProof:
    """Return the proof of the record at a position of a batch.

    Raises:
        IndexError: there is no such position.
    """
    path = tuple(base64.b64encode(one).decode() for one in tree.proof(position))
    return BatchProof(signature, position, tuple(digests), path)


def in_batch(handle: str, proof: BatchProof, root: MerkleRoot) -> bool:
    """Return whether the proof leads from the handle with these digests to the root. The signature is not looked at."""
    try:
        leaf = leaf_of(handle, proof.digests)
        path = [_digest(one) for one in proof.path]
        top = _digest(root.root)
    except ValueError:
        return False
    return root.alg == "SHA-256" and verify_proof(leaf, proof.position, root.size, path, top)
