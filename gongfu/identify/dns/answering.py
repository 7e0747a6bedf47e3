"""Bytes in, bytes out: what the node answers to any DNS query."""

import logging
from collections.abc import Awaitable, Callable, Sequence

from gongfu.identify.dns.answer_cache import AnswerCache
from gongfu.identify.dns.direct import DirectAnswers
from gongfu.identify.dns.message import (
    CLASS_IN,
    HEADER_BYTES,
    MAX_MESSAGE_BYTES,
    Answer,
    Query,
    QueryError,
    Rcode,
    Record,
    Type,
    is_query,
    read_query,
    write_answer,
)
from gongfu.identify.dns.rdata import HINFO_DATA
from gongfu.identify.dns.values import (
    Link,
    handle_links,
    naptr_records,
    ons_links,
    ors_links,
    public,
    txt_records,
    uri_records,
)
from gongfu.identify.dns.zones import Family, Meant, Special, Zone, Zones
from gongfu.identify.handle.codes import TtlType
from gongfu.identify.handle.names import NAMING_AUTHORITY, HandleName
from gongfu.identify.handle.resolution import Elsewhere, Found, Lookup, Nowhere
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.namespace.lookup import Namespace
from gongfu.kernel.counters import Counters

logger = logging.getLogger(__name__)

Resolve = Callable[[HandleName], Awaitable[Found | Nowhere | None]]
"""Asks other nodes; None where they cannot be asked now, or have not answered."""

_TRANSFERS = frozenset({Type.AXFR, Type.IXFR})
# Of queries that are not answered from the zone.
_ANY_TTL = 3600
_CACHED = 65_536
# Of a query, its answer and what is kept beside them.
_ANSWER_BYTES = 1024
_COUNTED = {code: f"dns_answers.{code.name.lower()}" for code in Rcode}
_LINKS = {Family.HANDLE: handle_links, Family.OID: ors_links, Family.KEY: ons_links}


class DnsAnswering:
    """What the node answers. Pure but for the lookup, the clock and the cache of its own answers."""

    def __init__(
        self,
        zones: Zones,
        lookup: Lookup,
        counters: Counters,
        *,
        now: Callable[[], int],
        resolve: Resolve | None = None,
        below: Callable[[HandleName], bool] = lambda name: True,
        namespace: Callable[[], Namespace] | None = None,
        cached: int = _CACHED,
        cached_bytes: int | None = None,
    ) -> None:
        """Make it.

        Args:
            zones: what the node answers for.
            lookup: what it has.
            counters: ``dns_answers.<rcode>``, ``dns_queries_dropped.<reason>``.
            now: UTC seconds.
            resolve: asks other nodes for what is delegated or above; without it such names are refused.
            below: whether there may be prefixes below that of a handle ``0.NA/…``, or handles that go on from another
                one with a dot: then the name is there, though it has nothing.
            namespace: what ``lookup`` knows, to answer from directly (``direct``); another one when it changes.
            cached: how many answers are kept until what they say changes.
            cached_bytes: how large all of them may be; None: enough for as many usual ones.
        """
        self._zones = zones
        self._lookup = lookup
        self._counters = counters
        self._now = now
        self._resolve = resolve
        self._below = below
        self.cache = AnswerCache(cached, cached * _ANSWER_BYTES if cached_bytes is None else cached_bytes)
        self._direct: DirectAnswers | None = None
        if namespace is not None:
            self._direct = DirectAnswers(zones, namespace, self._missing)
        # Is told of each query over UDP who sent it (the address as bytes).
        self.noted: Callable[[bytes, bytes], None] | None = None
        self._kept = self.cache.get

    def changed(self, handles: frozenset[str], prefixes: frozenset[str]) -> None:
        """Forget answers that may be wrong now: for ``Identifiers.watch``."""
        if prefixes:
            self.cache.clear()
        else:
            self.cache.forget(handles)

    def kept(self, data: bytes) -> bytes | None:
        """Return the answer to a query over UDP that was answered before, and nothing has changed."""
        # Not counted here: who asks counts many at once.
        key = data[2:]
        kept = self._kept(key)
        if kept is not None:
            return data[:2] + kept
        small = key.lower()
        if small == key:
            return None
        kept = self._kept(small)
        if kept is None:
            return None
        # The question as it came; what stands behind it is as long whoever asks.
        end = _end_of_question(data)
        return data[:2] + kept[: HEADER_BYTES - 2] + data[HEADER_BYTES:end] + kept[end - 2 :]

    def made(self, data: bytes) -> bytes | None:
        """Return the answer to a query over UDP that can be made without any detour; it is kept. Never raises."""
        if self._direct is None:
            return None
        try:
            told = self._direct.answer(data)
        except Exception:
            # ``answer`` says what there is to say of it.
            logger.exception("a DNS query could not be answered directly")
            return None
        if told is None:
            return None
        answer, code, name = told
        self._counters.add(_COUNTED[code])
        self.cache.add_small(data[2:], answer, name)
        return data[:2] + answer

    def answer(self, data: bytes, *, stream: bool = False) -> bytes | Awaitable[bytes] | None:
        """Return the answer to a query; None where there is nobody to answer, an awaitable where others are asked.

        Args:
            data: the query.
            stream: it came over TCP, where an answer may be as long as it must.
        """
        if not is_query(data):
            self._counters.add("dns_queries_dropped.not-a-query")
            return None
        try:
            query = read_query(data)
        except QueryError as error:
            return self._write(error.query, Answer(error.code, authoritative=False), stream)
        answer, names = self._of(query)
        if not isinstance(answer, Answer):
            return self._later(query, answer, stream)
        written = self._write(query, answer, stream)
        if names is not None and not stream:
            self.cache.add(data, HEADER_BYTES + len(query.question), written, names)
        return written

    async def _later(self, query: Query, answer: Awaitable[Answer], stream: bool) -> bytes:
        return self._write(query, await answer, stream)

    def _write(self, query: Query, answer: Answer, stream: bool) -> bytes:
        written = write_answer(query, answer, MAX_MESSAGE_BYTES if stream else query.udp_bytes)
        if stream and written[2] & 0x02:
            # More than the longest message: no way is left to say it.
            answer = Answer(Rcode.SERVFAIL)
            written = write_answer(query, answer, MAX_MESSAGE_BYTES)
        self._counters.add(_COUNTED[answer.code])
        return written

    def _of(self, query: Query) -> tuple[Answer | Awaitable[Answer], tuple[str, ...] | None]:
        """Return the answer, and the handles that it depends on; None where it must not be kept."""
        zone = self._zones.zone_of(query.labels) if query.kind == CLASS_IN and query.labels else None
        if zone is None or query.type in _TRANSFERS:
            return Answer(Rcode.REFUSED, authoritative=False), None
        meant = self._zones.meaning(zone, query.labels)
        if meant is Special.NOTHING:
            return _nothing(zone, Rcode.NXDOMAIN), None
        if query.type == Type.ANY:
            return Answer(records=(Record(Type.HINFO, _ANY_TTL, HINFO_DATA),)), None
        if meant is Special.APEX:
            found = {int(Type.SOA): zone.soa, int(Type.NS): zone.servers}.get(query.type)
            return _some(zone, (found,) if found is not None else ()), None
        if meant is Special.SERVER:
            return _some(zone, tuple(record for record in zone.addresses if record.type == query.type)), None
        if isinstance(meant, Special):
            return _nothing(zone), None
        return self._identifier(query, zone, meant)

    def _identifier(
        self, query: Query, zone: Zone, meant: Meant
    ) -> tuple[Answer | Awaitable[Answer], tuple[str, ...] | None]:
        names = tuple(name.key for name in meant.handles)
        elsewhere: HandleName | None = None
        for name in meant.handles:
            found = self._lookup(name)
            if isinstance(found, Found):
                values = public(found.values)
                steady = all(value.ttl_type == TtlType.RELATIVE for value in values)
                return self._records(query, zone, meant, values), names if steady else None
            if isinstance(found, Elsewhere) and elsewhere is None:
                elsewhere = name
        if elsewhere is not None:
            if self._resolve is None:
                return Answer(Rcode.REFUSED, authoritative=False), None
            return self._elsewhere(query, zone, meant, elsewhere, self._resolve), None
        # Whether the name of an OID is there depends on those below it, too.
        return self._missing(zone, meant), None if meant.family is Family.OID else names

    def _missing(self, zone: Zone, meant: Meant) -> Answer:
        name = meant.handles[0]
        of_prefix = name.prefix == NAMING_AUTHORITY
        may_have = (of_prefix or meant.family is Family.OID) and self._below(name)
        return _nothing(zone, Rcode.NOERROR if may_have else Rcode.NXDOMAIN)

    async def _elsewhere(self, query: Query, zone: Zone, meant: Meant, name: HandleName, resolve: Resolve) -> Answer:
        found = await resolve(name)
        if found is None:
            return Answer(Rcode.SERVFAIL, authoritative=False)
        if isinstance(found, Nowhere):
            return self._missing(zone, meant)
        return self._records(query, zone, meant, public(found.values))

    def _records(self, query: Query, zone: Zone, meant: Meant, values: Sequence[HandleValue]) -> Answer:
        now = self._now()
        if query.type == Type.TXT:
            return _some(zone, txt_records(values, now))
        links = _LINKS[meant.family]
        if query.type == Type.URI:
            return _some(zone, uri_records(values, now, links))
        if query.type != Type.NAPTR:
            return _nothing(zone)
        if meant.family is Family.KEY:
            return _some(zone, naptr_records(values, now, links, order=0, flags=b"U"))
        # The canonical form of an OID is the OID itself (X.672 Annex B).
        canonical = Link(b"ORS+COID", b"/" + meant.oid.replace(".", "/").encode())
        more = (canonical,) if meant.family is Family.OID else ()
        return _some(zone, naptr_records(values, now, links, more=more))


def _end_of_question(data: bytes) -> int:
    """Return where the question ends in a query that was answered before."""
    at = HEADER_BYTES
    while data[at]:
        at += 1 + data[at]
    return at + 5


def _nothing(zone: Zone, code: Rcode = Rcode.NOERROR) -> Answer:
    return Answer(code, authority=(zone.negative,))


def _some(zone: Zone, records: tuple[Record, ...]) -> Answer:
    return Answer(records=records) if records else _nothing(zone)
