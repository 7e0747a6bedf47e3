"""Channels (how people are reached) and routes (who is told what, when)."""

import re
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from gongfu.kernel.errors import forbidden, invalid
from gongfu.reason.rules.types import Priority

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Url = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
_Timeout = Annotated[float, msgspec.Meta(ge=1, le=60)]
_Clock = Annotated[str, msgspec.Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class Email(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="email", kw_only=True):
    """An SMTP server (RFC 5321). ``security``: ``tls`` from the start, ``starttls`` (RFC 3207), or ``none``. A password
    goes over an encrypted connection only. Secret: ``password``."""

    host: _Name
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    sender: Annotated[str, msgspec.Meta(pattern=r"^[^\s@<>]+@[^\s@<>]+$", max_length=300)]
    security: Annotated[str, msgspec.Meta(pattern=r"^(tls|starttls|none)$")] = "starttls"
    user: Annotated[str, msgspec.Meta(max_length=200)] = ""
    ca: Annotated[str, msgspec.Meta(max_length=100_000)] = ""
    """PEM of the authority of the server's certificate; empty for those of the system."""
    timeout_s: _Timeout = 20.0


class Webhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="webhook", kw_only=True):
    """A POST of JSON with ``Gongfu-Signature``. Secret: ``secret``, the key of HMAC-SHA-256."""

    url: _Url
    allow_private: bool = False
    """Without effect: the node's configuration says which addresses are allowed that are not public."""
    ca: Annotated[str, msgspec.Meta(max_length=100_000)] = ""
    timeout_s: _Timeout = 10.0


class Sms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="sms", kw_only=True):
    """A text message by a gateway's HTTP interface: a POST of JSON with the number and the text in the members named.

    ``receipt_member`` is where the answer has its id. Secret: ``token``, sent as a bearer token.
    """

    url: _Url
    number_member: _Name = "to"
    text_member: _Name = "text"
    receipt_member: Annotated[str, msgspec.Meta(max_length=200)] = "id"
    extra: dict[str, str] = {}
    allow_private: bool = False
    """Without effect: the node's configuration says which addresses are allowed that are not public."""
    ca: Annotated[str, msgspec.Meta(max_length=100_000)] = ""
    timeout_s: _Timeout = 10.0


Settings = Email | Webhook | Sms
SECRETS: dict[type[Any], str] = {Email: "password", Webhook: "secret", Sms: "token"}


class ChannelBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A channel as it is written. ``secret`` is what ``settings`` say: never told again; None keeps the one before, if
    the settings stay.

    ``link_base`` is the console's address as recipients reach it, for the link that acknowledges; empty: no link.
    """

    name: _Name
    settings: Settings
    link_base: Annotated[str, msgspec.Meta(max_length=300)] = ""
    enabled: bool = True
    secret: Annotated[str, msgspec.Meta(max_length=4000)] | None = None


class Calendar(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a route is in force: days (0 Monday to 6 Sunday) and hours by a time zone; over midnight where ``begin`` is
    after ``end``: the night belongs to the day on which it begins."""

    days: Annotated[list[Annotated[int, msgspec.Meta(ge=0, le=6)]], msgspec.Meta(min_length=1, max_length=7)]
    begin: _Clock = "00:00"
    end: _Clock = "00:00"
    timezone: Annotated[str, msgspec.Meta(max_length=64)] = "UTC"


class Stage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A step of the escalation: ``after_s`` from the annunciation, unless the alarm is acknowledged by then."""

    channel_id: Annotated[int, msgspec.Meta(ge=1)]
    recipients: Annotated[
        list[Annotated[str, msgspec.Meta(min_length=1, max_length=300)]], msgspec.Meta(min_length=1, max_length=50)
    ]
    after_s: Annotated[int, msgspec.Meta(ge=0, le=604_800)] = 0


class RouteBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who is told of which alarms. Empty lists mean all.

    ``digest``: in a flood of the position one message in 5 minutes tells of all; ``critical`` alarms still come one by
    one, unless ``digest_critical``.
    """

    name: _Name
    stages: Annotated[list[Stage], msgspec.Meta(min_length=1, max_length=10)]
    priorities: list[Priority] = []
    assets: Annotated[
        list[Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]], msgspec.Meta(max_length=50)
    ] = []
    positions: Annotated[list[_Name], msgspec.Meta(max_length=50)] = []
    calendar: Calendar | None = None
    digest: bool = True
    digest_critical: bool = False
    enabled: bool = True


def check_channel(body: ChannelBody, why_not: Callable[[str, int], str] = lambda host, port: "") -> None:
    """Check what the types cannot.

    Args:
        body: the channel.
        why_not: why nothing may go to a server and port; empty where it may.

    Raises:
        Problem: 400 with what is wrong; 403 when nothing may go to its server.
    """
    settings = body.settings
    if isinstance(settings, Webhook | Sms):
        check_url(settings.url, "url")
        parts = urlsplit(settings.url)
        refused = why_not(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    else:
        refused = why_not(settings.host, settings.port)
        if settings.user and settings.security == "none":
            raise invalid("a password is sent over an encrypted connection only: security must be tls or starttls")
    if refused:
        raise forbidden(refused)
    if body.link_base:
        check_url(body.link_base, "link_base")


def check_url(url: str, member: str) -> None:
    """Check an address of HTTP.

    Raises:
        Problem: 400 with what is wrong.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise invalid(f"{member} is no address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not re.fullmatch(r"[\x21-\x7e]+", url):
        raise invalid(f"{member} must be an http:// or https:// address")
    if parts.username or parts.password:
        raise invalid(f"{member} must not hold a password; that is what the channel's secret is for")


def check_route(body: RouteBody) -> None:
    """Check what the types cannot.

    Raises:
        Problem: 400 with what is wrong.
    """
    if body.calendar is not None:
        try:
            ZoneInfo(body.calendar.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise invalid(f"there is no time zone {body.calendar.timezone[:64]!r}") from None
    for stage in body.stages:
        for recipient in stage.recipients:
            if not recipient.isprintable():
                raise invalid("a recipient has control characters")
