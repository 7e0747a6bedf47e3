"""Which names the node answers for, and what a name means."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from gongfu.identify.dns.message import Record, Type, wire_name
from gongfu.identify.dns.names import Part, handle_of
from gongfu.identify.dns.oid import handle_of_oid, oid_of
from gongfu.identify.dns.ons import key_of
from gongfu.identify.dns.rdata import address_data, soa_data
from gongfu.identify.dns.values import MAX_TTL
from gongfu.identify.handle.names import HandleName

HANDLES, OIDS = b"hdl", b"oid"
_SERVER, _MAILBOX = b"ns", b"hostmaster"
_REFRESH, _RETRY, _EXPIRE = 3600, 600, 604_800


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsSettings:
    """What the node answers for in the DNS.

    Attributes:
        zone: handles are below ``hdl.<zone>``, OIDs below ``oid.<zone>``, GS1 keys below ``<key>.gs1.id.<zone>``. The
            default is below the domain that ICANN has reserved for private use, so that nobody's names are claimed.
        oid_zone: another zone for OIDs, as ``oid-res.org`` is one; "" for none.
        ons_root: another root for GS1 keys, as ``onsepc.com`` is one; "" for none.
        oid_prefixes: which prefix stands for which OID (``2.999`` → ``99.1000.1``).
        addresses: of the node, as name servers of the zone; none where it is only asked directly.
        ttl: of what belongs to the zone itself, seconds.
        negative_ttl: how long others may remember that something is not there, seconds.
    """

    zone: str = "gongfu.internal"
    oid_zone: str = ""
    ons_root: str = ""
    oid_prefixes: Mapping[str, str] = field(default_factory=dict[str, str])
    addresses: tuple[str, ...] = ()
    ttl: int = 3600
    negative_ttl: int = 60


class Family(Enum):
    """What a name is."""

    HANDLE = 1
    OID = 2
    KEY = 3


@dataclass(frozen=True, slots=True)
class Meant:
    """A name that stands for an identifier: the first of ``handles`` that is there is what it has."""

    family: Family
    handles: tuple[HandleName, ...]
    oid: str = ""


class Special(Enum):
    """A name that is the zone's own, or nothing."""

    APEX = 1
    SERVER = 2
    PART = 3
    NOTHING = 4


KeyHandles = Callable[[str, str], Sequence[HandleName]]
"""The handles that a GS1 key (application identifier, value) may be registered as, the likeliest first."""


class Zone:
    """One zone, and what is in it."""

    def __init__(self, labels: tuple[bytes, ...], settings: DnsSettings, serial: int, families: frozenset[Family]):
        """Make it; see ``Zones``."""
        self.labels = labels
        self.apex = wire_name(labels)
        self.families = families
        server = wire_name((_SERVER, *labels))
        mailbox = wire_name((_MAILBOX, *labels))
        minimum = settings.negative_ttl
        data = soa_data(server, mailbox, serial, _REFRESH, _RETRY, _EXPIRE, minimum)
        ttl = min(settings.ttl, MAX_TTL)
        self.soa = Record(Type.SOA, ttl, data, self.apex)
        # RFC 2308 §3: of an answer that there is nothing, the smaller of the two counts.
        self.negative = Record(Type.SOA, min(ttl, minimum), data, self.apex)
        self.servers = Record(Type.NS, ttl, server, self.apex)
        packed = [address_data(address) for address in settings.addresses]
        self.addresses = tuple(Record(Type.A if len(data) == 4 else Type.AAAA, ttl, data) for data in packed)


class Zones:
    """All zones of the node."""

    def __init__(self, settings: DnsSettings, *, serial: int, key_handles: KeyHandles | None = None) -> None:
        """Make them.

        Args:
            settings: of the node.
            serial: of the zones: rises from start to start; UTC seconds do.
            key_handles: how GS1 keys are registered; without it no name of one is there.

        Raises:
            ValueError: a name or an address is none.
        """
        self.settings = settings
        self._key_handles = key_handles
        self._prefixes = dict(settings.oid_prefixes)
        roots = [(settings.zone, frozenset(Family))]
        roots += [(settings.oid_zone, frozenset({Family.OID}))] if settings.oid_zone else []
        roots += [(settings.ons_root, frozenset({Family.KEY}))] if settings.ons_root else []
        self._zones = {
            (zone := Zone(labels_of_zone(text), settings, serial & 0xFFFF_FFFF, families)).labels: zone
            for text, families in roots
        }
        self._sizes = sorted({len(labels) for labels in self._zones}, reverse=True)

    @property
    def deepest(self) -> int:
        """How many labels the longest name of a zone has."""
        return self._sizes[0]

    def zone_of(self, labels: Sequence[bytes]) -> Zone | None:
        """Return the zone that a name is in; None where it is in none of this node."""
        small = tuple(label.lower() for label in labels[-self._sizes[0] :])
        for size in self._sizes:
            zone = self._zones.get(small[-size:]) if size <= len(small) else None
            if zone is not None:
                return zone
        return None

    def meaning(self, zone: Zone, labels: Sequence[bytes]) -> Meant | Special:
        """Return what a name in a zone stands for."""
        inner = labels[: len(labels) - len(zone.labels)]
        if not inner:
            return Special.APEX
        if len(zone.families) == 1:
            return self._of(next(iter(zone.families)), inner)
        last = inner[-1].lower()
        if len(inner) == 1 and last == _SERVER:
            return Special.SERVER
        if last == HANDLES:
            return self._of(Family.HANDLE, inner[:-1])
        if last == OIDS:
            return self._of(Family.OID, inner[:-1])
        return self._of(Family.KEY, inner)

    def _of(self, family: Family, labels: Sequence[bytes]) -> Meant | Special:
        if not labels:
            return Special.PART
        if len(labels) == 1 and labels[0].lower() == _SERVER and family is not Family.HANDLE:
            return Special.SERVER
        if family is Family.HANDLE:
            return _meant(family, handle_of(labels))
        if family is Family.OID:
            oid = oid_of(labels)
            return Special.NOTHING if oid is None else _meant(family, handle_of_oid(oid, self._prefixes), oid)
        key = key_of(labels)
        if key is None or isinstance(key, Part):
            return Special.NOTHING if key is None else Special.PART
        handles = tuple(self._key_handles(*key)) if self._key_handles is not None else ()
        return Meant(family, handles) if handles else Special.NOTHING


def _meant(family: Family, found: HandleName | Part | None, oid: str = "") -> Meant | Special:
    if isinstance(found, HandleName):
        return Meant(family, (found,), oid)
    return Special.NOTHING if found is None else Special.PART


def labels_of_zone(text: str) -> tuple[bytes, ...]:
    """Return the labels of a zone as a setting has it, small; a dot at its end is allowed.

    Raises:
        ValueError: it is no name.
    """
    name = text.removesuffix(".").lower()
    labels = tuple(label.encode() for label in name.split("."))
    wire_name(labels)
    return labels
