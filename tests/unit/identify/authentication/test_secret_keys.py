"""Proofs made with secret keys, against digests computed otherwise."""

import contextlib
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.identify.authentication.secret_keys import MAX_ITERATIONS, MacCode, is_costly, prove, proves
from gongfu.identify.handle.wire import MalformedError

KEY, CHALLENGE = b"secret", bytes(range(20)) + bytes(32)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (MacCode.MD5, hashlib.md5(KEY + CHALLENGE + KEY).digest()),
        (MacCode.SHA1, hashlib.sha1(KEY + CHALLENGE + KEY).digest()),
        (MacCode.SHA256, hashlib.sha256(KEY + CHALLENGE + KEY).digest()),
        (MacCode.HMAC_SHA1, hmac.new(KEY, CHALLENGE, "sha1").digest()),
        (MacCode.HMAC_SHA256, hmac.new(KEY, CHALLENGE, "sha256").digest()),
    ],
)
def test_digests(code: MacCode, expected: bytes) -> None:
    proof = prove(code, KEY, CHALLENGE)
    assert proof == bytes([code]) + expected
    assert proves(proof, KEY, CHALLENGE)
    assert not proves(proof, b"other", CHALLENGE)
    assert not proves(proof, KEY, CHALLENGE + b"x")
    assert not proves(proof[:-1], KEY, CHALLENGE)
    assert not is_costly(proof)


def test_pbkdf2() -> None:
    salt = bytes(16)
    derived = hashlib.pbkdf2_hmac("sha1", KEY, salt, 1000, 20)
    mac = hmac.new(derived, CHALLENGE, "sha1").digest()
    expected = bytes.fromhex("22 00000010") + salt + bytes.fromhex("000003e8 000000a0 00000014") + mac
    proof = prove(MacCode.PBKDF2_HMAC_SHA1, KEY, CHALLENGE, salt=salt, iterations=1000)
    assert proof == expected
    assert proves(proof, KEY, CHALLENGE)
    assert not proves(proof, b"other", CHALLENGE)
    assert is_costly(proof)


@pytest.mark.parametrize("iterations", [0, MAX_ITERATIONS + 1, 2**32 - 1])
def test_a_proof_may_not_cost_more_than_it_should(iterations: int) -> None:
    cheap = prove(MacCode.PBKDF2_HMAC_SHA1, KEY, CHALLENGE, salt=bytes(16), iterations=1)
    costly = cheap[:21] + iterations.to_bytes(4, "big") + cheap[25:]
    with pytest.raises(MalformedError):
        proves(costly, KEY, CHALLENGE)


@given(st.binary(max_size=80))
def test_anything_else_is_no_proof(proof: bytes) -> None:
    with contextlib.suppress(MalformedError):
        assert not proves(proof, KEY, CHALLENGE)
