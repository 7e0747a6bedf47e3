"""Keys of trust as ``HS_PUBKEY`` values: those of RSA and Ed25519 as all are, ``SM2_PUB_KEY`` (x and y) is ours."""

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from gongfu.identify.authentication.public_keys import decode_public_key, encode_public_key
from gongfu.identify.handle import wire
from gongfu.identify.handle.wire import MalformedError, Reader
from gongfu.identify.trust.keys import (
    Algorithm,
    KeyFormError,
    VerifyingKey,
    decode_base64url,
    encode_base64url,
    parse_key,
    to_cryptography,
)

SM2 = "SM2_PUB_KEY"
_HALF = 32


def encode_key(key: VerifyingKey) -> bytes:
    """Return the data of an ``HS_PUBKEY`` value."""
    if key.algorithm is Algorithm.SM2:
        return wire.text(SM2) + bytes(2) + wire.string(decode_base64url(key.x) + decode_base64url(key.y))
    return encode_public_key(to_cryptography(key))


def decode_key(data: bytes) -> VerifyingKey:
    """Return the key that the data of an ``HS_PUBKEY`` value are.

    Raises:
        KeyFormError: they are none that may sign records.
    """
    try:
        reader = Reader(data)
        if reader.text() == SM2:
            reader.short()
            point = reader.string()
            reader.finish()
            x, y = encode_base64url(point[:_HALF]), encode_base64url(point[_HALF:])
            return parse_key({"kty": "EC", "crv": "SM2", "x": x, "y": y})
        key = decode_public_key(data)
    except MalformedError as error:
        raise KeyFormError(str(error)) from None
    if isinstance(key, RSAPublicKey):
        numbers = key.public_numbers()
        n, e = (encode_base64url(one.to_bytes((one.bit_length() + 7) // 8)) for one in (numbers.n, numbers.e))
        return parse_key({"kty": "RSA", "n": n, "e": e})
    return parse_key({"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(key.public_bytes_raw())})
