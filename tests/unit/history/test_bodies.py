import gzip
import importlib
import io
import os
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.store.history import bodies
from gongfu.store.history.bodies import BodyError, receive


def _take(data: bytes, headers: dict[str, str]) -> bytes:
    descriptor, size = receive(io.BufferedReader(io.BytesIO(data)), headers)  # pyright: ignore[reportArgumentType]
    try:
        return os.pread(descriptor, size + 1, 0)
    finally:
        os.close(descriptor)


@given(st.binary(max_size=5000))
def test_sized(body: bytes) -> None:
    assert _take(body + b"next request", {"content-length": str(len(body))}) == body


@given(st.lists(st.binary(min_size=1, max_size=700), max_size=8))
def test_chunked(pieces: list[bytes]) -> None:
    sent = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nTrailer: x\r\n\r\nnext"
    assert _take(sent, {"transfer-encoding": "chunked"}) == b"".join(pieces)


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=5000))
def test_codings(body: bytes) -> None:
    packed = {
        "gzip": gzip.compress(body),
        "deflate": zlib.compress(body),
        "zstd": importlib.import_module("backports.zstd").compress(body),
        "lz4": importlib.import_module("lz4.frame").compress(body),
        "identity": body,
    }
    for coding, data in packed.items():
        assert _take(data, {"content-length": str(len(data)), "content-encoding": coding}) == body


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd", "lz4"])
def test_damage_is_told(coding: str) -> None:
    with pytest.raises(BodyError) as caught:
        _take(b"not that at all", {"content-length": "15", "content-encoding": coding})
    assert caught.value.status == 400


@pytest.mark.parametrize("coding", ["gzip", "zstd", "lz4", "deflate"])
def test_bombs_are_stopped(coding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_BODY_BYTES", 100_000)
    zeros = b"\0" * 3_000_000
    packed = {
        "gzip": gzip.compress(zeros),
        "deflate": zlib.compress(zeros),
        "zstd": importlib.import_module("backports.zstd").compress(zeros),
        "lz4": importlib.import_module("lz4.frame").compress(zeros),
    }[coding]
    with pytest.raises(BodyError) as caught:
        _take(packed, {"content-length": str(len(packed)), "content-encoding": coding})
    assert caught.value.status == 413


@pytest.mark.parametrize(
    ("data", "headers", "status"),
    [
        (b"", {"content-length": "-1"}, 413),
        (b"", {"content-length": "x"}, 413),
        (b"", {"content-length": "9" * 30}, 413),
        (b"zz\r\n", {"transfer-encoding": "chunked"}, 400),
        (b"fffffffffff\r\n", {"transfer-encoding": "chunked"}, 413),
        (b"a", {"content-length": "1", "content-encoding": "br"}, 415),
    ],
)
def test_what_is_refused(data: bytes, headers: dict[str, str], status: int) -> None:
    with pytest.raises(BodyError) as caught:
        _take(data, headers)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("data", "headers"),
    [(b"ab", {"content-length": "3"}), (b"5\r\nabc", {"transfer-encoding": "chunked"})],
)
def test_an_early_end_is_a_lost_connection(data: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(ConnectionError):
        _take(data, headers)


def test_no_descriptor_is_left_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for data, headers in ((b"", {"content-length": "x"}), (b"a", {"content-length": "1", "content-encoding": "gzip"})):
        with pytest.raises(BodyError):
            _take(data, headers)
    assert len(os.listdir("/proc/self/fd")) == before
