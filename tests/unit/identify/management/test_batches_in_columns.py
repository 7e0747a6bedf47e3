"""Batches in columns: what becomes of each item is what single writes make of it, whatever the batch; once by key."""

import asyncio
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.bus.commands import Asked
from gongfu.identify.api.batch_files import CSV, NDJSON, PARQUET, chunk_key, read_chunks
from gongfu.identify.bulk.batch_form import CODES, ChunkHead, encode_chunk
from gongfu.identify.management.batches import Batches
from gongfu.identify.namespace.types import PrefixState
from gongfu.identify.records.shard import Shard
from gongfu.identify.service.writes import WriteCode
from gongfu.kernel.errors import Problem
from gongfu.kernel.times import SystemClock
from tests.fixtures.identifiers import PREFIX, IdentifierNode, identifiers

ENGINEER = Asked(1, "li", 1, "engineer")
NEVER = 10**9
PREFIXES = [PREFIX, "99.aB", "99.AB", "99.few", "99.still", "99.gone", "99.none", "0.NA", ""]
SUFFIXES = ["a", "b", "泵/1?#%", "R05", "R99", "", "x\u0007", "x" * 2040, *(f"n{number}" for number in range(12))]
ATTRIBUTES: list[dict[str, Any]] = [
    {"model": "IS80"},
    {"model": "IS80", "power": "7.50"},
    {"model": "IS80", "power": 7.5, "made": "2026-01-02", "link": "https://e.example/a"},
    {"model": "IS80", "power": 10**20, "price": None},
    {"model": True, "power": "-1"},
    {"power": "many"},
    {"model": "IS80", "made": "yesterday", "power": "x"},
    {"model": "", "link": "no link"},
    {"model": "IS80", "colour": "red"},
    {"model": "IS80", "colour": None},
    {"model": ["IS80"]},
    {},
]

names = st.one_of(
    st.fixed_dictionaries({"suffix": st.sampled_from(SUFFIXES)}),
    st.builds(lambda one, two: {"handle": f"{one}/{two}"}, st.sampled_from(PREFIXES), st.sampled_from(SUFFIXES)),
    st.sampled_from(
        [{}, {"handle": "99.1000.1"}, {"handle": "", "suffix": "s"}, {"handle": f"{PREFIX}/h", "suffix": "s"}]
    ),
)
plain = st.builds(lambda name, said: {**name, "attributes": said}, names, st.sampled_from(ATTRIBUTES))
odd = st.one_of(
    st.builds(lambda one, more: {**one, **more}, plain, st.sampled_from([
        {"overwrite": True}, {"operation": "delete"}, {"operation": "destroy"}, {"template": ""}, {"template": "none"},
        {"values": [{"index": 1, "type": "URL", "data": "https://e.example/"}]}, {"more": 1}, {"attributes": None},
    ])),
    st.sampled_from(["nothing", '{"suffix":"two"},{"suffix":"lines"}', '{"suffix":', '"b"}', "[]"]),
)  # fmt: skip
chunks = st.lists(
    st.tuples(
        st.sampled_from(["create", "create", "create", "put"]),
        st.sampled_from(["pump", "pump", "pump@1", "valve", ""]),
        st.sampled_from([PREFIX, PREFIX, "99.ab", "99.few", "", "99.ab/x"]),
        st.one_of(st.lists(plain, min_size=1, max_size=12), st.lists(st.one_of(plain, odd), min_size=1, max_size=8)),
        st.booleans(),
    ),
    min_size=6,
    max_size=30,
)


async def prepared(node: IdentifierNode) -> None:
    await node.add_prefix("99.Ab")
    await node.add_prefix("99.few", quota=6)
    await node.add_prefix("99.still", state=PrefixState.SUSPENDED)
    await node.add_prefix("99.gone", state=PrefixState.REVOKED)
    await node.add_class(1, model="R")
    await node.identifiers.define_range(PREFIX, "R{00..09}", 1)


async def done(node: IdentifierNode, columns_from: int, wished: Any) -> tuple[list[Any], Any, Any]:
    """Write chunks; returns answers, records and counts."""
    batches = Batches(node.identifiers, SystemClock(), columns_from=columns_from)
    answers: list[Any] = []
    for number, (operation, template, prefix, items, again) in enumerate(wished):
        lines = "\n".join(item if isinstance(item, str) else json.dumps(item) for item in items).encode()
        key = chunk_key(1, "batch", number, f"{operation} {template} {prefix}", lines)
        chunk = encode_chunk(ChunkHead(ENGINEER, key, operation, template, prefix), lines)
        answer = await batches.write(chunk)
        if again:
            assert await batches.write(chunk) == answer
        answers.append(([CODES[code] for code in answer.codes], answer.details))
    recount = await node.identifiers.recount()
    assert recount.wrong == ()
    counts = {name: (count, node.identifiers.counts()[name]) for name, count in node.identifiers.counts().items()}
    handles = {name: node.identifiers.handles(name) for name in node.prefixes}
    values = {handle: node.values(handle) for found in handles.values() for handle in found}
    return answers, values, counts


@settings(max_examples=6, deadline=None)
@given(wished=chunks, shards=st.sampled_from([1, 2]))
def test_items_in_columns_become_what_single_writes_make_of_them(wished: Any, shards: int) -> None:
    async def both() -> list[Any]:
        found: list[Any] = []
        for columns_from in (1, NEVER):
            with tempfile.TemporaryDirectory() as path:
                async with identifiers(Path(path), shards=shards) as node:
                    await prepared(node)
                    found.append(await done(node, columns_from, wished))
        return found

    columns, single = asyncio.run(both())
    assert columns == single


ROWS = [{"suffix": f"泵-{n:04d}", "model": "IS80" if n % 3 else "", "power": n / 4} for n in range(700)]


def body_of(media_type: str) -> bytes:
    if media_type == NDJSON:
        return "\n".join(
            json.dumps({"suffix": row["suffix"], "attributes": {k: row[k] for k in ("model", "power") if row[k] != ""}})
            for row in ROWS
        ).encode()
    if media_type == CSV:
        return "\n".join(["suffix,model,power", *(",".join(map(str, row.values())) for row in ROWS)]).encode()
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), sink)
    return sink.getvalue()


@pytest.mark.parametrize("media_type", [NDJSON, CSV, PARQUET])
@pytest.mark.parametrize("columns_from", [1, NEVER])
async def test_all_forms_of_batches_say_the_same(tmp_path: Path, media_type: str, columns_from: int) -> None:
    async with identifiers(tmp_path) as node:
        batches = Batches(node.identifiers, SystemClock(), columns_from=columns_from)
        found: list[WriteCode] = []
        for number, chunk in enumerate(read_chunks(io.BytesIO(body_of(media_type)), media_type)):
            head = ChunkHead(ENGINEER, f"{number:064x}", "create", "pump", PREFIX, chunk.columns)
            answer = await batches.write(encode_chunk(head, chunk.items))
            found += [CODES[code] for code in answer.codes]
            assert set(answer.details.values()) == {"missing: model"}
        assert found == [WriteCode.CREATED if row["model"] else WriteCode.INVALID for row in ROWS]
        assert node.identifiers.counts()[PREFIX].total == found.count(WriteCode.CREATED) == 466
        assert node.values(f"{PREFIX}/泵-0001") == {2000: "IS80", 2001: "0.25"}


async def test_a_chunk_whose_parts_are_in_two_shards_is_finished_after_a_crash_between_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "\n".join(
        json.dumps({"handle": f"{prefix}/{number}", "attributes": {"model": "M"}})
        for number in range(40)
        for prefix in (PREFIX, "99.2", "99.none")
    ).encode()
    chunk = encode_chunk(ChunkHead(ENGINEER, "77" * 32, "create", "pump"), lines)
    async with identifiers(tmp_path, shards=2) as node:
        await node.add_prefix("99.2")
        written: list[Shard] = []
        write = Shard.write

        def fails(shard: Shard, changes: Any) -> None:
            if written:
                raise OSError("the power is gone")
            written.append(shard)
            write(shard, changes)

        with monkeypatch.context() as patched:
            patched.setattr(Shard, "write", fails)
            with pytest.raises(Problem, match="the power is gone"):
                await Batches(node.identifiers, SystemClock(), columns_from=1).write(chunk)
        known = list(node.prefixes.values())
    async with identifiers(tmp_path, shards=2, prefixes=known) as node:
        batches = Batches(node.identifiers, SystemClock(), columns_from=1)
        for _ in range(2):
            answer = await batches.write(chunk)
            assert [CODES[code] for code in answer.codes] == [
                WriteCode.CREATED, WriteCode.CREATED, WriteCode.PREFIX_UNKNOWN,
            ] * 40  # fmt: skip
            assert [node.identifiers.counts()[name].total for name in (PREFIX, "99.2")] == [40, 40]
        assert (await node.identifiers.recount()).wrong == ()
