"""Batches: items of any form become writes or say what is wrong; chunks count once for key and content."""

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gongfu.bus.commands import Asked
from gongfu.identify.api.batch_chunk import CHUNK_BYTES, LINE_BYTES
from gongfu.identify.api.batch_files import (
    CSV,
    MAX_BATCH_BYTES,
    NDJSON,
    chunk_key,
    keep,
    read_chunks,
)
from gongfu.identify.bulk.batch_form import MAX_ITEMS, ChunkHead, encode_chunk, read_items, split_chunk
from gongfu.identify.bulk.items import read_columns, rows_of
from gongfu.identify.management.batches import Batches
from gongfu.identify.service.writes import Operation, Outcome, Write, WriteCode
from gongfu.kernel.errors import Problem
from gongfu.kernel.times import SystemClock
from gongfu.rest.routing import Incoming
from tests.fixtures.identifiers import PREFIX, identifiers

ENGINEER = Asked(1, "li", 1, "engineer")


def head(**fields: Any) -> ChunkHead:
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
    items = b'{"suffix":"a"}\n{"suffix":"b"}'
    assert split_chunk(encode_chunk(head(prefix="99.1"), items)) == (head(prefix="99.1"), items)


def test_a_key_is_of_user_batch_place_and_content() -> None:
    keys = {
        chunk_key(user, key, number, common, line)
        for user in (1, 2)
        for key in ("a", "b")
        for number in (0, 1)
        for common in ("create", "put")
        for line in (b"x", b"y")
    }
    assert len(keys) == 32
    assert chunk_key(1, "a", 0, "", b"x") == chunk_key(1, "a", 0, "", b"x")


def test_blank_lines_keep_the_numbers_of_the_others() -> None:
    [chunk] = read_chunks(io.BytesIO(b"\n{}\n\r\n \n{}"), NDJSON)
    assert (chunk.numbers, chunk.items, chunk.columns) == ([2, 5], b"{}\n{}", False)


def test_chunks_are_bounded_and_in_order() -> None:
    lines = [b'{"suffix":"%d"}' % number for number in range(2 * MAX_ITEMS + 1)]
    chunks = list(read_chunks(io.BytesIO(b"\n".join(lines)), NDJSON))
    assert [len(chunk.numbers) for chunk in chunks] == [MAX_ITEMS, MAX_ITEMS, 1]
    assert [number for chunk in chunks for number in chunk.numbers] == list(range(1, len(lines) + 1))
    assert b"\n".join(chunk.items for chunk in chunks) == b"\n".join(lines)
    large = [b"%06d" % number + b"x" * (LINE_BYTES - 6) for number in range(50)]
    chunks = list(read_chunks(io.BytesIO(b"\n".join(large)), NDJSON))
    assert b"\n".join(chunk.items for chunk in chunks) == b"\n".join(large)
    assert max(len(chunk.items) for chunk in chunks) <= CHUNK_BYTES
    with pytest.raises(Problem, match="line 51 has more than"):
        list(read_chunks(io.BytesIO(b"\n".join([*large, b"x" * (LINE_BYTES + 1)])), NDJSON))


@pytest.mark.parametrize(
    "body", [b"", b"model\nx\n", b"handle,handle\na,b\n", b"handle,model\na\n", b'handle\n"a\n', b"handle\n\xff\n"]
)
def test_csv_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(Problem) as refused:
        list(read_chunks(io.BytesIO(body), CSV))
    assert refused.value.status == 400


def test_cells_of_csv_are_attributes_unless_they_are_empty() -> None:
    body = '\ufeffsuffix,attributes.model,power\n"a,\n1",x,\nb,,2\n'.encode()
    [chunk] = read_chunks(io.BytesIO(body), CSV)
    assert (chunk.numbers, chunk.columns) == (range(1, 3), True)
    assert rows_of(read_columns(chunk.items)) == [{"suffix": "a,\n1", "model": "x"}, {"suffix": "b", "power": "2"}]


def test_rows_with_a_template_of_their_own_become_lines() -> None:
    body = '\ufeffsuffix,attributes.model,power,template\n"a,\n1",x,,valve\nb,,2,\n'.encode()
    [chunk] = read_chunks(io.BytesIO(body), CSV)
    assert (chunk.numbers, chunk.columns) == ([1, 2], False)
    assert [json.loads(line) for line in chunk.items.split(b"\n")] == [
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
        chunk = encode_chunk(head(template="pump", prefix=PREFIX), b"\n".join(lines))
        first = await batches.write(chunk)
        assert await batches.write(chunk) == first
        assert (len(first.codes), len(set(first.codes))) == (3, 3)
        assert node.identifiers.counts()[PREFIX].total == 1
        assert node.values(f"{PREFIX}/a") == {2000: "x"}
        viewer = ChunkHead(Asked(1, "guest", 1, "viewer"), "11" * 32, prefix=PREFIX)
        for refused, status in ((viewer, 403), (head(operation="destroy"), 400)):
            with pytest.raises(Problem) as problem:
                await batches.write(encode_chunk(refused, b'{"suffix": "b"}'))
            assert problem.value.status == status


def csv_rows(body: bytes) -> list[dict[str, str]]:
    chunks = list(read_chunks(io.BytesIO(body), CSV))
    numbers = [number for chunk in chunks for number in chunk.numbers]
    assert numbers == list(range(1, len(numbers) + 1))
    return [row for chunk in chunks for row in rows_of(read_columns(chunk.items))]


def test_csv_with_and_without_quotation_marks_is_the_same() -> None:
    plain = [b"handle,model,power", *(b"99.1/%d,\xe6\xb3\xb5 %d,%d" % (n, n, n % 7) for n in range(41_000)), b""]
    wanted = [{"handle": f"99.1/{n}", "model": f"泵 {n}", "power": str(n % 7)} for n in range(41_000)]
    assert csv_rows(b"\n".join(plain)) == csv_rows(b"\r\n".join(plain)) == csv_rows(b"\n".join(plain[:-1])) == wanted
    late = [*plain[:40_500], b'"99.1/x","a, ""b""\n",', *plain[40_500:]]
    others = {"handle": "99.1/x", "model": 'a, "b"\n'}
    assert csv_rows(b"\n".join(late)) == [*wanted[:40_499], others, *wanted[40_499:]]
    assert csv_rows(b"\r\n".join([b'"handle",model,power', *late[1:]]))[40_499] == others
    assert csv_rows(b"handle,model\n99.1/a,\n\n99.1/b,b\r\n") == [
        {"handle": "99.1/a"},
        {"handle": "99.1/b", "model": "b"},
    ]


@pytest.mark.parametrize("bad", [b"99.1/x,a", b"99.1/x,a,b,c", b'99.1/x,"a",b,c', b'"99.1/x"y,a,b', b"99.1/x,\xff,b"])
@pytest.mark.parametrize("before", [3, 21_000])
def test_a_wrong_row_of_csv_is_named(bad: bytes, before: int) -> None:
    body = b"\n".join([b"handle,model,power", *[b"99.1/a,b,c"] * before, bad, b"99.1/b,b,c"])
    with pytest.raises(Problem) as refused:
        csv_rows(body)
    if bad in (b"99.1/x,a", b"99.1/x,a,b,c", b'99.1/x,"a",b,c'):
        assert f"line {before + 2} has" in (refused.value.detail or "")
