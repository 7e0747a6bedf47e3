"""Object store: named by content, whole or not there, bounded, garbage by references."""

import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gongfu.store.objects.folder import GRACE_S, ObjectError, ObjectFolder, ObjectTooLargeError


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_an_object_is_named_by_its_content_and_kept_once(tmp_path: Path) -> None:
    store = ObjectFolder(tmp_path / "objects")
    stored = store.put(b"abc")
    assert (stored.sha256, stored.size) == (hashlib.sha256(b"abc").hexdigest(), 3)
    assert await store.take(pieces(b"a", b"", b"bc")) == stored
    assert list(store.all()) == [stored]
    assert store.read(stored.sha256) == b"abc"
    assert store.path(stored.sha256).stat().st_mode & 0o777 == 0o600


async def test_what_is_too_large_or_broken_off_leaves_nothing(tmp_path: Path) -> None:
    store = ObjectFolder(tmp_path, object_bytes=4, total_bytes=6)
    with pytest.raises(ObjectTooLargeError):
        store.put(b"12345")
    with pytest.raises(ObjectTooLargeError):
        await store.take(pieces(b"123", b"45"))

    async def broken() -> AsyncIterator[bytes]:
        yield b"12"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await store.take(broken())
    assert files(tmp_path) == []
    store.put(b"1234")
    with pytest.raises(ObjectTooLargeError, match="together"):
        store.put(b"567")


def test_damage_and_names_that_are_no_digests_are_told(tmp_path: Path) -> None:
    store = ObjectFolder(tmp_path)
    digest = store.put(b"abc").sha256
    store.path(digest).write_bytes(b"abd")
    with pytest.raises(ObjectError, match="damaged"):
        store.read(digest)
    for name in ("../../etc/passwd", "", digest.upper()):
        with pytest.raises(ObjectError, match="digest"):
            store.path(name)
    with pytest.raises(ObjectError, match="no object"):
        store.read("0" * 64)


def test_only_old_objects_without_references_are_swept(tmp_path: Path) -> None:
    store = ObjectFolder(tmp_path)
    kept, old, young = (store.put(text).sha256 for text in (b"kept", b"old", b"young"))
    past = time.time() - GRACE_S - 10
    for digest in (kept, old):
        os.utime(store.path(digest), (past, past))
    assert [stored.sha256 for stored in store.sweep({kept})] == [old]
    assert {stored.sha256 for stored in store.all()} == {kept, young}
    os.utime(store.path(kept), (past, past))
    store.put(b"kept")  # put again: it counts as new
    assert store.sweep(set()) == []
