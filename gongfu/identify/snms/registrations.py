"""Registrations as clients send them."""

from typing import Annotated

import msgspec
from msgspec import Meta

from gongfu.identify.snms.answers import SnmsError


class Data(msgspec.Struct, gc=False):
    """Content of a value; the format is ``string``."""

    value: str
    format: str = "string"


class Value(msgspec.Struct, gc=False):
    """One value of an identifier; ``auth`` is not used yet."""

    index: int
    type: str
    data: Data
    auth: str | int | None = None


class Registration(msgspec.Struct, rename="camel", gc=False):
    """An identifier to be registered or changed."""

    handle: Annotated[str, Meta(min_length=1, max_length=2048)]
    template_version: Annotated[str, Meta(min_length=1, max_length=128)]
    value: Annotated[list[Value], Meta(max_length=1000)]


class Handles(msgspec.Struct):
    """Handles to be deleted, where they do not come as a plain list."""

    handles: list[str]


_many = msgspec.json.Decoder(list[Registration])
_raw = msgspec.json.Decoder(list[msgspec.Raw])
_one = msgspec.json.Decoder(Registration)


def _wrong(error: Exception) -> SnmsError:
    return SnmsError(f"请求参数不正确：{error}"[:300])


def decoded(body: bytes) -> Registration:
    """Return a registration.

    Raises:
        SnmsError: it is none.
    """
    try:
        return _one.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise _wrong(error) from None


def decoded_many(body: bytes) -> list[Registration | SnmsError]:
    """Return the items of a batch; of those that are none, what is wrong with them.

    Raises:
        SnmsError: it is no list.
    """
    try:
        return list(_many.decode(body))
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise _wrong(error) from None
    try:
        raw = _raw.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _wrong(error) from None
    found: list[Registration | SnmsError] = []
    for item in raw:
        try:
            found.append(decoded(bytes(item)))
        except SnmsError as error:
            found.append(error)
    return found
