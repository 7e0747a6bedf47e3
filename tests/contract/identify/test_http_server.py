"""The HTTP server on real sockets, on uvloop as in a node: limits, order, slow clients, and what is no HTTP."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from gongfu.identify.http import connection as timing
from gongfu.identify.http.server import HttpServer
from gongfu.identify.http.types import Request, Response
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem

WAIT_S = 60
BIG = 100_000


class Faces:
    """Faces of all kinds."""

    def __init__(self) -> None:
        self.state = b"first"
        self.asked = 0
        self.may_go_on = asyncio.Event()

    def kept(self, request: Request) -> Response:
        self.asked += 1
        return Response(200, self.state + request.target.encode(), (("Content-Type", "text/plain"),), ("99.1/a",))

    def echo(self, request: Request) -> Response:
        return Response(201, request.method.encode() + b" " + request.body, (("X-Peer", request.peer),))

    async def later(self, request: Request) -> Response:
        await self.may_go_on.wait()
        return Response(200, b"late " + request.target.encode())

    def faulty(self, request: Request) -> Response:
        if request.query == "problem":
            raise Problem(418, "teapot", "A teapot")
        if request.query == "header":
            return Response(200, b"", (("X", "a\r\nSet-Cookie: b"),))
        if request.query == "none":
            return Response(204)
        raise RuntimeError("a fault of a face, with a secret")

    def big(self, request: Request) -> Response:
        return Response(200, bytes(BIG))


@pytest.fixture
def faces() -> Faces:
    return Faces()


@pytest_asyncio.fixture
async def server(faces: Faces) -> AsyncIterator[HttpServer]:
    made = HttpServer(Counters())
    made.mount("/kept", faces.kept)
    made.mount("/kept/echo", faces.echo, body_bytes=1000)
    made.mount("/later", faces.later)
    made.mount("/faulty", faces.faulty)
    made.mount("/big", faces.big)
    yield made
    await made.stop()


@pytest_asyncio.fixture
async def port(server: HttpServer) -> int:
    return await server.start(port=0)


class Client:
    """A connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, *parts: bytes) -> None:
        self._writer.write(b"".join(parts))

    async def answer(self, *, head: bool = False) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(WAIT_S):
            lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:-2])}
            size = 0 if head else int(headers.get("content-length", 0))
            return int(lines[0].split()[1]), headers, await self._reader.readexactly(size)

    async def end(self) -> bytes:
        async with asyncio.timeout(WAIT_S):
            try:
                return await self._reader.read()
            except ConnectionError:
                return b""
            finally:
                self._writer.close()


async def until(met: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + WAIT_S
    while not met():
        assert asyncio.get_running_loop().time() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


async def connect(port: int) -> Client:
    return Client(*await asyncio.open_connection("127.0.0.1", port))


def get(target: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    lines = [f"{method} {target} HTTP/{version}", "Host: a", *headers, "", ""]
    return "\r\n".join(lines).encode()


async def test_answers_are_kept_until_what_they_are_about_changes(faces: Faces, server: HttpServer, port: int) -> None:
    client = await connect(port)
    for _ in range(3):
        client.send(get("/kept?x"))
        status, headers, body = await client.answer()
        assert (status, body) == (200, b"first/kept?x")
        assert headers["content-type"] == "text/plain"
        assert headers["date"].endswith("GMT")
    assert faces.asked == 1
    client.send(get("/kept?x", "Authorization: Basic eA=="))
    assert (await client.answer())[0] == 200
    client.send(get("/kept?x", "Authorization: Basic eA=="))
    assert (await client.answer())[0] == 200
    assert faces.asked == 3
    faces.state = b"second"
    server.changed(frozenset({"99.1/b"}), frozenset())
    client.send(get("/kept?x"))
    assert (await client.answer())[2] == b"first/kept?x"
    server.changed(frozenset({"99.1/a"}), frozenset())
    client.send(get("/kept?x"))
    assert (await client.answer())[2] == b"second/kept?x"
    await server.stop()
    assert server.counters.snapshot()["http_answers_kept"] == 3
    assert server.counters.snapshot()["http_answers.200"] == 7


async def test_bodies_methods_and_mounts(port: int) -> None:
    client = await connect(port)
    client.send(get("/kept/echo/x", "Content-Length: 4", method="PUT"), b"body")
    status, headers, body = await client.answer()
    assert (status, body, headers["x-peer"]) == (201, b"PUT body", "127.0.0.1")
    client.send(get("/kept/echo", "Transfer-Encoding: chunked", method="POST"), b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
    assert (await client.answer())[2] == b"POST abc"
    client.send(get("/kept/echo", method="DELETE"))
    assert (await client.answer())[2] == b"DELETE "
    client.send(get("/kept/echoes", method="HEAD"))
    status, headers, body = await client.answer(head=True)
    assert (status, int(headers["content-length"])) == (200, len(b"first/kept/echoes"))
    client.send(get("http://a/kept/echo?x", method="PUT"))
    assert (await client.answer())[2] == b"PUT "
    client.send(get("/elsewhere"))
    status, headers, body = await client.answer()
    assert (status, headers["content-type"]) == (404, "application/problem+json")


async def test_a_client_that_waits_to_go_on(port: int) -> None:
    client = await connect(port)
    client.send(get("/kept/echo", "Content-Length: 2", "Expect: 100-continue", method="PUT"))
    assert (await client.answer())[0] == 100
    client.send(b"ab")
    assert (await client.answer())[2] == b"PUT ab"


async def test_pipelined_requests_are_answered_in_order(faces: Faces, port: int) -> None:
    client = await connect(port)
    sent = (
        get("/kept?1") + get("/later?2") + get("/kept?1") + get("/kept/echo", "Content-Length: 1", method="PUT") + b"3"
    )
    for piece in (sent, sent[:10], sent[10:130], sent[130:]):
        client.send(piece)
        await asyncio.sleep(0)
    faces.may_go_on.set()
    bodies = [(await client.answer())[2] for _ in range(8)]
    assert bodies == [b"first/kept?1", b"late /later?2", b"first/kept?1", b"PUT 3"] * 2


async def test_an_answer_after_the_client_has_said_its_last(faces: Faces, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(get("/later"))
    writer.write_eof()
    asyncio.get_running_loop().call_later(0.05, faces.may_go_on.set)
    async with asyncio.timeout(WAIT_S):
        assert (await reader.read()).endswith(b"late /later")
    writer.close()


@pytest.mark.parametrize(("query", "status"), [("problem", 418), ("header", 500), ("fault", 500), ("none", 204)])
async def test_faults_of_faces(port: int, query: str, status: int) -> None:
    client = await connect(port)
    client.send(get(f"/faulty?{query}"))
    said, headers, body = await client.answer()
    assert said == status
    assert b"secret" not in body
    assert "set-cookie" not in headers
    client.send(get("/kept"))
    assert (await client.answer())[0] == 200


@pytest.mark.parametrize("how", ["Connection: close", "1.0"])
async def test_connections_that_end(port: int, how: str) -> None:
    client = await connect(port)
    client.send(get("/kept", version="1.0") if how == "1.0" else get("/kept", how))
    status, headers, _ = await client.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert await client.end() == b""


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\0\x01\0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (get("/kept/echo", "Content-Length: 1", "Transfer-Encoding: chunked", method="PUT"), 400),
        (get("/kept/echo", "Content-Length: x", method="PUT"), 400),
        (get("/kept/echo", "Transfer-Encoding: gzip", method="PUT"), 501),
        (get("/kept/echo", "Transfer-Encoding: chunked", method="PUT") + b"zz\r\n", 400),
        (get("/kept/echo", "Content-Length: 1001", method="PUT"), 413),
        (get("/kept/echo", "Transfer-Encoding: chunked", method="PUT") + b"7d0\r\n" + bytes(2000), 413),
        (get("/nobody", "Content-Length: 1", method="PUT"), 413),
        (get("/" + "x" * 20_000), 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 4000, 431),
    ],
)
async def test_what_is_refused(server: HttpServer, port: int, sent: bytes, status: int) -> None:
    client = await connect(port)
    client.send(sent)
    said, headers, body = await client.answer()
    assert (said, headers["connection"]) == (status if status != 501 else said, "close")
    assert 400 <= said < 502
    assert b'"status"' in body
    assert await client.end() == b""
    assert any(name.startswith("http_requests_rejected.") for name in server.counters.snapshot())


async def test_a_smuggled_request_is_none(port: int) -> None:
    # Two lengths: whoever believes the other one sees another request.
    client = await connect(port)
    smuggled = get("/kept/echo", "Content-Length: 4", "Content-Length: 40", method="PUT") + b"body" + get("/kept")
    client.send(smuggled)
    assert (await client.answer())[0] == 400
    assert await client.end() == b""


@pytest.mark.parametrize(
    ("part", "limit", "reason"),
    [
        (b"GET /kept HT", "_HEAD_S", "slow-head"),
        (get("/kept/echo", "Content-Length: 9", method="PUT") + b"x", "_BODY_S", "slow-body"),
    ],
)
async def test_slow_clients(
    monkeypatch: pytest.MonkeyPatch, server: HttpServer, port: int, part: bytes, limit: str, reason: str
) -> None:
    monkeypatch.setattr(timing, limit, 0.0)
    client = await connect(port)
    client.send(part)
    assert await client.end() == b""
    assert server.counters.snapshot()[f"http_connections_dropped.{reason}"] == 1
    assert server.held == 0


async def test_clients_that_ask_and_do_not_read(monkeypatch: pytest.MonkeyPatch, server: HttpServer, port: int) -> None:
    monkeypatch.setattr(timing, "_UNREAD_S", 0.0)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(WAIT_S):
            await loop.sock_sendall(client, get("/big") * 400)
        await until(lambda: "http_connections_dropped.unread" in server.counters.snapshot())
    # It was not answered all that it asked for.
    assert server.counters.snapshot()["http_answers.200"] < 400


async def test_idle_connections_end(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setattr(timing, "_IDLE_S", 0.0)
    client = await connect(port)
    assert await client.end() == b""


async def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch, server: HttpServer, port: int) -> None:
    monkeypatch.setattr("gongfu.identify.http.server._CONNECTIONS", 2)
    clients = [await connect(port) for _ in range(2)]
    for client in clients:
        client.send(get("/kept"))
        assert (await client.answer())[0] == 200
    refused = await connect(port)
    assert await refused.end() == b""
    assert server.counters.snapshot()["http_connections_refused"] == 1
    clients[0].send(get("/kept", "Connection: close"))
    await clients[0].end()
