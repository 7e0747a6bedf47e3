"""The port for joining against whoever can reach it: bounded, and never without an answer that says why."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gongfu.kernel.counters import Counters
from gongfu.tree.membership.join_documents import MESSAGE_LIMIT
from gongfu.tree.membership.refusals import Reason, Refused
from gongfu.tree.nodes import join_listener
from gongfu.tree.nodes.enrolment import own_authority
from gongfu.tree.nodes.identity import Identity
from gongfu.tree.nodes.join_listener import JoinListener
from gongfu.tree.nodes.key_files import key_files
from gongfu.tree.nodes.port_certificates import write_certificates
from tests.fixtures.tree import until
from tests.unit.tree.membership.trees import TREE


@dataclass
class Port:
    listener: JoinListener
    counters: Counters
    bodies: list[bytes]
    now: list[float]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return await asyncio.open_connection("127.0.0.1", self.listener.port, ssl=context)

    async def say(self, data: bytes) -> tuple[int, bytes]:
        """Send raw bytes; return status and body of the answer, 0 without one."""
        reader, writer = await self.connect()
        writer.write(data)
        answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return (int(head.split(b" ")[1]), body) if head else (0, b"")

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        return await self.say(head.encode() + body)


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[Port]:
    files, now = key_files(tmp_path), [0.0]
    key = TREE.keys["nation"]
    identity = Identity(chain=TREE.chains["nation"], authority=own_authority(files, key, time.time_ns()).pem)
    write_certificates(identity, files, ["127.0.0.1"], time.time_ns())
    bodies: list[bytes] = []

    async def admit(body: bytes, address: str) -> bytes:
        bodies.append(body)
        if body == b"used":
            raise Refused(Reason.TOKEN_USED, f"from {address}")
        return body[::-1]

    counters = Counters()
    listener = JoinListener(files, admit, counters, lambda: now[0])
    await listener.start("127.0.0.1", 0)
    yield Port(listener, counters, bodies, now)
    await listener.stop()


async def test_answers_and_refusals(port: Port) -> None:
    status, authority = await port.ask("GET", "/v1/tree/authority")
    assert (status, authority.startswith(b"-----BEGIN CERTIFICATE-----")) == (200, True)
    assert await port.ask("POST", "/v1/tree/join", b"abc") == (200, b"cba")
    status, body = await port.ask("POST", "/v1/tree/join", b"used")
    problem = json.loads(body)
    assert (status, problem["code"], problem["detail"]) == (403, "token-used", "from 127.0.0.1")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/tree/join", 405),
        ("POST", "/v1/tree/authority", 405),
        ("PUT", "/v1/devices", 404),
    ],
)
async def test_nothing_else_is_there(port: Port, method: str, path: str, status: int) -> None:
    assert (await port.ask(method, path))[0] == status
    assert port.bodies == []


async def test_a_body_that_is_too_large_is_not_read_to_its_end(port: Port) -> None:
    head = b"POST /v1/tree/join HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n"
    reader, writer = await port.connect()
    writer.write(head + bytes(MESSAGE_LIMIT + 1))
    assert (await reader.readline()).split(b" ")[1] == b"413"
    writer.close()
    assert port.bodies == []


@pytest.mark.parametrize("data", [b"\x16\x03\x01garbage\r\n\r\n", b"POST /v1/tree/join HTTP/1.1\r\nHost: x\r\n" * 2000])
async def test_what_is_not_http_ends_the_connection(port: Port, data: bytes) -> None:
    assert await port.say(data) == (0, b"")
    assert port.counters.snapshot()["join_connections_broken"] == 1
    assert (await port.ask("GET", "/v1/tree/authority"))[0] == 200


async def test_who_says_nothing_is_left_and_holds_only_one_place(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join_listener, "CONNECTIONS", 2)
    silent = [await port.connect() for _ in range(2)]
    assert await port.say(b"") == (0, b"")
    assert port.counters.snapshot()["join_connections_refused"] == 1
    for _, writer in silent:
        writer.close()
    await until(lambda: port.counters.snapshot().get("join_connections_broken") == 2, "their places are free")
    assert (await port.ask("GET", "/v1/tree/authority"))[0] == 200
    monkeypatch.setattr(join_listener, "CONNECTION_S", 0.05)
    reader, _ = await port.connect()
    assert await asyncio.wait_for(reader.read(), 60) == b""


async def test_more_requests_than_allowed_are_told_to_come_again(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join_listener, "BURST", 2.0)
    statuses = [(await port.ask("POST", "/v1/tree/join", b"x"))[0] for _ in range(4)]
    # The first takes from what was there at the start.
    assert statuses[-1] == 429
    assert port.counters.snapshot()["join_requests_limited"] >= 1
    port.now[0] += 1.0
    assert (await port.ask("POST", "/v1/tree/join", b"x"))[0] == 200
