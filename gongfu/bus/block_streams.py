"""The streams of blocks, one for each partition and in a cluster its spare: how they are made, where leaders are."""

from typing import Any

from nats.aio.client import Client

from gongfu.bus.jetstream import STREAM_NOT_FOUND, JetStreamError, call_api, ensure_stream, stream_state
from gongfu.kernel.subjects import Subjects

SPARE_BYTES = 256 * 1024 * 1024
DUPLICATE_WINDOW_S = 120
_ASK_S = 1.0


async def ensure_streams(
    bus: Client, subjects: Subjects, partitions: int, max_age_s: float, max_bytes: int, replicas: int = 1
) -> None:
    """Create the streams of all partitions, or change their limits to those given. Old blocks leave first.

    Args:
        bus: an open connection.
        subjects: names of the node.
        partitions: number of partitions.
        max_age_s: blocks older than this are dropped, in seconds.
        max_bytes: bound of each stream, in bytes.
        replicas: servers that have each block when it is acknowledged; replicas are added, never taken away.

    Raises:
        JetStreamError: JetStream refuses, or does not answer for a minute (the servers of a cluster start slowly), or
            the servers of a cluster are older than 2.12.
    """
    for partition in range(partitions):
        name = subjects.blocks_stream(partition)
        wanted = {
            "name": name,
            "subjects": [subjects.blocks(partition)],
            "retention": "limits",
            "discard": "old",
            "storage": "file",
            "num_replicas": replicas,
            "max_consumers": -1,
            "max_msgs": -1,
            "max_bytes": max_bytes,
            "max_age": int(max_age_s * 1e9),
            "duplicate_window": int(min(DUPLICATE_WINDOW_S, max_age_s) * 1e9),
            "allow_direct": True,
        }
        if replicas > 1:
            wanted["allow_atomic"] = True  # what a spare has comes in batches
        await ensure_stream(bus, wanted)
        if replicas > 1 and not (await call_api(bus, f"STREAM.INFO.{name}"))["config"].get("allow_atomic"):
            raise JetStreamError(0, "replicas need nats-server 2.12 or newer (atomic batch publish)")
    if replicas > 1:
        await _ensure_spares(bus, subjects, partitions, max_age_s, replicas)


async def _ensure_spares(bus: Client, subjects: Subjects, partitions: int, max_age_s: float, replicas: int) -> None:
    """Create the spare streams of all partitions. A full one refuses blocks: what it has is in no other place."""
    for partition in range(partitions):
        wanted = {
            "name": subjects.spare_stream(partition),
            "subjects": [subjects.spare(partition)],
            "retention": "limits",
            "discard": "new",
            "storage": "file",
            "num_replicas": replicas,
            "max_consumers": -1,
            "max_msgs": -1,
            "max_bytes": SPARE_BYTES,
            "max_age": int(max_age_s * 1e9),
            "duplicate_window": int(min(DUPLICATE_WINDOW_S, max_age_s) * 1e9),
        }
        await ensure_stream(bus, wanted)


class SpareStreams:
    """The streams of all partitions and their spares. Every call raises ``JetStreamError`` when there is no answer."""

    def __init__(self, bus: Client, subjects: Subjects) -> None:
        """Ask through ``bus``."""
        self._bus = bus
        self._subjects = subjects

    async def has_leader(self, partition: int) -> bool:
        """Return whether the partition's stream has a leader."""
        return bool((await self._info(self._subjects.blocks_stream(partition)))["cluster"].get("leader"))

    async def spare(self, partition: int) -> dict[str, Any]:
        """Return what JetStream tells of the spare: ``state`` (``first_seq``, ``messages``) and ``cluster``."""
        return await self._info(self._subjects.spare_stream(partition))

    async def keep_apart(self, partition: int, spare: dict[str, Any]) -> None:
        """Let the leaders of a partition and of its spare, as ``spare`` tells, be on two servers.

        The one moves that has less to do: the spare's, or, when the spare has blocks, the log's.
        """
        name = self._subjects.blocks_stream(partition)
        log = await self._info(name)
        leader = log["cluster"].get("leader")
        if not leader or spare["cluster"].get("leader") != leader:
            return
        moved, cluster = name, log["cluster"]
        if not spare["state"]["messages"]:
            moved, cluster = self._subjects.spare_stream(partition), spare["cluster"]
        if others := [one["name"] for one in cluster.get("replicas", []) if _is_ready(one)]:
            body = {"placement": {"preferred": others[0]}}
            await call_api(self._bus, f"STREAM.LEADER.STEPDOWN.{moved}", body, timeout_s=_ASK_S)

    async def _info(self, stream: str) -> dict[str, Any]:
        return await call_api(self._bus, f"STREAM.INFO.{stream}", timeout_s=_ASK_S)


class SettledLog:
    """The log of a partition, for those who must know that nothing acknowledged until now is missing in it."""

    def __init__(self, bus: Client, subjects: Subjects, partition: int) -> None:
        """Ask through ``bus``."""
        self._bus = bus
        self._log, self._spare = subjects.blocks_stream(partition), subjects.spare_stream(partition)
        self._has_spare = True

    async def state(self) -> dict[str, Any] | None:
        """Return the state of the stream; None while blocks that were acknowledged are in its spare.

        Raises:
            JetStreamError: JetStream does not answer.
        """
        if self._has_spare:
            # Before the log: what leaves the spare after this question is in the log at the next one.
            try:
                if (await stream_state(self._bus, self._spare))["messages"]:
                    return None
            except JetStreamError as error:
                if error.code != STREAM_NOT_FOUND:
                    raise
                self._has_spare = False
        return await stream_state(self._bus, self._log)


def _is_ready(replica: dict[str, Any]) -> bool:
    return bool(replica.get("current")) and not replica.get("offline")
