"""Commands that the plant takes over MQTT, ThingsBoard's RPC form. Pure: text in, command or reason out."""

import json
from dataclasses import dataclass
from typing import Any, cast

from demo.tep.variables import DISTURBANCES

REQUEST_PREFIX = "v1/devices/me/rpc/request/"
RESPONSE_PREFIX = "v1/devices/me/rpc/response/"
MAX_REQUEST_BYTES = 4096


class CommandError(ValueError):
    """The command cannot be followed; the message is sent back."""


@dataclass(frozen=True, slots=True)
class SetDisturbance:
    """Switch disturbance IDV(``number``) on or off."""

    number: int
    active: bool


def response_topic(request_topic: str) -> str | None:
    """Return where the answer to a request goes, or None when the topic is no request."""
    number = request_topic.removeprefix(REQUEST_PREFIX)
    if number == request_topic or not number or "/" in number:
        return None
    return RESPONSE_PREFIX + number


def parse_command(payload: bytes) -> SetDisturbance:
    """Return the command of a request: ``{"method":"setDisturbance","params":{"number":4,"active":true}}``.

    Raises:
        CommandError: not JSON, another method, or parameters out of range.
    """
    if len(payload) > MAX_REQUEST_BYTES:
        raise CommandError(f"the request is longer than {MAX_REQUEST_BYTES} bytes")
    try:
        document: Any = json.loads(payload)
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise CommandError("the request is not JSON") from None
    if not isinstance(document, dict):
        raise CommandError("the request must be an object with method and params")
    request = cast(dict[str, Any], document)
    if request.get("method") != "setDisturbance":
        raise CommandError("the only method is setDisturbance")
    params = request.get("params")
    if not isinstance(params, dict):
        raise CommandError("params must be an object with number and active")
    values = cast(dict[str, Any], params)
    number, active = values.get("number"), values.get("active")
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= DISTURBANCES:
        raise CommandError(f"number must be a whole number from 1 to {DISTURBANCES}")
    if not isinstance(active, bool):
        raise CommandError("active must be true or false")
    return SetDisturbance(number, active)
