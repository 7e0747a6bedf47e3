"""Signatures of answers (RFC 3652 §2.2.4): what a client gets that sets the CERTIFIED flag.

::

    credential  version 1, reserved 1, options 2, signer (handle, index), type, length of the rest, digest, signature

The signer is the server, whose key is in its ``HS_SITE`` value; it is not named again. Signed are header and body.
"""

from collections.abc import Callable

import msgspec

from gongfu.identify.authentication.public_keys import PrivateKey, PublicKey, encode_public_key, is_signed, sign
from gongfu.identify.handle import wire
from gongfu.identify.handle.wire import Reader

SIGNED = "HS_SIGNED"


class Credential(msgspec.Struct, frozen=True, gc=False):
    """Who signed a message, and how; ``signature`` has the name of its digest before it."""

    type: str
    signature: bytes
    handle: str = ""
    index: int = 0
    version: int = 0
    options: int = 0


def encode_credential(credential: Credential) -> bytes:
    """Return the bytes of a credential."""
    return (
        bytes([credential.version, 0])
        + credential.options.to_bytes(2, "big")
        + wire.text(credential.handle)
        + wire.integer(credential.index)
        + wire.text(credential.type)
        + wire.string(credential.signature)
    )


def decode_credential(data: bytes) -> Credential:
    """Return what the bytes of a credential say.

    Raises:
        MalformedError: they are none.
    """
    reader = Reader(data)
    version, _, options = reader.byte(), reader.byte(), reader.short()
    handle, index, kind, signature = reader.text(), reader.integer(), reader.text(), reader.string()
    reader.finish()
    return Credential(kind, signature, handle, index, version, options)


class ServerKey:
    """Signs answers, not more of them in a second than the server can afford: anybody may ask for signatures."""

    def __init__(self, key: PrivateKey, *, clock: Callable[[], float], most_a_second: int = 500) -> None:
        """Make it.

        Args:
            key: RSA where other implementations shall understand it.
            clock: seconds, never backwards.
            most_a_second: signatures.
        """
        self._key = key
        self._clock = clock
        self._most = most_a_second
        self._second = 0
        self._used = 0

    @property
    def public_key(self) -> bytes:
        """The key as in an ``HS_PUBKEY`` value and in a site's server."""
        return encode_public_key(self._key.public_key())

    def certify(self, signed: bytes) -> bytes | None:
        """Return the credential of header and body of an answer; None where there were too many this second."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._used = second, 0
        if self._used >= self._most:
            return None
        self._used += 1
        return encode_credential(Credential(SIGNED, sign(self._key, signed)))


def is_certified(credential: bytes, signed: bytes, key: PublicKey) -> bool:
    """Return whether a credential is a server's signature of header and body.

    Raises:
        MalformedError: it is none.
    """
    found = decode_credential(credential)
    return found.type == SIGNED and is_signed(found.signature, key, signed)
