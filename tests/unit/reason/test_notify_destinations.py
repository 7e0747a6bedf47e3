"""Where notifications may go."""

import pytest

from gongfu.kernel.errors import Problem
from gongfu.reason.notify.channels.destinations import PUBLIC_ONLY, Destinations
from gongfu.reason.notify.types import ChannelBody, Email, Settings, Sms, Webhook, check_channel

PUBLIC = "93.184.215.14"
ALLOWED = Destinations.of(["10.1.0.0/16:25", "Mail.Plant.local", "192.168.7.9", "[fd00::1]:443", "fd01::/16"])


@pytest.mark.parametrize(
    ("host", "address", "port", "allowed"),
    [
        ("x", PUBLIC, 80, True),
        ("x", "10.1.2.3", 25, True),
        ("x", "::ffff:10.1.2.3", 25, True),
        ("x", "10.1.2.3", 26, False),
        ("x", "10.2.0.1", 25, False),
        ("mail.plant.local.", "172.16.0.1", 587, True),
        ("evil.mail.plant.local", "172.16.0.1", 587, False),
        ("y", "192.168.7.9", 1, True),
        ("y", "192.168.7.10", 1, False),
        ("y", "fd00::1", 443, True),
        ("y", "fd00::1", 80, False),
        ("y", "fd01::7", 80, True),
        ("localhost", "127.0.0.1", 80, False),
        ("x", "169.254.169.254", 80, False),
    ],
)
def test_what_is_not_public_is_allowed_by_name_only(host: str, address: str, port: int, allowed: bool) -> None:
    assert ALLOWED.allows(host, address, port) is allowed
    assert PUBLIC_ONLY.allows(host, address, port) is (address == PUBLIC)


@pytest.mark.parametrize(
    "text", ["", "a b", "host:0", "host:70000", "10.0.0.0/40", "1.2.3", "http://x", "a/b", "[x]:1"]
)
def test_texts_that_are_no_destination_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no name, address or network"):
        Destinations.of([text])


@pytest.mark.parametrize(
    "settings",
    [
        Webhook(url="http://127.0.0.1:9/x", allow_private=True),
        Webhook(url="https://[::1]/x"),
        Sms(url="http://localhost/", allow_private=True),
        Email(host="192.168.0.1", port=25, sender="a@b"),
    ],
)
def test_no_engineer_makes_a_channel_into_the_own_network(settings: Settings) -> None:
    body = ChannelBody(name="x", settings=settings)
    with pytest.raises(Problem, match=r"\[notify\] allow") as caught:
        check_channel(body, PUBLIC_ONLY.why_not)
    assert caught.value.status == 403
    check_channel(body, Destinations.of(["127.0.0.1:9", "::1", "localhost:80", "192.168.0.0/24:25"]).why_not)


def test_a_channel_by_name_is_looked_at_when_it_is_used() -> None:
    check_channel(ChannelBody(name="x", settings=Webhook(url="https://example.org/x")), PUBLIC_ONLY.why_not)
