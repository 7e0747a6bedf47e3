"""Copies, and stores that do not belong to their records database."""

import asyncio
import shutil
import threading
from pathlib import Path

import msgspec
import pytest

from gongfu.identify.handle.values import HandleValue
from gongfu.identify.namespace.types import ClassRecord, Prefix
from gongfu.identify.service.backup import BackupError
from gongfu.identify.service.bindings import BindingError
from gongfu.identify.service.contents import Directory
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.service.writes import BatchError, Operation, Write, WriteReason
from gongfu.identify.templates.types import Attribute
from tests.fixtures.identifiers import PREFIX, PUMP, IdentifierNode, identifiers

CLASS = ClassRecord(number=1, template=1, attributes=((0, "IS-{number:3}"),))
OTHER = Prefix(number=2, name="99.b", enterprise="Other")


async def fill(node: IdentifierNode) -> None:
    await node.identifiers.define_range(PREFIX, "M{0000..0999}", 1)
    await node.identifiers.define_range("99.b", "A1{000000..199999}", 1)
    await node.identifiers.write(
        [
            Write(operation=Operation.PUT, handle=f"{PREFIX}/M{n:04d}", values=(HandleValue(1, "URL", b"u"),))
            for n in range(5, 1005)
        ]
        + [Write(operation=Operation.DELETE, handle=f"99.b/A1{n * 7:06d}") for n in range(1000)]
    )


async def test_a_copy_equals_its_source_by_recount(tmp_path: Path) -> None:
    options = {"shards": 2, "prefixes": [OTHER], "classes": [CLASS]}
    async with identifiers(tmp_path, **options) as node:
        await fill(node)
        await node.identifiers.backup(tmp_path / "copy" / "identifiers")
        with pytest.raises(BackupError, match="there already"):
            await node.identifiers.backup(tmp_path / "copy" / "identifiers")
        source = await node.identifiers.recount()
        counts, figures = node.identifiers.counts(), node.identifiers.ranges("99.b")
        # What comes later is not in the copy; the source goes on.
        assert (await node.create(f"{PREFIX}/late")).done
    async with identifiers(tmp_path / "copy", **options) as node:
        copy = await node.identifiers.recount()
        assert copy == source
        assert copy.wrong == ()
        assert node.identifiers.counts() == counts
        assert node.identifiers.ranges("99.b") == figures
        assert [(item.registered, item.holes, item.overrides) for item in figures] == [(199_000, 999, 0)]
        assert node.values(f"{PREFIX}/M0004") == {2000: "IS-004"}
        assert node.values(f"{PREFIX}/M0005") == {1: "u"}
        assert node.values(f"{PREFIX}/late") is None
        assert counts[PREFIX].total == 1005
        # It is whole: it can be written.
        assert (await node.create(f"{PREFIX}/new")).done


async def test_a_store_and_another_records_database(tmp_path: Path) -> None:
    path = tmp_path / "store"
    same = Directory(prefixes=[Prefix(number=1, name=PREFIX), OTHER], templates={1: PUMP}, classes=[CLASS])

    async def opened(directory: Directory) -> Identifiers:
        return await Identifiers.open(path, directory, cache_bytes=1 << 20)

    store = await opened(same)
    await store.define_range(PREFIX, "{1..5}", 1)
    with pytest.raises(BindingError, match="prefix number 2"):
        await store.set_prefix(Prefix(number=2, name="99.c"))
    with pytest.raises(BindingError, match="has number 1"):
        await store.set_prefix(Prefix(number=3, name=PREFIX))
    with pytest.raises(BindingError, match="the number of a prefix"):
        await store.set_prefix(Prefix(number=0, name="99.d"))
    with pytest.raises(ValueError, match="class 2"):
        await store.set_class(ClassRecord(number=2, template=9, attributes=()))
    # It goes on.
    assert store.failure == ""
    await store.close()
    changed = msgspec.structs.replace(PUMP, attributes=(Attribute(name="other", index=2000), *PUMP.attributes[1:]))
    for wrong, words in (
        (msgspec.structs.replace(same, prefixes=[same.prefixes[0], Prefix(number=2, name="99.c")]), "prefix number 2"),
        (msgspec.structs.replace(same, templates={1: changed}), "template number 1"),
        (msgspec.structs.replace(same, templates={2: PUMP}, classes=[]), "lost template number 1"),
        (msgspec.structs.replace(same, classes=[]), "lost class number 1"),
        (msgspec.structs.replace(same, prefixes=same.prefixes[:1]), "lost prefix number 2"),
    ):
        with pytest.raises(BindingError, match=words):
            await opened(wrong)
    # The name of a prefix may be written otherwise, and what it is may change.
    store = await opened(
        msgspec.structs.replace(same, prefixes=[same.prefixes[0], Prefix(number=2, name="99.B", enterprise="New")])
    )
    await store.close()


async def test_a_directory_that_is_no_store(tmp_path: Path) -> None:
    async with identifiers(tmp_path, shards=2):
        pass
    path = tmp_path / "identifiers"
    # The number of shards is of the store.
    async with identifiers(tmp_path, shards=5) as node:
        await node.create(f"{PREFIX}/a")
    assert len(list(path.glob("shard-???"))) == 2
    layout = (path / "store.json").read_bytes()
    for damage, words in ((b"{", "damaged"), (b'{"format": 2, "shards": 2}', "format 2"), (None, "no store.json")):
        (path / "store.json").unlink()
        if damage is not None:
            (path / "store.json").write_bytes(damage)
        with pytest.raises(OSError, match=words):
            await Identifiers.open(path, Directory())
        (path / "store.json").write_bytes(layout)
    shutil.rmtree(path / "shard-001")
    with pytest.raises(OSError, match="lost shard 1"):
        await Identifiers.open(path, Directory())


async def test_a_store_has_one_process(tmp_path: Path) -> None:
    async with identifiers(tmp_path):
        with pytest.raises(OSError, match="cannot be opened"):
            async with identifiers(tmp_path):
                pass


async def test_after_a_failed_write_nothing_is_written(tmp_path: Path) -> None:
    """The store is well or it is opened again: what a failed write left on the disk is not known."""
    async with identifiers(tmp_path) as node:
        await node.create(f"{PREFIX}/a")

        waiting = threading.Event()
        asyncio.get_running_loop().call_later(0, waiting.set)

        def broken(_: object) -> tuple[None, frozenset[str], frozenset[str]]:
            # The others are waiting by then.
            assert waiting.wait(60)
            raise OSError("no space left on device")

        # What waits behind it is not done either.
        work = [node.identifiers.exclusively(broken), *(node.create(f"{PREFIX}/{n}") for n in range(3))]
        done = await asyncio.gather(*work, return_exceptions=True)
        assert [error.reason for error in done if isinstance(error, BatchError)] == [WriteReason.FAILED] * 4
        assert node.identifiers.failure == "no space left on device"
        with pytest.raises(BatchError):
            await node.create(f"{PREFIX}/b")
        # It still answers.
        assert node.values(f"{PREFIX}/a") == {}
    async with identifiers(tmp_path) as node:
        assert (await node.create(f"{PREFIX}/b")).done
