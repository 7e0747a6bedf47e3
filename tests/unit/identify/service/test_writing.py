"""Writes and what becomes of them."""

from pathlib import Path

from gongfu.identify.handle.values import HandleValue
from gongfu.identify.service.writes import Operation, WriteCode
from tests.fixtures.identifiers import PREFIX, identifiers

URL = HandleValue(1, "URL", b"https://example.net/")


async def test_created_looked_up_changed_and_deleted(tmp_path: Path) -> None:
    async with identifiers(tmp_path) as node:
        handle = f"{PREFIX}/泵/1?#%"
        assert (await node.create(handle, URL, model="A1", power="1.50")).code is WriteCode.CREATED
        assert node.values(handle) == {1: "https://example.net/", 2000: "A1", 2001: "1.50"}
        assert (await node.create(handle, model="A2")).code is WriteCode.ALREADY_EXISTS
        more = await node.write(Operation.ADD_VALUES, handle, values=(HandleValue(2, "EMAIL", b"a@b"),))
        assert more.code is WriteCode.REPLACED
        assert node.values(handle) == {1: "https://example.net/", 2: "a@b", 2000: "A1", 2001: "1.50"}
        gone = await node.write(Operation.REMOVE_VALUES, handle, indexes=(1, 2001))
        assert gone.code is WriteCode.REPLACED
        assert node.values(handle) == {2: "a@b", 2000: "A1"}
        assert node.identifiers.counts()[PREFIX].total == 1
    async with identifiers(tmp_path) as node:
        assert node.values(handle) == {2: "a@b", 2000: "A1"}
        assert (await node.write(Operation.DELETE, handle)).code is WriteCode.DELETED
        assert (await node.write(Operation.DELETE, handle)).code is WriteCode.NOT_FOUND
        assert node.values(handle) is None
        assert node.identifiers.counts()[PREFIX].total == 0
