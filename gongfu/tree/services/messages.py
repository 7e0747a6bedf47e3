"""What neighbours say of identifier services. MessagePack; nothing is believed before it was read."""

from typing import Annotated

import msgspec
from msgspec import Meta

from gongfu.identify.handle.codes import Permission
from gongfu.identify.handle.predefined import HS_PUBKEY, HS_SITE, decode_site
from gongfu.identify.handle.values import HandleValue, encode_value, read_value
from gongfu.identify.handle.wire import MalformedError, Reader

# What a service says of itself; anything else of a prefix is its owner's to register.
STATED = frozenset({HS_SITE, HS_PUBKEY})
_MOST_VALUES, _VALUE_BYTES = 8, 4096
MOST_SERVICES = 200
_MOST_PREFIXES, _MOST_HANDLES = 1000, 50

Value = Annotated[bytes, Meta(max_length=_VALUE_BYTES)]
Values = Annotated[tuple[Value, ...], Meta(max_length=_MOST_VALUES)]
"""Handle values, in the bytes of the Handle protocol."""


class StatedService(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A node and the values of its service; none where it has none."""

    node: Annotated[str, Meta(pattern=r"^[a-z2-7]{24}\Z")]
    values: Values


class StatedServices(msgspec.Struct, frozen=True, array_like=True):
    """All that a child says: of its own service, and of those below it that its parent must know."""

    services: Annotated[tuple[StatedService, ...], Meta(max_length=MOST_SERVICES)]


class PrefixesChanged(msgspec.Struct, frozen=True):
    """What caches must forget: handles (keys), and prefixes with all that is below them."""

    handles: Annotated[tuple[Annotated[str, Meta(max_length=2200)], ...], Meta(max_length=_MOST_HANDLES)] = ()
    prefixes: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=_MOST_PREFIXES)] = ()


class MessageError(ValueError):
    """A message says nothing of the kind."""


_services = msgspec.msgpack.Decoder(StatedServices)
_values = msgspec.msgpack.Decoder(Values)
_changes = msgspec.msgpack.Decoder(PrefixesChanged)
encode = msgspec.msgpack.Encoder().encode


def read_services(body: bytes) -> StatedServices:
    """Return the services that a message states.

    Raises:
        MessageError: it is none, or a value is not what a service says of itself.
    """
    try:
        stated = _services.decode(body)
    except msgspec.MsgspecError as error:
        raise MessageError(str(error)) from None
    for service in stated.services:
        decode_values(service.values)
    return stated


def read_values(body: bytes) -> tuple[bytes, ...]:
    """Return the values of one service.

    Raises:
        MessageError: they are none.
    """
    try:
        values = _values.decode(body)
    except msgspec.MsgspecError as error:
        raise MessageError(str(error)) from None
    decode_values(values)
    return values


def read_changes(body: bytes) -> PrefixesChanged:
    """Return what has changed.

    Raises:
        MessageError: the message does not say it.
    """
    try:
        return _changes.decode(body)
    except msgspec.MsgspecError as error:
        raise MessageError(str(error)) from None


def decode_values(values: tuple[bytes, ...]) -> tuple[HandleValue, ...]:
    """Return the values of a service.

    Raises:
        MessageError: one is not what a service says of itself, or two have the same index.
    """
    found: list[HandleValue] = []
    for data in values:
        reader = Reader(data)
        try:
            value = read_value(reader)
            reader.finish()
            if value.type.upper() == HS_SITE:
                decode_site(value.data)
        except (MalformedError, ValueError) as error:
            raise MessageError(str(error)) from None
        if value.type.upper() not in STATED or not value.permissions & Permission.PUBLIC_READ:
            raise MessageError(f"a service does not state {value.type[:40]!r}")
        found.append(value)
    if len({value.index for value in found}) != len(found):
        raise MessageError("two values have the same index")
    return tuple(found)


def encode_values(values: tuple[HandleValue, ...]) -> tuple[bytes, ...]:
    """Return the bytes of values."""
    return tuple(encode_value(value) for value in values)
