"""Backup of the identifier service: copies made by the running role, and what a restored copy has, counted anew."""

import asyncio
import shutil
from pathlib import Path

import msgspec

from gongfu.bus.commands import asked_by
from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.requests import request
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import NODE_TENANT, Role, Subject
from gongfu.kernel.subjects import Subjects
from gongfu.node.data_directory import DataDirectory
from gongfu.node.runtime import Runtime

COMMAND = "backup"
STORE, EVENTS = "store", "epcis"
# Linking files takes no time; copying them to another file system may.
_ANSWER_S = 3600.0


class CopyWish(msgspec.Struct, frozen=True):
    """Directory, which is not there yet, that shall have copies of all stores."""

    path: str


class Copied(msgspec.Struct, frozen=True):
    """How many identifiers the copy has: with records of their own, members of ranges, both; and events."""

    explicit: int
    members: int
    overridden: int
    events: int

    def counts(self) -> dict[str, int]:
        """Return the counts by name, as a manifest has them."""
        return msgspec.structs.asdict(self)


def save_identifiers(runtime: Runtime, directory: DataDirectory, target: Path) -> Copied:
    """Let the role copy its stores below ``target``, and copy the other files of the service.

    Raises:
        OSError: the role does not answer, or cannot copy.
    """
    target.mkdir(mode=0o700)
    for entry in directory.identifiers.iterdir():
        if entry.name in (STORE, EVENTS) or entry.name.startswith("."):
            continue
        if entry.is_dir():
            shutil.copytree(entry, target / entry.name)
        else:
            shutil.copy2(entry, target / entry.name)
    return asyncio.run(_copied(runtime, target))


async def _copied(runtime: Runtime, target: Path) -> Copied:
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), "backup")
    try:
        subject = Subject(0, "backup", NODE_TENANT, Role.ADMIN)
        address = Subjects(runtime.node).service(f"identify.{COMMAND}")
        return await request(bus, address, asked_by(subject, CopyWish(str(target))), _ANSWER_S, Copied)
    except Problem as problem:
        raise OSError(f"the identifier role: {problem.title}: {problem.detail}") from problem
    finally:
        await bus.close()


def count_copy(path: Path, *, anew: bool) -> Copied:
    """Return what a copy of the service has.

    Args:
        path: its directory.
        anew: counted from its records and ranges, else as its own counts say.

    Raises:
        OSError: it cannot be opened, or its counts do not fit its records.
    """
    # Late: few who restore a node have identifiers, and the library is large.
    from gongfu.identify.epcis.store import EventStore
    from gongfu.identify.records.keys import COUNTS, decode_count
    from gongfu.identify.records.shard import Shard
    from gongfu.identify.service.layout import read_layout, shard_path
    from gongfu.identify.service.recount import recount

    explicit = members = overridden = 0
    store = path / STORE
    for number in range(read_layout(store, 1).shards):
        shard = Shard(shard_path(store, number))
        try:
            if anew:
                found = recount(shard.moment())
                if found.wrong:
                    raise OSError(f"identifiers: {'; '.join(found.wrong[:3])}")
                counts = list(found.counts.values())
            else:
                counts = [decode_count(value) for _, value in shard.items(COUNTS)]
        finally:
            shard.close()
        for count in counts:
            explicit += count.explicit
            members += count.members
            overridden += count.overridden
    events = EventStore(path / EVENTS, cache_bytes=8 << 20)
    try:
        return Copied(explicit, members, overridden, events.head)
    finally:
        events.close()
