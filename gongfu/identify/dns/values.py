"""What handle values are as DNS records.

- TXT: one record a value: ``<index> <type>``, then the data in strings of up to 255 bytes. Nothing is lost.
- URI and NAPTR: the values that are links, in the order of their index. A link too long for a NAPTR's expression is
  left out of it; URI records have no such limit.

Only what the public may read is there, as in all faces. The TTL of records is the shortest of the
values' that the public may read.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from gongfu.identify.digital_link.links import read_links
from gongfu.identify.dns.message import Record, Type
from gongfu.identify.dns.rdata import naptr_data, txt_data, uri, uri_data
from gongfu.identify.handle.codes import Permission, TtlType
from gongfu.identify.handle.predefined import HS_SECKEY
from gongfu.identify.handle.values import HandleValue

MAX_TTL = 86_400
_STRING_BYTES = 255
_LINKS = frozenset({"URL", "URI"})
_ORS = "ORS."
_LEVEL = 65_535
_PUBLIC_READ = int(Permission.PUBLIC_READ)


class Link(msgspec.Struct, frozen=True, gc=False):
    """A link: what is there (the service of a NAPTR), and where."""

    service: bytes
    target: bytes


Links = Callable[[Sequence[HandleValue]], Iterable[Link]]
"""The links among values."""


def handle_links(values: Sequence[HandleValue]) -> Iterable[Link]:
    """Return the links of a handle."""
    for value in values:
        kind = value.type.upper()
        if kind in _LINKS and value.data:
            yield Link(b"HDL+" + kind.encode(), uri(value.data))


def ors_links(values: Sequence[HandleValue]) -> Iterable[Link]:
    """Return the links of an OID: ``URL`` values are of service UINF, ``ORS.CINF`` and the like of what they say."""
    for value in values:
        kind = value.type.upper()
        service = "UINF" if kind in _LINKS else kind.removeprefix(_ORS) if kind.startswith(_ORS) else ""
        if value.data and service.isascii() and service.isalnum():
            yield Link(b"ORS+" + service.encode(), uri(value.data))


def ons_links(values: Sequence[HandleValue]) -> Iterable[Link]:
    """Return the links of a GS1 key, as GS1 Digital Link has them; a service is a URI (ONS 2.0.1 §7)."""
    for value in values:
        if value.type.upper() == "EPCIS" and value.data:
            yield Link(b"http://www.gs1.org/ons/epcis", uri(value.data))
    for link in read_links(values).links:
        yield Link(uri(link.link_type.encode()), uri(link.target().encode()))


def public(values: Iterable[HandleValue]) -> list[HandleValue]:
    """Return the values that anybody may read."""
    return [v for v in values if v.permissions & _PUBLIC_READ and v.type.upper() != HS_SECKEY]


def ttl_of(values: Iterable[HandleValue], now: int) -> int:
    """Return how long all of the values hold, seconds from now."""
    least = MAX_TTL
    for value in values:
        left = value.ttl if value.ttl_type == TtlType.RELATIVE else value.ttl - now
        least = min(least, left)
    return max(least, 0)


def txt_records(values: Sequence[HandleValue], now: int) -> tuple[Record, ...]:
    """Return TXT records of public values."""
    ttl, records = ttl_of(values, now), list[Record]()
    for value in values:
        head = f"{value.index} {value.type}".encode()
        if len(head) <= _STRING_BYTES:
            data = txt_data((head, value.data))
            if len(data) < _LEVEL:
                records.append(Record(Type.TXT, ttl, data))
    return tuple(records)


def uri_records(values: Sequence[HandleValue], now: int, links: Links) -> tuple[Record, ...]:
    """Return URI records of the links among public values."""
    ttl = ttl_of(values, now)
    targets = dict.fromkeys(link.target for link in links(values))
    pairs = enumerate((target for target in targets if len(target) < _LEVEL - 4), 1)
    return tuple(Record(Type.URI, ttl, uri_data(min(10 * at, _LEVEL), 1, target)) for at, target in pairs)


def naptr_records(
    values: Sequence[HandleValue],
    now: int,
    links: Links,
    *,
    order: int = 100,
    flags: bytes = b"u",
    more: Sequence[Link] = (),
) -> tuple[Record, ...]:
    """Return NAPTR records of the links among public values.

    Args:
        values: those that are public.
        now: UTC seconds.
        links: among them.
        order: of all of them; the preference tells the order of the values.
        flags: as the standard of the names has it, ``u`` or ``U``: the result is a URI.
        more: links that stand before them.
    """
    ttl, records = ttl_of(values, now), list[Record]()
    for at, link in enumerate(dict.fromkeys((*more, *links(values))), 1):
        data = naptr_data(order, min(10 * at, _LEVEL), flags, link.service, link.target)
        if data is not None:
            records.append(Record(Type.NAPTR, ttl, data))
    return tuple(records)
