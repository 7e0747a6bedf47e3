"""Sealing of what machines of a cluster share by way of the records: who has the records only, can read none of it.

AES-256-GCM (NIST SP 800-38D) with keys drawn from the key of device secrets, which all machines have, by HKDF-SHA256
(RFC 5869). Each file has a random nonce of 96 bits and is bound to its place.
"""

import hashlib
import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES = 12


class UnsealError(Exception):
    """It was sealed with another key or for another place, or it is damaged."""


def derived_key(device_key: bytes, purpose: str) -> bytes:
    """Return a key of 32 bytes for one purpose."""
    return HKDF(SHA256(), 32, salt=None, info=f"gongfu {purpose}".encode()).derive(device_key)


class Seal:
    """Seals and opens; ``place`` is what a content is bound to."""

    def __init__(self, device_key: bytes) -> None:
        """Draw the keys from the key of device secrets, 32 bytes."""
        self._cipher = AESGCM(derived_key(device_key, "shared files"))
        self._digest_key = derived_key(device_key, "digests of shared files")

    def digest(self, content: bytes) -> str:
        """Return a keyed hash of a content, 64 hexadecimal digits."""
        return hmac.digest(self._digest_key, content, hashlib.sha256).hex()

    def close(self, place: str, content: bytes) -> bytes:
        """Return a content sealed."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, place.encode())

    def open(self, place: str, sealed: bytes) -> bytes:
        """Return what was sealed.

        Raises:
            UnsealError: see there.
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError):
            raise UnsealError(place) from None
