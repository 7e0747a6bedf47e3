"""Identifiers of things: EPC URIs and Digital Links of one key are one thing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.identify.epcis.things import canonical, check_digit, covers, is_class, lot, lot_of, pattern

LINK = "https://id.gs1.org"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("urn:epc:id:sgtin:4012345.011111.9876", "/01/04012345111118/21/9876"),
        ("urn:epc:id:sgtin:4012345.011111.32a%2Fb", "/01/04012345111118/21/32a%2Fb"),
        ("urn:epc:id:sgtin:4012345.011111.a+b", "/01/04012345111118/21/a%2Bb"),
        ("urn:epc:class:lgtin:4012345.012345.998877", "/01/04012345123456/10/998877"),
        ("urn:epc:idpat:sgtin:4012345.098765.*", "/01/04012345987652"),
        ("urn:epc:id:sscc:0614141.1234567890", "/00/106141412345678908"),
        ("urn:epc:id:sgln:4012345.00005.0", "/414/4012345000054"),
        ("urn:epc:id:sgln:0614141.07346.1234", "/414/0614141073467/254/1234"),
        ("urn:epc:id:sgln:401234512345..0", "/414/4012345123456"),
        ("urn:epc:id:pgln:4012345.00225", "/417/4012345002256"),
        ("urn:epc:id:grai:4012345.55555.4987", "/8003/040123455555544987"),
        ("urn:epc:id:giai:4000001.111", "/8004/4000001111"),
        ("urn:epc:id:gdti:4012345.55555.498", "/253/4012345555554498"),
        ("urn:epc:id:itip:4012345.012345.01.02.999", "/8006/040123451234560102/21/999"),
        ("urn:epc:id:cpi:4012345.ABC.123", "/8010/4012345ABC/8011/123"),
        ("urn:epc:id:upui:4012345.012345.AB12", "/01/04012345123456/235/AB12"),
        ("https://example.com/some/path/01/4012345111118/10/L1/21/9876?x=1", "/01/04012345111118/21/9876"),
        ("http://example.com/gtin/04012345111118/lot/L1/", "/01/04012345111118/10/L1"),
        ("https://id.gs1.org/01/04012345111118/22/2A/21/7", "/01/04012345111118/21/7"),
        ("https://id.gs1.org/414/4012345000054/254/0", "/414/4012345000054"),
    ],
)
def test_one_form(uri: str, expected: str) -> None:
    assert canonical(uri) == LINK + expected
    assert canonical(LINK + expected) == LINK + expected


@pytest.mark.parametrize(
    "uri",
    [
        "urn:uuid:374d95fc-9457-4a51-bd6a-0bba133845a8",
        "urn:epc:id:sgtin:4012345.01111.9876",
        "urn:epc:id:sgtin:4012345.011111.",
        "https://example.com/po/12345678",
        "https://example.com/01/123",
        "urn:epcglobal:cbv:bt:0614141073467:1152",
        "geo:42.698334,23.319941",
    ],
)
def test_what_is_no_key_stays(uri: str) -> None:
    assert canonical(uri) == uri


@given(
    st.integers(6, 12), st.text("0123456789", min_size=13, max_size=13), st.text("abXYZ019-._", min_size=1, max_size=20)
)
def test_every_split_of_a_gtin_is_the_same_thing(length: int, digits: str, serial: str) -> None:
    company, reference = digits[:length], digits[length:]
    first = reference[0] + company + reference[1:]
    expected = f"{LINK}/01/{first}{check_digit(first)}/21/{serial}"
    assert canonical(f"urn:epc:id:sgtin:{company}.{reference}.{serial}") == expected
    assert canonical(f"https://x.example/01/{first}{check_digit(first)}/21/{serial}") == expected


def test_check_digit() -> None:
    assert [check_digit(digits) for digits in ("0401234511111", "629104150021", "37610425002123456")] == ["8", "3", "9"]


def test_lots_and_classes() -> None:
    lot_uri = f"{LINK}/01/04012345111118/10/L1"
    assert lot_of("https://example.com/01/4012345111118/10/L1/21/9") == lot_uri
    assert lot_of(f"{LINK}/01/04012345111118/21/9") is None
    assert lot("urn:epc:id:sgtin:4012345.011111.9", "L1") == lot_uri
    assert lot("urn:epc:id:sscc:0614141.1234567890", "L1") is None
    assert is_class(lot_uri)
    assert is_class(f"{LINK}/01/04012345111118")
    assert not is_class(f"{LINK}/01/04012345111118/21/9")
    assert not is_class(f"{LINK}/00/106141412345678908")


def test_patterns() -> None:
    key = f"{LINK}/01/04012345111118"
    assert pattern("urn:epc:idpat:sgtin:4012345.011111.*") == (key, True)
    assert pattern(key) == (key, False)
    assert all(covers(key, thing) for thing in (key, f"{key}/21/1", f"{key}/10/1"))
    assert not any(covers(key, thing) for thing in (f"{LINK}/01/04012345111119", f"{key}9", LINK))
    assert covers(f"{LINK}/8003/04012345555554", f"{LINK}/8003/040123455555544987")
