"""Public keys and signatures: RSA as other implementations have it, Ed25519 as ours."""

import contextlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gongfu.identify.authentication.public_keys import (
    PrivateKey,
    decode_public_key,
    encode_public_key,
    is_signed,
    sign,
)
from gongfu.identify.handle import wire
from gongfu.identify.handle.wire import MalformedError

RSA_KEY = rsa.generate_private_key(65537, 1024)
ED_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
DATA = b"nonce" + b"digest"


def test_fields_of_an_rsa_key() -> None:
    modulus = RSA_KEY.public_key().public_numbers().n
    # Type, flags, exponent, modulus with a zero byte before it because its first bit is set.
    fields = b"\0\0\0\x0bRSA_PUB_KEY" + b"\0\0" + b"\0\0\0\x03\x01\0\x01" + b"\0\0\0\x81" + modulus.to_bytes(129, "big")
    assert encode_public_key(RSA_KEY.public_key()) == fields
    assert decode_public_key(fields) == RSA_KEY.public_key()


def test_an_ed25519_key() -> None:
    public = ED_KEY.public_key()
    assert encode_public_key(public) == b"\0\0\0\x0fED25519_PUB_KEY\0\0\0\0\0\x20" + public.public_bytes_raw()
    assert decode_public_key(encode_public_key(public)) == public


@pytest.mark.parametrize("key", [RSA_KEY, ED_KEY], ids=["rsa", "ed25519"])
def test_signatures(key: PrivateKey) -> None:
    signature = sign(key, DATA)
    assert is_signed(signature, key.public_key(), DATA)
    assert not is_signed(signature, key.public_key(), DATA + b"x")
    assert not is_signed(signature[:-1] + bytes([signature[-1] ^ 1]), key.public_key(), DATA)
    other = ED_KEY if key is RSA_KEY else RSA_KEY
    with pytest.raises(MalformedError):
        is_signed(signature, other.public_key(), DATA)


@pytest.mark.parametrize("digest", ["SHA1", "SHA-1", "SHA256", "SHA-256", "sha-256"])
def test_names_of_digests(digest: str) -> None:
    algorithm = hashes.SHA1() if "1" in digest.replace("256", "") else hashes.SHA256()
    signature = wire.text(digest) + wire.string(RSA_KEY.sign(DATA, padding.PKCS1v15(), algorithm))
    assert is_signed(signature, RSA_KEY.public_key(), DATA)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        wire.text("DSA_PUB_KEY") + bytes(2),
        wire.text("RSA_PUB_KEY") + bytes(2) + wire.string(b"\3") + wire.string(b"\x7f" * 8),
        wire.text("RSA_PUB_KEY") + bytes(2) + wire.string(b"\3" * 200) + wire.string(b"\x7f" * 128),
        wire.text("ED25519_PUB_KEY") + bytes(2) + wire.string(bytes(31)),
        encode_public_key(ED_KEY.public_key()) + b"x",
    ],
)
def test_no_keys(data: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_public_key(data)


@given(st.binary(max_size=200), st.binary(max_size=100))
def test_nothing_else_is_raised(data: bytes, signature: bytes) -> None:
    for call in (lambda: decode_public_key(data), lambda: is_signed(signature, RSA_KEY.public_key(), DATA)):
        with contextlib.suppress(MalformedError):
            assert call() is not True
