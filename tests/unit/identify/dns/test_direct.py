"""Direct answers are those of the way round, to the byte."""

from collections.abc import Sequence

import dns.message
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.identify.dns.answering import DnsAnswering
from gongfu.identify.dns.names import NameLengthError, labels_of
from gongfu.identify.dns.zones import DnsSettings, Zones
from gongfu.identify.handle.codes import Permission, TtlType
from gongfu.identify.handle.names import HandleName
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.namespace.lookup import Namespace
from gongfu.identify.namespace.types import ClassRecord, Delegation, Prefix, PrefixState
from gongfu.identify.ranges.pattern import parse_range
from gongfu.identify.ranges.series import Series, pieces, register
from gongfu.identify.records.form import StoredRecord, encode_record
from gongfu.identify.templates.types import Attribute, DataType, Template
from gongfu.kernel.counters import Counters

NOW = 1_800_000_000
ZONE = "id.internal"


def template(*attributes: Attribute) -> Template:
    return Template(name="t", title={"en": "T"}, industry="C34", attributes=attributes)


TEMPLATES = {
    1: template(
        Attribute(name="model", index=3),
        Attribute(name="url", index=2, type=DataType.URL),
        Attribute(name="note", index=1, public=False),
    ),
    2: template(Attribute(name="url", index=2, public=False), Attribute(name="URI", index=1)),
    3: template(Attribute(name="url", index=2), Attribute(name="uri", index=1)),
    4: template(Attribute(name="model", index=1)),
    70: template(Attribute(name="url", index=2)),
}


class Memory(dict[tuple[int, bytes], bytes]):
    """Records as ``Shards`` has them."""

    def get(self, prefix: int, suffix: bytes) -> bytes | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().get((prefix, suffix))


def series(text: str, of: int) -> dict[object, Series]:
    span = parse_range(text)
    found = Series(span.pattern)
    for place, first, last in pieces(span):
        chunk, _ = register(found.chunk(place), first, last, of, move=False, explicit=None, but=None)
        found.apply({place: chunk})
    return {span.pattern: found}


class Node:
    """A namespace, answered from directly and by the way round."""

    def __init__(self) -> None:
        self.records = Memory()
        prefixes = [
            Prefix(number=1, name="99.1"),
            Prefix(number=2, name="99.a"),
            Prefix(number=3, name="99.3", state=PrefixState.REVOKED),
        ]
        self.space = Namespace(
            self.records,
            prefixes={prefix.key: prefix for prefix in prefixes},
            delegations={"99.1.5": Delegation(name="99.1.5")},
            templates=TEMPLATES,
            classes={1: ClassRecord(number=1, template=1, attributes=((1, "https://c/{suffix}"),), timestamp=NOW)},
            ranges={2: series("m-{0010..0020}", 1)},  # pyright: ignore[reportArgumentType]
        )
        self.counters = Counters()
        zones = Zones(DnsSettings(zone=ZONE), serial=7)
        self.direct = DnsAnswering(
            zones, self._lookup, self.counters, now=lambda: NOW, namespace=lambda: self.space, cached=100
        )
        self.round = DnsAnswering(zones, self._lookup, Counters(), now=lambda: NOW)

    def _lookup(self, name: HandleName):
        return self.space.lookup(name)

    def put(self, prefix: int, suffix: str, record: StoredRecord) -> None:
        self.records[prefix, suffix.encode()] = encode_record(record)


def query_of(labels: Sequence[bytes], kind: int = 256, *, edns: bytes = b"", flags: int = 0x0100) -> bytes:
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    head = b"\x12\x34" + flags.to_bytes(2, "big") + bytes([0, 1, 0, 0, 0, 0, 0, 1 if edns else 0])
    return head + name + kind.to_bytes(2, "big") + b"\0\1" + edns


def query(prefix: str, suffix: str, **more: object) -> bytes:
    return query_of(labels_of(HandleName(prefix, suffix), (b"hdl", b"id", b"internal")), **more)  # pyright: ignore[reportArgumentType]


EDNS = (b"", b"\0\0\x29\x04\xd0\0\0\0\0\0\0", b"\0\0\x29\x02\0\0\0\x80\0\0\0", b"\0\0\x29\x04\xd0\0\1\0\0\0\0")
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
suffixes = st.one_of(texts, st.sampled_from(["P000001", "m-0011", "m-0021", "a_b/c", "泵", "x" * 60, "x" * 80]))
attribute_texts = st.one_of(st.just(b"https://example.com/1"), st.binary(max_size=140), st.just(b""))
values = st.builds(
    HandleValue,
    index=st.integers(1, 9),
    type=st.sampled_from(["URL", "DESC", "HS_SECKEY"]),
    data=st.just(b"https://v/"),
    ttl_type=st.sampled_from([TtlType.RELATIVE, TtlType.ABSOLUTE]),
    ttl=st.integers(0, 100),
    permissions=st.sampled_from([0x0E, int(Permission.ADMIN_READ)]),
)
records = st.builds(
    StoredRecord,
    template=st.sampled_from([*TEMPLATES, 0, 9]),
    timestamp=st.integers(0, NOW),
    attributes=st.dictionaries(st.integers(0, 3), attribute_texts, max_size=3).map(lambda d: tuple(sorted(d.items()))),
    values=st.one_of(st.just(()), st.lists(values, max_size=2).map(tuple)),
    of=st.sampled_from([0, 0, 0, 1]),
)


def told(node: Node, asked: bytes) -> bytes | None:
    """Return the direct answer; it is what the way round says, once more when it is kept."""
    answer = node.direct.made(asked)
    if answer is not None:
        assert answer == node.round.answer(asked)
        assert node.direct.kept(asked) == answer
        assert node.direct.kept(b"\x99\x98" + asked[2:]) == b"\x99\x98" + answer[2:]
    return answer


@settings(max_examples=300, deadline=None)
@given(
    suffixes,
    records,
    st.sampled_from(["99.1", "99.a", "99.3", "99.1.5", "98", "0.na"]),
    st.sampled_from([256, 256, 256, 16, 35, 1]),
    st.sampled_from(EDNS),
    st.sampled_from([0x0100, 0, 0x0110, 0x0900]),
    st.booleans(),
)
def test_what_is_told_directly_is_what_the_way_round_says(
    suffix: str, record: StoredRecord, prefix: str, kind: int, edns: bytes, flags: int, there: bool
):
    node = Node()
    if there:
        node.put(2 if prefix == "99.a" else 1, suffix, record)
    try:
        asked = query(prefix, suffix, kind=kind, edns=edns, flags=flags)
    except NameLengthError:
        return
    answer = told(node, asked)
    again = node.direct.made(asked)
    assert again == answer


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_queries_and_records_are_told_alike(data: st.DataObject):
    node = Node()
    node.put(1, "p1", StoredRecord(1, NOW, ((0, b"M"), (1, b"https://example.com/1"))))
    asked = bytearray(query("99.1", "p1", edns=data.draw(st.sampled_from(EDNS))))
    assert told(node, bytes(asked)) is not None or asked[-5] == 1
    for _ in range(data.draw(st.integers(1, 3))):
        asked[data.draw(st.integers(2, len(asked) - 1))] = data.draw(st.integers(0, 255))
    told(node, bytes(asked[: data.draw(st.integers(0, len(asked)))]))
    told(node, bytes(asked))
    stored = bytearray(node.records[1, b"p1"])
    stored[data.draw(st.integers(0, len(stored) - 1))] = data.draw(st.integers(0, 255))
    node.records[1, b"p1"] = bytes(stored)
    node.direct.changed(frozenset({"99.1/p1"}), frozenset())
    try:
        expected = node.round.answer(query("99.1", "p1"))
    except (LookupError, ValueError):
        expected = None
    answer = node.direct.made(query("99.1", "p1"))
    assert answer is None or answer == expected


@pytest.mark.parametrize("suffix", ["P000001", "泵/1", "a_b", "plain-1"])
def test_the_usual_is_told_directly_and_counted(suffix: str):
    node = Node()
    node.put(1, suffix, StoredRecord(1, NOW, ((0, b"M"), (1, b"https://example.com/1"), (2, b"x"))))
    answer = told(node, query("99.1", suffix, edns=EDNS[1]))
    assert answer is not None
    assert [record.to_text() for found in dns.message.from_wire(answer).answer for record in found] == [
        '10 1 "https://example.com/1"'
    ]
    missing = told(node, query("99.1", suffix + "x"))
    assert missing is not None
    assert dns.message.from_wire(missing).rcode() == dns.rcode.NXDOMAIN
    assert node.counters.snapshot() == {"dns_answers.noerror": 1, "dns_answers.nxdomain": 1}


def test_members_of_ranges_are_not_missing():
    node = Node()
    assert told(node, query("99.a", "m-0021")) is not None
    assert node.direct.made(query("99.a", "m-0011")) is None


def test_what_changes_is_told_anew():
    node = Node()
    asked = query("99.1", "p1")
    node.put(1, "p1", StoredRecord(1, NOW, ((1, b"https://old/"),)))
    first = told(node, asked)
    node.put(1, "p1", StoredRecord(1, NOW, ((1, b"https://new/"),)))
    assert node.direct.kept(asked) == first
    node.direct.changed(frozenset({"99.1/p1"}), frozenset())
    assert node.direct.kept(asked) is None
    assert b"https://new/" in (told(node, asked) or b"")
    # A template of which the link is another attribute; a prefix that is revoked.
    other = {**TEMPLATES, 1: template(Attribute(name="model", index=3), Attribute(name="text", index=2))}
    node.space = node.space.replaced(templates=other)
    node.direct.changed(frozenset(), frozenset({"99.1"}))
    assert node.direct.made(asked) is None
    revoked = Prefix(number=1, name="99.1", state=PrefixState.REVOKED)
    node.space = node.space.replaced(prefixes={"99.1": revoked}, templates=TEMPLATES)
    assert node.direct.made(asked) is None
