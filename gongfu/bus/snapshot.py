"""Snapshot and restore of a stream with its sequence numbers (JetStream API ``STREAM.SNAPSHOT``, ``STREAM.RESTORE``).

A snapshot is consistent as of its beginning and may be taken while blocks are appended.
"""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError

from gongfu.bus.jetstream import JetStreamError, call_api

CHUNK_BYTES = 512 * 1024
CHUNK_TIMEOUT_S = 60.0


async def save_stream(bus: Client, stream: str, file: Path) -> dict[str, Any]:
    """Write the snapshot of a stream to ``file`` and its description beside it (``.json``); return its state.

    Raises:
        JetStreamError: the stream is not there, or the server stopped sending.
        OSError: the file cannot be written.
    """
    inbox = bus.new_inbox()
    subscription = await bus.subscribe(inbox, pending_bytes_limit=-1, pending_msgs_limit=-1)  # pyright: ignore[reportUnknownMemberType]
    request = {"deliver_subject": inbox, "chunk_size": CHUNK_BYTES}
    try:
        answer = await call_api(bus, f"STREAM.SNAPSHOT.{stream}", request, timeout_s=CHUNK_TIMEOUT_S)
        with file.open("wb") as target:
            while True:
                try:
                    message = await subscription.next_msg(timeout=CHUNK_TIMEOUT_S)
                except NatsError as error:
                    raise JetStreamError(0, f"the snapshot of {stream} stopped: {type(error).__name__}") from error
                if not message.data:
                    status = (message.headers or {}).get("Status", "")
                    if status not in ("", "204"):
                        raise JetStreamError(0, f"the snapshot of {stream} failed with status {status}")
                    break
                await asyncio.to_thread(target.write, message.data)
                if message.reply:
                    await message.respond(b"")  # flow control: the server sends on
    finally:
        await subscription.unsubscribe()
    description = {"config": answer["config"], "state": answer["state"]}
    file.with_suffix(".json").write_bytes(msgspec.json.encode(description))
    return dict(answer["state"])


async def load_stream(bus: Client, stream: str, file: Path) -> dict[str, Any]:
    """Create a stream from what ``save_stream`` wrote and return its state.

    Raises:
        JetStreamError: there is such a stream already, or the snapshot is damaged.
        OSError: the files cannot be read.
    """
    description = msgspec.json.decode(file.with_suffix(".json").read_bytes(), type=dict[str, Any])
    answer = await call_api(bus, f"STREAM.RESTORE.{stream}", description, timeout_s=CHUNK_TIMEOUT_S)
    subject = str(answer["deliver_subject"])
    with file.open("rb") as source:
        while chunk := await asyncio.to_thread(source.read, CHUNK_BYTES):
            await _send(bus, stream, subject, chunk)
    final = await _send(bus, stream, subject, b"")
    if "error" in final:
        raise JetStreamError(final["error"].get("err_code", 0), final["error"].get("description", "error"))
    return dict(final["state"])


async def _send(bus: Client, stream: str, subject: str, chunk: bytes) -> dict[str, Any]:
    try:
        message = await bus.request(subject, chunk, timeout=CHUNK_TIMEOUT_S)
    except NatsError as error:
        raise JetStreamError(0, f"the restore of {stream} stopped: {type(error).__name__}") from error
    return msgspec.json.decode(message.data, type=dict[str, Any]) if message.data else {}


def snapshot_file(directory: Path, stream: str) -> Path:
    """Return where the snapshot of a stream is kept in a directory."""
    return directory / f"{stream}.snapshot"
