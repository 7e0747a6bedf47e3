"""Object store in a folder: ``<root>/<first two digits>/<sha256>``; an object never changes, and is there whole or not.

What is put is written aside, synced and renamed, so a crash leaves nothing half-written. Who refers to objects keeps
their digests in records of its own; ``sweep`` removes what nobody refers to.
"""

import asyncio
import hashlib
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAX_OBJECT_BYTES = 64 * 1024 * 1024
# An object without references is left so long: whoever has just put it may be about to refer to it.
GRACE_S = 24 * 3600.0
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_ASIDE = ".incoming-"


class ObjectError(ValueError):
    """An object cannot be put or read; the text is for people."""


class ObjectTooLargeError(ObjectError):
    """There is more than ``MAX_OBJECT_BYTES``, or than the store may hold."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object: SHA-256 in hexadecimal, and size in bytes."""

    sha256: str
    size: int


class ObjectFolder:
    """Objects below a folder of this machine. Methods block on the disk."""

    def __init__(self, root: Path, *, object_bytes: int = MAX_OBJECT_BYTES, total_bytes: int = 0) -> None:
        """Use ``root``, which is made with the first object.

        Args:
            root: the folder.
            object_bytes: largest object.
            total_bytes: bound of all objects together; 0 for none.
        """
        self.root = root
        self.object_bytes = object_bytes
        self._total_bytes = total_bytes

    def path(self, sha256: str) -> Path:
        """Return where an object is, whether or not it is there.

        Raises:
            ObjectError: that is no digest.
        """
        if _DIGEST.fullmatch(sha256) is None:
            raise ObjectError(f"{sha256[:80]!r} is no SHA-256 digest")
        return self.root / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Return whether an object is there."""
        return self.path(sha256).is_file()

    def put(self, content: bytes) -> Stored:
        """Keep bytes; durable on return. What is there already is left as it is.

        Raises:
            ObjectTooLargeError: see there.
            OSError: the disk does not take it.
        """
        self._check(len(content), self._room())
        digest = hashlib.sha256(content).hexdigest()
        if not self._touch(digest):
            aside = self._aside()
            try:
                with aside.open("xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                self._rename(aside, digest)
            finally:
                aside.unlink(missing_ok=True)
        return Stored(digest, len(content))

    async def take(self, chunks: AsyncIterator[bytes]) -> Stored:
        """Keep what comes in pieces; memory holds one piece at a time.

        Raises:
            ObjectTooLargeError: see there; nothing is kept.
            OSError: the disk does not take it.
        """
        # What waits for the disk, or looks at all objects, is done aside: others use the loop.
        aside, digest, size, room = self._aside(), hashlib.sha256(), 0, await asyncio.to_thread(self._room)

        def keep(file: BinaryIO) -> None:
            file.flush()
            os.fsync(file.fileno())
            if not self._touch(digest.hexdigest()):
                self._rename(aside, digest.hexdigest())

        try:
            with aside.open("xb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    self._check(size, room)
                    digest.update(chunk)
                    file.write(chunk)
                await asyncio.to_thread(keep, file)
        finally:
            aside.unlink(missing_ok=True)
        return Stored(digest.hexdigest(), size)

    def read(self, sha256: str) -> bytes:
        """Return an object.

        Raises:
            ObjectError: it is not there, or its bytes are not those it is named by.
        """
        try:
            content = self.path(sha256).read_bytes()
        except FileNotFoundError:
            raise ObjectError(f"there is no object {sha256}") from None
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ObjectError(f"object {sha256} is damaged: its bytes have another digest")
        return content

    def all(self) -> Iterator[Stored]:
        """Yield the objects."""
        for folder in sorted(self.root.glob("[0-9a-f][0-9a-f]")):
            for file in sorted(folder.iterdir()):
                if _DIGEST.fullmatch(file.name) and file.is_file():
                    yield Stored(file.name, file.stat().st_size)

    def sweep(self, referenced: Collection[str], now: float | None = None) -> list[Stored]:
        """Remove what nobody refers to and is older than a day; return it.

        Args:
            referenced: digests that somebody refers to, read after the objects were put.
            now: seconds since 1970; default: the clock.
        """
        now = time.time() if now is None else now
        gone: list[Stored] = []
        for stored in list(self.all()):
            file = self.path(stored.sha256)
            if stored.sha256 not in referenced and now - file.stat().st_mtime > GRACE_S:
                file.unlink(missing_ok=True)
                gone.append(stored)
        for aside in self.root.glob(f"{_ASIDE}*"):
            if now - aside.stat().st_mtime > GRACE_S:
                aside.unlink(missing_ok=True)
        return gone

    def _room(self) -> int:
        """Return how many bytes may still be put; -1 for no bound."""
        return max(self._total_bytes - sum(stored.size for stored in self.all()), 0) if self._total_bytes else -1

    def _check(self, size: int, room: int) -> None:
        if size > self.object_bytes:
            raise ObjectTooLargeError(f"an object may have {self.object_bytes} bytes")
        if 0 <= room < size:
            raise ObjectTooLargeError(f"all objects together may have {self._total_bytes} bytes")

    def _aside(self) -> Path:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.root / f"{_ASIDE}{secrets.token_hex(8)}"

    def _touch(self, digest: str) -> bool:
        """Return whether the object is there; it then counts as put now, so that no sweep takes it."""
        try:
            os.utime(self.path(digest))
        except FileNotFoundError:
            return False
        return True

    def _rename(self, aside: Path, digest: str) -> None:
        target = self.path(digest)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        aside.chmod(0o600)
        aside.replace(target)
        for folder in (target.parent, self.root):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
