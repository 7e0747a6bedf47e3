"""What handle values are as DNS records.

- TXT: one record a value: ``<index> <type>``, then the data in strings of up to 255 bytes. Nothing is lost.
- URI and NAPTR: the values that are links, in the order of their index. A link too long for a NAPTR's expression is
  left out of it; URI records have no such limit.

Only what the public may read is there, as in all faces. The TTL of a set of records is the shortest of its values'.
"""

from collections.abc import Callable, Iterable, Sequence

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

Service = Callable[[HandleValue], bytes | None]
"""The NAPTR service of a value; None for one that is no link."""


def handle_service(value: HandleValue) -> bytes | None:
    """Return the service of a link of a handle."""
    kind = value.type.upper()
    return b"HDL+" + kind.encode() if kind in _LINKS else None


def ors_service(value: HandleValue) -> bytes | None:
    """Return the service of a link of an OID: ``URL`` values are UINF, ``ORS.CINF`` and the like what they say."""
    kind = value.type.upper()
    if kind in _LINKS:
        return b"ORS+UINF"
    service = kind.removeprefix(_ORS)
    return b"ORS+" + service.encode() if kind.startswith(_ORS) and service.isascii() and service.isalnum() else None


def ons_service(value: HandleValue) -> bytes | None:
    """Return the service of a link of a GS1 key: a URI (ONS 2.0.1 §7)."""
    kind = value.type.upper()
    if kind in _LINKS:
        return b"http://www.gs1.org/ons/html"
    if kind == "EPCIS":
        return b"http://www.gs1.org/ons/epcis"
    return None


def public(values: Iterable[HandleValue]) -> list[HandleValue]:
    """Return the values that anybody may read."""
    return [v for v in values if v.permissions & Permission.PUBLIC_READ and v.type.upper() != HS_SECKEY]


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


def uri_records(values: Sequence[HandleValue], now: int, service: Service) -> tuple[Record, ...]:
    """Return URI records of the links among public values."""
    links = [value for value in values if service(value) is not None and value.data]
    ttl = ttl_of(links, now)
    targets = dict.fromkeys(uri(value.data) for value in links)
    pairs = enumerate((target for target in targets if len(target) < _LEVEL - 4), 1)
    return tuple(Record(Type.URI, ttl, uri_data(min(10 * at, _LEVEL), 1, target)) for at, target in pairs)


def naptr_records(
    values: Sequence[HandleValue],
    now: int,
    service: Service,
    *,
    order: int = 100,
    flags: bytes = b"u",
    more: Sequence[tuple[bytes, bytes]] = (),
) -> tuple[Record, ...]:
    """Return NAPTR records of the links among public values.

    Args:
        values: those that are public.
        now: UTC seconds.
        service: of a value.
        order: of all of them; the preference tells the order of the values.
        flags: as the standard of the names has it, ``u`` or ``U``: the result is a URI.
        more: services and targets that stand before them.
    """
    links = [(of, uri(value.data), value) for value in values if value.data and (of := service(value)) is not None]
    ttl = ttl_of((link[2] for link in links), now)
    records, seen = list[Record](), set[tuple[bytes, bytes]]()
    for of, target in (*more, *((of, target) for of, target, _ in links)):
        if (of, target) in seen:
            continue
        seen.add((of, target))
        data = naptr_data(order, min(10 * len(seen), _LEVEL), flags, of, target)
        if data is not None:
            records.append(Record(Type.NAPTR, ttl, data))
    return tuple(records)
