"""The few JetStream API calls the block log needs, as plain requests (NATS ADR-1: request and error form)."""

from typing import Any

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError

API = "$JS.API"
TIMEOUT_S = 5.0

STREAM_NOT_FOUND = 10059
CONSUMER_NOT_FOUND = 10014


class JetStreamError(Exception):
    """JetStream did not do what was asked.

    Attributes:
        code: JetStream error code (``err_code``), 0 when there was no answer.
    """

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"{description} ({code})" if code else description)
        self.code = code


async def call_api(bus: Client, name: str, body: object = None, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """Return the answer of ``$JS.API.<name>``.

    Raises:
        JetStreamError: it answered with an error, or not in time (code 0).
    """
    payload = b"" if body is None else msgspec.json.encode(body)
    try:
        message = await bus.request(f"{API}.{name}", payload, timeout=timeout_s)
    except (NatsError, OSError) as error:
        raise JetStreamError(0, f"no answer to {name}: {type(error).__name__}") from error
    try:
        answer: dict[str, Any] = msgspec.json.decode(message.data, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise JetStreamError(0, f"unreadable answer to {name}") from error
    if "error" in answer:
        raise JetStreamError(answer["error"].get("err_code", 0), answer["error"].get("description", "error"))
    return answer


async def stream_state(bus: Client, stream: str) -> dict[str, Any]:
    """Return the state of a stream: ``first_seq``, ``last_seq``, ``messages``, ``bytes``.

    Raises:
        JetStreamError: the stream is not there (``STREAM_NOT_FOUND``) or JetStream does not answer.
    """
    return (await call_api(bus, f"STREAM.INFO.{stream}"))["state"]
