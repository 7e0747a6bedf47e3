"""Answers to requests for values."""

import hashlib
from collections.abc import Callable, Sequence

import pytest

from gongfu.identify.handle.bodies import (
    Record,
    Resolution,
    decode_error,
    decode_record,
    encode_resolution,
    split_digest,
)
from gongfu.identify.handle.codes import OpCode, OpFlag, Permission, ResponseCode
from gongfu.identify.handle.envelope import Header, Message, decode_message, encode_message
from gongfu.identify.handle.names import HandleName
from gongfu.identify.handle.resolution import Elsewhere, Found, Nowhere, answer
from gongfu.identify.handle.values import HandleValue

PUBLIC = Permission.PUBLIC_READ | Permission.ADMIN_READ
URL = HandleValue(1, "URL", b"http://a", permissions=PUBLIC)
MAIL = HandleValue(2, "EMAIL", b"a@b", permissions=PUBLIC)
SECRET = HandleValue(3, "PRICE", b"7", permissions=Permission.ADMIN_READ)
SEALED = HandleValue(4, "SEALED", b"8", permissions=0)
KEY = HandleValue(300, "HS_SECKEY", b"key", permissions=PUBLIC)
VALUES = (URL, MAIL, SECRET, SEALED, KEY)


def lookup(name: HandleName) -> Found | Elsewhere | Nowhere:
    if name.key.startswith("99.2"):
        return Elsewhere("0.NA/99.2", (URL,), delegated=name.suffix != "service")
    return Found(VALUES) if name.key == "99.1/a" else Nowhere()


def everything(name: HandleName, values: Sequence[HandleValue]) -> Callable[[HandleValue], bool]:
    return lambda value: bool(value.permissions & Permission.ADMIN_READ)


def ask(
    handle: str, indexes: Sequence[int] = (), types: Sequence[str] = (), flags: int = 0, administrator: bool = False
) -> Message | None:
    body = encode_resolution(Resolution(handle, tuple(indexes), tuple(types)))
    request = decode_message(encode_message(Message(Header(OpCode.RESOLUTION, flags=flags), body)))
    return answer(request, lookup, readable=everything if administrator else None)


def values_of(message: Message | None) -> tuple[HandleValue, ...]:
    assert message is not None
    assert message.header.response == ResponseCode.SUCCESS
    return decode_record(message.body).values


@pytest.mark.parametrize(
    ("indexes", "types", "flags", "administrator", "values"),
    [
        ((), (), 0, False, (URL, MAIL)),
        ((), (), OpFlag.PUBLIC_ONLY, False, (URL, MAIL)),
        ((2,), (), 0, False, (MAIL,)),
        ((2,), ("url",), 0, False, (URL, MAIL)),
        ((1, 3), (), OpFlag.PUBLIC_ONLY, False, (URL,)),
        ((1, 3), (), 0, True, (URL, SECRET)),
        ((), (), 0, True, (URL, MAIL, SECRET)),
        # Who may not be told by anybody is not challenged for either.
        ((1, 4), (), 0, False, (URL,)),
        ((1, 300), (), 0, True, (URL,)),
    ],
)
def test_values(
    indexes: tuple[int, ...],
    types: tuple[str, ...],
    flags: int,
    administrator: bool,
    values: tuple[HandleValue, ...],
) -> None:
    assert values_of(ask("99.1/a", indexes, types, flags, administrator)) == values


@pytest.mark.parametrize(("indexes", "types"), [((3,), ()), ((), ("PRICE",)), ((1, 3), ())])
def test_named_values_of_administrators_need_a_challenge(indexes: tuple[int, ...], types: tuple[str, ...]) -> None:
    assert ask("99.1/a", indexes, types) is None


@pytest.mark.parametrize(
    ("handle", "indexes", "flags", "code"),
    [
        ("99.1/b", (), 0, ResponseCode.HANDLE_NOT_FOUND),
        ("99.1/A", (), 0, ResponseCode.HANDLE_NOT_FOUND),
        ("99.1/a", (9,), 0, ResponseCode.VALUES_NOT_FOUND),
        ("99.1/a", (300,), 0, ResponseCode.VALUES_NOT_FOUND),
        ("99.1/a", (300,), OpFlag.PUBLIC_ONLY, ResponseCode.VALUES_NOT_FOUND),
        ("no handle", (), 0, ResponseCode.INVALID_HANDLE),
        ("99.2/x", (), OpFlag.DO_NOT_REFER, ResponseCode.HANDLE_NOT_FOUND),
    ],
)
def test_no_values(handle: str, indexes: tuple[int, ...], flags: int, code: ResponseCode) -> None:
    message = ask(handle, indexes, flags=flags)
    assert message is not None
    assert message.header.response == code
    assert decode_error(message.body)[0]


@pytest.mark.parametrize(
    ("handle", "code"),
    [("99.2/x", ResponseCode.PREFIX_REFERRAL), ("99.2/service", ResponseCode.SERVICE_REFERRAL)],
)
def test_referral(handle: str, code: ResponseCode) -> None:
    message = ask(handle)
    assert message is not None
    assert message.header.response == code
    assert decode_record(message.body) == Record("0.NA/99.2", (URL,))


def test_malformed() -> None:
    message = answer(Message(Header(OpCode.RESOLUTION), b"\xff"), lookup)
    assert message is not None
    assert message.header.response == ResponseCode.PROTOCOL_ERROR


def test_digest_of_the_request() -> None:
    message = ask("99.1/a", flags=OpFlag.REQUEST_DIGEST | OpFlag.RECURSIVE)
    assert message is not None
    digest, body = split_digest(message.body)
    wish = Message(
        Header(OpCode.RESOLUTION, flags=OpFlag.REQUEST_DIGEST | OpFlag.RECURSIVE),
        encode_resolution(Resolution("99.1/a")),
    )
    assert digest[1:] == hashlib.sha256(encode_message(wish)[:-4]).digest()
    assert decode_record(body).values == (URL, MAIL)
    assert message.header.flags == OpFlag.REQUEST_DIGEST
