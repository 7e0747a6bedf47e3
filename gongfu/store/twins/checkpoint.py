"""Checkpoint: arrays and a JSON document in one file, replaced as a whole or not at all."""

import asyncio
import json
import os
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

_DOCUMENT = "document"
# What a changed byte leads to where no CRC-32 covers it, or before it is known.
_DAMAGE = (
    ValueError,
    KeyError,
    OSError,
    EOFError,
    RuntimeError,
    SyntaxError,
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
        with np.load(path, allow_pickle=False) as stored:
            # NumPy reads what the head of a member says: fewer bytes than there are, and their CRC-32 is never asked.
            if (changed := stored.zip.testzip()) is not None:
                raise CheckpointError(f"checkpoint {path} cannot be read: {changed} has changed")
            arrays = {name: stored[name] for name in stored.files}
        document = json.loads(arrays.pop(_DOCUMENT).tobytes())
    except FileNotFoundError:
        return None
    except _DAMAGE as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise CheckpointError(f"checkpoint {path} has no document")
    return arrays, document


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

    async def load(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
        """See ``CheckpointStore``."""
        return await asyncio.to_thread(read_checkpoint, self._path)

    async def save(self, arrays: dict[str, NDArray[Any]], document: dict[str, Any]) -> None:
        """See ``CheckpointStore``."""
        await asyncio.to_thread(write_checkpoint, self._path, arrays, document)
