"""What was answered is there after a kill, and what was not is there whole or not at all; a batch again counts once."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from gongfu.identify.namespace.types import ClassRecord, Prefix
from gongfu.identify.service.writes import Operation, Outcome, Write, WriteCode
from tests.fixtures.identifiers import PREFIX, IdentifierNode, identifiers

SIZE = 60
RANGE = "M{000000..099999}"


def batch(number: int) -> list[Write]:
    """Creates handles, gives members of a range records of their own, and deletes other members."""
    writes: list[Write] = []
    for n in range(number * SIZE, (number + 1) * SIZE, 3):
        writes += [
            Write(
                operation=Operation.CREATE, handle=f"{PREFIX}/工{n}", template="pump", attributes={"model": "A" * 40}
            ),
            Write(operation=Operation.PUT, handle=f"{PREFIX}/M{n:06d}", template="pump", attributes={"model": "B"}),
            Write(operation=Operation.DELETE, handle=f"99.b/M{n:06d}"),
        ]
    return writes


CODES = [WriteCode.CREATED, WriteCode.REPLACED, WriteCode.DELETED] * (SIZE // 3)

_WRITER = """
import asyncio, sys
from pathlib import Path
from tests.fixtures.identifiers import identifiers
from tests.unit.identify.service.test_crash import batch, known

async def main() -> None:
    async with identifiers(Path(sys.argv[1]), shards=2, **known()) as node:
        for number in range(int(sys.argv[2]), 1_000_000):
            await node.identifiers.write(batch(number), key=b"%d" % number)
            print(number, flush=True)

asyncio.run(main())
"""


def known() -> dict[str, Any]:
    return {"prefixes": [Prefix(number=2, name="99.b")], "classes": [ClassRecord(number=1, template=1, attributes=())]}


def check(node: IdentifierNode, batches: int) -> None:
    """What so many batches have done is there, and nothing else."""
    counts = node.identifiers.counts()
    third = batches * SIZE // 3
    assert counts[PREFIX].explicit == 2 * third
    assert counts[PREFIX].overridden == third
    assert counts[PREFIX].total == 100_000 + third
    assert counts["99.b"].total == 100_000 - third
    for number in range(batches):
        for create, put, delete in (batch(number)[:3], batch(number)[-3:]):
            assert node.values(create.handle) == {2000: "A" * 40}
            assert node.values(put.handle) == {2000: "B"}
            assert node.values(delete.handle) is None


def kill_after(path: Path, first: int, answers: int) -> list[int]:
    """Let a process write batches from the first on, kill it after some answers, return which were answered."""
    command = [sys.executable, "-c", _WRITER, str(path), str(first)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[4])
    assert process.stdout is not None
    answered = [int(process.stdout.readline()) for _ in range(answers)]
    os.kill(process.pid, signal.SIGKILL)
    # What it said before it died.
    answered += [int(line) for line in process.stdout.read().split("\n") if line]
    process.wait()
    return answered


async def test_what_was_answered_is_there_after_a_kill(tmp_path: Path) -> None:
    async with identifiers(tmp_path, shards=2, **known()) as node:
        for prefix in (PREFIX, "99.b"):
            await node.identifiers.define_range(prefix, RANGE, 1)
    done = 0
    for life in range(3):
        answered = await asyncio.to_thread(kill_after, tmp_path, done, 5 + life)
        assert answered == list(range(done, answered[-1] + 1))
        done = answered[-1] + 1
        async with identifiers(tmp_path, shards=2, **known()) as node:
            assert (await node.identifiers.recount()).wrong == ()
            # The client has no answer to the next one and sends it again, twice; and one that was answered.
            for number in (done, done, done - 1):
                outcomes = await node.identifiers.write(batch(number), key=b"%d" % number)
                assert outcomes == [Outcome(code) for code in CODES]
            done += 1
            check(node, done)
            assert (await node.identifiers.recount()).wrong == ()
