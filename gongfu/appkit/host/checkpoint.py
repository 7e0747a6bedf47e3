"""What an app has done so far, in one file that is replaced as a whole: positions in the block log, open windows, the
states of its functions, and when its jobs ran."""

import os
from pathlib import Path

import msgspec

from gongfu.appkit.windowing import OpenAsset

FILE = "progress"


class Progress(msgspec.Struct):
    """See the module.

    Attributes:
        positions: by partition, sequence of the last block that was taken.
        log_time: ingest time of the newest block that was taken, UTC ns.
        windows: by function and asset, what is open.
        states: by function and asset, MessagePack of its state.
        jobs: by name, the time of its last run, UTC ns.
    """

    positions: dict[int, int] = msgspec.field(default_factory=dict[int, int])
    log_time: int = 0
    windows: dict[str, dict[str, OpenAsset]] = msgspec.field(default_factory=dict[str, dict[str, OpenAsset]])
    states: dict[str, dict[str, bytes]] = msgspec.field(default_factory=dict[str, dict[str, bytes]])
    jobs: dict[str, int] = msgspec.field(default_factory=dict[str, int])


class ProgressError(ValueError):
    """The file is damaged."""


def read_progress(folder: Path) -> Progress | None:
    """Return what is stored in a folder, None when nothing is.

    Raises:
        ProgressError: it cannot be read.
    """
    try:
        return msgspec.msgpack.decode((folder / FILE).read_bytes(), type=Progress)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise ProgressError(f"{folder / FILE}: {error}") from None


def write_progress(folder: Path, data: bytes) -> None:
    """Replace what is stored by MessagePack of a ``Progress``; durable on return.

    Raises:
        OSError: the disk does not take it; the old one stays.
    """
    temporary = folder / f".{FILE}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / FILE)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make renames and removals in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
