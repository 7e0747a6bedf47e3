"""A shard against a dictionary; what is answered is there after a crash."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gongfu.identify.records.shard import MAX_PREFIX, Change, Done, Operation, Shard

NAMES = st.tuples(st.integers(0, 2), st.sampled_from([b"", b"a", "工".encode(), b"a/b", b"b\x00"]))
CHANGES = st.builds(
    lambda operation, name, data: Change(operation, name[0], name[1], b"" if operation is Operation.DELETE else data),
    st.sampled_from(Operation),
    NAMES,
    st.binary(max_size=4),
)


class AgainstDictionary(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.copies = 0
        self.path = Path(self.directory.name) / "0"
        self.shard = Shard(self.path, cache_bytes=1 << 20)
        self.expected: dict[tuple[int, bytes], bytes] = {}
        self.answered: dict[bytes, tuple[list[Change], list[Done]]] = {}

    def teardown(self) -> None:
        self.shard.close()
        self.directory.cleanup()

    @rule(changes=st.lists(CHANGES, max_size=6), key=st.sampled_from([b"", b"1", b"2"]))
    def apply(self, changes: list[Change], key: bytes) -> None:
        if key in self.answered:
            changes, answers = self.answered[key]
            assert self.shard.apply(changes, key) == answers
            with pytest.raises(ValueError, match="idempotency"):
                self.shard.apply([*changes, Change(Operation.PUT, 0, b"x")], key)
            return
        answers: list[Done] = []
        for change in changes:
            name = change.prefix, change.suffix
            there = name in self.expected
            if change.operation is Operation.DELETE:
                answers.append(Done.DELETED if there else Done.NOT_FOUND)
                self.expected.pop(name, None)
            elif change.operation is Operation.CREATE and there:
                answers.append(Done.ALREADY_EXISTS)
            else:
                answers.append(Done.REPLACED if there else Done.CREATED)
                self.expected[name] = change.data
        assert self.shard.apply(changes, key, now=7) == answers
        if key:
            self.answered[key] = changes, answers

    @rule()
    def forget(self) -> None:
        assert self.shard.forget_batches(7) == 0
        assert self.shard.forget_batches(8) == len(self.answered)
        self.answered.clear()

    @rule(compact=st.booleans())
    def copy(self, compact: bool) -> None:
        if compact:
            self.shard.compact()
        self.copies += 1
        copy = Path(self.directory.name) / str(self.copies)
        self.shard.checkpoint(copy)
        self.shard.close()
        self.shard = Shard(copy, cache_bytes=1 << 20)

    @invariant()
    def equal(self) -> None:
        found = {(prefix, suffix): data for prefix in range(3) for suffix, data in self.shard.records(prefix)}
        assert found == self.expected
        counts = Counter(prefix for prefix, _ in self.expected)
        assert self.shard.counts() == counts
        assert all(self.shard.count(prefix) == counts[prefix] for prefix in range(3))
        names = [*self.expected, (2, b"never")]
        assert self.shard.get_many(names) == [*self.expected.values(), None]
        assert all(self.shard.get(*name) == data for name, data in self.expected.items())


AgainstDictionary.TestCase.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)
TestAgainstDictionary = AgainstDictionary.TestCase


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[Shard]:
    opened = Shard(tmp_path / "shard", cache_bytes=1 << 20)
    yield opened
    opened.close()


def test_one_process_has_a_shard(shard: Shard, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot be opened"):
        Shard(tmp_path / "shard")


def test_a_copy_is_not_written_over(shard: Shard, tmp_path: Path) -> None:
    shard.checkpoint(tmp_path / "copy")
    with pytest.raises(OSError, match="no copy"):
        shard.checkpoint(tmp_path / "copy")


def test_prefixes_have_a_last_number(shard: Shard) -> None:
    with pytest.raises(ValueError, match="out of range"):
        shard.apply([Change(Operation.PUT, MAX_PREFIX, b"x")])
    assert shard.apply([Change(Operation.PUT, MAX_PREFIX - 1, b"x")]) == [Done.CREATED]
    assert shard.counts() == {MAX_PREFIX - 1: 1}


def test_pages(shard: Shard) -> None:
    shard.apply([Change(Operation.CREATE, 5, b"%d" % n, b"v") for n in range(9)])
    assert [suffix for suffix, _ in shard.records(5, b"4")] == [b"4", b"5", b"6", b"7", b"8"]


_WRITER = """
import sys
from pathlib import Path
from gongfu.identify.records.shard import Change, Operation, Shard
shard = Shard(Path(sys.argv[1]))
for batch in range(int(sys.argv[2]), 1_000_000):
    changes = [Change(Operation.CREATE, 1, b"%d-%d" % (batch, n), b"v" * 50) for n in range(100)]
    shard.apply(changes, b"%d" % batch)
    print(batch, flush=True)
"""


def test_what_was_answered_is_there_after_a_kill_and_a_batch_again_counts_once(tmp_path: Path) -> None:
    path, next_batch = tmp_path / "shard", 0
    for life in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path), str(next_batch)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        answered = [int(process.stdout.readline()) for _ in range(20 + life)]
        os.kill(process.pid, signal.SIGKILL)
        # What it said before it died.
        answered += [int(line) for line in process.stdout.read().split("\n") if line]
        process.wait()
        last = answered[-1]
        shard = Shard(path)
        try:
            assert shard.count(1) == sum(1 for _ in shard.records(1))
            assert shard.count(1) in ((last + 1) * 100, (last + 2) * 100)
            # The client has no answer to the next one and sends it again: all or nothing of it is there.
            changes = [Change(Operation.CREATE, 1, b"%d-%d" % (last + 1, n), b"v" * 50) for n in range(100)]
            assert shard.apply(changes, b"%d" % (last + 1)) == [Done.CREATED] * 100
            assert shard.count(1) == (last + 2) * 100
            assert all(shard.get(1, b"%d-%d" % (batch, n)) for batch in range(last + 2) for n in (0, 99))
        finally:
            shard.close()
        next_batch = last + 2
