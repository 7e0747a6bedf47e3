"""Answers of batches, when one shard has written its part and another has not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gongfu.identify.records.shard import Shard
from gongfu.identify.service.answers import Answers, digest_of, forget
from gongfu.identify.service.writes import BatchError, Operation, Outcome, Write, WriteCode

WRITES = [Write(operation=Operation.DELETE, handle=f"99.1/{n}") for n in range(3)]
DIGEST = digest_of(WRITES)
GONE, NONE, WRONG = Outcome(WriteCode.DELETED), Outcome(WriteCode.NOT_FOUND), Outcome(WriteCode.INVALID, "why")


@pytest.fixture
def shards(tmp_path: Path) -> Iterator[list[Shard]]:
    opened = [Shard(tmp_path / str(number), cache_bytes=1 << 20) for number in range(2)]
    yield opened
    for shard in opened:
        shard.close()


def test_parts_of_shards_make_the_whole(shards: list[Shard]) -> None:
    before = Answers(shards, 100)
    assert before.find(b"k", DIGEST, 3) == [None] * 3
    shards[1].write(dict([before.keep(1, b"k", DIGEST, [GONE, NONE, WRONG], [0, 2])]))
    # Seen in the same group already, and by those that come after a crash.
    for answers in (before, Answers(shards, 200)):
        assert answers.find(b"k", DIGEST, 3) == [GONE, None, WRONG]
    after = Answers(shards, 200)
    # A write that belonged elsewhere before is answered beside what the shard has answered.
    shards[1].write(dict([after.keep(1, b"k", DIGEST, [GONE, NONE, WRONG], [1])]))
    assert Answers(shards, 300).find(b"k", DIGEST, 3) == [GONE, NONE, WRONG]
    with pytest.raises(BatchError):
        Answers(shards, 300).find(b"k", digest_of(WRITES[::-1]), 3)
    assert forget(shards, 200) == 0
    assert forget(shards, 201) == 1
    assert Answers(shards, 300).find(b"k", DIGEST, 3) == [None] * 3
