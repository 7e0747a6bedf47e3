"""From a query to its answer without objects between them, for the many that are alike.

Most queries are for the links of a record that has nothing but attributes of a template, by a name whose suffix is one
label. Then all of the query behind that label says the same for each identifier of a prefix: it is understood once
(``_Plan``). Of the record's bytes only those that the answer has are cut out (``link_of``). Whatever is not quite so is
left to ``DnsAnswering.answer``, whose answers these are to the byte (``tests/unit/identify/dns/test_direct.py``).
"""

from collections.abc import Callable

from gongfu.identify.dns.answer_cache import may_be_kept
from gongfu.identify.dns.message import (
    CLASS_IN,
    HEADER_BYTES,
    MAX_LABEL_BYTES,
    MAX_NAME_BYTES,
    UDP_BYTES,
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
from gongfu.identify.dns.names import SLASH, suffix_of_label
from gongfu.identify.dns.rdata import uri, uri_data
from gongfu.identify.dns.values import handle_links, public, ttl_of
from gongfu.identify.dns.zones import Family, Meant, Zone, Zones
from gongfu.identify.handle.names import NAMING_AUTHORITY, folded
from gongfu.identify.namespace.attribute_values import attribute_value
from gongfu.identify.namespace.lookup import Namespace
from gongfu.identify.namespace.types import PrefixState
from gongfu.identify.templates.types import Template

# Of each kind that is remembered; then all are made anew.
_MOST = 65_536
_MORE = 0x80
# Type and class, behind the name.
_PAIR_BYTES = 4

Told = tuple[bytes, Rcode, str]
"""An answer behind its number, its code, and the key of the handle that it is about."""


class Shape:
    """What an answer with links takes of the records of a template."""

    __slots__ = ("attributes", "link", "ttl")

    def __init__(self, template: Template) -> None:
        """Find out where the link is: ``link`` is the ordinal of its attribute, -1 unless there is just one."""
        self.attributes = len(template.attributes)
        values = [attribute_value(attribute, b"x", 0) for attribute in template.attributes]
        shown = public(values)
        links = [at for at, value in enumerate(values) if value in shown and tuple(handle_links([value]))]
        self.link = links[0] if len(links) == 1 else -1
        self.ttl = ttl_of(shown, 0)


def template_of(record: bytes) -> int:
    """Return the number of the template whose attributes are all that a record has; 0 where there may be more to it, or
    the number is one of two bytes."""
    first = record[0]
    return 0 if first & 0x81 else first >> 1


def link_of(record: bytes, shape: Shape) -> bytes | None:
    """Return the link among the attributes of a record without a class (``records.form``); None where there is none, or
    more than attributes, or what is not as short as it is as a rule.

    Raises:
        IndexError: the record is not whole.
    """
    at = 1
    while record[at] & _MORE:
        at += 1
    count, wanted, known = record[at + 1], shape.link, shape.attributes
    at += 2
    if count & _MORE:
        return None
    found = None
    for _ in range(count):
        ordinal = record[at]
        start = at + 2
        at = start + record[at + 1]
        if ordinal >= known or at - start >= _MORE:
            return None
        if ordinal == wanted:
            if found is not None:
                return None
            found = record[start:at]
    return found if at == len(record) else None


def uri_record(ttl: int, link: bytes) -> bytes:
    """Return the only URI record of an answer, as it is written."""
    query = Query(0, 0)
    return write_answer(query, Answer(records=(Record(Type.URI, ttl, uri_data(10, 1, uri(link))),)), UDP_BYTES * 2)[
        HEADER_BYTES:
    ]


class _Plan:
    """What queries have in common that differ in their first label only."""

    __slots__ = ("end", "head", "limit", "longest", "name", "none_head", "none_rest", "number", "opt")

    def __init__(self, query: Query, number: int, name: str, missing: Answer) -> None:
        self.number = number
        # What stands before the suffix in the key of the handle.
        self.name = name
        self.limit = query.udp_bytes
        # All but question and record of an answer with one, and all but the question where there is no such handle.
        one = Record(Type.URI, 0, b"")
        some = write_answer(query, Answer(records=(one,)), self.limit)
        none = write_answer(query, missing, self.limit)
        rest = HEADER_BYTES + len(query.question)
        alone = write_answer(Query(0, 0), Answer(records=(one,)), self.limit)
        self.head = some[2:HEADER_BYTES]
        self.opt = some[rest + len(alone) - HEADER_BYTES :]
        self.none_head, self.none_rest = none[2:HEADER_BYTES], none[rest:]
        # Bytes of the question behind the first label, and the most that this may have.
        self.end = len(query.question) - 1 - len(query.labels[0])
        self.longest = min(MAX_LABEL_BYTES, MAX_NAME_BYTES - 1 - (self.end - _PAIR_BYTES))


class DirectAnswers:
    """Answers to queries for the links of handles that are registered here."""

    def __init__(
        self, zones: Zones, namespace: Callable[[], Namespace], missing: Callable[[Zone, Meant], Answer]
    ) -> None:
        """Make it.

        Args:
            zones: what the node answers for.
            namespace: as it is now; another one whenever a prefix or a template has changed.
            missing: the answer where there is no such handle, of those that are below a prefix.
        """
        self._zones = zones
        self._namespace = namespace
        self._missing = missing
        self._space: Namespace | None = None
        self._plans: dict[bytes, _Plan | None] = {}
        self._shapes: dict[int, Shape | None] = {}
        self._records: dict[bytes, bytes] = {}

    def answer(self, data: bytes) -> Told | None:
        """Return the answer to a query over UDP whose name is written in small letters; None leaves it to others."""
        space = self._namespace()
        if space is not self._space:
            self._plans.clear()
            self._shapes.clear()
            self._records.clear()
            self._space = space
        if len(data) <= HEADER_BYTES:
            return None
        at = HEADER_BYTES + 1 + data[HEADER_BYTES]
        tail = data[2:HEADER_BYTES] + data[at:]
        try:
            plan = self._plans[tail]
        except KeyError:
            plan = self._keep_plan(tail, self._plan(data, at, space))
        label = data[HEADER_BYTES + 1 : at]
        if plan is None or not 0 < len(label) <= plan.longest:
            return None
        suffix = suffix_of_label(label)
        if suffix is None:
            return None
        try:
            text = suffix.decode()
        except UnicodeDecodeError:
            return None
        record = space.stored(plan.number, suffix)
        question = data[HEADER_BYTES : at + plan.end]
        if record is None:
            if space.find(plan.number, text) is not None:
                return None
            answer, code = plan.none_head + question + plan.none_rest, Rcode.NXDOMAIN
        else:
            written = self._written(record, space)
            if written is None:
                return None
            answer, code = plan.head + question + written + plan.opt, Rcode.NOERROR
        return None if len(answer) + 2 > plan.limit else (answer, code, plan.name + text)

    def _keep_plan(self, tail: bytes, plan: _Plan | None) -> _Plan | None:
        if len(self._plans) >= _MOST:
            self._plans.clear()
        self._plans[tail] = plan
        return plan

    def _plan(self, data: bytes, at: int, space: Namespace) -> _Plan | None:
        """Understand a query; None where it is not one of those that are answered here."""
        try:
            query = read_query(data) if is_query(data) else None
        except QueryError:
            return None
        if query is None or query.type != Type.URI or query.kind != CLASS_IN or data[at:] != data[at:].lower():
            return None
        labels, end = query.labels, HEADER_BYTES + len(query.question)
        if not may_be_kept(data, end) or not self._zones.deepest < len(labels) or labels[1] != SLASH:
            return None
        zone = self._zones.zone_of(labels)
        meant = None if zone is None else self._zones.meaning(zone, (b"x", *labels[1:]))
        if zone is None or not isinstance(meant, Meant) or meant.family is not Family.HANDLE:
            return None
        key = folded(meant.handles[0].prefix)
        prefix = space.prefixes.get(key)
        if prefix is None or prefix.state is PrefixState.REVOKED or key == NAMING_AUTHORITY:
            return None
        return _Plan(query, prefix.number, f"{key}/", self._missing(zone, meant))

    def _written(self, record: bytes, space: Namespace) -> bytes | None:
        """Return the link of a record as it is answered."""
        number = template_of(record)
        try:
            shape = self._shapes[number]
        except KeyError:
            template = space.templates.get(number) if number else None
            shape = self._shapes[number] = None if template is None else Shape(template)
        if shape is None or shape.link < 0:
            return None
        link = link_of(record, shape)
        if not link:
            return None
        written = self._records.get(link)
        if written is None:
            if len(self._records) >= _MOST:
                self._records.clear()
            written = self._records[link] = uri_record(shape.ttl, link)
        return written
