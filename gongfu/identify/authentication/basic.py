"""Basic authentication with the key of a handle: ``300%3A99.1%2FADMIN:secret`` in Base64, the name percent-encoded."""

import base64
import binascii
from urllib.parse import unquote

from gongfu.identify.authentication.types import Secret
from gongfu.identify.handle.names import parse_handle
from gongfu.identify.handle.wire import MalformedError

_MOST_INDEX = 2**32 - 1


def parse_basic(header: str) -> Secret:
    """Return name and password of an ``Authorization`` header. A name without an index has index 0, which is any key.

    Raises:
        MalformedError: it is no Basic authentication, or the name no handle.
    """
    scheme, _, given = header.strip().partition(" ")
    if scheme.lower() != "basic":
        raise MalformedError("value", "only Basic authentication is offered")
    try:
        name, colon, password = base64.b64decode(given.strip(), validate=True).partition(b":")
        user = unquote(name.decode(), errors="strict")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise MalformedError("text", "credentials are Base64 of UTF-8") from None
    if not colon:
        raise MalformedError("value", "credentials are name:password")
    index, handle = 0, user
    number, colon_, rest = user.partition(":")
    if colon_ and number.isascii() and number.isdigit() and len(number) <= 10:
        index, handle = int(number), rest
    if index > _MOST_INDEX:
        raise MalformedError("value", "an index is at most 4294967295")
    parse_handle(handle)
    return Secret(handle, index, password)
