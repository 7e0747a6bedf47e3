"""Where a service is, as a value of its prefix (``HS_SITE``)."""

import ipaddress
from collections.abc import Iterable

from gongfu.identify.handle.predefined import HS_SITE, Interface, Server, Site, decode_site, encode_site
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.handle.wire import MalformedError
from gongfu.kernel.errors import invalid

SITE_INDEX = 1
_PRIMARY, _HASH_BY_ALL = 0x80, 2
_RESOLUTION_AND_ADMINISTRATION = 3
_UDP, _TCP, _HTTP = 0, 1, 2


def parse_service(service: str) -> tuple[str, int]:
    """Return address and port of ``address:port``; an IPv6 address stands in brackets.

    Raises:
        Problem: 400: it is none. A site names addresses, not host names.
    """
    host, _, port = service.rpartition(":")
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise invalid(
            f"service must be an IP address and a port, such as 10.0.0.7:2641, not {service[:80]!r}"
        ) from None
    if not port.isascii() or not port.isdecimal() or not 1 <= int(port[:6]) <= 65_535:
        raise invalid(f"service must end in a port, 1 to 65535: {service[:80]!r}")
    return str(address), int(port)


def site_value(address: str, port: int, *, http_port: int = 0, timestamp: int = 0) -> HandleValue:
    """Return the value for a service on one address, UDP and TCP on the same port.

    Args:
        address: IPv4 or IPv6.
        port: of the Handle protocol.
        http_port: of ``/api/handles``; 0 without.
        timestamp: UTC seconds.
    """
    interfaces = [Interface(_RESOLUTION_AND_ADMINISTRATION, transport, port) for transport in (_UDP, _TCP)]
    if http_port:
        interfaces.append(Interface(_RESOLUTION_AND_ADMINISTRATION, _HTTP, http_port))
    server = Server(1, address, b"", tuple(interfaces))
    site = Site(serial=1, primary=_PRIMARY, hash_option=_HASH_BY_ALL, attributes=(), servers=(server,))
    return HandleValue(SITE_INDEX, HS_SITE, encode_site(site), timestamp=timestamp)


def address_of(values: Iterable[HandleValue]) -> str:
    """Return ``address:port`` of the first server that the values tell of, "" if they tell of none."""
    for value in values:
        if value.type.upper() != HS_SITE:
            continue
        try:
            site = decode_site(value.data)
        except MalformedError:
            continue
        for server in site.servers:
            for interface in server.interfaces:
                host = f"[{server.address}]" if ":" in server.address else server.address
                return f"{host}:{interface.port}"
    return ""
