"""Names and passwords of Basic authentication."""

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.identify.authentication.basic import parse_basic
from gongfu.identify.authentication.types import Secret
from gongfu.identify.handle.wire import MalformedError


def basic(credentials: bytes) -> str:
    return "Basic " + base64.b64encode(credentials).decode()


@pytest.mark.parametrize(
    ("credentials", "secret"),
    [
        (b"300%3A99.1/ADMIN:pass:word", Secret("99.1/ADMIN", 300, b"pass:word")),
        (b"300%3A99.1%2F%E6%B3%B5:", Secret("99.1/泵", 300, b"")),
        (b"99.1%2Fa:x", Secret("99.1/a", 0, b"x")),
        # A colon within the handle is percent-encoded, as the one behind the index is.
        (b"99.1%2Fa%3Ab:x", Secret("99.1/a:b", 0, b"x")),
    ],
)
def test_names(credentials: bytes, secret: Secret) -> None:
    assert parse_basic(basic(credentials)) == secret
    assert b"pass" not in repr(parse_basic(basic(credentials))).encode()


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer abc",
        "Basic !!!",
        basic(b"no colon"),
        basic(b"300%3Anohandle:x"),
        basic(b"%FF:x"),
        basic(b"9999999999%3A99.1%2Fa:x"),
    ],
)
def test_no_names(header: str) -> None:
    with pytest.raises(MalformedError):
        parse_basic(header)


@given(st.one_of(st.text(max_size=30), st.binary(max_size=30).map(basic)))
def test_nothing_else_is_raised(header: str) -> None:
    with contextlib.suppress(MalformedError):
        parse_basic(header)
