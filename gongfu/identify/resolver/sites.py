"""Which server of a service to ask for a handle (RFC 3651 §3.2.2)."""

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from gongfu.identify.handle.names import HandleName, folded
from gongfu.identify.handle.predefined import HS_SITE, Interface, Server, Site, decode_site
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.handle.wire import MalformedError

RESOLUTION = 2
UDP, TCP = 0, 1
_PRIMARY = 0x80
_MOST_SITES = 16
_MOST_SERVERS = 256
_BY_PREFIX, _BY_SUFFIX = 0, 1


class Endpoint(msgspec.Struct, frozen=True):
    """Where a server answers; port 0 is none."""

    address: str
    udp: int = 0
    tcp: int = 0


def sites_of(values: Iterable[HandleValue]) -> tuple[Site, ...]:
    """Return the sites that HS_SITE values name; those that cannot be read, or have no server, are left out."""
    found: list[Site] = []
    for value in values:
        if value.type.upper() != HS_SITE or len(found) == _MOST_SITES:
            continue
        try:
            site = decode_site(value.data)
        except (MalformedError, ValueError):
            continue
        if 0 < len(site.servers) <= _MOST_SERVERS:
            found.append(site)
    return tuple(found)


def server_of(site: Site, name: HandleName) -> Server:
    """Return the server of a site that has a handle: the MD5 of prefix, suffix or both in capitals chooses it."""
    if len(site.servers) == 1:
        return site.servers[0]
    part = str(name)
    if site.hash_option == _BY_PREFIX:
        part = name.prefix
    elif site.hash_option == _BY_SUFFIX:
        part = name.suffix
    digest = hashlib.md5(folded(part).encode(), usedforsecurity=False).digest()
    number = int.from_bytes(digest[-4:], "big", signed=True)
    return site.servers[abs(number) % len(site.servers)]


def endpoints(sites: Sequence[Site], name: HandleName) -> tuple[Endpoint, ...]:
    """Return where to ask for a handle, mirrors before the site that takes changes: it has enough to do."""
    ordered = sorted(sites, key=lambda site: bool(site.primary & _PRIMARY))
    found = dict.fromkeys(_endpoint(server_of(site, name)) for site in ordered)
    return tuple(endpoint for endpoint in found if endpoint.udp or endpoint.tcp)


def _endpoint(server: Server) -> Endpoint:
    ports = {item.transport: item.port for item in server.interfaces if _serves(item)}
    return Endpoint(server.address, ports.get(UDP, 0), ports.get(TCP, 0))


def _serves(interface: Interface) -> bool:
    return bool(interface.service & RESOLUTION) and 0 < interface.port < 65_536
