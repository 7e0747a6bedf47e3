"""Topics of the API, and where they stand inside the broker.

A device listens on topics that it publishes to as well: its own attributes must not come back to it as a change by the
platform, nor its question as one. What it publishes there therefore stands at another place.
"""

OWN_PREFIX = "v1/devices/me/"
ATTRIBUTES_TOPIC = "v1/devices/me/attributes"
_REQUEST = "v1/devices/me/rpc/request/"
_ATTRIBUTES_REQUEST = "v1/devices/me/attributes/request/"

GATEWAY_PREFIX = "v1/gateway/"
GATEWAY_ATTRIBUTES_TOPIC = "v1/gateway/attributes"
_GATEWAY_ATTRIBUTES_REQUEST = "v1/gateway/attributes/request"
_GATEWAY_RPC = "v1/gateway/rpc"
_DEVICES, _GATEWAYS = "v1/devices/", "v1/gateways/"

# Beside telemetry and attributes, which every device may send.
PUBLISH = (
    "v1/devices/me/rpc/request/+",
    "v1/devices/me/attributes/request/+",
    "v1/devices/me/claim",
    "v1/gateway/connect",
    "v1/gateway/disconnect",
    "v1/gateway/claim",
    _GATEWAY_ATTRIBUTES_REQUEST,
    _GATEWAY_RPC,
)
SUBSCRIBE = (
    GATEWAY_ATTRIBUTES_TOPIC,
    "v1/gateway/attributes/response",
    "v1/gateway/attributes/response/+",
    _GATEWAY_RPC,
    "v1/gateway/rpc/response",
    "v1/gateway/disconnect",
)
# Of all that begins with v1/gateway/, these stand for one gateway only.
_OWN_GATEWAY = frozenset({*SUBSCRIBE, *(topic for topic in PUBLISH if topic.startswith(GATEWAY_PREFIX))})


def is_own_gateway(topic: str) -> bool:
    """Return whether a topic or filter below ``v1/gateway/`` stands for the gateway that names it."""
    return topic in _OWN_GATEWAY


def gateway_prefix(prefix: str) -> str:
    """Return what stands for ``v1/gateway/`` inside the broker.

    Args:
        prefix: what stands for ``v1/devices/me/``.
    """
    return _GATEWAYS + prefix.removeprefix(_DEVICES)


def published(topic: str) -> str:
    """Return the topic at which a message of a device stands, as the device would write it."""
    if topic in (ATTRIBUTES_TOPIC, GATEWAY_ATTRIBUTES_TOPIC):
        return topic + "/client"
    if topic == _GATEWAY_RPC:
        return topic + "/answer"
    if topic.startswith(_REQUEST):
        return f"{OWN_PREFIX}rpc/call/{topic[len(_REQUEST) :]}"
    return topic


def is_question(topic: str) -> bool:
    """Return whether the front door answers what is published to a topic."""
    return topic.startswith((_REQUEST, _ATTRIBUTES_REQUEST)) or topic == _GATEWAY_ATTRIBUTES_REQUEST


def request_number(topic: str) -> tuple[str, str]:
    """Return the kind of a question (``rpc``, ``attributes`` or ``gateway``) and its number, empty for a gateway's."""
    for kind, start in (("rpc", _REQUEST), ("attributes", _ATTRIBUTES_REQUEST)):
        if topic.startswith(start):
            return kind, topic[len(start) :]
    return "gateway", ""
