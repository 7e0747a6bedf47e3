"""A shard against a dictionary."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gongfu.identify.records.keys import MAX_PREFIX, Count, count_key, decode_count, prefix_of_count, record_key
from gongfu.identify.records.shard import Shard

SUFFIXES = [b"", b"a", "工".encode(), b"a/b", b"b\x00"]
NAMES = st.tuples(st.sampled_from([0, 1, MAX_PREFIX - 1]), st.sampled_from(SUFFIXES))


class AgainstDictionary(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.copies = 0
        self.shard = Shard(Path(self.directory.name) / "0", cache_bytes=1 << 20)
        self.expected: dict[tuple[int, bytes], bytes] = {}

    def teardown(self) -> None:
        self.shard.close()
        self.directory.cleanup()

    @rule(changes=st.dictionaries(NAMES, st.none() | st.binary(max_size=4), max_size=6))
    def write(self, changes: dict[tuple[int, bytes], bytes | None]) -> None:
        self.shard.write({record_key(*name): data for name, data in changes.items()})
        self.expected = {name: data for name, data in {**self.expected, **changes}.items() if data is not None}

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
        prefixes = [0, 1, 2, MAX_PREFIX - 1]
        found = {(prefix, suffix): data for prefix in prefixes for suffix, data in self.shard.records(prefix)}
        assert found == self.expected
        keys = {record_key(*name): data for name, data in self.expected.items()}
        assert self.shard.read_many([*keys, *keys, record_key(2, b"never")]) == keys
        assert all(self.shard.get(*name) == data for name, data in self.expected.items())


AgainstDictionary.TestCase.settings = settings(max_examples=10, stateful_step_count=10, deadline=None)
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


def test_pages(shard: Shard) -> None:
    shard.write({record_key(5, b"%d" % n): b"v" for n in range(9)})
    assert [suffix for suffix, _ in shard.records(5, b"4")] == [b"4", b"5", b"6", b"7", b"8"]


def test_counts() -> None:
    count = Count(5, 10, 2)
    assert (count.ranged, count.total) == (8, 13)
    assert decode_count(count.plus(-1, 2, 0).encode()) == Count(4, 12, 2)
    assert prefix_of_count(count_key(77)) == 77
