"""Files into a store: counts are exact, each row has its answer, and single writes and imports agree."""

import io
from pathlib import Path
from typing import Any

import pytest

from gongfu.identify.bulk.importing import ImportWish, import_file
from gongfu.identify.bulk.preparing import CODES
from gongfu.identify.bulk.reading import FileForm
from gongfu.identify.namespace.types import PrefixState
from gongfu.identify.records.keys import Count
from gongfu.identify.service.deciding import Refused
from gongfu.identify.service.writes import BatchError, Operation
from tests.fixtures.identifiers import PREFIX, IdentifierNode, identifiers

NOW = 1_700_000_000


async def load(node: IdentifierNode, text: str, rows: int = 1000, **fields: Any) -> tuple[list[str], dict[int, str]]:
    codes: dict[int, str] = {}
    details: dict[int, str] = {}
    wish = ImportWish(form=fields.pop("form", FileForm.CSV), template="pump", **fields)
    async for part in import_file(node.identifiers, io.BytesIO(text.encode()), wish, now=lambda: NOW, rows=rows):
        codes |= {part.first + place: str(CODES[code]) for place, code in enumerate(part.codes)}
        details |= part.details
    assert list(codes) == list(range(len(codes)))
    return list(codes.values()), details


def count(node: IdentifierNode, prefix: str = PREFIX) -> Count:
    return node.identifiers.counts()[prefix]


async def test_rows_are_registered_and_resolve(tmp_path: Path) -> None:
    text = f"handle,model,power,made\n{PREFIX}/b,P2,1.50,2026-01-02\n{PREFIX.upper()}/a,泵,,\n{PREFIX}/泵?#%/1,P1,,\n"
    async with identifiers(tmp_path) as node:
        assert await load(node, text) == (["created"] * 3, {})
        assert node.values(f"{PREFIX}/b") == {2000: "P2", 2001: "1.50", 2002: "2026-01-02"}
        assert node.values(f"{PREFIX}/泵?#%/1") == {2000: "P1"}
        assert count(node) == Count(explicit=3)
        single = await node.create(f"{PREFIX}/c", model="P2", power="1.50", made="2026-01-02")
        assert single.code == "created"
        assert node.values(f"{PREFIX}/c") == node.values(f"{PREFIX}/b")
        assert (await load(node, text))[0] == ["already-exists"] * 3
        await node.write(Operation.DELETE, f"{PREFIX}/a")
        assert (await load(node, text))[0] == ["already-exists", "created", "already-exists"]
        assert count(node) == Count(explicit=4)
    async with identifiers(tmp_path) as node:
        assert node.values(f"{PREFIX}/a") == {2000: "泵"}
        assert count(node) == Count(explicit=4)


async def test_each_row_has_its_answer(tmp_path: Path) -> None:
    async with identifiers(tmp_path) as node:
        await node.add_prefix("99.1000.2", state=PrefixState.SUSPENDED)
        await node.add_prefix("99.1000.3")
        await node.create(f"{PREFIX}/there", model="old")
        text = "\n".join(
            [
                "handle,model,power",
                f"{PREFIX}/there,M,1",
                f"{PREFIX}/new,M,1",
                f"{PREFIX}/new,M2,2",
                f"{PREFIX}/wrong,M,-1",
                f"{PREFIX}/wrong,,x",
                f"{PREFIX}/,M,1",
                "nothing,M,1",
                "99.7/x,M,1",
                "99.1000.2/x,M,1",
                "0.NA/99.1000.1,M,1",
                f"{PREFIX}/" + "x" * 2048 + ",M,1",
                f"{PREFIX}/a\tb,M,1",
                f"{PREFIX}/short,M",
                "99.1000.3/x,M,1",
                ",M,1",
            ]
        )
        codes, details = await load(node, text)
        assert codes == [
            *("already-exists", "created", "already-exists", "invalid", "invalid", "invalid", "invalid"),
            *("prefix-unknown", "prefix-suspended", "denied", "invalid", "invalid", "invalid", "created", "invalid"),
        ]
        assert details[4] == "model: missing; power: type a number is expected"
        assert details[12] == "2 fields in place of 3"
        assert node.values(f"{PREFIX}/new") == {2000: "M", 2001: "1"}
        assert node.values(f"{PREFIX}/there") == {2000: "old"}
        assert (count(node), count(node, "99.1000.3")) == (Count(explicit=2), Count(explicit=1))


async def test_overwriting(tmp_path: Path) -> None:
    async with identifiers(tmp_path) as node:
        await node.create(f"{PREFIX}/a", model="old")
        await node.create(f"{PREFIX}/b", model="B")
        text = "suffix,model\na,A\nb,B\nc,C1\nc,C2\nd,D\n"
        codes, _ = await load(node, text, prefix=PREFIX, overwrite=True)
        assert codes == ["replaced", "unchanged", "created", "replaced", "created"]
        assert [node.values(f"{PREFIX}/{name}") for name in "abcd"] == [{2000: text} for text in ("A", "B", "C2", "D")]
        assert count(node) == Count(explicit=4)


async def test_a_key_counts_once(tmp_path: Path) -> None:
    text = "suffix,model\n" + "".join(f"x{n:05d},M{n % 7}\n" for n in range(5000)) + "x00000,M\nx00001,\n"
    async with identifiers(tmp_path, shards=2) as node:
        await node.add_prefix("99.1000.2")
        first = await load(node, text, prefix=PREFIX, key=b"file-1")
        assert first[0] == ["created"] * 5000 + ["already-exists", "invalid"]
        assert await load(node, text, prefix=PREFIX, key=b"file-1") == first
        assert count(node) == Count(explicit=5000)
        with pytest.raises(BatchError, match="other rows"):
            await load(node, text.replace("M1", "M9"), prefix=PREFIX, key=b"file-1")
        both = "handle,model\n" + "".join(f"99.1000.{1 + n % 2}/y{n},M\n" for n in range(10))
        assert await load(node, both, key=b"file-2") == await load(node, both, key=b"file-2") == (["created"] * 10, {})
        assert (count(node), count(node, "99.1000.2")) == (Count(explicit=5005), Count(explicit=5))


async def test_quota(tmp_path: Path) -> None:
    async with identifiers(tmp_path) as node:
        await node.add_prefix("99.1000.2", quota=3)
        codes, _ = await load(node, "suffix,model\nd,M\nc,M\nb,M\na,M\n", prefix="99.1000.2")
        assert codes == ["created", "created", "created", "quota"]
        assert count(node, "99.1000.2") == Count(explicit=3)


async def test_members_of_ranges(tmp_path: Path) -> None:
    async with identifiers(tmp_path) as node:
        await node.add_class(1, model="P", power="7")
        await node.identifiers.define_range(PREFIX, "M{001..100}", 1)
        text = "suffix,model\nM050,own\nM200,outside\nN1,other\n"
        assert (await load(node, text, prefix=PREFIX))[0] == ["already-exists", "created", "created"]
        assert (await load(node, text, prefix=PREFIX, overwrite=True))[0] == ["replaced", "unchanged", "unchanged"]
        assert node.values(f"{PREFIX}/M050") == {2000: "own"}
        assert node.values(f"{PREFIX}/M051") == {2000: "P", 2001: "7"}
        assert count(node) == Count(explicit=3, members=100, overridden=1)
        assert count(node).total == 102


async def test_attributes_from_a_class(tmp_path: Path) -> None:
    async with identifiers(tmp_path) as node:
        await node.add_class(5, model="P", power="7", link="https://example.com/{suffix}")
        text = "suffix,power\na1,\nb2,8\n"
        assert (await load(node, text, prefix=PREFIX, of=5))[0] == ["created", "created"]
        assert node.values(f"{PREFIX}/a1") == {2000: "P", 2001: "7", 2003: "https://example.com/a1"}
        assert node.values(f"{PREFIX}/b2") == {2000: "P", 2001: "8", 2003: "https://example.com/b2"}
        changed = await node.write(Operation.MODIFY_VALUES, f"{PREFIX}/b2", attributes={"model": "Q"})
        assert changed.code == "replaced"
        assert node.values(f"{PREFIX}/b2") == {2000: "Q", 2001: "8", 2003: "https://example.com/b2"}
        with pytest.raises(ValueError, match="class 6"):
            await load(node, text, prefix=PREFIX, of=6)


async def test_refused(tmp_path: Path) -> None:
    async with identifiers(tmp_path) as node:
        wish = ImportWish(form=FileForm.CSV, template="none")
        with pytest.raises(Refused, match="no published template"):
            await anext(import_file(node.identifiers, io.BytesIO(b""), wish, now=lambda: NOW))
        assert (await load(node, "suffix,model\na,M\n"))[0] == ["invalid"]
        codes, _ = await load(node, "suffix,model\na,M\n", prefix=PREFIX, admitted=lambda prefix: prefix.name != PREFIX)
        assert codes == ["denied"]
        assert count(node) == Count()
