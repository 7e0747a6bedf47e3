"""Backup of a history of several nodes: each node's own backup in a folder of its own, ``node-<number>``.

A restore needs as many nodes in the same order, since the number of a node says which series it has; it compares every
column of every node (``backup.py``). ``nodes.json`` is written last: a directory without it is no backup.
"""

from pathlib import Path

import msgspec

from gongfu.store.history.backup import BackupError, Manifest, export_history, import_history, verify_history
from gongfu.store.history.sharded import ShardedHistory

NODES = "nodes.json"


class _Nodes(msgspec.Struct, frozen=True):
    nodes: int


def export_nodes(store: ShardedHistory, directory: Path) -> list[Manifest]:
    """Write all points of all nodes into a new directory; blocks.

    Raises:
        FileExistsError: the directory exists and is not empty.
        HistoryError: a node did not answer.
        OSError: the files cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise FileExistsError(f"{directory} is not empty")
    manifests = [export_history(shard, _folder(directory, n)) for n, shard in enumerate(store.shards)]
    (directory / NODES).write_bytes(msgspec.json.encode(_Nodes(len(manifests))))
    return manifests


def verify_nodes(directory: Path) -> list[Manifest]:
    """Check the files against their manifests; needs no history.

    Raises:
        BackupError: a file is missing or changed.
    """
    try:
        count = msgspec.json.decode((directory / NODES).read_bytes(), type=_Nodes).nodes
    except (OSError, msgspec.MsgspecError) as error:
        raise BackupError(f"{directory} holds no complete backup of history nodes: {error}") from None
    return [verify_history(_folder(directory, n)) for n in range(count)]


def import_nodes(store: ShardedHistory, directory: Path) -> list[Manifest]:
    """Verify a backup, insert it, and compare every column; blocks.

    Raises:
        BackupError: the backup is damaged, was taken of another number of nodes, or a node is not empty.
        HistoryError: a node did not take it.
    """
    manifests = verify_nodes(directory)
    if len(manifests) != len(store.shards):
        raise BackupError(f"the backup is of {len(manifests)} history nodes, there are {len(store.shards)}")
    return [import_history(shard, _folder(directory, n)) for n, shard in enumerate(store.shards)]


def _folder(directory: Path, number: int) -> Path:
    return directory / f"node-{number}"
