"""Units, qualities, sequence numbers, addresses, alarms and data types: the pure parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.connect.kit.types import DriverError, Reason
from gongfu.connect.opcua import addressing, data_types, events, failures, units
from gongfu.connect.opcua.quality import overflowed, qualities, quality_of, status_of
from gongfu.connect.opcua.security import Endpoint, choose
from gongfu.connect.opcua.sequence import Order, SequenceWatch
from gongfu.kernel import unit_texts
from gongfu.kernel.quality import Quality
from gongfu.kernel.units import check_unit


def test_every_unit_of_the_table_is_ucum():
    for code in {*units.CODES.values(), *unit_texts.SHOWN.values(), *unit_texts._PLAIN}:
        check_unit(code)


@pytest.mark.parametrize(
    ("namespace", "unit_id", "shown", "ucum"),
    [
        (units.CEFACT, 4408652, "°C", "Cel"),
        (units.CEFACT, int.from_bytes(b"BAR", "big"), "", "bar"),
        ("urn:maker", 4408652, "m³/h", "m3/h"),
        ("", -1, "转/分", "/min"),
        ("", 0, "kW", "kW"),
        ("", 0, "furlong per fortnight", ""),
        ("", 2**31 - 1, "", ""),
    ],
)
def test_units(namespace, unit_id, shown, ucum):
    assert units.ucum_of(namespace, unit_id, shown) == ucum


@given(st.integers(0, 2**32 - 1))
def test_severity_is_kept(status):
    assert quality_of(status) >> 6 == min(status >> 30, 2)


def test_our_qualities_come_back_with_their_severity():
    for quality in Quality:
        assert quality_of(status_of(quality)) >> 6 == quality >> 6
    assert quality_of(status_of(Quality.BAD_DEVICE)) == Quality.BAD_DEVICE


def test_overflow_and_missing_values():
    assert overflowed(0x480)
    assert not overflowed(0x400)
    assert not overflowed(0x80)
    assert qualities([0, 0x480, 0x80310000], [None, 1.0, 2.0]) == [Quality.BAD_NO_DATA, 0, Quality.BAD_DEVICE]


def test_sequence_numbers_over_their_end():
    watch = SequenceWatch(0xFFFF_FFFD)
    assert watch.seen(0xFFFF_FFFE, False) == (Order.NEXT, [])
    assert watch.seen(0xFFFF_FFFF, True) == (Order.KEEP_ALIVE, [])
    assert watch.seen(1, False) == (Order.NEXT, [0xFFFF_FFFF])
    assert watch.seen(1, False) == (Order.REPEATED, [])
    assert watch.seen(2, True) == (Order.KEEP_ALIVE, [])
    assert watch.seen(5, True) == (Order.KEEP_ALIVE, [2, 3, 4])
    assert watch.seen(5, False) == (Order.NEXT, [])


@given(st.lists(st.sampled_from(["message", "alive", "lost"]), max_size=60), st.integers(0, 2**32 - 1))
def test_what_was_lost_is_said_exactly_once(stream, last):
    watch, number, lost, told = SequenceWatch(last), last, [], []
    for kind in [*stream, "alive"]:
        following = SequenceWatch.following(number)
        if kind != "alive":
            number = following
        if kind == "lost":
            lost.append(following)
        else:
            told += watch.seen(following, kind == "alive")[1]
    assert told == lost


@pytest.mark.parametrize(
    "where", ["", "Pump.1", "ns=2;x=1", "ns=70000;i=1", "i=-1", "i=4294967296", "g=no", "b=?", "s="]
)
def test_addresses_that_are_none(where):
    with pytest.raises(DriverError) as raised:
        addressing.resolve(where, [])
    assert raised.value.reason is Reason.ADDRESS_UNKNOWN
    assert "ns=2;s=Name" in raised.value.advice


def test_a_namespace_by_its_uri():
    assert addressing.resolve("nsu=urn:b;i=5", ["urn:a", "urn:b"]) == addressing.resolve("ns=1;i=5", [])
    with pytest.raises(DriverError, match="urn:c"):
        addressing.resolve("nsu=urn:c;i=5", ["urn:a"])


def alarm(**values):
    return events.detail_of([values.get(name) for name, _, _ in events.FIELDS])


def test_alarms():
    kind, detail = alarm(
        event_id=b"\1\2", condition="ns=2;s=高压", active=True, acknowledged=False, severity=850, message="压力高"
    )
    assert kind == "opcua.alarm"
    assert (detail["state"], detail["priority"], detail["event_id"]) == ("unacknowledged", "critical", "0102")
    assert alarm(condition="a", active=False, acknowledged=False)[1]["state"] == "returned"
    assert alarm(condition="a", active=False, acknowledged=True)[1]["state"] == "normal"
    assert alarm(condition="a", active=True)[1]["state"] == "acknowledged"
    assert alarm(condition="a")[0] == "opcua.condition"
    assert alarm(message="started", severity=5000)[1]["severity"] == 1
    assert alarm(event_type="i=2787") is None


@pytest.mark.parametrize(
    ("data_type", "rank", "expected"),
    [("i=11", -1, "double"), ("i=8", -1, "int64"), ("i=1", -1, "boolean"), ("i=13", -1, "string"), ("i=11", 1, "json"),
     ("i=26", -1, "double"), ("i=29", -1, "int64"), ("i=19", -1, "int64"), ("ns=2;i=7", -1, "")],
)  # fmt: skip
def test_value_types(data_type, rank, expected):
    assert data_types.value_type_of(data_type, rank) == expected


def test_failures_say_what_to_do():
    for code in failures.STATUS:
        error = failures.of_status(code << 16, "Trying", "AB12")
        assert error.advice
        assert f"0x{code:04X}" in error.what
    assert "AB12" in failures.of_status(0x801A0000, "Trying", "AB12").advice
    assert failures.of_status(0x80FF0000, "Trying").reason is Reason.PROTOCOL


def endpoint(policy, mode):
    return Endpoint(
        url="opc.tcp://h:1",
        policy=f"http://x#{policy}",
        mode=mode,
        certificate=b"",
        server_uri="",
        server_name="",
        tokens=(),
    )


def test_the_strongest_endpoint_is_taken_and_none_only_when_asked():
    none, sign, both = endpoint("None", 1), endpoint("Basic256Sha256", 2), endpoint("Basic256Sha256", 3)
    strong, broken = endpoint("Aes256_Sha256_RsaPss", 3), endpoint("Basic128Rsa15", 3)
    assert choose([none, broken, sign, both, strong], "auto", "auto", "u") is strong
    assert choose([none, broken, sign, both, strong], "auto", "Basic256Sha256", "u") is both
    assert choose([none, sign], "auto", "", "u") is sign
    assert choose([none, sign], "none", "", "u") is none
    with pytest.raises(DriverError, match="None/None") as raised:
        choose([none, broken], "auto", "auto", "u")
    assert "none" in raised.value.advice
