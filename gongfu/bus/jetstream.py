"""The few JetStream API calls the block log needs, as plain requests (NATS ADR-1: request and error form)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError

T = TypeVar("T")

API = "$JS.API"
TIMEOUT_S = 5.0

STREAM_NOT_FOUND = 10059
# No answer; JSClusterNoPeers: too few servers are up; JSClusterNotAvail: no leader yet; JSStreamOffline.
_PASSING = frozenset({0, 10005, 10008, 10118})
FORMING_S = 60.0
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


async def when_formed(call: Callable[[], Awaitable[T]]) -> T:
    """Return what a call gives, after waiting for a cluster whose servers have just been started.

    Raises:
        JetStreamError: it was refused, or nobody answered for ``FORMING_S``.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + FORMING_S
    while True:
        try:
            return await call()
        except JetStreamError as error:
            if error.code not in _PASSING or loop.time() > deadline:
                raise
        await asyncio.sleep(0.25)


async def ensure_stream(bus: Client, wanted: dict[str, Any]) -> None:
    """Create a stream, or bring one that is there to what is wanted; replicas are added, never taken away.

    Raises:
        JetStreamError: JetStream refuses, or does not answer in ``FORMING_S``.
    """
    await when_formed(lambda: _ensure_stream(bus, dict(wanted)))


async def _ensure_stream(bus: Client, wanted: dict[str, Any]) -> None:
    name = wanted["name"]
    try:
        present = (await call_api(bus, f"STREAM.INFO.{name}"))["config"]
    except JetStreamError as error:
        if error.code != STREAM_NOT_FOUND:
            raise
        await call_api(bus, f"STREAM.CREATE.{name}", wanted)
        return
    # More replicas than we ask for belong to the cluster's operator; the rest is ours.
    wanted["num_replicas"] = max(wanted["num_replicas"], present.get("num_replicas", 1))
    if any(present.get(key) != value for key, value in wanted.items()):
        await call_api(bus, f"STREAM.UPDATE.{name}", wanted)


async def stream_state(bus: Client, stream: str) -> dict[str, Any]:
    """Return the state of a stream: ``first_seq``, ``last_seq``, ``messages``, ``bytes``.

    Raises:
        JetStreamError: the stream is not there (``STREAM_NOT_FOUND``) or JetStream does not answer.
    """
    return (await call_api(bus, f"STREAM.INFO.{stream}"))["state"]
