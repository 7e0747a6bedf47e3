"""What is answered to DNS queries, read by dnspython."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.identify.dns.answer_cache import ENTRY_BYTES
from gongfu.identify.dns.answering import DnsAnswering
from gongfu.identify.dns.names import labels_of
from gongfu.identify.dns.zones import DnsSettings, Zones
from gongfu.identify.handle.codes import Permission, TtlType
from gongfu.identify.handle.names import HandleName, parse_handle
from gongfu.identify.handle.resolution import Elsewhere, Found, Nowhere
from gongfu.identify.handle.values import HandleValue
from gongfu.kernel.counters import Counters

NOW = 1_800_000_000
CHINESE = "https://例子.example/泵?型=1#甲"
PUMP = (
    HandleValue(1, "URL", CHINESE.encode(), ttl=600),
    HandleValue(2, "DESC", ("泵" * 100).encode(), ttl=300),
    HandleValue(3, "SECRET", b"x", permissions=Permission.ADMIN_READ),
    HandleValue(4, "HS_SECKEY", b"x"),
    HandleValue(5, "BYTES", bytes(range(256))),
)
RECORDS: dict[str, Sequence[HandleValue]] = {
    "99.1/泵/01": PUMP,
    "99.1/old": (HandleValue(1, "URL", b"http://a/", TtlType.ABSOLUTE, NOW + 5),),
    "99.1/big": tuple(HandleValue(n, "URL", b"http://a/%d" % n + b"x" * 200) for n in range(1, 40)),
    "99.1/7.1": (HandleValue(1, "URL", b"http://oid/"), HandleValue(2, "ORS.CINF", b"http://oid/c!|")),
    "0.NA/99.1": (HandleValue(1, "URL", b"http://org/"),),
    "99.1/gs1/01/06901234000016": (
        HandleValue(1, "EPCIS", b"http://epcis/"),
        HandleValue(2, "URL", b"http://p.example/"),
    ),
}
SETTINGS = DnsSettings(
    zone="id.internal",
    oid_zone="oid-res.test",
    ons_root="ons.test",
    oid_prefixes={"2.999": "99.1"},
    addresses=("192.0.2.1", "2001:db8::1"),
)


def lookup(name: HandleName) -> Found | Elsewhere | Nowhere:
    if name.key in RECORDS:
        return Found(RECORDS[name.key])
    return Elsewhere("0.NA/99.2") if name.prefix == "99.2" or name.suffix == "99.2" else Nowhere()


def below(name: HandleName) -> bool:
    return name.key in {"0.NA/99", "99.1/7"}


class Asking:
    def __init__(self, found: Callable[[HandleName], Found | Elsewhere | Nowhere] = lookup) -> None:
        self.kept = 0
        self.counters = Counters()
        zones = Zones(SETTINGS, serial=7, key_handles=lambda ai, value: [HandleName("99.1", f"gs1/{ai}/{value}")])
        self.answering = DnsAnswering(zones, found, self.counters, now=lambda: NOW, below=below)

    def raw(self, data: bytes, *, stream: bool = False) -> bytes:
        kept = None if stream else self.answering.kept(data)
        self.kept += kept is not None
        answer = self.answering.answer(data, stream=stream) if kept is None else kept
        assert isinstance(answer, bytes)
        return answer

    def __call__(self, name: str | bytes, kind: str, *, stream: bool = False, **more: Any) -> dns.message.Message:
        qname = dns.name.from_text(name if isinstance(name, str) else name.decode())
        query = dns.message.make_query(qname, kind, **more)
        answer = dns.message.from_wire(self.raw(query.to_wire(), stream=stream))
        assert query.is_response(answer)
        # The same again is the same.
        assert dns.message.from_wire(self.raw(query.to_wire(), stream=stream)) == answer
        return answer


@pytest.fixture
def ask() -> Asking:
    return Asking()


def name_of(handle: str) -> str:
    return b".".join(labels_of(parse_handle(handle), (b"hdl", b"id", b"internal"))).decode() + "."


def data_of(answer: dns.message.Message) -> list[str]:
    return [record.to_text() for records in answer.answer for record in records]


def test_values_as_txt(ask: Asking):
    answer = ask(name_of("99.1/泵/01"), "TXT", use_edns=0)
    assert answer.flags & dns.flags.AA
    (records,) = answer.answer
    assert records.ttl == 300
    strings = {record.strings[0]: b"".join(record.strings[1:]) for record in records}
    assert strings == {
        b"1 URL": CHINESE.encode(),
        b"2 DESC": ("泵" * 100).encode(),
        b"5 BYTES": bytes(range(256)),
    }


def test_links_as_uri_and_naptr(ask: Asking):
    encoded = "https://%E4%BE%8B%E5%AD%90.example/%E6%B3%B5?%E5%9E%8B=1#%E7%94%B2"
    answer = ask(name_of("99.1/泵/01"), "URI")
    assert data_of(answer) == [f'10 1 "{encoded}"']
    assert answer.answer[0].ttl == 300
    assert data_of(ask(name_of("99.1/泵/01"), "NAPTR")) == [f'100 10 "u" "HDL+URL" "!^.*$!{encoded}!" .']


def test_absolute_times_to_live_end(ask: Asking):
    assert ask(name_of("99.1/old"), "URI").answer[0].ttl == 5
    assert len(ask.answering.cache) == 0


def test_oids(ask: Asking):
    expected = {
        '100 10 "u" "ORS+COID" "!^.*$!/2/999/7/1!" .',
        '100 20 "u" "ORS+UINF" "!^.*$!http://oid/!" .',
        '100 30 "u" "ORS+CINF" "!^.*$!http://oid/c%21%7C!" .',
    }
    for name in ("1.7.999.2.oid.id.internal.", "ors-dummy.1.7.999.2.oid-res.test."):
        # "!" may stand in a URI, so another divider does.
        answer = {text.replace("\\", "") for text in data_of(ask(name, "NAPTR"))}
        assert answer == {text.replace("!^.*$!http://oid/c%21%7C!", "|^.*$|http://oid/c!%7C|") for text in expected}
    assert '100 10 "u" "ORS+COID" "!^.*$!/2/999!" .' in data_of(ask("999.2.oid-res.test.", "NAPTR"))


def test_gs1_keys(ask: Asking):
    for root in ("id.internal", "ons.test"):
        name = f"1.0.0.0.0.4.3.2.1.0.9.6.gtin.gs1.id.{root}."
        answer = ask("0." + name, "NAPTR")
        assert data_of(answer) == [
            '0 10 "U" "http://www.gs1.org/ons/epcis" "!^.*$!http://epcis/!" .',
            '0 20 "U" "https://ref.gs1.org/voc/pip" "!^.*$!http://p.example/!" .',
        ]
        assert ask(name, "NAPTR").rcode() == dns.rcode.NOERROR
        assert ask("9." + name, "NAPTR").rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (name_of("99.1/none"), "NXDOMAIN"),
        (name_of("99.3/none"), "NXDOMAIN"),
        ("99.hdl.id.internal.", "NOERROR"),
        ("98.hdl.id.internal.", "NXDOMAIN"),
        ("_.1.99.hdl.id.internal.", "NOERROR"),
        ("hdl.id.internal.", "NOERROR"),
        ("oid.id.internal.", "NOERROR"),
        ("gs1.id.id.internal.", "NOERROR"),
        ("2.oid-res.test.", "NOERROR"),
        ("7.999.2.oid-res.test.", "NOERROR"),
        ("8.999.2.oid-res.test.", "NXDOMAIN"),
        ("3.1.oid-res.test.", "NXDOMAIN"),
        ("www.id.internal.", "NXDOMAIN"),
        ("_zz._.1.99.hdl.id.internal.", "NXDOMAIN"),
        ("ns.id.internal.", "NOERROR"),
        ("ns.oid-res.test.", "NOERROR"),
    ],
)
def test_names_without_records_are_there_or_not(ask: Asking, name: str, code: str):
    answer = ask(name, "MX")
    assert (dns.rcode.to_text(answer.rcode()), answer.answer) == (code, [])
    (soa,) = answer.authority
    assert (soa.rdtype, soa.ttl) == (dns.rdatatype.SOA, 60)
    assert soa.to_text().endswith(" 60")
    assert dns.name.from_text(name).is_subdomain(soa.name)


def test_the_zone_itself(ask: Asking):
    assert data_of(ask("id.internal.", "SOA")) == [
        "ns.id.internal. hostmaster.id.internal. 7 3600 600 604800 60",
    ]
    assert data_of(ask("id.internal.", "NS")) == ["ns.id.internal."]
    assert data_of(ask("ns.id.internal.", "A")) == ["192.0.2.1"]
    assert data_of(ask("ns.id.internal.", "AAAA")) == ["2001:db8::1"]
    assert ask("id.internal.", "TXT").authority


def test_any_is_refused_politely(ask: Asking):
    assert data_of(ask(name_of("99.1/泵/01"), "ANY")) == ['"RFC8482" ""']


@pytest.mark.parametrize(("name", "kind"), [("example.org.", "A"), (".", "NS"), ("internal.", "SOA")])
def test_other_zones_are_refused(ask: Asking, name: str, kind: str):
    answer = ask(name, kind)
    assert answer.rcode() == dns.rcode.REFUSED
    assert not answer.flags & dns.flags.AA


def test_what_is_elsewhere_is_refused_without_recursion(ask: Asking):
    assert ask(name_of("99.2/a"), "TXT").rcode() == dns.rcode.REFUSED


def test_other_classes_operations_and_transfers(ask: Asking):
    assert ask("version.bind.", "TXT", rdclass=dns.rdataclass.CH).rcode() == dns.rcode.REFUSED
    assert ask("id.internal.", "AXFR").rcode() == dns.rcode.REFUSED
    query = dns.message.make_query("id.internal.", "SOA")
    query.set_opcode(dns.opcode.NOTIFY)
    assert dns.message.from_wire(ask.raw(query.to_wire())).rcode() == dns.rcode.NOTIMP


def test_edns(ask: Asking):
    answer = ask("id.internal.", "SOA", use_edns=0, payload=4096, want_dnssec=True)
    assert (answer.edns, answer.payload, bool(answer.ednsflags & dns.flags.DO)) == (0, 1232, True)
    assert ask("id.internal.", "SOA").edns == -1
    cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"abcdefgh")
    assert ask("id.internal.", "SOA", use_edns=0, options=[cookie]).rcode() == dns.rcode.NOERROR
    query = dns.message.make_query("id.internal.", "SOA", use_edns=1)
    answer = dns.message.from_wire(ask.raw(query.to_wire()))
    assert (answer.rcode(), answer.edns) == (dns.rcode.BADVERS, 0)


def test_long_answers_are_truncated_by_what_the_client_takes(ask: Asking):
    name = name_of("99.1/big")
    for payload, longest in ((0, 512), (512, 512), (1000, 1000), (4096, 1232)):
        more: dict[str, Any] = {"use_edns": 0, "payload": payload} if payload else {}
        answer = ask(name, "URI", **more)
        assert answer.flags & dns.flags.TC
        assert not answer.answer
        assert len(answer.to_wire()) <= longest
    whole = ask(name, "URI", stream=True)
    assert not whole.flags & dns.flags.TC
    assert len(data_of(whole)) == 39


def test_the_case_of_a_question_is_kept(ask: Asking):
    for seed in range(5):
        flip = random.Random(seed)
        text = "".join(flip.choice((c.lower(), c.upper())) for c in name_of("99.1/泵/01"))
        query = dns.message.make_query(text, "TXT", use_edns=0)
        answer = dns.message.from_wire(ask.raw(query.to_wire()))
        assert answer.question[0].name.to_text() == text
        assert answer.answer[0].name.to_text() == text
        assert len(answer.answer[0]) == 3
    assert ask.kept == 4


def test_answers_are_forgotten_with_their_handles():
    records = dict[str, Sequence[HandleValue]]()
    ask = Asking(lambda name: Found(records[name.key]) if name.key in records else Nowhere())
    name = name_of("99.1/a")
    assert ask(name, "TXT").rcode() == dns.rcode.NXDOMAIN
    records["99.1/a"] = (HandleValue(1, "URL", b"x"),)
    ask.answering.changed(frozenset({"99.1/a"}), frozenset())
    assert data_of(ask(name, "TXT")) == ['"1 URL" "x"']
    del records["99.1/a"]
    ask.answering.changed(frozenset({"99.1/other"}), frozenset())
    assert data_of(ask(name, "TXT")) == ['"1 URL" "x"']
    ask.answering.changed(frozenset(), frozenset({"99.1"}))
    assert ask(name, "TXT").rcode() == dns.rcode.NXDOMAIN


def test_types_that_are_letters_are_not_mixed_up(ask: Asking):
    """Types 0x54 and 0x74 are one another's capitals; so are sizes and options of EDNS."""
    query = bytearray(dns.message.make_query(name_of("99.1/泵/01"), "TXT").to_wire())
    for kind in (0x54, 0x74, 0x54):
        query[-3] = kind
        ask.raw(bytes(query))
    assert len(ask.answering.cache) == 0


def test_the_cache_is_bounded():
    zones = Zones(SETTINGS, serial=1)
    answering = DnsAnswering(zones, lookup, Counters(), now=lambda: NOW, cached=10)
    for n in range(100):
        answering.answer(dns.message.make_query(name_of(f"99.1/{n}"), "TXT").to_wire())
        assert answering.kept(dns.message.make_query(name_of(f"99.1/{n}"), "TXT").to_wire())
    assert len(answering.cache) == 10
    answering.changed(frozenset(f"99.1/{n}" for n in range(100)), frozenset())
    assert len(answering.cache) == 0


def test_the_cache_is_bounded_by_bytes():
    zones = Zones(SETTINGS, serial=1)
    answering = DnsAnswering(zones, lookup, Counters(), now=lambda: NOW, cached_bytes=20_000)
    for n in range(100):
        answering.answer(dns.message.make_query(name_of(f"99.1/{n}"), "TXT").to_wire())
        # The same again takes no more room.
        answering.answer(dns.message.make_query(name_of(f"99.1/{n}"), "TXT").to_wire())
    assert 10 < len(answering.cache) <= 20_000 // ENTRY_BYTES


WIRE = dns.message.make_query(name_of("99.1/泵/01"), "TXT", use_edns=0).to_wire()


@settings(max_examples=150)
@given(
    st.one_of(
        st.binary(max_size=80),
        st.builds(
            lambda at, byte, cut: (WIRE[:at] + bytes([byte]) + WIRE[at + 1 :])[:cut],
            st.integers(0, len(WIRE) - 1),
            st.integers(0, 255),
            st.integers(8, len(WIRE) + 1),
        ),
        st.builds(lambda tail: WIRE + tail, st.binary(min_size=1, max_size=40)),
    ),
    st.booleans(),
)
def test_whatever_comes_is_answered_or_dropped(data: bytes, stream: bool):
    answer = Asking().answering.answer(data, stream=stream)
    if len(data) < 12 or data[2] & 0x80:
        assert answer is None
        return
    assert isinstance(answer, bytes)
    read = dns.message.from_wire(answer, question_only=True)
    assert read.id == int.from_bytes(data[:2], "big")
    assert read.flags & dns.flags.QR
    dns.message.from_wire(answer)
