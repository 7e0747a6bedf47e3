"""Handle values as JSON."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.identify.handle import predefined
from gongfu.identify.handle.json_form import from_json, to_json
from gongfu.identify.handle.predefined import Administrator, Interface, Server, Site
from gongfu.identify.handle.values import HandleValue, Reference
from gongfu.identify.handle.wire import MalformedError
from tests.unit.identify.handle import messages

EXACT = messages.VALUES.filter(lambda value: value.timestamp < 2**31 and value.ttl < 2**31)


@given(EXACT)
def test_round_trip(value: HandleValue) -> None:
    document = json.loads(json.dumps(to_json(value)))
    assert from_json(document, value.timestamp) == value


@given(st.one_of(messages.ADMINISTRATORS, messages.SITES, st.lists(messages.REFERENCES, max_size=3)))
def test_round_trip_of_predefined_types(data: Administrator | Site | list[Reference]) -> None:
    if isinstance(data, Administrator):
        value = HandleValue(1, "HS_ADMIN", predefined.encode_administrator(data))
    elif isinstance(data, Site):
        plain = msgspec.structs.replace(data, hash_filter=b"")
        interfaces = tuple(
            msgspec.structs.replace(
                server, interfaces=tuple(msgspec.structs.replace(i, service=i.service & 3) for i in server.interfaces)
            )
            for server in plain.servers
        )
        value = HandleValue(1, "HS_SITE", predefined.encode_site(msgspec.structs.replace(plain, servers=interfaces)))
    else:
        value = HandleValue(1, "HS_VLIST", predefined.encode_references(tuple(data)))
    document = to_json(value)
    assert document["data"]["format"] in ("admin", "site", "vlist")
    assert from_json(document, 0) == value


def test_forms() -> None:
    assert to_json(HandleValue(1, "URL", "工".encode(), timestamp=1_700_000_000)) == {
        "index": 1,
        "type": "URL",
        "data": {"format": "string", "value": "工"},
        "ttl": 86400,
        "timestamp": "2023-11-14T22:13:20Z",
    }
    assert to_json(HandleValue(1, "BIN", b"\xff"))["data"] == {"format": "base64", "value": "/w=="}
    administrator = Administrator(0b111111110011, "0.NA/99.1", 300)
    assert to_json(HandleValue(100, "HS_ADMIN", predefined.encode_administrator(administrator)))["data"] == {
        "format": "admin",
        "value": {"handle": "0.NA/99.1", "index": 300, "permissions": "111111110011"},
    }
    site = Site(serial=1, servers=(Server(1, "10.0.0.7", b"", (Interface(3, 1, 2641),)),))
    shown = to_json(HandleValue(2, "HS_SITE", predefined.encode_site(site)))["data"]["value"]
    assert shown["servers"][0]["interfaces"] == [{"query": True, "admin": True, "protocol": "TCP", "port": 2641}]
    # What is of a known type and yet damaged is shown as it is.
    assert to_json(HandleValue(2, "HS_SITE", b"\x00"))["data"]["format"] == "base64"


def test_what_clients_write() -> None:
    assert from_json({"index": 1, "type": "URL", "data": "http://a"}, 5) == HandleValue(
        1, "URL", b"http://a", timestamp=5
    )
    assert from_json({"index": 1, "type": "X", "data": {"format": "hex", "value": "00ff"}}, 5).data == b"\x00\xff"
    value = from_json(
        {
            "index": 100,
            "type": "HS_ADMIN",
            "data": {"format": "admin", "value": {"handle": "9/A", "index": "300", "permissions": "011111110011"}},
            "permissions": "1100",
            "ttl": "2026-11-22T08:00:00Z",
        },
        5,
    )
    assert (value.permissions, value.ttl_type, value.ttl) == (0b1100, 1, 1_795_334_400)
    assert predefined.decode_administrator(value.data) == Administrator(0b11111110011, "9/A", 300)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"index": 0, "type": "T", "data": ""},
        {"index": 2**32, "type": "T", "data": ""},
        {"index": 1, "type": "T", "data": 5},
        {"index": 1, "type": "T", "data": {"format": "string"}},
        {"index": 1, "type": "T", "data": {"format": "base64", "value": "!"}},
        {"index": 1, "type": "T", "data": {"format": "hex", "value": "0"}},
        {"index": 1, "type": "T", "data": {"format": "odd", "value": ""}},
        {"index": 1, "type": "T", "data": {"format": "admin", "value": {}}},
        {"index": 1, "type": "T", "data": {"format": "admin", "value": {"handle": 5, "index": 1}}},
        {"index": 1, "type": "T", "data": {"format": "site", "value": {"serialNumber": 1, "servers": [{}]}}},
        {"index": 1, "type": "T", "data": "", "permissions": "11112"},
        {"index": 1, "type": "T", "data": "", "ttl": -1},
        {"index": 1, "type": "T", "data": "", "ttl": "soon"},
        {"index": 1, "type": "T", "data": "", "references": [{"handle": "a", "index": -1}]},
        {"index": 1, "type": "T", "data": "", "unknown": 1},
        {"index": 1, "type": "T", "data": "\ud800"},
    ],
)
def test_what_is_no_value(document: Any) -> None:
    with pytest.raises(MalformedError):
        from_json(document, 0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.sampled_from(["string", "base64", "hex", "admin", "vlist", "site"]))
def test_any_data(data: Any, form: str) -> None:
    for wrapped in (data, {"format": form, "value": data}):
        try:
            value = from_json({"index": 1, "type": "T", "data": wrapped}, 0)
        except MalformedError:
            continue
        assert isinstance(value.data, bytes)
