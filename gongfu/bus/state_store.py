"""Large pieces of state in a JetStream stream, in chunks: what one machine writes, another can read."""

import asyncio
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError

from gongfu.bus.jetstream import JetStreamError, call_api, ensure_stream
from gongfu.kernel.subjects import Subjects

CHUNK_BYTES = 512 * 1024
_TIMEOUT_S = 5.0


class StateStore:
    """Keeps files by partition under names of its own. ``start`` before use."""

    def __init__(self, bus: Client, subjects: Subjects, replicas: int = 1) -> None:
        self._bus = bus
        self._subjects = subjects
        self._replicas = replicas
        self._stream = subjects.state_stream()

    async def start(self) -> None:
        """Make the stream when it is not there.

        Raises:
            JetStreamError: JetStream does not answer or refuses.
        """
        wanted = {
            "name": self._stream,
            "subjects": [self._subjects.state(0, "x").replace(".0.x", ".*.*")],
            "retention": "limits",
            "storage": "file",
            "num_replicas": self._replicas,
            "max_msgs": -1,
            "max_bytes": -1,
        }
        await ensure_stream(self._bus, wanted)

    async def put(self, partition: int, epoch: int, file: Path) -> str:
        """Store a file of the owner of an epoch and return where: ``<name>:<number of chunks>``. Durable on return.

        Raises:
            JetStreamError: nobody took it.
            OSError: the file cannot be read.
        """
        name = f"{epoch}-{secrets.token_hex(4)}"
        subject = self._subjects.state(partition, name)
        count = 0
        with file.open("rb") as source:
            while chunk := await asyncio.to_thread(source.read, CHUNK_BYTES):
                await self._put(subject, chunk)
                count += 1
        return f"{name}:{count}"

    async def _put(self, subject: str, chunk: bytes) -> None:
        try:
            message = await self._bus.request(subject, chunk, timeout=_TIMEOUT_S)
            answer = msgspec.json.decode(message.data, type=dict[str, Any])
        except (NatsError, OSError, msgspec.MsgspecError) as error:
            raise JetStreamError(0, f"a checkpoint was not taken: {type(error).__name__}") from error
        if "error" in answer:
            raise JetStreamError(int(answer["error"].get("err_code", 0)), str(answer["error"].get("description", "")))

    async def get(self, partition: int, where: str, file: Path) -> None:
        """Write what is kept at ``where`` to a file.

        Raises:
            JetStreamError: it is not there as a whole, or nobody answers.
            OSError: the file cannot be written.
        """
        name, _, count = where.partition(":")
        subject, sequence = self._subjects.state(partition, name), 1
        with file.open("wb") as target:
            for _ in range(int(count)):
                message = await self._get(subject, sequence)
                sequence = message.sequence + 1
                await asyncio.to_thread(target.write, message.data)

    async def _get(self, subject: str, sequence: int) -> "_Stored":
        answer = await call_api(self._bus, f"STREAM.MSG.GET.{self._stream}", {"seq": sequence, "next_by_subj": subject})
        return msgspec.convert(answer["message"], _Stored)

    async def remove(self, partition: int, where: str) -> None:
        """Remove one file; one that cannot be removed now is removed by a later owner."""
        subject = self._subjects.state(partition, where.partition(":")[0])
        with suppress(JetStreamError):
            await call_api(self._bus, f"STREAM.PURGE.{self._stream}", {"filter": subject})

    async def remove_before(self, partition: int, epoch: int, keep: str) -> None:
        """Remove what owners of earlier epochs have left, but one."""
        with suppress(JetStreamError):
            query = {"subjects_filter": self._subjects.state(partition, "*")}
            state = (await call_api(self._bus, f"STREAM.INFO.{self._stream}", query))["state"]
            for subject in dict[str, int](state.get("subjects") or {}):
                name = subject.rpartition(".")[2]
                if int(name.partition("-")[0]) < epoch and name != keep.partition(":")[0]:
                    await self.remove(partition, name)


class _Stored(msgspec.Struct):
    """A message of the stream."""

    sequence: int = msgspec.field(name="seq")
    data: bytes = b""
