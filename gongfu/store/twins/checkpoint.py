"""Checkpoint: arrays and a JSON document in one file, replaced as a whole or not at all."""

import asyncio
import json
import math
import os
import struct
import threading
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

_DOCUMENT = "document"
# As much of a member as stays in the cache between its CRC-32 and its copy.
_READ_BYTES = 1024 * 1024
# What a changed byte leads to where no CRC-32 covers it, or before it is known.
_DAMAGE = (
    ValueError,
    KeyError,
    OSError,
    EOFError,
    RuntimeError,
    SyntaxError,
    TypeError,
    tokenize.TokenError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)


class CheckpointError(ValueError):
    """The file is not a checkpoint or is damaged."""


def write_checkpoint(path: Path, arrays: dict[str, NDArray[Any]], document: dict[str, Any]) -> None:
    """Write a checkpoint: temporary file, fsync, rename, fsync of the directory. Readers see the old or the new one.

    Raises:
        OSError: the disk does not take it; the old checkpoint stays.
    """
    encoded = np.frombuffer(json.dumps(document).encode(), dtype=np.uint8)
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        # The members of an npz are checked by CRC-32 when they are read.
        np.savez(file, allow_pickle=False, **{_DOCUMENT: encoded, **arrays})
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_checkpoint(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
    """Return the arrays and the document, None when there is no checkpoint.

    Raises:
        CheckpointError: it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as stored:
            arrays = {info.filename.removesuffix(".npy"): _read_member(stored, info) for info in stored.infolist()}
        document = json.loads(arrays.pop(_DOCUMENT).tobytes())
    except FileNotFoundError:
        return None
    except _DAMAGE as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise CheckpointError(f"checkpoint {path} has no document")
    return arrays, document


def _read_member(stored: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    """Return one array, read once: NumPy would read what the head says, and its CRC-32 might never be asked."""
    with stored.open(info) as member:
        if npy.read_magic(member) != (1, 0):
            raise ValueError(f"{info.filename} is no array of ours")
        shape, by_column, dtype = npy.read_array_header_1_0(member)
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or not 0 <= size <= info.file_size:
            raise ValueError(f"{info.filename} is no array of ours")
        octets, at = np.empty(size, np.uint8), 0
        while at < size and (part := member.read(min(_READ_BYTES, size - at))):
            octets[at : at + len(part)] = np.frombuffer(part, np.uint8)
            at += len(part)
        # At its end the member compares the CRC-32 of what was read.
        if at < size or member.read(1):
            raise ValueError(f"{info.filename} has another size than it says")
    array = octets.view(dtype)
    return array.reshape(shape, order="F" if by_column else "C")


class CheckpointStore(Protocol):
    """Keeps the newest checkpoint of one partition."""

    async def load(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
        """Return arrays and document, None when there is none.

        Raises:
            CheckpointError: it is damaged.
        """
        ...

    async def save(self, arrays: dict[str, NDArray[Any]], document: dict[str, Any]) -> None:
        """Replace it; durable on return.

        Raises:
            OSError: it cannot be kept now; the old one stays.
        """
        ...


class CheckpointFile:
    """A checkpoint in a file of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # A save that was cancelled goes on in its thread; the next one must not write into its temporary file.
        self._writing = threading.Lock()

    async def load(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
        """See ``CheckpointStore``."""
        return await asyncio.to_thread(read_checkpoint, self._path)

    async def save(self, arrays: dict[str, NDArray[Any]], document: dict[str, Any]) -> None:
        """See ``CheckpointStore``."""
        await asyncio.to_thread(self._write, arrays, document)

    def _write(self, arrays: dict[str, NDArray[Any]], document: dict[str, Any]) -> None:
        with self._writing:
            write_checkpoint(self._path, arrays, document)
