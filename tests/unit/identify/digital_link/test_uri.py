"""Links, element strings and bar codes: what is accepted, what is refused and why, and that one becomes the other."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.identify.digital_link.application_identifiers import ApplicationIdentifier, primary_keys, table
from gongfu.identify.digital_link.character_sets import CSET_82
from gongfu.identify.digital_link.check_digits import check_digit, check_pair
from gongfu.identify.digital_link.elements import Element, check_value
from gongfu.identify.digital_link.errors import GS1Error, Reason
from gongfu.identify.digital_link.scanning import SEPARATOR, printed, recognise, scanned
from gongfu.identify.digital_link.uri import DigitalLink, link_of, parse_target, parse_uri, path_of

ROOT = "https://id.example.org"
GTIN = "09506000134352"

# One right value of every primary key.
KEYS = {
    "00": "095060001343520000"[:-1] + check_digit("09506000134352000"),
    "01": GTIN,
    "253": "9506000134376ABC/1",
    "255": "9506000134376" + "1234",
    "401": "9506000ABC",
    "402": "9506000134376012"[:16] + check_digit("9506000134376012"),
    "414": "9506000134376",
    "417": "9506000134376",
    "8003": "09506000134376ABC",
    "8004": "9506000ABC123",
    "8006": GTIN + "0102",
    "8010": "9506000ABC-1",
    "8013": "9506000Ad4X" + check_pair("9506000Ad4X"),
    "8017": "95060001343761234" + check_digit("95060001343761234"),
    "8018": "95060001343761234" + check_digit("95060001343761234"),
}


@pytest.mark.parametrize("ai", sorted(KEYS))
def test_every_primary_key_is_a_link(ai: str) -> None:
    link = parse_uri(f"{ROOT}{path_of([Element(ai, KEYS[ai])])}")
    assert link.key == Element(ai, KEYS[ai])
    assert parse_uri(link.canonical(ROOT)) == link


def test_the_table_has_no_other_keys_but_one_that_needs_another() -> None:
    assert primary_keys() - KEYS.keys() == {"415"}
    assert parse_uri(f"{ROOT}/415/9506000134376/8020/INV-7").qualifiers == (Element("8020", "INV-7"),)
    assert refused(f"{ROOT}/415/9506000134376") is Reason.MISSING


def refused(uri: str) -> Reason:
    with pytest.raises(GS1Error) as error:
        parse_uri(uri)
    assert error.value.detail
    return error.value.reason


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("", Reason.NOT_A_LINK),
        ("ftp://a/01/09506000134352", Reason.NOT_A_LINK),
        ("https://id.example.org", Reason.NOT_A_LINK),
        ("https:///01/09506000134352", Reason.NOT_A_LINK),
        (f"{ROOT}/", Reason.NOT_A_LINK),
        (f"{ROOT}/products/7", Reason.NOT_A_LINK),
        (f"{ROOT}/21/7", Reason.NOT_A_LINK),
        (f"{ROOT}/01", Reason.NOT_A_LINK),
        (f"{ROOT}/01/", Reason.NOT_A_LINK),
        (f"{ROOT}/01//21/7", Reason.VALUE),
        (f"{ROOT}/01/{GTIN}/foo", Reason.NO_KEY),
        (f"{ROOT}/01/{GTIN}/foo/bar", Reason.NO_KEY),
        (f"{ROOT}/01/{GTIN}/09/1", Reason.UNKNOWN_AI),
        (f"{ROOT}/01/{GTIN}/17/261231", Reason.ORDER),
        (f"{ROOT}/01/{GTIN}/99/ABC", Reason.ORDER),
        (f"{ROOT}/01/{GTIN}/21/S1/10/L1", Reason.ORDER),
        (f"{ROOT}/01/{GTIN}/21/S1/21/S1", Reason.ORDER),
        (f"{ROOT}/01/{GTIN}/235/T/21/S1", Reason.ORDER),
        (f"{ROOT}/414/9506000134376/254/1/7040/1ABC", Reason.ORDER),
        (f"{ROOT}/00/{KEYS['00']}/21/1", Reason.ORDER),
        (f"{ROOT}/gtin/{GTIN}/ser/7", Reason.SHORT_NAME),
        (f"{ROOT}/01/09506000134353", Reason.VALUE),
        (f"{ROOT}/01/950600013435", Reason.VALUE),
        (f"{ROOT}/01/0950600013435X", Reason.VALUE),
        (f"{ROOT}/01/{GTIN}/21/{'x' * 21}", Reason.VALUE),
        (f"{ROOT}/01/{GTIN}/21/%E4%B8%AD", Reason.VALUE),
        (f"{ROOT}/01/{GTIN}/21/中", Reason.VALUE),
        (f"{ROOT}/01/{GTIN}/21/%E4%B8", Reason.ENCODING),
        (f"{ROOT}/01/{GTIN}/21/%4", Reason.ENCODING),
        (f"{ROOT}/01/{GTIN}/21/a%00", Reason.VALUE),
        (f"{ROOT}/01/{GTIN}/21/a%20b", Reason.VALUE),
        (f"{ROOT}/01/{GTIN}?05=1", Reason.UNKNOWN_AI),
        (f"{ROOT}/01/{GTIN}?10=L1", Reason.NOT_AN_ATTRIBUTE),
        (f"{ROOT}/01/{GTIN}?21=7", Reason.NOT_AN_ATTRIBUTE),
        (f"{ROOT}/01/{GTIN}?8200=x", Reason.NOT_AN_ATTRIBUTE),
        (f"{ROOT}/01/{GTIN}?17=261231&17=261231", Reason.REPEATED),
        (f"{ROOT}/01/{GTIN}?17=261331", Reason.VALUE),
        (f"{ROOT}/01/{GTIN}?37=4", Reason.EXCLUDED),
        (f"{ROOT}/00/{KEYS['00']}?37=4", Reason.MISSING),
        (f"{ROOT}/01/{GTIN}?3100=000001&3101=000001", Reason.EXCLUDED),
        (f"{ROOT}/00/{KEYS['00']}?17=261231", Reason.MISSING),
        (f"{ROOT}/00/{KEYS['00']}?4300=%25Z4", Reason.VALUE),
        (f"{ROOT}/01/{GTIN}?x={'y' * 9000}", Reason.TOO_LONG),
    ],
)
def test_what_is_no_link_is_refused_for_its_reason(uri: str, reason: Reason) -> None:
    assert refused(uri) is reason


def test_many_identifiers() -> None:
    link = parse_uri(
        f"HTTPS://ID.example.org/some/stem/01/{GTIN}/22/2A/10/ABC%2F1/21/7/?17=271231;3103=000195&utm=a#part"
    )
    assert link.stem == "/some/stem"
    assert [item.ai for item in link.qualifiers] == ["22", "10", "21"]
    assert link.qualifiers[1].value == "ABC/1"
    assert link.attributes == (Element("17", "271231"), Element("3103", "000195"))
    assert link.canonical() == f"https://id.gs1.org/01/{GTIN}/22/2A/10/ABC%2F1/21/7?17=271231&3103=000195"


def test_digits_may_be_encoded() -> None:
    assert parse_uri(f"{ROOT}/%301/%30{GTIN[1:]}/%32%31/%37").path == f"/01/{GTIN}/21/7"
    assert parse_uri(f"{ROOT}/01/{GTIN}/21/%37%2F7").qualifiers == (Element("21", "7/7"),)


def test_an_identifier_in_the_stem_is_none() -> None:
    assert parse_uri(f"{ROOT}/01/faux/00/{KEYS['00']}").key.ai == "00"


def test_chinese_in_attributes_that_are_percent_encoded_text() -> None:
    link = parse_uri(f"{ROOT}/00/{KEYS['00']}?4300=%25E4%25B8%25AD%25E5%259B%25BD")
    assert link.attributes == (Element("4300", "%E4%B8%AD%E5%9B%BD"),)
    assert parse_uri(link.canonical(ROOT)) == link


@pytest.mark.parametrize(
    "short",
    ["9506000134352", "950600013436"[:11] + check_digit("950600013436"[:11]), "95060009"[:7] + check_digit("9506000")],
)
def test_short_gtins_are_padded(short: str) -> None:
    assert parse_uri(f"{ROOT}/01/{short}").key.value == short.zfill(14)
    assert recognise(short) == parse_uri(f"{ROOT}/01/{short}")


def test_short_names_where_they_are_asked_for() -> None:
    link = parse_uri(f"{ROOT}/gtin/{GTIN}/lot/gtin/ser/7", short_names=True)
    assert link.path == f"/01/{GTIN}/10/gtin/21/7"


def test_levels_are_most_special_first() -> None:
    paths = [path_of(level) for level in parse_uri(f"{ROOT}/01/{GTIN}/22/V/10/L/21/S").levels()]
    head = f"/01/{GTIN}"
    assert paths == [
        f"{head}/22/V/10/L/21/S",
        f"{head}/10/L/21/S",
        f"{head}/22/V/21/S",
        f"{head}/21/S",
        f"{head}/22/V/10/L",
        f"{head}/10/L",
        f"{head}/22/V",
        head,
    ]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (f"({'01'}){GTIN}(10)A\\(1)(21)7(17)271231", f"/01/{GTIN}/10/A%281%29/21/7"),
        ("(01)9506000134352(21)7", f"/01/{GTIN}/21/7"),
        (f"]d201{GTIN}17271231217{SEPARATOR}10ABC", f"/01/{GTIN}/10/ABC/21/7"),
        (f"]C101{GTIN}10ABC{SEPARATOR}217", f"/01/{GTIN}/10/ABC/21/7"),
        (f"^01{GTIN}10ABC^217", f"/01/{GTIN}/10/ABC/21/7"),
        (f"01{GTIN}217", f"/01/{GTIN}/21/7"),
        ("]E09506000134352", f"/01/{GTIN}"),
        ("  9506000134352\n", f"/01/{GTIN}"),
        (KEYS["00"], f"/00/{KEYS['00']}"),
        (f"(8006){KEYS['8006']}(21)7", f"/8006/{KEYS['8006']}/21/7"),
        ("(414)9506000134376(254)1", "/414/9506000134376/254/1"),
    ],
)
def test_what_scanners_send(text: str, path: str) -> None:
    assert recognise(text).path == path


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.NOT_A_LINK),
        ("Hello", Reason.NOT_A_LINK),
        ("中国", Reason.NOT_A_LINK),
        ("9506000134353", Reason.VALUE),
        ("]E0950600013435", Reason.VALUE),
        ("(01)", Reason.VALUE),
        ("(1)2", Reason.NOT_A_LINK),
        ("(21)7", Reason.NO_KEY),
        ("(05)7", Reason.UNKNOWN_AI),
        (f"(01){GTIN}(255)9506000134376", Reason.EXCLUDED),
        (f"(01){GTIN}(01){GTIN}", Reason.REPEATED),
        (f"]d201{GTIN}XY", Reason.UNKNOWN_AI),
        (f"(01){GTIN}(8200)https://x", Reason.NOT_AN_ATTRIBUTE),
        ("x" * 9000, Reason.TOO_LONG),
    ],
)
def test_what_is_nothing_of_gs1_is_refused(text: str, reason: Reason) -> None:
    with pytest.raises(GS1Error) as error:
        recognise(text)
    assert error.value.reason is reason


def value_of(item: ApplicationIdentifier, draw: st.DrawFn) -> str:
    """Draw a value that its components allow, where their linters are few; of the others a known one."""
    if item.ai in KEYS:
        return KEYS[item.ai]
    parts: list[str] = []
    for component in item.components:
        alphabet = {"N": "0123456789", "X": CSET_82, "Y": "#-/0123456789ABCXYZ", "Z": "AZaz09-_"}[component.kind]
        if not component.linters:
            parts.append(draw(st.text(alphabet, min_size=component.minimum, max_size=component.maximum)))
    return "".join(parts)


PLAIN = [
    item
    for ai, item in table().items()
    if item.attribute and not any(component.linters for component in item.components) and ai not in KEYS
]


@st.composite
def links(draw: st.DrawFn) -> DigitalLink:
    """Links of every key with some of its qualifiers and an attribute that goes with it."""
    ai = draw(st.sampled_from(sorted(KEYS)))
    sequence = draw(st.sampled_from(table()[ai].qualifiers or ((),)))
    plain = [item for item in sequence if not any(c.linters for c in table()[item].components)]
    chosen = [item for item in plain if draw(st.booleans())]
    elements = [Element(ai, KEYS[ai]), *(Element(item, value_of(table()[item], draw)) for item in chosen)]
    extra = draw(st.sampled_from(PLAIN))
    try:
        return link_of([*elements, Element(extra.ai, value_of(extra, draw))])
    except GS1Error:
        return link_of(elements)


@given(links())
@settings(max_examples=200, deadline=None)
def test_a_link_its_printed_and_its_scanned_string_are_the_same_thing(link: DigitalLink) -> None:
    again = parse_uri(link.canonical(ROOT))
    assert (again.key, again.qualifiers) == (link.key, link.qualifiers)
    assert sorted(again.attributes, key=lambda e: e.ai) == sorted(link.attributes, key=lambda e: e.ai)
    assert recognise(f"]d2{scanned(link)}").canonical() == link.canonical()
    if not any(re.search(r"\\|\([0-9]{2,4}\)", e.value) for e in (*link.qualifiers, *link.attributes)):
        assert recognise(printed(link)).canonical() == link.canonical()


@given(st.text(max_size=60))
@settings(max_examples=300)
def test_any_text_is_a_link_or_refused(text: str) -> None:
    for parse in (recognise, lambda given: parse_target(f"/01/{given}"), lambda given: parse_uri(f"{ROOT}/01/{given}")):
        try:
            link = parse(text)
        except GS1Error:
            continue
        assert parse_uri(link.canonical()).key == link.key


def test_a_value_of_many_components() -> None:
    check_value("423", "156250")
    check_value("8003", "09506000134376")
    for value in ("15625", "1562500", "156" * 6):
        with pytest.raises(GS1Error):
            check_value("423", value)
