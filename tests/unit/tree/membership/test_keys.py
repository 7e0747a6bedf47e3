"""Keys, ids and signed documents: known answers, and that no changed byte is believed."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gongfu.tree.membership.keys import (
    NodeKey,
    Signed,
    decode_signed,
    encode_signed,
    key_from_pem,
    node_id,
    sign,
    verify,
)
from gongfu.tree.membership.refusals import Reason, Refused
from tests.unit.tree.membership.trees import make_key, refused

CONTEXT = b"gongfu/test/1\n"
# RFC 8032 §7.1, TEST 2.
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def test_the_key_is_that_of_rfc_8032() -> None:
    key = NodeKey(SEED)
    assert key.public_key == PUBLIC
    assert key.sign(b"\x72") == SIGNATURE


def test_node_id_is_15_bytes_of_sha256_in_small_base32() -> None:
    # python3 -c "print(base64.b32encode(hashlib.sha256(b'').digest()[:15]))", of the empty string (FIPS 180-4).
    assert node_id(b"") == "4oymiquy7qobjgx36tejs35z"
    assert NodeKey(SEED).id == node_id(PUBLIC)


def test_a_key_survives_its_pem() -> None:
    key = NodeKey(SEED)
    pem = key.to_pem()
    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert key_from_pem(pem) == key


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----\n",
        # An EC key.
        b"-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIy2Yz3bXAPPa7Dx\n-----END EC PRIVATE KEY-----\n",
    ],
)
def test_what_is_no_key_is_refused(pem: bytes) -> None:
    with refused(Reason.KEY_MALFORMED):
        key_from_pem(pem)


def test_other_kinds_of_keys_and_encrypted_ones_are_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    curve = generate_private_key(SECP256R1())
    with refused(Reason.KEY_MALFORMED):
        key_from_pem(curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    locked = Ed25519PrivateKey.from_private_bytes(SEED)
    with refused(Reason.KEY_MALFORMED):
        key_from_pem(locked.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))


def test_a_seed_of_another_length_is_refused() -> None:
    with refused(Reason.KEY_MALFORMED):
        NodeKey(SEED[:31])


def test_a_key_does_not_show_itself() -> None:
    text = repr(NodeKey(SEED))
    assert NodeKey(SEED).id in text
    assert SEED.hex() not in text
    assert repr(SEED) not in text


def test_the_owner_of_the_key_is_believed_and_the_body_comes_back() -> None:
    key = NodeKey(SEED)
    assert verify(key.public_key, CONTEXT, sign(key, CONTEXT, b"body")) == b"body"


def test_a_signature_of_one_context_is_none_of_another() -> None:
    key = NodeKey(SEED)
    signed = sign(key, CONTEXT, b"body")
    with refused(Reason.CONTEXT_WRONG):
        verify(key.public_key, b"gongfu/test/2\n", signed)
    renamed = Signed(b"gongfu/test/2\n", signed.signer, signed.body, signed.signature)
    with refused(Reason.SIGNATURE_WRONG):
        verify(key.public_key, b"gongfu/test/2\n", renamed)


def test_a_signature_of_another_node_is_refused_also_under_this_name() -> None:
    key, other = NodeKey(SEED), make_key("other")
    signed = sign(other, CONTEXT, b"body")
    with refused(Reason.SIGNER_WRONG):
        verify(key.public_key, CONTEXT, signed)
    with refused(Reason.SIGNATURE_WRONG):
        verify(key.public_key, CONTEXT, Signed(CONTEXT, key.id, signed.body, signed.signature))


def test_a_public_key_that_is_none_is_refused() -> None:
    signed = sign(NodeKey(SEED), CONTEXT, b"body")
    with refused(Reason.KEY_MALFORMED):
        verify(b"short", CONTEXT, Signed(CONTEXT, node_id(b"short"), signed.body, signed.signature))


@pytest.mark.parametrize("context", [b"", b"gongfu", b"a\nb\n", b"x" * 64 + b"\n"])
def test_a_context_that_does_not_end_with_its_only_line_feed_is_a_mistake(context: bytes) -> None:
    with pytest.raises(ValueError, match="context"):
        sign(NodeKey(SEED), context, b"")


@settings(deadline=None)
@given(body=st.binary(max_size=300), place=st.integers(0), change=st.integers(1, 255))
# The last byte of the signature, of the context, of the signer.
@example(body=b"body", place=-1, change=1)
@example(body=b"", place=3, change=0x20)
def test_no_changed_byte_is_believed(body: bytes, place: int, change: int) -> None:
    key = NodeKey(SEED)
    data = bytearray(encode_signed(sign(key, CONTEXT, body)))
    assert verify(key.public_key, CONTEXT, decode_signed(bytes(data))) == body
    data[place % len(data)] ^= change
    with pytest.raises(Refused):
        verify(key.public_key, CONTEXT, decode_signed(bytes(data)))


def test_every_single_bit_of_one_document() -> None:
    key = NodeKey(SEED)
    good = encode_signed(sign(key, CONTEXT, b"body"))
    reasons: set[Reason] = set()
    for bit in range(8 * len(good)):
        data = bytearray(good)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Refused) as refusal:
            verify(key.public_key, CONTEXT, decode_signed(bytes(data)))
        reasons.add(refusal.value.reason)
    assert reasons == {Reason.SIGNED_MALFORMED, Reason.CONTEXT_WRONG, Reason.SIGNER_WRONG, Reason.SIGNATURE_WRONG}


@settings(deadline=None)
@given(data=st.binary(max_size=400))
@example(data=b"\x94" * 10_000)
@example(data=b"")
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with refused(Reason.SIGNED_MALFORMED):
        decode_signed(data)


def test_bytes_that_say_the_same_in_another_way_are_refused() -> None:
    signed = sign(NodeKey(SEED), CONTEXT, b"body")
    good = encode_signed(signed)
    assert decode_signed(good) == signed
    # The same four members in an array with a two-byte length.
    with refused(Reason.SIGNED_MALFORMED):
        decode_signed(b"\xdc\x00\x04" + good[1:])
    with refused(Reason.SIGNED_MALFORMED):
        decode_signed(good + b"\xc0")
