"""Batches: items of any form become writes or say what is wrong; chunks count once for key and content."""

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gongfu.bus.commands import Asked
from gongfu.identify.api.batch_files import CSV, MAX_BATCH_BYTES, NDJSON, chunk_key, keep, read_chunks
from gongfu.identify.management.batch_form import ChunkHead, encode_chunk, read_items, split_chunk
from gongfu.identify.management.batches import Batches
from gongfu.identify.service.writes import Operation, Outcome, Write, WriteCode
from gongfu.kernel.errors import Problem
from gongfu.kernel.times import SystemClock
from gongfu.rest.routing import Incoming
from tests.fixtures.identifiers import PREFIX, identifiers

ENGINEER = Asked(1, "li", 1, "engineer")


def head(**fields: str) -> ChunkHead:
    return ChunkHead(ENGINEER, "00" * 32, **fields)


def test_items_become_writes_or_say_what_is_wrong() -> None:
    lines = [
        b'{"handle": "99.1/a", "attributes": {"model": "x"}}',
        b'{"suffix": "b", "attributes": {"power": 1.5, "on": true, "none": null}, "template": "valve"}',
        b'{"suffix": "c", "operation": "delete"}',
        b'{"suffix": "d", "values": [{"index": 1, "type": "URL", "data": "https://e.example/"}], "overwrite": true}',
        b"nothing",
        b'{"suffix": "e"}, {"suffix": "f"}',
        b'{"suffix": "g", "operation": "destroy"}',
        b'{"suffix": "h", "values": [{"index": 0, "type": "URL", "data": ""}]}',
        b'{"suffix": "i", "attributes": {"model": ["x"]}}',
        b"[" * 3000,
    ]
    items = read_items(head(template="pump", prefix="99.1"), lines, 7)
    writes = [item for item in items if isinstance(item, Write)]
    assert [(one.handle, one.template, one.operation, one.attributes) for one in writes] == [
        ("99.1/a", "pump", Operation.CREATE, {"model": "x"}),
        ("99.1/b", "valve", Operation.CREATE, {"power": "1.5", "on": "true"}),
        ("99.1/c", "pump", Operation.DELETE, {}),
        ("99.1/d", "pump", Operation.CREATE, {}),
    ]
    assert (writes[3].overwrite, writes[3].values[0].timestamp) == (True, 7)
    assert [item.code for item in items[4:] if isinstance(item, Outcome)] == [WriteCode.INVALID] * 6


def test_plain_items_are_read_alike_in_one_go_and_one_by_one() -> None:
    lines = [json.dumps({"suffix": f"s{n}", "attributes": {"model": str(n)}}).encode() for n in range(5)]
    together = read_items(head(prefix="99.1"), lines, 0)
    one_by_one = [item for line in lines for item in read_items(head(prefix="99.1"), [line], 0)]
    with_stranger = read_items(head(prefix="99.1"), [*lines, b"?"], 0)[:-1]
    assert together == one_by_one == with_stranger


def test_chunks_travel_as_they_are() -> None:
    chunk = encode_chunk(head(prefix="99.1"), [b'{"suffix":"a"}', b'{"suffix":"b"}'])
    assert split_chunk(chunk) == (head(prefix="99.1"), [b'{"suffix":"a"}', b'{"suffix":"b"}'])


def test_a_key_is_of_user_batch_place_and_content() -> None:
    keys = {
        chunk_key(user, key, number, common, [line])
        for user in (1, 2)
        for key in ("a", "b")
        for number in (0, 1)
        for common in ("create", "put")
        for line in (b"x", b"y")
    }
    assert len(keys) == 32
    assert chunk_key(1, "a", 0, "", [b"x"]) == chunk_key(1, "a", 0, "", [b"x"])


def test_blank_lines_keep_the_numbers_of_the_others() -> None:
    [(numbers, lines)] = read_chunks(io.BytesIO(b"\n{}\n\r\n \n{}"), NDJSON)
    assert (numbers, lines) == ([2, 5], [b"{}", b"{}"])


@pytest.mark.parametrize(
    "body", [b"", b"model\nx\n", b"handle,handle\na,b\n", b"handle,model\na\n", b'handle\n"a\n', b"handle\n\xff\n"]
)
def test_csv_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(Problem) as refused:
        list(read_chunks(io.BytesIO(body), CSV))
    assert refused.value.status == 400


def test_cells_of_csv_are_attributes_unless_they_are_empty() -> None:
    body = '\ufeffsuffix,attributes.model,power,template\n"a,\n1",x,,valve\nb,,2,\n'.encode()
    [(numbers, lines)] = read_chunks(io.BytesIO(body), CSV)
    assert numbers == [1, 2]
    assert [json.loads(line) for line in lines] == [
        {"suffix": "a,\n1", "template": "valve", "attributes": {"model": "x"}},
        {"suffix": "b", "attributes": {"power": "2"}},
    ]


async def test_a_body_that_is_too_long_is_refused_at_once(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        raise AssertionError("nothing is read")
        yield b""

    with pytest.raises(Problem) as refused:
        await keep(Incoming(pieces(), NDJSON, MAX_BATCH_BYTES + 1), tmp_path)
    assert refused.value.status == 413


async def test_a_chunk_counts_once_and_viewers_write_nothing(tmp_path: Path) -> None:
    lines = [b'{"suffix": "a", "attributes": {"model": "x"}}', b"?", b'{"suffix": "a", "attributes": {"model": "y"}}']
    async with identifiers(tmp_path) as node:
        batches = Batches(node.identifiers, SystemClock())
        chunk = encode_chunk(head(template="pump", prefix=PREFIX), lines)
        first = await batches.write(chunk)
        assert await batches.write(chunk) == first
        assert (len(first.codes), len(set(first.codes))) == (3, 3)
        assert node.identifiers.counts()[PREFIX].total == 1
        assert node.values(f"{PREFIX}/a") == {2000: "x"}
        viewer = ChunkHead(Asked(1, "guest", 1, "viewer"), "11" * 32, prefix=PREFIX)
        for refused, status in ((viewer, 403), (head(operation="destroy"), 400)):
            with pytest.raises(Problem) as problem:
                await batches.write(encode_chunk(refused, [b'{"suffix": "b"}']))
            assert problem.value.status == status
