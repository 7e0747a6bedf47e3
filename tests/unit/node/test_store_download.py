"""A package is fetched by its content: in parts, over a break, and never anything else; the token goes nowhere else."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from gongfu.node.cli.failures import Failure
from gongfu.node.cli.store_download import fetch_package

CONTENT = bytes(range(256)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()
OTHER = hashlib.sha256(b"something else").hexdigest()


class Store(BaseHTTPRequestHandler):
    """Serves CONTENT in parts of 3,000 bytes; breaks the second one off; of the digest of zeros it points elsewhere."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        begin = int(str(self.headers["Range"])[6:-1])
        self.asked.append(f"{name[:4]} {begin}")
        if name == "0" * 64:
            self.send_response(302)
            self.send_header("Location", f"http://{self.headers['Host']}/stolen")
            self.end_headers()
            return
        if begin >= len(CONTENT):
            self.send_response(416)
            self.end_headers()
            return
        piece = CONTENT[begin : begin + 3000]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {begin}-{begin + len(piece) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(piece)))
        self.end_headers()
        self.wfile.write(piece[:100] if begin == 3000 else piece)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    Store.asked.clear()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_parts_and_a_break_make_the_whole(url: str, tmp_path: Path) -> None:
    path = fetch_package(url, "token", DIGEST, tmp_path)
    assert path.read_bytes() == CONTENT
    assert f"{DIGEST[:4]} 3100" in Store.asked
    asked = len(Store.asked)
    # What is there is not fetched again.
    assert fetch_package(url, "token", DIGEST, tmp_path) == path
    assert len(Store.asked) == asked


def test_another_content_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="another file"):
        fetch_package(url, "token", OTHER, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_was_begun_with_too_much_begins_anew(url: str, tmp_path: Path) -> None:
    (tmp_path / f"{DIGEST}.part").write_bytes(bytes(len(CONTENT) + 1))
    assert fetch_package(url, "token", DIGEST, tmp_path).read_bytes() == CONTENT


def test_no_redirect_takes_the_token_elsewhere(url: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="302"):
        fetch_package(url, "token", "0" * 64, tmp_path)
    assert not any(asked.startswith("stol") for asked in Store.asked)
