"""Answers to questions of ThingsBoard clients: pure functions of the question and of what is known.

*Shared attributes* are the attributes of the asset in the registry. *Client attributes* are points, like telemetry; the
front door does not read them back, so a question for them gets none.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

_MAX_KEYS = 1000


class SessionLimits(msgspec.Struct, frozen=True):
    """What a device may send.

    Attributes:
        payload: bytes of a payload.
        inflight: unacknowledged messages.
        messages, points: a second; 0 for no limit.
        burst_s: seconds' worth of them that may come at once.
    """

    payload: int
    inflight: int
    messages: float = 0.0
    points: float = 0.0
    burst_s: float = 5.0


class GatewayQuestion(msgspec.Struct, frozen=True):
    """A question of a gateway for attributes of one of its devices."""

    identifier: Any
    device: str
    keys: list[str]
    client: bool


def decode(payload: bytes) -> dict[str, Any] | None:
    """Return a JSON object, None for anything else."""
    try:
        document = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def answer_call(payload: bytes, limits: SessionLimits) -> bytes | None:
    """Return the answer to a call by a device; None when it is for somebody who subscribes to calls.

    ``getSessionLimits`` is what gateways ask at their start.
    """
    call = decode(payload)
    if call is None:
        return _encode({"error": "a call is a JSON object with method and params"})
    if call.get("method") != "getSessionLimits":
        return None
    rates = {
        "messages": _rate(limits.messages, limits.burst_s),
        "telemetryMessages": _rate(limits.messages, limits.burst_s),
        "telemetryDataPoints": _rate(limits.points, limits.burst_s),
    }
    return _encode(
        {
            "maxPayloadSize": limits.payload,
            "maxInflightMessages": limits.inflight,
            "rateLimits": rates,
            "gatewayRateLimits": rates,
        }
    )


def answer_attributes(payload: bytes, attributes: Mapping[str, Any]) -> bytes:
    """Return the answer to a device's question for attributes: ``{"shared": {...}}``.

    Args:
        payload: ``{"clientKeys": "a,b", "sharedKeys": "c"}``; without either, all are asked for.
        attributes: those of its asset.
    """
    question = decode(payload) or {}
    if "clientKeys" not in question and "sharedKeys" not in question:
        return _encode({"shared": dict(attributes)} if attributes else {})
    keys = _keys(question.get("sharedKeys"))
    shared = {key: attributes[key] for key in keys if key in attributes}
    return _encode({"shared": shared} if shared else {})


def gateway_question(payload: bytes) -> GatewayQuestion | None:
    """Return a gateway's question for attributes, None when it is none."""
    question = decode(payload)
    if question is None or not isinstance(question.get("device"), str) or "id" not in question:
        return None
    keys = question.get("keys", question.get("key"))
    return GatewayQuestion(question["id"], question["device"], _keys(keys), question.get("client") is True)


def answer_gateway(question: GatewayQuestion, attributes: Mapping[str, Any]) -> bytes:
    """Return the answer to a gateway's question: ``value`` of one key, ``values`` of several."""
    known = {} if question.client else {key: attributes[key] for key in question.keys if key in attributes}
    document: dict[str, Any] = {"id": question.identifier, "device": question.device}
    if len(question.keys) == 1:
        if known:
            document["value"] = known[question.keys[0]]
    else:
        document["values"] = known
    return _encode(document)


def _keys(value: Any) -> list[str]:
    if isinstance(value, str):
        return [key.strip() for key in value.split(",") if key.strip()][:_MAX_KEYS]
    if isinstance(value, list):
        return [key for key in value if isinstance(key, str)][:_MAX_KEYS]
    return []


def _rate(rate: float, burst_s: float) -> str:
    """Return ``count:seconds`` as ThingsBoard writes rate limits, empty for none."""
    if rate <= 0:
        return ""
    window = max(1, round(burst_s))
    return f"{max(1, int(rate * window))}:{window},"


def _encode(document: Any) -> bytes:
    return msgspec.json.encode(document)
