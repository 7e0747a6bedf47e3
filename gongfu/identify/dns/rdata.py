"""Data of the records that are answered."""

import ipaddress
import re
import struct
from collections.abc import Sequence

_SOA = struct.Struct(">IIIII")
_NAPTR = struct.Struct(">HH")
_STRING_BYTES = 255
# What may stand in a URI (RFC 3986 §2.2, §2.3), and "%", of which what was encoded before is made.
_NOT_URI = re.compile(rb"[^A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]")
# What may divide a NAPTR's expression (RFC 3402 §3.2: neither a digit nor a flag), the usual first.
_DIVIDERS = b'!|^"<>{}`'


def uri(text: bytes) -> bytes:
    """Return a URI as ASCII: bytes that may not stand in one are percent-encoded (RFC 3987 §3.1)."""
    return _NOT_URI.sub(lambda found: b"%%%02X" % found[0][0], text)


def naptr_data(order: int, preference: int, flags: bytes, service: bytes, target: bytes) -> bytes | None:
    """Return a NAPTR that makes any name that URI (RFC 3403 §4.1); None where it is too long to stand in one.

    Args:
        order: lower ones come first.
        preference: lower ones come first among those of an order.
        flags: ``u``: the result is a URI.
        service: what is there.
        target: URI, ASCII.
    """
    # "|" cannot stand in a URI as it is.
    divider = b"!" if b"!" not in target else b"|"
    expression = divider + b"^.*$" + divider + target + divider
    if len(expression) > _STRING_BYTES or len(service) > _STRING_BYTES:
        return None
    parts = (flags, service, expression)
    return _NAPTR.pack(order, preference) + b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def uri_data(priority: int, weight: int, target: bytes) -> bytes:
    """Return a URI record's data (RFC 7553 §4.5)."""
    return _NAPTR.pack(priority, weight) + target


def txt_data(strings: Sequence[bytes]) -> bytes:
    """Return a TXT record's data; strings of more than 255 bytes go on in the next."""
    parts: list[bytes] = []
    for text in strings:
        parts += [text[start : start + _STRING_BYTES] for start in range(0, len(text), _STRING_BYTES)] or [b""]
    return b"".join(bytes([len(part)]) + part for part in parts)


def soa_data(server: bytes, mailbox: bytes, serial: int, refresh: int, retry: int, expire: int, minimum: int) -> bytes:
    """Return a SOA's data; names as on the wire. ``minimum`` is how long nothing is remembered (RFC 2308 §4)."""
    return server + mailbox + _SOA.pack(serial, refresh, retry, expire, minimum)


def address_data(address: str) -> bytes:
    """Return the data of an A or AAAA record.

    Raises:
        ValueError: it is no address.
    """
    return ipaddress.ip_address(address).packed


# RFC 8482 §4.2: what is answered to ANY.
HINFO_DATA = b"\x07RFC8482\x00"
