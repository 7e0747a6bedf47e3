"""What the questions of each face are about: the key that is the same when it comes again, and the prefix."""

from collections.abc import Callable
from urllib.parse import unquote

from gongfu.identify.dns.message import QueryError, read_query
from gongfu.identify.dns.zones import Meant, Zones
from gongfu.identify.handle.codes import OpCode
from gongfu.identify.handle.kept import kept_key
from gongfu.identify.handle.names import NAMING_AUTHORITY

PrefixOf = Callable[[bytes], str]

# In a packet without the numbers of session and request: the operation, and the body, which begins with the handle.
_OPERATION, _BODY = slice(12, 16), 36
_RESOLUTION = OpCode.RESOLUTION.to_bytes(4, "big")
_HANDLES = "/api/handles/"


def of_handle(name: str) -> str:
    """Return the prefix that a handle is about: of ``0.NA/<prefix>`` that one."""
    prefix, _, suffix = name.partition("/")
    return suffix if prefix == NAMING_AUTHORITY else prefix


def handle_key(packet: bytes) -> bytes:
    """Return what the same requests of the Handle protocol have in common."""
    return kept_key(packet)


def handle_prefix(key: bytes) -> str:
    """Return the prefix of a request for values.

    Raises:
        ValueError: it is none.
    """
    if key[_OPERATION] != _RESOLUTION:
        raise ValueError("no resolution")
    length = int.from_bytes(key[_BODY : _BODY + 4], "big")
    return of_handle(key[_BODY + 4 : _BODY + 4 + length].decode())


def http_prefix(gs1_prefix: str) -> PrefixOf:
    """Return what finds the prefix of a target out; what is not a handle is a GS1 identifier."""

    def prefix_of(target: bytes) -> str:
        path = unquote(target.decode("ascii", "replace").partition("?")[0])
        if path.startswith(_HANDLES):
            return of_handle(path.removeprefix(_HANDLES))
        # The first segment of a digital link is an Application Identifier.
        segments = path.strip("/").split("/")
        if gs1_prefix and any(part.isascii() and part.isdecimal() for part in segments[:-1]):
            return gs1_prefix
        raise ValueError("no identifier")

    return prefix_of


def dns_key(query: bytes) -> bytes:
    """Return what the same queries have in common: all but their number, whatever the case of the name."""
    return query[2:].lower()


def dns_prefix(zones: Zones) -> PrefixOf:
    """Return what finds the prefix of a query out."""

    def prefix_of(key: bytes) -> str:
        try:
            query = read_query(b"\0\0" + key)
        except (QueryError, IndexError) as error:
            raise ValueError("no query") from error
        zone = zones.zone_of(query.labels)
        meant = zones.meaning(zone, query.labels) if zone is not None else None
        if not isinstance(meant, Meant):
            raise ValueError("no identifier")
        return of_handle(str(meant.handles[0]))

    return prefix_of
