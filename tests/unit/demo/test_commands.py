"""Commands of the demo plant."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.tep.commands import CommandError, SetDisturbance, parse_command, response_topic

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def request(**params: object) -> bytes:
    return json.dumps({"method": "setDisturbance", "params": params}).encode()


@pytest.mark.parametrize("number", [1, 4, 28])
@pytest.mark.parametrize("active", [True, False])
def test_valid(number: int, active: bool) -> None:
    assert parse_command(request(number=number, active=active)) == SetDisturbance(number, active)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 5000, "longer"),
        (b"[" * 4000, "not JSON"),
        (b"4", "object"),
        (b'{"method":"reboot","params":{}}', "only method"),
        (b'{"method":"setDisturbance"}', "params"),
        (request(number=0, active=True), "from 1 to 28"),
        (request(number=29, active=True), "from 1 to 28"),
        (request(number=True, active=True), "from 1 to 28"),
        (request(number=4.0, active=True), "from 1 to 28"),
        (request(number="4", active=True), "from 1 to 28"),
        (request(number=4, active=1), "true or false"),
        (request(number=4), "true or false"),
    ],
)
def test_refused(payload: bytes, reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        parse_command(payload)


@given(st.binary(max_size=200) | JSON.map(lambda document: json.dumps(document).encode()))
def test_anything_is_a_command_or_a_reason(payload: bytes) -> None:
    try:
        command = parse_command(payload)
    except CommandError:
        return
    assert 1 <= command.number <= 28


@given(JSON, JSON)
def test_any_parameters(number: object, active: object) -> None:
    try:
        command = parse_command(request(number=number, active=active))
    except CommandError:
        return
    assert (command.number, command.active) == (number, active)


def test_response_topic() -> None:
    assert response_topic("v1/devices/me/rpc/request/17") == "v1/devices/me/rpc/response/17"
    for other in ("v1/devices/me/rpc/request/", "v1/devices/me/rpc/request/1/2", "v1/devices/me/attributes", ""):
        assert response_topic(other) is None
