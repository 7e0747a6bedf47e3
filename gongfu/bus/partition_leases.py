"""Partition leases of one worker: keeps them, gets those it should have, and gives back what others should have.

The record of a partition holds its owner and everything the owner commits: the checkpoint that counts and the position
of the history. Each write is a compare-and-set on the record, so after another worker has taken the partition nothing
the former owner commits has an effect (docs/cluster.md).
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from gongfu.bus.jetstream import JetStreamError
from gongfu.bus.leases import FREE, LeaseRecord, LeaseView
from gongfu.bus.ownership import OwnershipLostError
from gongfu.bus.registers import RegisterConflictError, Registers

HEARTBEAT_S = 1.0
# A worker trusts its lease so long after the last renewal; others wait longer before they take it.
OWNER_S = 4.0
EXPIRE_S = 5.0
# An own lease that this process does not hold is one of a process that has ended.
OWN_S = 2.0
_RETRY_S = 1.0
_LEASE, _MEMBER = "lease", "worker"

logger = logging.getLogger(__name__)


class LeaseDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a partition's record holds.

    Attributes:
        owner: name of the worker, empty when nobody has the partition.
        process: random name of the owner's process.
        epoch: grows with each owner; about the time at which the owner took it, UTC ns.
        history: last block of the partition that is durable in the history.
        checkpoint: where the newest checkpoint is, empty when there is none.
    """

    owner: str = FREE
    process: str = ""
    epoch: int = 0
    history: int = 0
    checkpoint: str = ""


class Lease:
    """One partition that this process has."""

    def __init__(
        self,
        registers: Registers,
        partition: int,
        document: LeaseDocument,
        revision: int,
        until: float,
        kind: str = _LEASE,
    ) -> None:
        self._registers = registers
        self._kind = kind
        self.partition = partition
        self._document = document
        self._revision = revision
        self._until = until
        self._changed = asyncio.Event()
        self._lock = asyncio.Lock()
        self.lost = False

    @property
    def epoch(self) -> int:
        """Greater than that of every earlier owner."""
        return self._document.epoch

    @property
    def until(self) -> float:
        """Until when this process may trust it, seconds of the event loop's clock; each renewal moves it on."""
        return self._until

    @property
    def checkpoint(self) -> str:
        """Where the newest checkpoint is; empty when there is none."""
        return self._document.checkpoint

    @property
    def history(self) -> int:
        """Last block that is durable in the history; set it, and the next renewal keeps it."""
        return self._document.history

    @history.setter
    def history(self, sequence: int) -> None:
        self._document = msgspec.structs.replace(self._document, history=sequence)

    async def valid(self) -> None:
        """See ``Ownership``: waits while the lease cannot be renewed because nobody answers."""
        loop = asyncio.get_running_loop()
        while not self.lost and loop.time() >= self._until:
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), HEARTBEAT_S)
        if self.lost:
            raise OwnershipLostError(f"partition {self.partition} is another worker's")

    async def renew(self) -> None:
        """Tell that this process has it still, and keep the history's position.

        Raises:
            OwnershipLostError: another worker has it.
            JetStreamError: nobody answers; try again.
        """
        await self._write(lambda document: document)

    async def commit(self, checkpoint: str) -> None:
        """Let a checkpoint be the one that counts.

        Raises:
            OwnershipLostError: another worker has the partition; the checkpoint does not count.
            JetStreamError: nobody answers; whether it counts is told by ``checkpoint`` after the next renewal.
        """
        await self._write(lambda document: msgspec.structs.replace(document, checkpoint=checkpoint))

    async def release(self) -> None:
        """Give it back. Call when nothing works on it any more.

        Raises:
            OwnershipLostError, JetStreamError: see ``renew``.
        """
        await self._write(lambda document: msgspec.structs.replace(document, owner=FREE, process=""))
        self.lose()

    def lose(self) -> None:
        """Note that it is another's."""
        self.lost = True
        self._changed.set()

    async def _write(self, change: Callable[[LeaseDocument], LeaseDocument]) -> None:
        async with self._lock:
            if self.lost:
                raise OwnershipLostError(f"partition {self.partition} is another worker's")
            began = asyncio.get_running_loop().time()
            wanted = change(self._document)
            name, value = str(self.partition), msgspec.json.encode(wanted)
            try:
                revision = await self._registers.put(self._kind, name, value, self._revision)
            except RegisterConflictError:
                # Perhaps our own write whose answer was lost; its words differ from any other owner's.
                revision = await self._find_own(name, wanted)
                wanted = self._document
            self._document, self._revision = wanted, revision
            self._until = began + OWNER_S
            self._changed.set()

    async def _find_own(self, name: str, wanted: LeaseDocument) -> int:
        """Return the revision of the record when it is still this process's; write what was wanted on top of it.

        Raises:
            OwnershipLostError: it is not.
        """
        records = await self._registers.read(self._kind)
        revision, content = records.get(name, (self._revision, b"{}"))
        if revision < self._revision:
            raise JetStreamError(0, "a replica that is behind has answered")
        found = msgspec.json.decode(content, type=LeaseDocument)
        if found.process != self._document.process:
            self.lose()
            raise OwnershipLostError(f"partition {self.partition} is {found.owner or 'nobody'}'s")
        try:
            revision = await self._registers.put(self._kind, name, msgspec.json.encode(wanted), revision)
        except RegisterConflictError:
            raise JetStreamError(0, "the lease changes too fast to be read") from None
        self._document = wanted
        return revision


# Called when a lease was gained; and when it must be given up: with True in order, with False because it is lost.
Gained = Callable[[Lease], Awaitable[None]]
Leaving = Callable[[Lease, bool], Awaitable[None]]


class PartitionLeases:
    """Runs beside the partitions of one worker; ``start``, ``stop``."""

    def __init__(self, registers: Registers, me: str, partitions: int, gained: Gained, leaving: Leaving) -> None:
        """Compose.

        Args:
            registers: where records and roster are.
            me: name of this worker; no other process of the cluster has it.
            partitions: number of partitions.
            gained: begins the work on a partition.
            leaving: ends it.
        """
        self._registers = registers
        self._me = me
        self._view = LeaseView(me, partitions, EXPIRE_S, OWN_S)
        self._gained = gained
        self._leaving = leaving
        self._process = secrets.token_hex(8)
        self.held: dict[int, Lease] = {}
        self._handing_over: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Join the roster, look around for a moment, and begin.

        Raises:
            JetStreamError: JetStream does not answer.
        """
        await self._registers.start()
        await self._beat()
        self._loops = [
            asyncio.create_task(self._run(), name="leases"),
            asyncio.create_task(self._renew_always(), name="lease renewal"),
        ]

    async def stop(self) -> None:
        """Give everything back in order, and leave the roster."""
        self._stopping.set()
        rest = [lease for lease in self.held.values() if lease.partition not in self._handing_over]
        await asyncio.gather(*(self._hand_over(lease) for lease in rest))
        if self._tasks:
            await asyncio.wait(self._tasks)
        # By flag: nats-py swallows a cancellation that meets it while it flushes.
        self._stopped.set()
        await asyncio.gather(*self._loops)
        with suppress(JetStreamError):
            await self._registers.put(_MEMBER, _token(self._me), b"", None)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), HEARTBEAT_S)
            try:
                await self._beat()
                await self._look(loop.time())
            except JetStreamError as error:
                logger.debug("leases: %s", error)
                self._view.excuse(loop.time())
            except Exception:
                # Whatever it is, leases must go on being looked at.
                logger.exception("leases could not be looked at")
                self._view.excuse(loop.time())

    async def _beat(self) -> None:
        await self._registers.put(_MEMBER, _token(self._me), msgspec.json.encode({"name": self._me}), None)

    async def _look(self, now: float) -> None:
        leases, members = await self._registers.read(_LEASE), await self._registers.read(_MEMBER)
        documents = {int(n): msgspec.json.decode(content, type=LeaseDocument) for n, (_, content) in leases.items()}
        records = {n: LeaseRecord(document.owner, leases[str(n)][0]) for n, document in documents.items()}
        names = {
            str(msgspec.json.decode(content)["name"]): revision for revision, content in members.values() if content
        }
        self._view.observe(now, records, names)
        if self._stopping.is_set():
            return
        decision = self._view.decide(now, frozenset(self.held))
        for partition in decision.release:
            if partition not in self._handing_over:
                self._begin(self._hand_over(self.held[partition]))
        for partition, revision in decision.take.items():
            await self._take(partition, documents.get(partition, LeaseDocument()), revision)

    async def _take(self, partition: int, found: LeaseDocument, revision: int) -> None:
        began = asyncio.get_running_loop().time()
        # The time, so that epochs grow even when the registers are made anew.
        epoch = max(found.epoch + 1, time.time_ns())
        document = msgspec.structs.replace(found, owner=self._me, process=self._process, epoch=epoch)
        try:
            revision = await self._registers.put(_LEASE, str(partition), msgspec.json.encode(document), revision)
        except RegisterConflictError:
            return  # another was first
        lease = Lease(self._registers, partition, document, revision, began + OWNER_S)
        self.held[partition] = lease
        logger.info("partition %d is taken at epoch %d", partition, lease.epoch)
        self._begin(self._gain(lease))

    async def _gain(self, lease: Lease) -> None:
        while not (lease.lost or self._stopping.is_set()):
            try:
                return await self._gained(lease)
            except OwnershipLostError:
                return await self._lose(lease)
            except Exception:
                logger.exception("the work on partition %d cannot begin; trying again", lease.partition)
                await asyncio.sleep(_RETRY_S)

    async def _hand_over(self, lease: Lease) -> None:
        self._handing_over.add(lease.partition)
        try:
            await self._leaving(lease, True)
            await lease.release()
            logger.info("partition %d is given back", lease.partition)
        except (OwnershipLostError, JetStreamError) as error:
            # It ends by itself when it is not renewed any more.
            logger.warning("partition %d: %s", lease.partition, error)
            lease.lose()
        finally:
            self.held.pop(lease.partition, None)
            self._handing_over.discard(lease.partition)

    async def _renew_always(self) -> None:
        while not self._stopped.is_set():
            await asyncio.gather(*(self._renew(lease) for lease in list(self.held.values())))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), HEARTBEAT_S)

    async def _renew(self, lease: Lease) -> None:
        try:
            await lease.renew()
        except OwnershipLostError:
            if lease.partition not in self._handing_over:
                self._begin(self._lose(lease))
        except JetStreamError as error:
            logger.debug("lease of partition %d: %s", lease.partition, error)
        except Exception:
            logger.exception("the lease of partition %d could not be renewed", lease.partition)

    async def _lose(self, lease: Lease) -> None:
        if self.held.get(lease.partition) is not lease:
            return
        lease.lose()
        logger.warning("partition %d was lost to another worker; what it did last here does not count", lease.partition)
        self._handing_over.add(lease.partition)
        try:
            await self._leaving(lease, False)
        finally:
            self.held.pop(lease.partition, None)
            self._handing_over.discard(lease.partition)

    def _begin(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Future[None]") -> None:
        self._tasks.discard(task)  # pyright: ignore[reportArgumentType]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("work on a partition failed", exc_info=error)


def _token(name: str) -> str:
    """Return a worker's name as a NATS token."""
    return name.replace(".", "_")
