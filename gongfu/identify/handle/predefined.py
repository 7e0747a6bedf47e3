"""Data of the value types that the Handle System itself reads: HS_ADMIN, HS_SITE, HS_VLIST (RFC 3651 §3.2)."""

import ipaddress

import msgspec

from gongfu.identify.handle import wire
from gongfu.identify.handle.values import Reference
from gongfu.identify.handle.wire import MalformedError, Reader

HS_ADMIN = "HS_ADMIN"
HS_SITE = "HS_SITE"
HS_VLIST = "HS_VLIST"
HS_SERV = "HS_SERV"
HS_ALIAS = "HS_ALIAS"
HS_PUBKEY = "HS_PUBKEY"
HS_SECKEY = "HS_SECKEY"

_ADDRESS_BYTES = 16
_LEAST_INTERFACE, _LEAST_SERVER, _LEAST_ATTRIBUTE = 6, 28, 8
_V4_MAPPED = bytes(10) + b"\xff\xff"


class Administrator(msgspec.Struct, frozen=True, gc=False):
    """Data of an ``HS_ADMIN`` value: who may do what (§3.2.1); ``permissions`` are ``codes.AdminPermission``."""

    permissions: int
    handle: str
    index: int


class Interface(msgspec.Struct, frozen=True, gc=False):
    """Where a server listens (§3.2.2).

    Attributes:
        service: 1 administration, 2 resolution, 3 both.
        transport: 0 UDP, 1 TCP, 2 HTTP, 3 HTTPS.
        port: number of the port.
    """

    service: int
    transport: int
    port: int


class Server(msgspec.Struct, frozen=True, gc=False):
    """One server of a site: ``address`` as text; ``public_key`` as in an ``HS_PUBKEY`` value."""

    id: int
    address: str
    public_key: bytes = b""
    interfaces: tuple[Interface, ...] = ()


class Site(msgspec.Struct, frozen=True, gc=False):
    """Data of an ``HS_SITE`` value: the servers that share the handles of a service (§3.2.2).

    Attributes:
        serial: version of this information; clients say which they have.
        primary: 0x80 where the site takes changes; 0x40 where others do too.
        hash_option: which part of a handle chooses the server: 0 prefix, 1 suffix, 2 all.
        servers: in the order of their hash buckets.
    """

    serial: int
    primary: int = 0x80
    hash_option: int = 2
    hash_filter: bytes = b""
    attributes: tuple[tuple[str, str], ...] = ()
    servers: tuple[Server, ...] = ()
    format: int = 1
    version: tuple[int, int] = (2, 1)


def encode_administrator(data: Administrator) -> bytes:
    """Return the data of an ``HS_ADMIN`` value."""
    return data.permissions.to_bytes(2, "big") + wire.text(data.handle) + wire.integer(data.index)


def decode_administrator(data: bytes) -> Administrator:
    """Return what the data of an ``HS_ADMIN`` value say; two bytes more at their end, as old ones have, are allowed.

    Raises:
        MalformedError: they say nothing of the kind.
    """
    reader = Reader(data)
    found = Administrator(reader.short(), reader.text(), reader.integer())
    if reader.left != 2:
        reader.finish()
    return found


def encode_references(references: tuple[Reference, ...]) -> bytes:
    """Return the data of an ``HS_VLIST`` value."""
    return wire.many([wire.text(item.handle) + wire.integer(item.index) for item in references])


def decode_references(data: bytes) -> tuple[Reference, ...]:
    """Return what the data of an ``HS_VLIST`` value say.

    Raises:
        MalformedError: they say nothing of the kind.
    """
    reader = Reader(data)
    found = reader.many(lambda r: Reference(r.text(), r.integer()), 8)
    reader.finish()
    return found


def encode_site(site: Site) -> bytes:
    """Return the data of an ``HS_SITE`` value.

    Raises:
        ValueError: an address is none.
    """
    return (
        site.format.to_bytes(2, "big")
        + bytes(site.version)
        + site.serial.to_bytes(2, "big")
        + bytes([site.primary, site.hash_option])
        + wire.string(site.hash_filter)
        + wire.many([wire.text(name) + wire.text(value) for name, value in site.attributes])
        + wire.many([_encode_server(server) for server in site.servers])
    )


def decode_site(data: bytes) -> Site:
    """Return what the data of an ``HS_SITE`` value say.

    Raises:
        MalformedError: they say nothing of the kind.
    """
    reader = Reader(data)
    form, version = reader.short(), (reader.byte(), reader.byte())
    serial, primary, option, hash_filter = reader.short(), reader.byte(), reader.byte(), reader.string()
    attributes = reader.many(lambda r: (r.text(), r.text()), _LEAST_ATTRIBUTE)
    servers = reader.many(_read_server, _LEAST_SERVER)
    reader.finish()
    if option > 2:
        raise MalformedError("value", f"hash option {option}")
    return Site(serial, primary, option, hash_filter, attributes, servers, form, version)


def _encode_server(server: Server) -> bytes:
    address = ipaddress.ip_address(server.address).packed
    interfaces = [bytes([item.service, item.transport]) + wire.integer(item.port) for item in server.interfaces]
    # IPv4 in the last 4 of 16 bytes.
    return (
        wire.integer(server.id)
        + address.rjust(_ADDRESS_BYTES, b"\0")
        + wire.string(server.public_key)
        + wire.many(interfaces)
    )


def _read_server(reader: Reader) -> Server:
    number, packed = reader.integer(), reader.raw(_ADDRESS_BYTES)
    key = reader.string()
    interfaces = reader.many(lambda r: Interface(r.byte(), r.byte(), r.integer()), _LEAST_INTERFACE)
    return Server(number, _address(packed), key, interfaces)


def _address(packed: bytes) -> str:
    """Return the text of an address: IPv4 where the first 12 bytes are zero (but for ``::`` and ``::1``) or mapped."""
    if packed[:12] == _V4_MAPPED or (packed[:12] == bytes(12) and packed[12:15] != bytes(3)):
        return str(ipaddress.IPv4Address(packed[12:]))
    return str(ipaddress.IPv6Address(packed))
