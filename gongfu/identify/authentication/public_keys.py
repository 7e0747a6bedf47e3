"""Public keys (``HS_PUBKEY``) and what their owners sign (RFC 3651 §3.2, RFC 3652 §3.5.2).

Data of a key: name of the type, 2 bytes of flags, numbers or bytes of the key. ``RSA_PUB_KEY`` (exponent, modulus) is
what all implementations know; ``ED25519_PUB_KEY`` (32 bytes) is ours. A signature is the name of a digest and the
signature; Ed25519 has its own digest and the name ``ED25519``.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gongfu.identify.handle import wire
from gongfu.identify.handle.wire import MalformedError, Reader

RSA = "RSA_PUB_KEY"
ED25519 = "ED25519_PUB_KEY"
_ED25519_DIGEST = "ED25519"
# Less is broken, more is a way to keep the server busy.
_RSA_BITS = (1024, 8192)
_MAX_EXPONENT_BYTES = 8

_DIGESTS: dict[str, type[hashes.HashAlgorithm]] = {
    "SHA1": hashes.SHA1,
    "SHA-1": hashes.SHA1,
    "SHA256": hashes.SHA256,
    "SHA-256": hashes.SHA256,
}

PublicKey = RSAPublicKey | Ed25519PublicKey
PrivateKey = RSAPrivateKey | Ed25519PrivateKey


def _number(value: int) -> bytes:
    # One byte more than it needs, so that the first bit says that it is not negative.
    return wire.string(value.to_bytes(value.bit_length() // 8 + 1, "big"))


def encode_public_key(key: PublicKey) -> bytes:
    """Return the data of an ``HS_PUBKEY`` value."""
    if isinstance(key, RSAPublicKey):
        numbers = key.public_numbers()
        return wire.text(RSA) + bytes(2) + _number(numbers.e) + _number(numbers.n)
    return wire.text(ED25519) + bytes(2) + wire.string(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def decode_public_key(data: bytes) -> PublicKey:
    """Return the key that the data of an ``HS_PUBKEY`` value are.

    Raises:
        MalformedError: they are none, or of a type that is not known here (``digest``).
    """
    reader = Reader(data)
    kind = reader.text()
    reader.short()
    try:
        if kind == RSA:
            exponent, modulus = reader.string(), int.from_bytes(reader.string(), "big")
            reader.finish()
            least, most = _RSA_BITS
            if not least <= modulus.bit_length() <= most or len(exponent) > _MAX_EXPONENT_BYTES:
                raise MalformedError("value", f"an RSA key has {least} to {most} bits")
            return RSAPublicNumbers(int.from_bytes(exponent, "big"), modulus).public_key()
        if kind == ED25519:
            raw = reader.string()
            reader.finish()
            return Ed25519PublicKey.from_public_bytes(raw)
    except ValueError as error:
        raise error if isinstance(error, MalformedError) else MalformedError("value", str(error)) from None
    raise MalformedError("digest", f"keys of type {kind[:40]!r} are not known")


def sign(key: PrivateKey, data: bytes, *, digest: str = "SHA-256") -> bytes:
    """Return a signature with the name of its digest before it.

    Raises:
        KeyError: the digest is not known.
    """
    if isinstance(key, RSAPrivateKey):
        return wire.text(digest) + wire.string(key.sign(data, padding.PKCS1v15(), _DIGESTS[digest]()))
    return wire.text(_ED25519_DIGEST) + wire.string(key.sign(data))


def is_signed(signature: bytes, key: PublicKey, data: bytes) -> bool:
    """Return whether a signature, with the name of its digest before it, is of a key and of these data.

    Raises:
        MalformedError: it is none; ``digest``: of a digest that is not known here or not fit for the key.
    """
    reader = Reader(signature)
    digest, given = reader.text(), reader.string()
    reader.finish()
    try:
        if isinstance(key, RSAPublicKey):
            key.verify(given, data, padding.PKCS1v15(), _DIGESTS[digest.upper()]())
        elif digest.upper() == _ED25519_DIGEST:
            key.verify(given, data)
        else:
            raise MalformedError("digest", f"{digest[:40]!r} with a key of Ed25519")
    except KeyError:
        raise MalformedError("digest", f"{digest[:40]!r} is not known") from None
    except InvalidSignature:
        return False
    return True
