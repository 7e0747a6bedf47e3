"""Join tokens: every refusal for its reason, no changed bit believed, and what the ledger lets happen."""

import base64
import zlib

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gongfu.tree.membership.refusals import Reason, Refused
from gongfu.tree.membership.token import (
    TOKEN_CONTEXT,
    TOKEN_LIMIT,
    JoinToken,
    TokenRecord,
    TokenState,
    decode_token,
    encode_token,
    issue_record,
    redeem,
    revoke,
    verify_token,
)
from tests.unit.tree.membership.trees import DAY, NOW, TREE, make_key, refused, seed

PARENT = TREE.keys["province"]
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
TOKEN = JoinToken(
    id=seed("token")[:16],
    parent_key=PARENT.public_key,
    address="https://jiangsu.example.cn:8443",
    authority=seed("authority"),
    tier="enterprise",
    prefix="88.1.9",
    valid_from=NOW - 1,
    valid_until=NOW + DAY,
)
TEXT = encode_token(PARENT, TOKEN)


def check(text: str, now: int = NOW) -> JoinToken:
    return verify_token(text, parent=PARENT.id, tier="enterprise", now=now)


def encode(body: bytes, signature: bytes) -> str:
    """Return a text whose checksum is right, whatever is in it."""
    data = body + signature
    data += zlib.crc32(b"gfj1." + data).to_bytes(4, "big")
    return "gfj1." + base64.urlsafe_b64encode(data).decode().rstrip("=")


def body_of(text: str) -> bytes:
    encoded = text.removeprefix("gfj1.")
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))[:-68]


def test_a_good_token_says_what_its_parent_said() -> None:
    assert check(TEXT) == TOKEN
    assert TOKEN.parent == PARENT.id
    assert TOKEN.name == seed("token")[:16].hex()
    assert TEXT.startswith("gfj1.")
    assert set(TEXT.removeprefix("gfj1.")) <= set(ALPHABET)
    assert len(TEXT) < TOKEN_LIMIT / 1.5
    assert check(f"  {TEXT}\r\n") == TOKEN


def test_every_single_wrong_character_is_a_malformed_token() -> None:
    for place in range(len(TEXT)):
        for character in ALPHABET[place % 7 :: 7] + ".= \n\u5de5":
            wrong = TEXT[:place] + character + TEXT[place + 1 :]
            if wrong != TEXT:
                with refused(Reason.TOKEN_MALFORMED):
                    check(wrong)


def test_every_single_changed_bit_is_a_malformed_token() -> None:
    good = TEXT.encode()
    for bit in range(8 * len(good)):
        data = bytearray(good)
        data[bit // 8] ^= 1 << bit % 8
        with refused(Reason.TOKEN_MALFORMED):
            check(data.decode("latin-1"))


def test_characters_that_changed_places_are_missing_or_too_many() -> None:
    for place in range(len(TEXT) - 1):
        swapped = TEXT[:place] + TEXT[place + 1] + TEXT[place] + TEXT[place + 2 :]
        for wrong in (swapped, TEXT[:place] + TEXT[place + 1 :], TEXT[:place] + TEXT[place] + TEXT[place:]):
            if wrong != TEXT:
                with refused(Reason.TOKEN_MALFORMED):
                    check(wrong)


@settings(deadline=None)
@given(text=st.text(max_size=700))
@example(text="")
@example(text="gfj1.")
@example(text="gfj2." + TEXT[5:])
@example(text=TEXT + "A" * 600)
@example(text=TEXT + "=")
@example(text=TEXT.upper())
def test_what_is_no_token_is_malformed(text: str) -> None:
    with refused(Reason.TOKEN_MALFORMED):
        check(text)


@settings(deadline=None)
@given(data=st.binary(max_size=440))
def test_arbitrary_bytes_with_a_good_checksum_are_refused(data: bytes) -> None:
    with refused(Reason.TOKEN_MALFORMED):
        check(encode(data, b""))


@settings(deadline=None, max_examples=300)
@given(place=st.integers(0), change=st.integers(1, 255))
def test_what_was_changed_with_a_new_checksum_is_refused(place: int, change: int) -> None:
    body = body_of(TEXT)
    data = bytearray(body + PARENT.sign(TOKEN_CONTEXT + body))
    data[place % len(data)] ^= change
    with pytest.raises(Refused) as refusal:
        check(encode(bytes(data), b""))
    assert refusal.value.reason in (Reason.TOKEN_TAMPERED, Reason.TOKEN_MALFORMED)


@pytest.mark.parametrize(
    "change", [{"tier": "nation"}, {"prefix": "88.2"}, {"valid_until": NOW + 9 * DAY}, {"address": "evil.example"}]
)
def test_other_contents_with_the_old_signature_are_tampered(change: dict[str, object]) -> None:
    body = body_of(TEXT)
    changed = msgspec.msgpack.encode(msgspec.structs.replace(TOKEN, **change))
    assert check(encode(body, PARENT.sign(TOKEN_CONTEXT + body))) == TOKEN
    with refused(Reason.TOKEN_TAMPERED):
        check(encode(changed, PARENT.sign(TOKEN_CONTEXT + body)))


def test_a_signature_of_another_context_is_tampered() -> None:
    body = body_of(TEXT)
    with refused(Reason.TOKEN_TAMPERED):
        check(encode(body, PARENT.sign(b"gongfu/membership/1\n" + body)))


def test_the_siblings_signature_under_the_parents_key_is_tampered() -> None:
    body = body_of(TEXT)
    with refused(Reason.TOKEN_TAMPERED):
        check(encode(body, TREE.keys["sibling"].sign(TOKEN_CONTEXT + body)))


def test_a_token_of_another_parent() -> None:
    sibling = TREE.keys["sibling"]
    other = encode_token(sibling, msgspec.structs.replace(TOKEN, parent_key=sibling.public_key))
    with refused(Reason.TOKEN_WRONG_PARENT):
        check(other)
    with refused(Reason.TOKEN_WRONG_PARENT):
        encode_token(sibling, TOKEN)


def test_the_first_and_the_last_moment() -> None:
    assert check(TEXT, TOKEN.valid_from)
    assert check(TEXT, TOKEN.valid_until - 1)
    with refused(Reason.TOKEN_NOT_YET_VALID):
        check(TEXT, TOKEN.valid_from - 1)
    with refused(Reason.TOKEN_EXPIRED):
        check(TEXT, TOKEN.valid_until)


def test_another_tier() -> None:
    with refused(Reason.TIER_WRONG):
        verify_token(TEXT, parent=PARENT.id, tier="province", now=NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"id": b"short"},
        {"address": ""},
        {"address": "a b"},
        {"address": "江苏"},
        {"tier": ""},
        {"prefix": "88."},
        {"authority": b""},
        {"valid_until": -1},
        # Each within its limit, all together too long.
        {"address": "x" * 160, "tier": "厂" * 40, "prefix": "8" * 64},
    ],
)
def test_what_cannot_be_made(change: dict[str, object]) -> None:
    with refused(Reason.TOKEN_MALFORMED):
        encode_token(PARENT, msgspec.structs.replace(TOKEN, **change))


def test_a_long_token_is_below_600_characters() -> None:
    token = msgspec.structs.replace(TOKEN, address="x" * 160, tier="厂" * 14, prefix="8" * 64)
    text = encode_token(PARENT, token)
    assert len(text) == TOKEN_LIMIT - 1
    assert decode_token(text) == token


NODE, OTHER = make_key("child").id, make_key("other").id
RECORD = issue_record(TOKEN, NOW)


def test_one_child_once_and_the_same_one_again() -> None:
    assert TokenRecord(name=TOKEN.name, state=TokenState.ISSUED, valid_until=NOW + DAY, changed=NOW) == RECORD
    used = redeem(RECORD, NODE, NOW + 5)
    assert used == msgspec.structs.replace(RECORD, state=TokenState.USED, node=NODE, changed=NOW + 5)
    assert redeem(used, NODE, NOW + 9) is used
    with refused(Reason.TOKEN_USED):
        redeem(used, OTHER, NOW + 9)


def test_unknown_revoked_and_expired() -> None:
    used = redeem(RECORD, NODE, NOW)
    with refused(Reason.TOKEN_UNKNOWN):
        redeem(None, NODE, NOW)
    for record in (RECORD, used):
        revoked = revoke(record, NOW + 1)
        assert revoked == msgspec.structs.replace(record, state=TokenState.REVOKED, changed=NOW + 1)
        assert revoke(revoked, NOW + 2) is revoked
        with refused(Reason.TOKEN_REVOKED):
            redeem(revoked, NODE, NOW + 2)
        assert redeem(record, NODE, TOKEN.valid_until - 1).node == NODE
        with refused(Reason.TOKEN_EXPIRED):
            redeem(record, NODE, TOKEN.valid_until)


@given(steps=st.lists(st.sampled_from([NODE, OTHER, "revoke"])))
def test_whatever_happens_at_most_one_node_has_joined(steps: list[str]) -> None:
    record, joined, revoked = RECORD, set[str](), False
    for now, node in enumerate(steps):
        if node == "revoke":
            record, revoked = revoke(record, NOW + now), True
            continue
        try:
            record = redeem(record, node, NOW + now)
        except Refused:
            assert revoked or joined - {node}
            continue
        assert not revoked
        joined.add(node)
    assert len(joined) <= 1
