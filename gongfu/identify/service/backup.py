"""A copy of a store that can be opened in its place."""

import shutil
from pathlib import Path

from gongfu.identify.service.contents import Shards
from gongfu.identify.service.layout import Layout, shard_path, sync_directory, write_layout


class BackupError(Exception):
    """A copy cannot be written; the store itself is well."""


def back_up(shards: Shards, path: Path) -> None:
    """Write a copy of all shards, at a moment in which nothing is written. It is there whole or not at all.

    Raises:
        BackupError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        if path.exists():
            raise BackupError(f"{path} is there already")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for number, shard in enumerate(shards.all):
            shard.checkpoint(shard_path(part, number))
        write_layout(part, Layout(shards=len(shards.all)))
        part.rename(path)
        sync_directory(path.parent)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise BackupError(f"no copy at {path}: {error}") from error
