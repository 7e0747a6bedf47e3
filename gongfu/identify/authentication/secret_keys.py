"""Proofs made with a secret key (``HS_SECKEY``) of the nonce and the request's digest (RFC 3652 §3.5.2).

A proof is a code and a digest. The plain digests are of key, challenge, key; the others are HMACs, the last one with a
key that PBKDF2 has derived: salt, iterations, bits of the key and the HMAC stand behind its code.
"""

import hashlib
import hmac
from enum import IntEnum

from gongfu.identify.handle import wire
from gongfu.identify.handle.wire import MalformedError, Reader

# Each costs the server a hash; the usual number is 10,000.
MAX_ITERATIONS = 20_000
_MAX_SALT = 1024
_DERIVED_BITS = (128, 512)


class MacCode(IntEnum):
    """How a proof was made."""

    MD5 = 1
    SHA1 = 2
    SHA256 = 3
    HMAC_SHA1 = 0x12
    HMAC_SHA256 = 0x13
    PBKDF2_HMAC_SHA1 = 0x22


_PLAIN = {MacCode.MD5: "md5", MacCode.SHA1: "sha1", MacCode.SHA256: "sha256"}
_HMAC = {MacCode.HMAC_SHA1: "sha1", MacCode.HMAC_SHA256: "sha256"}


def prove(code: MacCode, key: bytes, challenge: bytes, *, salt: bytes = b"", iterations: int = 10_000) -> bytes:
    """Return the proof that somebody has a key.

    Args:
        code: how to make it.
        key: data of the ``HS_SECKEY`` value.
        challenge: nonce and digest of the request.
        salt: 16 random bytes, of PBKDF2 only.
        iterations: of PBKDF2 only.
    """
    if code is MacCode.PBKDF2_HMAC_SHA1:
        bits = 160
        parameters = wire.string(salt) + wire.integer(iterations) + wire.integer(bits)
        return bytes([code]) + parameters + wire.string(_derived(key, salt, iterations, bits, challenge))
    return bytes([code]) + _digest(code, key, challenge)


def proves(proof: bytes, key: bytes, challenge: bytes) -> bool:
    """Return whether a proof was made with a key, in a time that does not depend on where they differ.

    Raises:
        MalformedError: it is none, or would cost more than ``MAX_ITERATIONS``.
    """
    reader = Reader(proof)
    number = reader.byte()
    try:
        code = MacCode(number)
    except ValueError:
        raise MalformedError("digest", f"algorithm {number}") from None
    if code is not MacCode.PBKDF2_HMAC_SHA1:
        return hmac.compare_digest(reader.rest(), _digest(code, key, challenge))
    salt, iterations, bits, given = reader.string(), reader.integer(), reader.integer(), reader.string()
    reader.finish()
    least, most = _DERIVED_BITS
    if not 1 <= iterations <= MAX_ITERATIONS or len(salt) > _MAX_SALT or bits % 8 or not least <= bits <= most:
        raise MalformedError("value", "parameters of PBKDF2 out of range")
    return hmac.compare_digest(given, _derived(key, salt, iterations, bits, challenge))


def is_costly(proof: bytes) -> bool:
    """Return whether a proof takes milliseconds to check."""
    return proof[:1] == bytes([MacCode.PBKDF2_HMAC_SHA1])


def _digest(code: MacCode, key: bytes, challenge: bytes) -> bytes:
    if code in _HMAC:
        return hmac.digest(key, challenge, _HMAC[code])
    # Not our choice: the protocol's.
    return hashlib.new(_PLAIN[code], key + challenge + key, usedforsecurity=False).digest()


def _derived(key: bytes, salt: bytes, iterations: int, bits: int, challenge: bytes) -> bytes:
    derived = hashlib.pbkdf2_hmac("sha1", key, salt, iterations, bits // 8)
    return hmac.digest(derived, challenge, "sha1")
