"""Reading a checkpoint that disk or memory has changed: ``CheckpointError``, never another array or error."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gongfu.store.twins.checkpoint import CheckpointError, read_checkpoint, write_checkpoint

_ARRAYS: dict[str, NDArray[Any]] = {
    "doubles": np.array([1.5, np.nan, -np.inf]),
    "flags": np.array([True, False, True]),
    "nothing": np.zeros(0, dtype=np.int64),
    "no.windows": np.zeros((0, 19)),
    "windows": np.arange(12, dtype=np.int32).reshape(3, 4),
    "columns": np.asfortranarray(np.arange(12, dtype=np.uint8).reshape(3, 4)),
    "scalar": np.array(7, dtype=np.uint64),
}
_DOCUMENT = {"positions": {"0": 12}, "text": "转速"}


def _unchanged(read: tuple[dict[str, NDArray[Any]], dict[str, Any]] | None) -> set[str]:
    """Return the names of the arrays that are as they were written; nothing else may be among them."""
    assert read is not None
    arrays, document = read
    assert document == _DOCUMENT
    for name in _ARRAYS.keys() & arrays.keys():
        assert arrays[name].dtype == _ARRAYS[name].dtype
        assert arrays[name].shape == _ARRAYS[name].shape
        assert arrays[name].tobytes() == _ARRAYS[name].tobytes()
    return _ARRAYS.keys() & arrays.keys()


def test_arrays_of_every_shape_come_back_and_can_be_written_to(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    write_checkpoint(path, _ARRAYS, _DOCUMENT)
    read = read_checkpoint(path)
    assert _unchanged(read) == _ARRAYS.keys()
    assert read is not None
    assert all(array.flags.writeable for array in read[0].values())


@pytest.mark.parametrize("bits", [0x01, 0x55, 0x80])
def test_a_changed_byte_is_found_or_changes_no_array(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "checkpoint"
    write_checkpoint(path, _ARRAYS, _DOCUMENT)
    whole = path.read_bytes()
    found = 0
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ bits]) + whole[at + 1 :])
        try:
            read = read_checkpoint(path)
        except CheckpointError:
            found += 1
            continue
        # Times of files, versions and the like are not read; the directory may lose members, which is seen by whoever
        # asks for them.
        _unchanged(read)
    assert found > len(whole) // 2


def test_a_file_that_was_cut_off_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    write_checkpoint(path, _ARRAYS, _DOCUMENT)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError):
            read_checkpoint(path)


def test_a_changed_head_of_an_array_that_is_not_read_at_once_is_damage(tmp_path: Path) -> None:
    # Members of a zip are read by 4 KB: the CRC-32 of a larger one is not known when its head is parsed, and never
    # asked when the head says that it is smaller.
    path = tmp_path / "checkpoint"
    write_checkpoint(path, {"many": np.arange(1500).reshape(300, 5)}, _DOCUMENT)
    whole = path.read_bytes()
    begin = whole.index(b"{'descr': '<i8'")
    for at in range(begin, whole.index(b"}", begin) + 1):
        for other in b"bB '(,024":
            if other != whole[at]:
                path.write_bytes(whole[:at] + bytes([other]) + whole[at + 1 :])
                with pytest.raises(CheckpointError):
                    read_checkpoint(path)
