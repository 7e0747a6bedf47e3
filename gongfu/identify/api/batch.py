"""``POST /v1/identifiers:batch``: a stream of items in, a stream of what became of each out.

The body is kept whole before the first item is written: a client that sends all before it reads cannot get stuck.
Chunks go to the identifier role one after the other, for what a later item does depends on the earlier ones; while one
is written the next is read. One that is not answered (the role fell) is sent again with the same key, so it counts
once. Memory is bounded by chunks.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError

from gongfu.bus.commands import Asked
from gongfu.bus.requests import answer_of
from gongfu.identify.api.batch_chunk import Chunk
from gongfu.identify.api.batch_files import MEDIA_TYPES, chunk_key, keep, read_chunks
from gongfu.identify.bulk.batch_form import CODES, OPERATIONS, ChunkAnswer, ChunkHead, encode_chunk
from gongfu.identify.service.writes import DONE
from gongfu.kernel.errors import Problem, invalid, unavailable
from gongfu.kernel.permissions import Subject
from gongfu.rest.routing import Call, Incoming, Streamed

MAX_KEY = 200
_ANSWER_S = 30.0
# So long a chunk is sent again and again.
_PATIENCE_S = 60.0
_PAUSE_S = 0.2
_LINES = "application/x-ndjson"
_WORDS = [code.value.encode() for code in CODES]


class _Batch(msgspec.Struct, frozen=True):
    subject: Subject
    key: str
    operation: str
    template: str
    prefix: str
    failed_only: bool


class BatchRoute:
    """Takes batches."""

    def __init__(self, bus: Client, address: str, directory: Path) -> None:
        """Make it.

        Args:
            bus: an open connection.
            address: subject on which the identifier role takes chunks.
            directory: for files of bodies, which are gone when they are answered.
        """
        self._bus = bus
        self._address = address
        self._directory = directory

    async def answer(self, call: Call) -> Streamed:
        """Return the stream of results.

        Raises:
            Problem: 400, 413, 415: nothing was written.
        """
        incoming: Incoming = call.body
        media_type = MEDIA_TYPES.get(incoming.media_type)
        if media_type is None:
            raise Problem(
                415, "unsupported-media-type", "Media type not supported", f"send {', '.join(sorted(MEDIA_TYPES))}"
            )
        batch = _wish(call)
        file = await keep(incoming, self._directory)
        chunks = read_chunks(file, media_type)
        try:
            # What is wrong with the beginning is a problem of its own.
            first = await asyncio.to_thread(next, chunks, None)
        except BaseException:
            file.close()
            raise
        return Streamed(self._results(batch, file, first, chunks), _LINES, {"idempotency-key": batch.key})

    async def _results(
        self, batch: _Batch, file: IO[bytes], first: Chunk | None, chunks: Iterator[Chunk]
    ) -> AsyncIterator[bytes]:
        by_code: Counter[int] = Counter()
        number, following = 0, first
        task: asyncio.Task[ChunkAnswer] | None = None
        try:
            while following is not None:
                numbers = following.numbers
                task = asyncio.create_task(self._write(_encoded(batch, number, following)))
                number += 1
                following = await asyncio.to_thread(next, chunks, None)
                answer = await task
                by_code.update(answer.codes)
                if lines_out := _result_lines(numbers, answer, batch.failed_only):
                    yield lines_out
            yield _summary(batch, by_code)
        except Problem as problem:
            # Whoever has no summary sends it again with the same key.
            yield msgspec.json.encode({"problem": problem.document()}) + b"\n"
            raise
        finally:
            if task is not None:
                task.cancel()
            file.close()

    async def _write(self, data: bytes) -> ChunkAnswer:
        """Return the answer to a chunk, which is sent again while the role is away or busy.

        Raises:
            Problem: it is refused, or not answered for a minute.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE_S
        while True:
            try:
                message = await self._bus.request(self._address, data, timeout=_ANSWER_S)
                return answer_of(message.data, self._address, ChunkAnswer)
            except Problem as problem:
                if problem.status != 503 or loop.time() > deadline:
                    raise
            except (NatsError, OSError) as error:
                if loop.time() > deadline:
                    raise unavailable(f"the identifier role does not answer: {type(error).__name__}") from error
            await asyncio.sleep(_PAUSE_S)


def _wish(call: Call) -> _Batch:
    operation = call.query.get("operation", "create")
    if operation not in OPERATIONS:
        raise invalid(f"operation must be one of {', '.join(OPERATIONS)}")
    results = call.query.get("results", "all")
    if results not in ("all", "failed"):
        raise invalid("results must be all or failed")
    key = call.headers.get("idempotency-key", "") or secrets.token_hex(16)
    if len(key) > MAX_KEY or not key.isprintable() or not key.isascii():
        raise invalid(f"Idempotency-Key has at most {MAX_KEY} printable ASCII characters")
    return _Batch(
        call.subject, key, operation, call.query.get("template", ""), call.query.get("prefix", ""), results == "failed"
    )


def _encoded(batch: _Batch, number: int, chunk: Chunk) -> bytes:
    who = batch.subject
    common = f"{batch.operation} {batch.template} {batch.prefix}"
    head = ChunkHead(
        Asked(who.user, who.name, who.tenant, who.role.value),
        chunk_key(who.user, batch.key, number, common, chunk.items),
        batch.operation,
        batch.template,
        batch.prefix,
        chunk.columns,
    )
    return encode_chunk(head, chunk.items)


def _result_lines(numbers: Sequence[int], answer: ChunkAnswer, failed_only: bool) -> bytes:
    codes, details = answer.codes, answer.details
    if codes and not details and codes.count(codes[0]) == len(codes):
        # As a rule all were created.
        if failed_only and CODES[codes[0]] in DONE:
            return b""
        return b'{"line":%%d,"code":"%b"}\n' % _WORDS[codes[0]] * len(codes) % tuple(numbers)
    parts: list[bytes] = []
    for place, (number, code) in enumerate(zip(numbers, codes, strict=True)):
        if failed_only and CODES[code] in DONE:
            continue
        detail = details.get(place)
        if detail is None:
            parts.append(b'{"line":%d,"code":"%s"}\n' % (number, _WORDS[code]))
        else:
            line = {"line": number, "code": CODES[code].value, "detail": detail}
            parts.append(msgspec.json.encode(line) + b"\n")
    return b"".join(parts)


def _summary(batch: _Batch, by_code: Counter[int]) -> bytes:
    counted = {CODES[number].value: count for number, count in sorted(by_code.items())}
    done = {code.value: counted.get(code.value, 0) for code in CODES if code in DONE}
    failed = {name: count for name, count in counted.items() if name not in done}
    items = sum(counted.values())
    summary = {"items": items, **done, "failed": sum(failed.values()), "by_code": failed, "key": batch.key}
    return msgspec.json.encode({"summary": summary}) + b"\n"
