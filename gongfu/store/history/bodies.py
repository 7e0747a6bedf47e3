"""Request bodies: from the socket into a memory file, plain, whole and bounded. They never touch the disk."""

import gzip
import importlib
import mmap
import os
import zlib
from collections.abc import Mapping
from io import BufferedIOBase
from typing import Any

MAX_BODY_BYTES = 256 * 1024 * 1024
_PIECE = 1 << 20


class BodyError(Exception):
    """The body cannot be taken.

    Attributes:
        status: HTTP status that fits.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def memory_file(name: str) -> int:
    """Return the descriptor of an empty memory file; the caller closes it."""
    return os.memfd_create(name, os.MFD_CLOEXEC)


def receive(source: BufferedIOBase, headers: Mapping[str, str]) -> tuple[int, int]:
    """Return the descriptor of a memory file that holds the plain body, and its size.

    Args:
        source: the connection, behind the head of the request.
        headers: request headers with names in lower case.

    Raises:
        BodyError: too large, a bad chunk, or a coding that is not gzip, deflate, zstd or lz4.
        ConnectionError: the peer went away inside the body.
    """
    descriptor = memory_file("gongfu-history-body")
    try:
        if "chunked" in headers.get("transfer-encoding", "").lower():
            size = _receive_chunks(source, descriptor)
        else:
            size = _receive_sized(source, descriptor, headers.get("content-length", "0"))
        coding = headers.get("content-encoding", "").lower()
        if coding in ("", "identity") or not size:
            return descriptor, size
        plain = memory_file("gongfu-history-plain")
        try:
            size = _decode(descriptor, plain, coding)
        except BaseException:
            os.close(plain)
            raise
        os.close(descriptor)
        return plain, size
    except BaseException:
        os.close(descriptor)
        raise


def discard(source: BufferedIOBase, headers: Mapping[str, str]) -> None:
    """Read a body of a stranger and keep nothing of it: unread, it would hide the answer from the peer."""
    length = headers.get("content-length", "0")
    left = int(length) if length.isascii() and length.isdigit() and len(length) < 16 else 0
    left = min(left, MAX_BODY_BYTES)
    while left > 0:
        piece = source.read(min(left, 65536))
        if not piece:
            return
        left -= len(piece)


def _check_size(size: int) -> None:
    if not 0 <= size <= MAX_BODY_BYTES:
        raise BodyError(413, f"a body has 0 to {MAX_BODY_BYTES} bytes")


def _receive_sized(source: BufferedIOBase, descriptor: int, length: str) -> int:
    size = int(length) if length.isascii() and length.isdigit() and len(length) < 16 else -1
    _check_size(size)
    if size:
        os.ftruncate(descriptor, size)
        with mmap.mmap(descriptor, size) as target, memoryview(target) as view:
            if source.readinto(view) != size:
                raise ConnectionResetError("body ended early")
    return size


def _receive_chunks(source: BufferedIOBase, descriptor: int) -> int:
    total = 0
    while True:
        line = source.readline(1024)
        try:
            size = int(line.split(b";")[0].strip(), 16)
        except ValueError:
            raise BodyError(400, "bad chunk") from None
        if size == 0:
            while source.readline(8192).strip():
                continue
            return total
        _check_size(total + size)
        chunk = source.read(size)
        if len(chunk) != size:
            raise ConnectionResetError("body ended early")
        os.write(descriptor, chunk)
        source.readline(8)
        total += size


def _decode(packed: int, plain: int, coding: str) -> int:
    """Unpack one memory file into another, never beyond the bound; clients of ClickHouse compress by default."""
    total = 0
    try:
        with open(packed, "rb", closefd=False) as raw:
            raw.seek(0)
            with _reader(raw, coding) as unpacked:
                while piece := unpacked.read(_PIECE):
                    total += len(piece)
                    _check_size(total)
                    os.write(plain, piece)
    except BodyError:
        raise
    except Exception as error:
        # Each codec has its own kind of error.
        raise BodyError(400, f"the body is not {coding}: {error}"[:200]) from None
    return total


def _reader(raw: Any, coding: str) -> Any:
    """Return a reader of a coding; the codecs come with clickhouse-connect and are imported when one is used."""
    if coding == "gzip":
        return gzip.GzipFile(fileobj=raw)
    if coding == "zstd":
        return importlib.import_module("backports.zstd").ZstdFile(raw)
    if coding == "lz4":
        return importlib.import_module("lz4.frame").LZ4FrameFile(raw)
    if coding == "deflate":
        return _Inflater(raw)
    raise BodyError(415, f"the coding {coding[:20]!r} is not known")


class _Inflater:
    """Reader of zlib streams (``deflate`` of HTTP, RFC 9110 §8.4.1.2)."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._inflate = zlib.decompressobj()

    def __enter__(self) -> "_Inflater":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, none at the end."""
        while not self._inflate.eof:
            data = self._inflate.unconsumed_tail or self._raw.read(_PIECE)
            if not data:
                raise EOFError("ended early")
            piece = self._inflate.decompress(data, size)
            if piece:
                return piece
        return b""
