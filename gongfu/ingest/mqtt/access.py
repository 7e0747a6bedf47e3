"""Who may connect, publish and subscribe: the seam to the registry, and the namespace of a device's topics.

Topics are closed inside a tenant. ``v1/devices/me/`` is the device's own prefix; inside the broker it is
``v1/devices/<name>/`` with ``% / + #`` of the name percent-encoded, so that no name can act as a level or a wildcard.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from gongfu.ingest.mqtt.codec.topics import covers, is_topic_filter, matches
from gongfu.ingest.thingsboard import topics as thingsboard
from gongfu.ingest.thingsboard.topics import OWN_PREFIX as OWN_PREFIX
from gongfu.ingest.types import Form, Writer

_DEVICES = "v1/devices/"
TELEMETRY_TOPIC = "v1/devices/me/telemetry"
GATEWAY_TOPIC = "v1/gateway/telemetry"
_SPARKPLUG_KINDS = {"NBIRTH": 4, "NDATA": 4, "NDEATH": 4, "DBIRTH": 5, "DDATA": 5, "DDEATH": 5}

# Beyond the telemetry topics a device may always answer what it is asked on its own topics.
OWN_PUBLISH = ("v1/devices/me/rpc/response/+", *thingsboard.PUBLISH)
# Edge nodes of Sparkplug wait for a host's state before they are born.
OWN_SUBSCRIBE = ("v1/devices/me/#", "spBv1.0/STATE/#", "STATE/+", *thingsboard.SUBSCRIBE)


@dataclass(frozen=True, slots=True)
class DeviceAccess:
    """An authenticated device and what it may do with topics that are not telemetry.

    Attributes:
        writer: the device, as the columniser knows it.
        publish_filters: topic filters it may publish to.
        subscribe_filters: topic filters it may subscribe to, or to a part of.
    """

    writer: Writer
    publish_filters: Sequence[str] = ()
    subscribe_filters: Sequence[str] = ()


class Refusal(Enum):
    """Why a credential that exists does not open the door."""

    DISABLED = auto()
    UNAVAILABLE = auto()


class Authenticator(Protocol):
    """Checks credentials; the registry implements it."""

    async def check(
        self, username: str | None, password: bytes | None, certificate_sha256: str | None
    ) -> DeviceAccess | Refusal | None:
        """Return the device, a refusal, or None for wrong or missing credentials. Does not raise.

        Args:
            username: device name.
            password: device secret.
            certificate_sha256: lower-case hex SHA-256 of the TLS client certificate (DER), or None.
        """
        ...


def level_of(name: str) -> str:
    """Return a device name as one topic level."""
    for character, code in (("%", "%25"), ("/", "%2F"), ("+", "%2B"), ("#", "%23")):
        name = name.replace(character, code)
    return name


def device_prefix(name: str) -> str:
    """Return ``v1/devices/<name>/``, the prefix that stands for ``v1/devices/me/`` inside the broker."""
    return f"{_DEVICES}{level_of(name)}/"


def inner_topic(prefix: str, topic: str) -> str:
    """Return a topic or filter as the broker routes it: ``v1/devices/me/`` becomes the device's prefix."""
    if topic.startswith(OWN_PREFIX):
        return prefix + topic[len(OWN_PREFIX) :]
    if thingsboard.is_own_gateway(topic):
        return thingsboard.gateway_prefix(prefix) + topic[len(thingsboard.GATEWAY_PREFIX) :]
    return topic


def inner_published(prefix: str, topic: str) -> str:
    """Return the topic of a message by a device as the broker routes it (see ``thingsboard.topics``)."""
    own = thingsboard.published(topic)
    if own is topic:
        return inner_topic(prefix, topic)
    if own.startswith(OWN_PREFIX):
        return prefix + own[len(OWN_PREFIX) :]
    return thingsboard.gateway_prefix(prefix) + own[len(thingsboard.GATEWAY_PREFIX) :]


def is_own(topic_filter: str) -> bool:
    """Return whether ``inner_topic`` makes a filter one of this device only."""
    return topic_filter.startswith(OWN_PREFIX) or thingsboard.is_own_gateway(topic_filter)


def telemetry_form(topic: str) -> Form | None:
    """Return how to read a payload published to ``topic``, or None when it is not a telemetry topic."""
    if topic in (TELEMETRY_TOPIC, thingsboard.ATTRIBUTES_TOPIC):
        return Form.JSON
    if topic in (GATEWAY_TOPIC, thingsboard.GATEWAY_ATTRIBUTES_TOPIC):
        return Form.JSON_GATEWAY
    if topic.startswith("spBv1.0/"):
        levels = topic.split("/")
        if len(levels) > 3 and _SPARKPLUG_KINDS.get(levels[2]) == len(levels) and all(levels):
            return Form.SPARKPLUG
    return None


def usable_filters(filters: Iterable[object]) -> tuple[str, ...]:
    """Return the valid topic filters of a list from the registry."""
    return tuple(item for item in filters if isinstance(item, str) and is_topic_filter(item))


def may_publish(access: DeviceAccess, topic: str) -> bool:
    """Return whether the device may publish to a plain topic, as the device writes it."""
    return any(matches(item, topic) for item in (*OWN_PUBLISH, *access.publish_filters))


def may_subscribe(access: DeviceAccess, topic_filter: str) -> bool:
    """Return whether the device may subscribe to a valid filter, as the device writes it, without ``$share``."""
    own = any(covers(item, topic_filter) for item in (*OWN_SUBSCRIBE, *access.subscribe_filters))
    return own or _is_command_filter(topic_filter)


def _is_command_filter(topic_filter: str) -> bool:
    """Return whether it is for the commands of one Sparkplug edge node or its devices, with the ids written out.

    An edge node subscribes before its birth says which it is; whoever knows the ids may listen, but not to all.
    """
    levels = topic_filter.split("/")
    if len(levels) not in (4, 5) or levels[0] != "spBv1.0" or levels[2] not in ("NCMD", "DCMD"):
        return False
    return not {levels[1], levels[3]} & {"", "+", "#"}
