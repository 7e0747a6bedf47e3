"""HTTP pull against a real server: pointers, times, refusals in words, bounds."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.connect.http_pull.addressing import find, leaves, split
from gongfu.connect.http_pull.driver import HttpPullDriver
from gongfu.connect.kit.loading import driver_of, make_driver
from gongfu.connect.kit.manifest import check_options
from gongfu.connect.kit.timing import SystemTiming
from gongfu.connect.kit.types import Address, Context, DriverError, Reason
from gongfu.connect.preview.looking import look
from gongfu.kernel.quality import Quality
from tests.fixtures.nats import free_port

DOCUMENT = {"time": "2026-01-02T03:04:05Z", "泵": [{"t": 21.5, "on": True}, {"t": None}], "a/b": "text", "n": 2**60}
PASSWORD = "geheim"


class Handler(BaseHTTPRequestHandler):
    """Answers by path."""

    def do_GET(self) -> None:
        expected = "Basic " + base64.b64encode(f"reader:{PASSWORD}".encode()).decode()
        if self.path == "/locked.json" and self.headers.get("Authorization") != expected:
            self._send(401, b"")
        elif self.path == "/moved":
            self._send(302, b"", Location="/plant.json")
        elif self.path == "/page":
            self._send(200, b"<html>")
        elif self.path == "/long":
            self._send(200, json.dumps(["x" * 5000]).encode())
        elif self.path in ("/plant.json", "/locked.json"):
            self._send(200, json.dumps(DOCUMENT).encode())
        elif self.path == "/status.json":
            self._send(200, b'{"uptime": 77}')
        else:
            self._send(404 if self.path != "/broken" else 500, b"")

    def _send(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    thread.join(30)
    made.server_close()


def make(url: str, **options: Any) -> HttpPullDriver:
    available = driver_of("http")
    checked = check_options(available.manifest, options)
    driver = make_driver(available, Context(url, checked, "test", Path("/nonexistent"), SystemTiming()))
    assert isinstance(driver, HttpPullDriver)
    return driver


def at(where: str) -> Address:
    return Address(point=where, where=where)


async def test_values_by_pointer_with_their_time(server: str) -> None:
    driver = make(f"{server}/plant.json", time="/time")
    await driver.open()
    wheres = ["/泵/0/t", "/泵/0/on", "/泵/1/t", "/a~1b", "/n", "/gone", "status.json#/uptime"]
    readings = sorted(await driver.read([at(where) for where in wheres]))
    assert [reading.value for reading in readings] == [21.5, True, None, "text", 2**60, None, 77]
    assert [reading.quality for reading in readings] == [0, 0, Quality.BAD_NO_DATA, 0, 0, Quality.BAD_NO_DATA, 0]
    assert readings[0].source_time == 1_767_323_045_000_000_000
    assert readings[6].source_time == 0
    assert (await driver.health())["requests"] == 3
    await driver.close()


async def test_preview_shows_the_leaves(server: str) -> None:
    driver = make(f"{server}/plant.json")
    await driver.open()
    proposal = await look(driver, SystemTiming(), name="", asset="", url=f"{server}/plant.json", options={})
    found = {point.address.point: (point.value, point.address.value_type) for point in proposal.points}
    assert found == {
        "time": ("2026-01-02T03:04:05Z", "string"),
        "泵.0.t": (21.5, "double"),
        "泵.0.on": (True, "boolean"),
        "a/b": ("text", "string"),
        "n": (2**60, "int64"),
    }
    await driver.close()


async def test_credentials(server: str) -> None:
    driver = make(f"{server}/locked.json", username="reader", password=PASSWORD)
    await driver.open()
    await driver.close()


@pytest.mark.parametrize(
    ("path", "options", "reason"),
    [
        ("/locked.json", {}, Reason.CREDENTIALS),
        ("/moved", {}, Reason.UNSUPPORTED),
        ("/page", {}, Reason.PROTOCOL),
        ("/gone", {}, Reason.ADDRESS_UNKNOWN),
        ("/broken", {}, Reason.PROTOCOL),
        ("/long", {"max_bytes": 1000}, Reason.RANGE),
        ("/plant.json", {"variables": [{"name": "x", "address": "../x#/y"}]}, Reason.ADDRESS_UNKNOWN),
    ],
)
async def test_what_goes_wrong_is_told(server: str, path: str, options: dict[str, Any], reason: Reason) -> None:
    driver = make(f"{server}{path}", **options)
    with pytest.raises(DriverError) as caught:
        await driver.open()
    assert caught.value.reason is reason
    assert caught.value.advice
    await driver.close()


async def test_an_unreachable_server() -> None:
    driver = make(f"http://127.0.0.1:{free_port()}/x")
    with pytest.raises(DriverError) as caught:
        await driver.open()
    assert caught.value.reason is Reason.UNREACHABLE
    await driver.close()


_json = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)),
    max_leaves=20,
)


@given(_json)
def test_every_leaf_is_found_by_its_pointer(document: Any) -> None:
    for pointer, tokens, value in leaves(document, 1000):
        assert split(f"#{pointer}") == ("", tokens)
        assert find(document, tokens) == value
