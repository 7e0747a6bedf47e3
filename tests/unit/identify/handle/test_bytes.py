"""Bytes of the Handle protocol, field by field as RFC 3652 and RFC 3651 list them, written out by hand."""

import pytest

from gongfu.identify.handle import bodies, predefined
from gongfu.identify.handle.bodies import ChallengeAnswer, Record, Removal, Resolution
from gongfu.identify.handle.codes import AdminPermission, DigestAlgorithm, OpCode, OpFlag, ResponseCode
from gongfu.identify.handle.envelope import (
    MAX_MESSAGE_BYTES,
    Envelope,
    Header,
    Message,
    decode_envelope,
    decode_message,
    encode_envelope,
    encode_message,
)
from gongfu.identify.handle.predefined import Administrator, Interface, Server, Site
from gongfu.identify.handle.values import HandleValue, Reference, encode_value, wanted
from gongfu.identify.handle.wire import MalformedError


def hexadecimal(*fields: str) -> bytes:
    return bytes.fromhex("".join(fields))


HANDLE = ("00000008", "39392e312f62c3a9")  # 99.1/bé


def test_envelope() -> None:
    envelope = Envelope(request=0x01020304, length=24, session=5, sequence=6, flags=0x2000)
    data = hexadecimal("02", "01", "2000", "00000005", "01020304", "00000006", "00000018")
    assert encode_envelope(envelope) == data
    assert decode_envelope(data + b"more") == envelope
    assert envelope.truncated


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bytes(19), "short"),
        (hexadecimal("03", "01", "0000", "00000000", "00000001", "00000000", "00000018"), "value"),
        (hexadecimal("02", "01", "0000", "00000000", "00000001", "00000000", "00000017"), "length"),
        (encode_envelope(Envelope(1, MAX_MESSAGE_BYTES + 1)), "length"),
    ],
)
def test_envelope_that_is_none(data: bytes, reason: str) -> None:
    with pytest.raises(MalformedError) as raised:
        decode_envelope(data)
    assert raised.value.reason == reason


def test_resolution_request_of_the_national_client() -> None:
    # Recorded from id-pointer-sdk 2.3.1 (field notes): operation 1, flags 0x19000000, serial ffff.
    body = Resolution("88.111.1/teleinfo.cn", (1, 2), ("URL",))
    flags = OpFlag.RECURSIVE | OpFlag.CACHE_AUTHENTICATION | OpFlag.PUBLIC_ONLY
    message = Message(Header(OpCode.RESOLUTION, flags=flags), bodies.encode_resolution(body))
    data = hexadecimal(
        *("00000001", "00000000", "19000000", "ffff", "00", "00", "00000000", "0000002f"),
        *("00000014", b"88.111.1/teleinfo.cn".hex()),
        *("00000002", "00000001", "00000002"),
        *("00000001", "00000003", "55524c"),
        "00000000",
    )
    assert encode_message(message) == data
    read = decode_message(data)
    assert (read.header, read.body, read.credential) == (message.header, message.body, b"")
    assert read.signed == data[:-4]
    assert bodies.decode_resolution(read.body) == body
    # Servers have seen clients that leave out the empty credential.
    assert decode_message(data[:-4]).body == message.body


def test_value() -> None:
    value = HandleValue(
        index=3,
        type="URL",
        data="工".encode(),
        ttl_type=1,
        ttl=7,
        timestamp=0x5F5E1000,
        permissions=0x0E,
        references=(Reference("99/a", 2),),
    )
    data = hexadecimal(
        *("00000003", "5f5e1000", "01", "00000007", "0e"),
        *("00000003", "55524c", "00000003", "e5b7a5"),
        *("00000001", "00000004", "39392f61", "00000002"),
    )
    assert encode_value(value) == data
    record = Record("99.1/bé", (value, value))
    assert bodies.encode_record(record) == hexadecimal(*HANDLE, "00000002", data.hex(), data.hex())
    assert bodies.decode_record(bodies.encode_record(record)) == record
    assert bodies.decode_record(hexadecimal(*HANDLE)) == Record("99.1/bé")


@pytest.mark.parametrize(
    ("at", "byte", "reason"), [(3, 0, "value"), (8, 2, "value"), (13, 0x10, "value"), (14, 0xFF, "short")]
)
def test_value_that_is_none(at: int, byte: int, reason: str) -> None:
    data = bytearray(bodies.encode_record(Record("a/b", (HandleValue(1, "T", b""),))))
    data[len(bodies.encode_handle("a/b")) + 4 + at] = byte
    with pytest.raises(MalformedError) as raised:
        bodies.decode_record(bytes(data))
    assert raised.value.reason == reason


def test_count_that_cannot_be() -> None:
    with pytest.raises(MalformedError) as raised:
        bodies.decode_record(hexadecimal(*HANDLE, "7fffffff"))
    assert raised.value.reason == "count"


def test_requests_that_change() -> None:
    assert bodies.encode_removal(Removal("99.1/bé", (1, 9))) == hexadecimal(*HANDLE, "00000002", "00000001", "00000009")
    assert bodies.encode_handle("99.1/bé") == hexadecimal(*HANDLE)
    assert bodies.encode_handles(("99.1/bé",) * 2) == hexadecimal("00000002", *HANDLE, *HANDLE)


def test_challenge_and_its_answer() -> None:
    assert bodies.encode_challenge(b"\x01\x02") == hexadecimal("00000002", "0102")
    answer = ChallengeAnswer("HS_SECKEY", "99.1/bé", 300, b"\xff")
    data = hexadecimal("00000009", b"HS_SECKEY".hex(), *HANDLE, "0000012c", "00000001", "ff")
    assert bodies.encode_challenge_answer(answer) == data
    assert bodies.decode_challenge_answer(data) == answer


def test_digest_of_a_request() -> None:
    # FIPS 180-4, "abc".
    digest = bodies.request_digest(DigestAlgorithm.SHA256, b"abc")
    assert digest.hex() == "03ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert bodies.split_digest(digest + b"body") == (digest, b"body")
    for damaged, reason in ((b"\x04" + digest[1:], "digest"), (digest[:-1], "short"), (b"", "short")):
        with pytest.raises(MalformedError) as raised:
            bodies.split_digest(damaged)
        assert raised.value.reason == reason


def test_error() -> None:
    assert bodies.encode_error("no", (2,)) == hexadecimal("00000002", "6e6f", "00000001", "00000002")
    assert bodies.decode_error(b"") == ("", ())
    assert bodies.decode_error(bodies.encode_error("没有")) == ("没有", ())


def test_administrator() -> None:
    data = Administrator(AdminPermission.ADD_HANDLE | AdminPermission.LIST_HANDLE, "99.1/bé", 300)
    encoded = hexadecimal("0801", *HANDLE, "0000012c")
    assert predefined.encode_administrator(data) == encoded
    assert predefined.decode_administrator(encoded) == data
    assert predefined.decode_administrator(encoded + bytes(2)) == data
    with pytest.raises(MalformedError):
        predefined.decode_administrator(encoded + bytes(1))


def test_site() -> None:
    server = Server(1, "10.0.0.7", b"key", (Interface(3, 1, 2641), Interface(2, 0, 2641)))
    site = Site(serial=9, attributes=(("desc", "x"),), servers=(server,))
    data = hexadecimal(
        *("0001", "02", "01", "0009", "80", "02", "00000000"),
        *("00000001", "00000004", "64657363", "00000001", "78"),
        *("00000001", "00000001", "00" * 12, "0a000007", "00000003", "6b6579"),
        *("00000002", "03", "01", "00000a51", "02", "00", "00000a51"),
    )
    assert predefined.encode_site(site) == data
    assert predefined.decode_site(data) == site


@pytest.mark.parametrize(
    ("indexes", "types", "meant"),
    [
        ((), (), True),
        ((1,), (), False),
        ((2,), (), True),
        ((), ("url",), True),
        ((), ("UR",), False),
        ((), ("U.",), False),
        ((1,), ("URL",), True),
        ((1,), ("EMAIL",), False),
    ],
)
def test_which_values_a_request_means(indexes: tuple[int, ...], types: tuple[str, ...], meant: bool) -> None:
    assert wanted(indexes, types)(HandleValue(2, "URL", b"")) is meant


def test_a_type_that_ends_in_a_dot_means_all_below_it() -> None:
    assert wanted((), ("HS_SITE.",))(HandleValue(2, "hs_site.PREFIX", b""))
    assert not wanted((), ("HS_SITE.",))(HandleValue(2, "HS_SITE", b""))


def test_answers_of_the_national_system_have_names() -> None:
    assert [ResponseCode(n).name for n in (603, 604, 605)] == [
        "DAILY_REQUEST_LIMIT",
        "REGISTRATION_LIMIT",
        "PREFIX_LIMIT",
    ]


def test_no_more_values_are_read_than_a_handle_has() -> None:
    many = tuple(range(1, bodies.MOST_VALUES + 2))
    for encoded, decode in (
        (bodies.encode_resolution(bodies.Resolution("99.1/a", many)), bodies.decode_resolution),
        (bodies.encode_removal(bodies.Removal("99.1/a", many)), bodies.decode_removal),
        (
            bodies.encode_record(bodies.Record("99.1/a", tuple(HandleValue(n, "A", b"") for n in many))),
            bodies.decode_record,
        ),
    ):
        with pytest.raises(MalformedError, match="count"):
            decode(encoded)
