"""Where notifications may go: to public addresses, and to those that the node's administrator names.

A name is resolved once for each connection; every address that it has is looked at, and the connection goes to one that
was looked at, so that a name cannot lead elsewhere between the check and the connection (DNS rebinding).
"""

import ipaddress
import re
import socket
from collections.abc import Sequence
from typing import NamedTuple, Self

from gongfu.reason.notify.channels.sending import MissedError, RefusedError

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_ENTRY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+)(:(?P<port>\d{1,5}))?")
_NAME = re.compile(r"[0-9a-z_]([0-9a-z_-]*[0-9a-z_])?(\.[0-9a-z_]([0-9a-z_-]*[0-9a-z_])?)*\.?")
# Addresses of a name that are tried.
_TRIED = 3


class _Entry(NamedTuple):
    """A destination by name or by network; ``port`` 0 is any."""

    name: str
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None
    port: int


class Destinations:
    """What is allowed besides public addresses."""

    def __init__(self, entries: Sequence[_Entry] = ()) -> None:
        self._entries = tuple(entries)

    @classmethod
    def of(cls, texts: Sequence[str]) -> Self:
        """Return what some texts allow.

        Args:
            texts: each a name, an address or a network (CIDR), with ``:port`` or without for any port; IPv6 with
                a port stands in brackets. A name is allowed wherever it leads.

        Raises:
            ValueError: one is none of these; the text says which.
        """
        return cls([_entry(text) for text in texts])

    def allows(self, host: str, address: str, port: int) -> bool:
        """Return whether a connection may be made.

        Args:
            host: as the channel names it.
            address: what it resolved to.
            port: of the server.
        """
        if is_public(address):
            return True
        name = host.lower().removesuffix(".")
        found = _plain(address)
        return any(
            entry.port in (0, port) and (entry.name == name if entry.network is None else _within(found, entry.network))
            for entry in self._entries
        )

    def why_not(self, host: str, port: int) -> str:
        """Return why a channel may not name a server, empty where it may as far as can be told without resolving it:
        an address, or a name of this machine."""
        name = host.lower().removesuffix(".")
        try:
            address = str(_plain(host))
        except ValueError:
            if name != "localhost" and not name.endswith(".localhost"):
                return ""
            address = "127.0.0.1"  # RFC 6761 §6.3
        return "" if self.allows(host, address, port) else refusal(host, address, port)

    def connect(self, host: str, port: int, timeout_s: float) -> socket.socket:
        """Return a connection to a server whose addresses were looked at. Blocks.

        Raises:
            MissedError: the name is not known.
            RefusedError: an address of it is not allowed.
            OSError: no connection.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise MissedError(f"{host} is not known") from None
        addresses = list(dict.fromkeys(str(item[4][0]) for item in found))
        for address in addresses:
            if not self.allows(host, address, port):
                raise RefusedError(refusal(host, address, port))
        error: OSError = OSError("no address")
        for address in addresses[:_TRIED]:
            try:
                return socket.create_connection((address, port), timeout_s)
            except OSError as failure:
                error = failure
        raise error


PUBLIC_ONLY = Destinations()


def refusal(host: str, address: str, port: int) -> str:
    """Return the words of a refusal."""
    what = host if host == address else f"{host} is {address}, which"
    return f"{what} is not public, and [notify] allow of the node's configuration names no {host}:{port}"


def is_public(text: str) -> bool:
    """Return whether an address is public, and the one of IPv4 that it leads to, too (RFC 3056, RFC 4380, RFC 6052)."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if not address.is_global or address.is_multicast:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return True
    inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    if address in _NAT64:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return not address.is_site_local and (inner is None or inner.is_global)


def _plain(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address; one of IPv4 that is written as IPv6 as what it is."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _within(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> bool:
    return address.version == network.version and address in network


def _entry(text: str) -> _Entry:
    try:
        return _Entry("", ipaddress.ip_network(text, strict=False), 0)
    except ValueError:
        pass
    match = _ENTRY.fullmatch(text)
    port = int(match["port"] or 0) if match else 0
    if match is None or port > 65_535 or (match["port"] and not port):
        raise ValueError(f"{text!r} is no name, address or network, with :port or without")
    host = match["host"].strip("[]").lower()
    try:
        return _Entry("", ipaddress.ip_network(host, strict=False), port)
    except ValueError:
        if not _NAME.fullmatch(host) or match["host"].startswith("[") or re.fullmatch(r"[\d.]+", host):
            raise ValueError(f"{text!r} is no name, address or network, with :port or without") from None
    return _Entry(host.removesuffix("."), None, port)
