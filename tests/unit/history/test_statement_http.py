"""Kept connections for reads: against real sockets, with a server that does what a test wants."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from gongfu.kernel.points import ValueType
from gongfu.store.history.client import ClickHouseHistory
from gongfu.store.history.statement_http import ServerAway, StatementConnections, StatementRefused

Answer = Callable[[bytes, bytes], bytes]


class _Server:
    """Answers each request with what ``answer(head, body)`` gives; no bytes close the connection."""

    def __init__(self) -> None:
        self.answer: Answer = lambda head, body: _answered(body)
        self.accepted = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as source:
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = source.readline()
                    if not line:
                        return
                    head += line
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                answer = self.answer(head, source.read(length))
                with contextlib.suppress(OSError):
                    connection.sendall(answer)
                if not answer or b"break off" in answer:
                    return

    def close(self) -> None:
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _answered(content: bytes, status: str = "200 OK", further: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n{further}\r\n".encode() + content


@pytest.fixture
def server() -> Iterator[_Server]:
    made = _Server()
    yield made
    made.close()


def _connections(server: _Server, seconds: float = 20.0) -> StatementConnections:
    return StatementConnections(urlsplit(f"http://127.0.0.1:{server.port}"), "user", "päss:word", seconds)


def test_a_statement_is_sent_with_its_settings_form_and_credentials(server: _Server) -> None:
    seen: list[bytes] = []

    def answer(head: bytes, body: bytes) -> bytes:
        seen.append(head)
        return _answered(body)

    server.answer = answer
    assert _connections(server).read("SELECT 'é'", {"max_execution_time": 5}, "Native") == "SELECT 'é'".encode()
    first = seen[0].split(b"\r\n")[0].decode()
    asked = parse_qs(urlsplit(first.split(" ")[1]).query)
    assert asked["default_format"] == ["Native"]
    assert asked["max_execution_time"] == ["5"]
    # "user:päss:word" in UTF-8, RFC 7617.
    assert b"\r\nAuthorization: Basic dXNlcjpww6Rzczp3b3Jk\r\n" in seen[0]


def test_one_connection_serves_many_statements(server: _Server) -> None:
    connections = _connections(server)
    for i in range(20):
        assert connections.read(f"SELECT {i}", {}, "Native") == f"SELECT {i}".encode()
    assert server.accepted == 1


def test_a_connection_that_the_server_closed_is_opened_again(server: _Server) -> None:
    connections = _connections(server)
    connections.read("SELECT 1", {}, "Native")
    left = [True]

    def answer(head: bytes, body: bytes) -> bytes:
        return b"" if left and left.pop() else _answered(body)

    server.answer = answer
    assert connections.read("SELECT 2", {}, "Native") == b"SELECT 2"
    assert server.accepted == 2


def test_a_refusal_has_the_servers_code_and_words_and_keeps_the_connection(server: _Server) -> None:
    connections = _connections(server)
    server.answer = lambda head, body: _answered(
        b"Code: 60. Unknown table", "404 Not Found", "X-ClickHouse-Exception-Code: 60\r\n"
    )
    for _ in range(2):
        with pytest.raises(StatementRefused, match="Unknown table") as raised:
            connections.read("SELECT 1", {}, "Native")
        assert raised.value.code == 60
    assert server.accepted == 1


def test_an_answer_that_breaks_off_is_never_a_result(server: _Server) -> None:
    server.answer = lambda head, body: b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbreak off"
    with pytest.raises(ServerAway):
        _connections(server).read("SELECT 1", {}, "Native")


def test_chunks_that_break_off_are_never_a_result(server: _Server) -> None:
    server.answer = lambda head, body: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nbreak off\r\n"
    with pytest.raises(ServerAway):
        _connections(server).read("SELECT 1", {}, "Native")


def test_an_answer_without_the_end_of_its_head_is_never_a_result(server: _Server) -> None:
    server.answer = lambda head, body: b"HTTP/1.1 200 OK\r\nX-What: break off"
    with pytest.raises(ServerAway):
        _connections(server).read("SELECT 1", {}, "Native")


def test_an_exception_that_is_told_after_status_200_is_a_refusal(server: _Server) -> None:
    server.answer = lambda head, body: _answered(b"Code: 241.", further="X-ClickHouse-Exception-Code: 241\r\n")
    with pytest.raises(StatementRefused, match="Code: 241") as raised:
        _connections(server).read("SELECT 1", {}, "Native")
    assert raised.value.code == 241


def test_a_statement_whose_answer_breaks_off_is_carried_out_once_whatever_connections_are_kept(server: _Server) -> None:
    connections = _connections(server)
    together = threading.Barrier(3)

    def answer(head: bytes, body: bytes) -> bytes:
        together.wait(20)
        return _answered(body)

    server.answer = answer
    threads = [threading.Thread(target=connections.read, args=("SELECT 1", {}, "Native")) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asked: list[bytes] = []

    def broken(head: bytes, body: bytes) -> bytes:
        asked.append(body)
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nbreak off\r\n"

    server.answer = broken
    with pytest.raises(ServerAway):
        connections.read("SELECT 2", {}, "Native")
    assert asked == [b"SELECT 2"]


def test_a_host_that_does_not_take_connections_is_given_up_before_a_slow_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gongfu.store.history.statement_http.CONNECT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as opened:
        port = int(listener.getsockname()[1])
        for _ in range(3):  # nobody accepts: from here on the kernel drops what wants to connect
            one = opened.enter_context(socket.socket())
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(("127.0.0.1", port))
        connections = StatementConnections(urlsplit(f"http://127.0.0.1:{port}"), "user", "", 600)
        with pytest.raises(ServerAway):
            connections.read("SELECT 1", {}, "Native")


def test_chunks_are_put_together(server: _Server) -> None:
    server.answer = lambda head, body: (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    )
    connections = _connections(server)
    assert [connections.read("SELECT 1", {}, "Native") for _ in range(2)] == [b"abc", b"abc"]
    assert server.accepted == 1


def test_a_server_that_says_nothing_is_away_and_asked_once(server: _Server) -> None:
    asked: list[bytes] = []
    hold = threading.Event()

    def answer(head: bytes, body: bytes) -> bytes:
        asked.append(body)
        hold.wait(20)
        return b""

    connections = _connections(server)
    connections.read("SELECT 1", {}, "Native")
    connections._kept[0].settimeout(0.05)
    server.answer = answer
    with pytest.raises(ServerAway):
        connections.read("SELECT 2", {}, "Native")
    hold.set()
    # A statement that takes too long is not begun again.
    assert asked == [b"SELECT 2"]


def test_no_server_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    connections = StatementConnections(urlsplit(f"http://127.0.0.1:{port}"), "user", "", 5)
    with pytest.raises(ServerAway):
        connections.read("SELECT 1", {}, "Native")


async def test_a_server_that_does_not_let_a_setting_be_changed_is_asked_without_it(server: _Server) -> None:
    asked: list[bool] = []

    def answer(head: bytes, _body: bytes) -> bytes:
        asked.append(b"enable_analyzer" in head)
        if asked[-1]:
            return _answered(b"constrained", "500 Internal Server Error", "X-ClickHouse-Exception-Code: 452\r\n")
        return _answered(b"")

    server.answer = answer
    store = ClickHouseHistory(f"http://127.0.0.1:{server.port}", "reader", "secret")
    for _ in range(2):
        found = await store.query(ValueType.DOUBLE, [1], 0, 10)
        assert len(found.columns.series) == 0
    await store.close()
    assert asked == [True, False, False]
