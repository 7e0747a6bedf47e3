"""Sorted files that a shard takes as they are."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.identify.records.shard import Shard


def test_taken_files_are_there_after_a_restart(tmp_path: Path) -> None:
    shard = Shard(tmp_path / "shard")
    shard.write({b"00011": b"old", b"9count": b"1"})
    keys = [b"0001%d" % number for number in range(2, 9)]
    shard.write_file(tmp_path / "records", keys, [b"v" + key for key in keys])
    shard.write_file(tmp_path / "counts", [b"9count"], [b"8"])
    shard.take_files([tmp_path / "records", tmp_path / "counts"])
    assert not (tmp_path / "records").exists()
    shard.close()
    shard = Shard(tmp_path / "shard")
    assert shard.read(b"00012") == b"v00012"
    assert shard.read(b"00011") == b"old"
    assert shard.read(b"9count") == b"8"
    assert shard.present([b"00010", b"00011", b"00018", b"00019"]) == [1, 2]
    shard.close()


def test_caches_are_there_after_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        shard = Shard(tmp_path / "shard", cache_bytes=128 << 20)
        assert shard._db.property_int_value("rocksdb.block-cache-capacity") == 64 << 20
        shard.close()


def test_unsorted_keys_and_strange_files_are_refused(tmp_path: Path) -> None:
    shard = Shard(tmp_path / "shard")
    with pytest.raises(OSError, match="cannot be written"):
        shard.write_file(tmp_path / "records", [b"b", b"a"], [b"", b""])
    (tmp_path / "none").write_bytes(b"no file of RocksDB")
    with pytest.raises(OSError, match="did not take"):
        shard.take_files([tmp_path / "none"])
    shard.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Shard:
    shard = Shard(tmp_path_factory.mktemp("present") / "shard")
    shard.write({b"%05d" % number: b"" for number in range(0, 4000, 4)})
    return shard


@settings(deadline=None)
@given(
    st.one_of(
        st.sets(st.integers(0, 5000), max_size=300),
        # More searches than steps: the filters are asked.
        st.integers(0, 3000).map(lambda first: set(range(first + 1, first + 900, 2)) | {first}),
    )
)
def test_present(filled: Shard, numbers: set[int]) -> None:
    keys = sorted(b"%05d" % number for number in numbers)
    wanted = [place for place, key in enumerate(keys) if int(key) < 4000 and int(key) % 4 == 0]
    assert filled.present(keys) == wanted
