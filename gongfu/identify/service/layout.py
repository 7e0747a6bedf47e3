"""The directory of a store: how many shards it has, and of which format."""

import os
from pathlib import Path

import msgspec

FILE = "store.json"
FORMAT = 1
MAX_SHARDS = 256


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What a store is made of, for good."""

    format: int = FORMAT
    shards: int = 1


def shard_path(path: Path, number: int) -> Path:
    """Return the directory of a shard."""
    return path / f"shard-{number:03d}"


def read_layout(path: Path, shards: int) -> Layout:
    """Return the layout of the store in a directory; one that is not there is made.

    Args:
        path: the directory.
        shards: how many a new store gets.

    Raises:
        OSError: it is of a newer version, damaged, or has lost its description.
    """
    file = path / FILE
    if not file.exists():
        if shard_path(path, 0).exists():
            raise OSError(f"{path} has shards and no {FILE}")
        if not 1 <= shards <= MAX_SHARDS:
            raise ValueError(f"a store has 1 to {MAX_SHARDS} shards")
        path.mkdir(parents=True, exist_ok=True)
        write_layout(path, Layout(shards=shards))
    try:
        layout = msgspec.json.decode(file.read_bytes(), type=Layout)
    except msgspec.MsgspecError as error:
        raise OSError(f"{file} is damaged: {error}") from error
    if layout.format != FORMAT:
        raise OSError(f"{path} is of format {layout.format}; this version reads {FORMAT}")
    lost = [n for n in range(layout.shards) if not shard_path(path, n).exists() and shard_path(path, 0).exists()]
    if lost:
        raise OSError(f"{path} has lost shard {lost[0]} of {layout.shards}")
    return layout


def write_layout(path: Path, layout: Layout) -> None:
    """Write the description, so that it is there whole or not at all."""
    part = path / f"{FILE}.part"
    with part.open("wb") as file:
        file.write(msgspec.json.encode(layout))
        file.flush()
        os.fsync(file.fileno())
    part.rename(path / FILE)
    sync_directory(path)


def sync_directory(path: Path) -> None:
    """Make what was made or renamed in a directory durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
