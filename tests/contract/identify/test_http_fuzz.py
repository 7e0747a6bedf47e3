"""Damaged requests sent to a live HTTP server with real faces: it answers with HTTP or ends the connection."""

import asyncio
import logging
import re
import tempfile
from pathlib import Path

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.handle_service import OWNER, HandleNode, handle_node
from tests.fixtures.identifiers import PREFIX

EXAMPLES = 60
WAIT_S = 60
LINE = re.compile(rb"HTTP/1\.1 [1-5][0-9][0-9] ")
BODY = b'{"values":[{"index":1,"type":"URL","data":{"format":"string","value":"a"}}]}'
BASIC = b"Authorization: Basic MzAwJTNBOTkuMTAwMC4xL0FETUlOOmFiYw==\r\n"
REQUESTS = [
    b"GET /api/handles/" + OWNER.encode() + b"?index=100&type=URL HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PUT /api/handles/"
    + PREFIX.encode()
    + b"/x?overwrite=false HTTP/1.1\r\nHost: a\r\n"
    + BASIC
    + b"Content-Length: %d\r\n\r\n" % len(BODY)
    + BODY,
    b"PUT /api/handles/"
    + PREFIX.encode()
    + b"/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"%x\r\n" % len(BODY)
    + BODY
    + b"\r\n0\r\n\r\n",
    b"DELETE /api/handles/" + OWNER.encode() + b"?index=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET /hrls/handles?URL=* HTTP/1.0\r\n" + BASIC + b"\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
]
PARTS = [
    b"\r\n",
    b"\n",
    b"\0",
    b"%",
    b"%FF",
    b" ",
    b":",
    b"\xe6\xb3\xb5",
    b"Content-Length: 9\r\n",
    b"\r\n\r\n",
    b"A" * 17_000,
]


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    data = b"".join(draw(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 4)))
        data = data[:at] + draw(st.one_of(st.sampled_from(PARTS), st.binary(max_size=4))) + data[end:]
    return data


async def attack(node: HandleNode, sent: bytes, cuts: list[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", node.http_port)
    received = b""
    try:
        start = 0
        for end in (*sorted(cut % (len(sent) + 1) for cut in cuts), len(sent)):
            writer.write(sent[start:end])
            await asyncio.sleep(0)
            start = end
        writer.write_eof()
        async with asyncio.timeout(WAIT_S):
            received = await reader.read()
    except (ConnectionError, RuntimeError):
        # The server has ended the connection before all was sent; uvloop has the second one for it.
        pass
    finally:
        writer.close()
    assert not received or LINE.match(received)
    assert b'"responseCode":1,' in await said(node, REQUESTS[0].replace(b"?index=100&type=URL", b""))


async def said(node: HandleNode, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", node.http_port)
    writer.write(request)
    writer.write_eof()
    try:
        async with asyncio.timeout(WAIT_S):
            return await reader.read()
    finally:
        writer.close()


def test_damaged_requests(caplog: pytest.LogCaptureFixture) -> None:
    with tempfile.TemporaryDirectory() as directory, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        opened = handle_node(Path(directory))
        node = runner.run(opened.__aenter__())

        @settings(max_examples=EXAMPLES, deadline=None, database=None)
        @given(requests(), st.lists(st.integers(0, 2000), max_size=3))
        def damaged(sent: bytes, cuts: list[int]) -> None:
            runner.run(attack(node, sent, cuts))

        try:
            damaged()
            assert node.node.identifiers.handles(PREFIX) == [OWNER]
            assert node.http.held == 0
            # Faults of ours are logged, and answered with 500.
            assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
            assert "http_answers.500" not in node.counters.snapshot()
        finally:
            runner.run(opened.__aexit__(None, None, None))
