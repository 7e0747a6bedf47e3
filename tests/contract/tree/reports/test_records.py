"""Signed records go up to the tier of their kind, verified at each level, once, and whatever was lost on the way."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gongfu.kernel.errors import Problem
from gongfu.store.records.engine import reading
from gongfu.tree.host.section import Turn
from gongfu.tree.membership.keys import NodeKey, decode_signed, sign
from gongfu.tree.reports.messages import RECORD, RecordMessage, pack
from gongfu.tree.reports.record_kinds import RecordKind
from gongfu.tree.reports.requests import AddRecord, DeclareKind, ListRecords
from gongfu.tree.reports.signed_records import RECORD_CONTEXT, Record
from gongfu.tree.reports.tables import record
from tests.contract.tree.reports.report_tree import ReportTree
from tests.fixtures.tree import TreeOfHosts, until


class Office(ReportTree):
    async def build(self) -> None:
        await self.add("nation")
        await self.add("province", "nation")
        await self.add("enterprise", "province")
        await self.add("site", "enterprise")
        for kind in (RecordKind(name="finding", up_to="province"), RecordKind(name="accident")):
            await self.command("nation", "report-kind-declare")(DeclareKind(record=kind))
        for name in self.tree.nodes:
            kinds = self.section(name).kinds
            await until(lambda kinds=kinds: {"finding", "accident"} <= kinds.known.keys(), f"{name} knows the kinds")

    async def sign(self, node: str, kind: str, body: object) -> Any:
        return await self.command(node, "record-add")(AddRecord(kind, msgspec.Raw(msgspec.json.encode(body))))

    async def at(self, node: str, kind: str) -> list[object]:
        page = await self.command(node, "record-list")(ListRecords(kind=kind, limit=1000))
        return sorted((msgspec.json.decode(item.body) for item in page.items), key=str)

    async def come(self, node: str, kind: str, bodies: list[object]) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + 60
        while (found := await self.at(node, kind)) != sorted(bodies, key=str):
            assert loop.time() < end, (node, kind, found)
            await asyncio.sleep(0.01)


async def test_records_go_up_to_the_tier_of_their_kind(make_tree: Callable[..., TreeOfHosts]) -> None:
    office = Office(make_tree)
    await office.build()
    await office.sign("site", "finding", {"n": 1})
    await office.sign("site", "accident", {"n": 2})
    await office.sign("enterprise", "finding", {"n": 3})
    await office.come("province", "finding", [{"n": 1}, {"n": 3}])
    await office.come("nation", "accident", [{"n": 2}])
    await office.sign("site", "finding", {"n": 4})
    await office.come("province", "finding", [{"n": 1}, {"n": 3}, {"n": 4}])
    await office.tree.idle()
    assert await office.at("nation", "finding") == []
    page = await office.command("province", "record-list")(ListRecords(kind="finding", node=office.tree.id("site")))
    assert [item.sequence for item in page.items] == [2, 1]
    with pytest.raises(Problem):
        await office.sign("site", "rumour", {})
    with pytest.raises(Problem):
        await office.sign("site", "finding", "x" * 40_000)


async def test_lost_records_are_brought_again_and_none_twice(
    make_tree: Callable[..., TreeOfHosts], tmp_path: Path
) -> None:
    office = Office(make_tree)
    await office.build()
    await office.sign("site", "accident", 0)
    await office.come("nation", "accident", [0])
    for name in ("nation", "province"):
        await office.tree.stop(name)
        office.tree.copy(name, tmp_path / name)
        await office.tree.start(name)
    for n in range(1, 6):
        await office.sign("site", "accident", n)
    await office.come("nation", "accident", list(range(6)))
    for name in ("nation", "province"):
        await office.tree.stop(name)
        office.tree.restore(name, tmp_path / name)
        await office.tree.start(name)
    await office.come("province", "accident", list(range(6)))
    await office.come("nation", "accident", list(range(6)))


async def test_forged_records_are_refused_and_audited(make_tree: Callable[..., TreeOfHosts]) -> None:
    office = Office(make_tree)
    await office.build()
    await office.add("site-2", "enterprise")
    await office.sign("site", "accident", "true")
    await office.come("nation", "accident", ["true"])
    engine = office.tree.node("site").engine
    assert engine is not None
    with reading(engine) as connection:
        true = decode_signed(connection.execute(record.select()).one().signed)
    document = Record(kind="accident", node=office.tree.id("site"), sequence=9, at=1, body=msgspec.Raw(b'"false"'))
    data = msgspec.json.encode(document)
    stranger = NodeKey(bytes(range(32)))
    forged = [
        # Signed by another's key, with the name of the site; changed after it was signed; a sibling's in its own name.
        msgspec.structs.replace(sign(stranger, RECORD_CONTEXT, data), signer=office.tree.id("site")),
        msgspec.structs.replace(true, body=true.body.replace(b"true", b"fals")),
        sign(office.tree.node("site-2").key, RECORD_CONTEXT, data),
        sign(office.tree.node("site-2").key, b"gongfu/order/1\n", data),
    ]
    up = office.tree.id("enterprise")
    for one in forged:

        def work(turn: Turn, one: Any = one) -> None:
            turn.send(up, RECORD, pack(RecordMessage((one,))))

        await office.tree.node("site-2").host.turn(work)
    await office.tree.idle()
    refused = office.tree.node("enterprise").audited("message.refuse")
    assert len(refused) == 4, refused
    assert await office.at("enterprise", "accident") == ["true"]
    # The same one again is nothing new.
    await office.tree.node("site").host.turn(lambda turn: turn.send(up, RECORD, pack(RecordMessage((true,)))))
    await office.tree.idle()
    assert await office.at("nation", "accident") == ["true"]
