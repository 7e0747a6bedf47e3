"""Handles, OIDs and GS1 keys as names in the DNS, and back."""

import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gongfu.identify.dns.message import wire_name
from gongfu.identify.dns.names import PART, NameLengthError, handle_of, labels_of
from gongfu.identify.dns.oid import handle_of_oid, oid_of
from gongfu.identify.dns.ons import KEYS, check_digit, key_of, labels_of_key
from gongfu.identify.handle.names import HandleName, parse_handle

SEGMENTS = st.text("abcXYZ0189-_例", min_size=1, max_size=6)
PREFIXES = st.lists(SEGMENTS, min_size=1, max_size=4).map(".".join)
SUFFIXES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


def named(text: str) -> tuple[bytes, ...]:
    return tuple(label.encode() for label in text.split("."))


@pytest.mark.parametrize(
    ("handle", "name"),
    [
        ("99.1000.1/m-01", "m-01._.1.1000.99"),
        ("99.1000.1/M01", "_4d01._.1.1000.99"),
        ("99.1000.1/泵/a?b#c%20", "_e6_b3_b5_2fa_3fb_23c_2520._.1.1000.99"),
        ("99.AB/_.", "_5f_2e._.ab.99"),
        ("0.NA/99.1000", "1000.99"),
        ("99.1/" + "a" * 62, "a" * 62 + "._.1.99"),
        ("99.1/" + "a" * 64, "a" * 62 + ".aa_._.1.99"),
    ],
)
def test_written_forms(handle: str, name: str):
    assert b".".join(labels_of(parse_handle(handle))) == name.encode()


@given(PREFIXES, SUFFIXES, st.integers())
def test_every_handle_survives_its_name_in_any_case(prefix: str, suffix: str, seed: int):
    name = HandleName(prefix, suffix)
    assume(prefix.upper() != "0.NA")
    try:
        labels = labels_of(name, (b"hdl", b"zone"))
    except NameLengthError:
        assume(False)
        return
    wire_name(labels)
    flip = random.Random(seed)
    mixed = [bytes(flip.choice((byte, ord(chr(byte).upper()))) for byte in label) for label in labels[:-2]]
    found = handle_of(mixed)
    assert isinstance(found, HandleName)
    assert found.suffix == suffix
    assert found.key == name.key


@given(PREFIXES)
def test_a_prefix_survives_as_a_domain(prefix: str):
    found = handle_of(labels_of(HandleName("0.NA", prefix)))
    assert isinstance(found, HandleName)
    assert found.key == HandleName("0.NA", prefix).key


@given(st.lists(st.binary(min_size=1, max_size=12), max_size=6))
def test_any_labels_are_read(labels: list[bytes]):
    found = handle_of(labels)
    if isinstance(found, HandleName):
        # What a name stands for can be written, as what it stands for.
        again = handle_of(labels_of(found))
        assert isinstance(again, HandleName)
        assert again.key == found.key


def test_utf8_may_stand_in_a_label_as_it_is():
    assert handle_of(["泵".encode(), b"_", b"1", b"99"]) == HandleName("99.1", "泵")


@pytest.mark.parametrize("name", ["_.1.99", "aa_._.1.99", "bb_.aa_._.1.99"])
def test_names_on_the_way_to_a_handle(name: str):
    assert handle_of(named(name)) is PART


@pytest.mark.parametrize(
    "name", ["_4.a", "_zz._.1.99", "a.b._.1.99", "a b._.1.99", "a._2e._.1.99", "_ff._.1.99", "a._"]
)
def test_names_that_no_handle_has(name: str):
    assert handle_of(named(name)) is None


def test_a_handle_too_long_for_a_name():
    with pytest.raises(NameLengthError):
        labels_of(HandleName("99.1", "工" * 30))
    with pytest.raises(NameLengthError):
        labels_of(HandleName("9" * 64, "a"))


@pytest.mark.parametrize(
    ("name", "oid"),
    [
        ("7.999.2", "2.999.7"),
        ("ors-dummy.7.999.2", "2.999.7"),
        ("ORS-Dummy.2", "2"),
        ("ors-dummy", ""),
        ("3.1", "1.3"),
        ("40.1", None),
        ("3", None),
        ("07.999.2", None),
        ("a.2", None),
        ("٣.2", None),
        ("7.ors-dummy.2", None),
    ],
)
def test_oids(name: str, oid: str | None):
    assert oid_of(named(name)) == oid


def test_the_nearest_prefix_has_an_oid():
    prefixes = {"2.999": "99.1000.1", "2.999.7": "99.1000.2"}
    assert handle_of_oid("2.999.5.1", prefixes) == HandleName("99.1000.1", "5.1")
    assert handle_of_oid("2.999.7.1", prefixes) == HandleName("99.1000.2", "1")
    assert handle_of_oid("2.999.7", prefixes) == HandleName("0.NA", "99.1000.2")
    assert handle_of_oid("2.99", prefixes) is None
    assert handle_of_oid("2", prefixes) is PART
    assert handle_of_oid("", prefixes) is PART
    assert handle_of_oid("1.3", prefixes) is None


def test_a_gtin_has_the_name_of_the_standard():
    labels = labels_of_key(b"gtin", "00866990337140"[:13] + check_digit("0086699033714"))
    assert b".".join(labels) == b"0.4.1.7.3.3.0.9.9.6.6.8.0.gtin.gs1.id"


@given(st.sampled_from(sorted(KEYS)), st.data())
def test_every_gs1_key_survives_its_name(kind: bytes, data: st.DataObject):
    body = data.draw(st.text("0123456789", min_size=KEYS[kind].digits - 1, max_size=KEYS[kind].digits - 1))
    value = body + check_digit(body)
    labels = labels_of_key(kind, value)
    assert key_of(labels) == (KEYS[kind].ai, value)
    assert key_of(labels[1:]) is PART
    assert key_of((b"1", *labels)) is None


def test_names_that_no_gs1_key_has():
    assert key_of(named("gtin.gs1.id")) is PART
    assert key_of(named("id")) is PART
    assert key_of(named("1.x.gtin.gs1.id")) is None
    assert key_of(named("1.giai.gs1.id")) is None
    assert key_of(named("www")) is None
    with pytest.raises(ValueError, match="check digit"):
        labels_of_key(b"gln", "6901234000017")
