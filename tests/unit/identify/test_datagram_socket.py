"""Datagrams answered many at a time and one by one, on real sockets."""

import socket
from collections.abc import Iterator

import pytest

from gongfu.identify.datagram_socket import AT_ONCE, RECEIVE_BYTES, Address, DatagramSocket, open_datagram_socket
from gongfu.kernel.counters import Counters


class Echo:
    def __init__(self, host: str, *, batches: bool) -> None:
        self.opened = open_datagram_socket(host, 0)
        self.counters = Counters()
        self.slow: list[tuple[bytes, Address]] = []
        self.served = DatagramSocket(self.opened, self.fast, self._slow, self.counters, "echo", batches=batches)
        self.client = socket.socket(self.opened.family, socket.SOCK_DGRAM)
        self.client.bind((host, 0))
        self.client.connect(self.opened.getsockname())
        self.client.settimeout(60)

    def fast(self, data: bytes) -> bytes | None:
        return None if data.startswith(b"slow") else data * (3 if data.startswith(b"long") else 1)

    def _slow(self, data: bytes, address: Address) -> None:
        self.slow.append((data, address))
        self.served.send(b"from slow", address)

    def close(self) -> None:
        self.opened.close()
        self.client.close()


@pytest.fixture(params=[("127.0.0.1", True), ("127.0.0.1", False), ("::1", True)], ids=str)
def echo(request: pytest.FixtureRequest) -> Iterator[Echo]:
    host, batches = request.param
    try:
        made = Echo(host, batches=batches)
    except OSError:
        pytest.skip(f"no {host} here")
    yield made
    made.close()


def test_every_datagram_is_answered_with_its_own(echo: Echo):
    sent = [b"%d" % n for n in range(AT_ONCE + 10)]
    for data in sent:
        echo.client.send(data)
    echo.served.ready()
    echo.served.ready()
    assert [echo.client.recv(100) for _ in sent] == sent
    assert echo.counters.snapshot() == {"echo_answers.fast": len(sent)}
    echo.served.ready()


def test_the_rest_goes_the_slow_way_to_the_same_address(echo: Echo):
    sent = [b"slow 1", b"a", b"slow 2", b"slow 3", b"b", b"long" * 300, b"c", b"x" * (RECEIVE_BYTES + 1), b"d"]
    for data in sent:
        echo.client.send(data)
    echo.served.ready()
    answers = sorted(echo.client.recv(10_000) for _ in range(len(sent) - 1))
    assert answers == sorted([b"from slow"] * 3 + [b"a", b"b", b"c", b"d", b"long" * 900])
    assert [data for data, _ in echo.slow] == [b"slow 1", b"slow 2", b"slow 3"]
    assert {address[:2] for _, address in echo.slow} == {echo.client.getsockname()[:2]}
    assert echo.counters.snapshot()["echo_datagrams_dropped.length"] == 1


def test_an_address_that_is_taken():
    opened = open_datagram_socket("127.0.0.1", 0)
    with pytest.raises(OSError, match="in use"):
        open_datagram_socket("127.0.0.1", opened.getsockname()[1])
    opened.close()
