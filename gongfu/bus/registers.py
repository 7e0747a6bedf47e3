"""Registers: small values by name, replaced by compare-and-set; a JetStream stream that keeps one message a subject."""

import asyncio
from contextlib import suppress

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from gongfu.bus.connection import subscribe
from gongfu.bus.jetstream import API, JetStreamError, ensure_stream

_WRONG_LAST_SEQUENCE = frozenset({10071, 10164})
_TIMEOUT_S = 1.5


class RegisterConflictError(Exception):
    """The register was changed by somebody else."""


class _Answer(msgspec.Struct):
    seq: int = 0
    error: dict[str, object] | None = None


class Registers:
    """Registers below a subject. ``start`` before use. A revision is a number that grows over all registers."""

    def __init__(self, bus: Client, stream: str, prefix: str, replicas: int = 1) -> None:
        """Use ``stream``, whose subjects are ``<prefix>.<kind>.<name>``."""
        self._bus = bus
        self._stream = stream
        self._prefix = prefix
        self._replicas = replicas

    async def start(self) -> None:
        """Make the stream when it is not there.

        Raises:
            JetStreamError: JetStream does not answer or refuses.
        """
        wanted = {
            "name": self._stream,
            "subjects": [f"{self._prefix}.>"],
            "retention": "limits",
            "discard": "old",
            "storage": "file",
            "num_replicas": self._replicas,
            "max_msgs_per_subject": 1,
            "allow_direct": True,
        }
        await ensure_stream(self._bus, wanted)

    async def put(self, kind: str, name: str, value: bytes, expected: int | None) -> int:
        """Replace a register and return its new revision.

        Args:
            kind: first part of the name, a NATS token.
            name: second part, a NATS token.
            value: the content.
            expected: revision that it must still have, 0 for one that was never written; None replaces any.

        Raises:
            RegisterConflictError: it has another revision.
            JetStreamError: nobody answered, and nobody knows whether it was replaced; or JetStream refused.
        """
        headers = None if expected is None else {"Nats-Expected-Last-Subject-Sequence": str(expected)}
        subject = f"{self._prefix}.{kind}.{name}"
        try:
            message = await self._bus.request(subject, value, timeout=_TIMEOUT_S, headers=headers)
            answer = msgspec.json.decode(message.data, type=_Answer)
        except (NatsError, OSError, msgspec.MsgspecError) as error:
            raise JetStreamError(0, f"no answer to a write of {subject}: {type(error).__name__}") from error
        if answer.error is not None:
            if answer.error.get("err_code") in _WRONG_LAST_SEQUENCE:
                raise RegisterConflictError(subject)
            raise JetStreamError(0, str(answer.error.get("description", "refused")))
        return answer.seq

    async def read(self, kind: str) -> dict[str, tuple[int, bytes]]:
        """Return revision and content of all registers of a kind (at most 1024), by name.

        A replica that is behind may answer: what it tells was true, but perhaps is not any more.

        Raises:
            JetStreamError: nobody answered.
        """
        found: dict[str, tuple[int, bytes]] = {}
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def take(message: Msg) -> None:
            headers = message.headers or {}
            subject = headers.get("Nats-Subject")
            if subject is not None:
                found[subject.rpartition(".")[2]] = (int(headers["Nats-Sequence"]), message.data)
            elif not done.done():
                done.set_result(headers.get("Status", ""))

        inbox = self._bus.new_inbox()
        try:
            subscription = await subscribe(self._bus, inbox, take)
            try:
                body = msgspec.json.encode({"multi_last": [f"{self._prefix}.{kind}.*"]})
                await self._bus.publish(f"{API}.DIRECT.GET.{self._stream}", body, reply=inbox)
                status = await asyncio.wait_for(done, _TIMEOUT_S)
            finally:
                with suppress(NatsError, OSError):
                    await subscription.unsubscribe()
        except (NatsError, OSError, TimeoutError, NoRespondersError) as error:
            raise JetStreamError(0, f"no answer from {self._stream}: {type(error).__name__}") from error
        if status not in ("204", "404"):
            raise JetStreamError(0, f"{self._stream} answered with status {status or 'none'}")
        return found
