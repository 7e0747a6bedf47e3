"""Checkpoint of a leased partition: the state itself in a place that every worker reaches, and in the lease which one
counts. A worker that has lost the partition may still write state, but cannot make it count."""

import asyncio
import secrets
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from gongfu.bus.jetstream import JetStreamError
from gongfu.bus.partition_leases import Lease
from gongfu.store.twins.checkpoint import CheckpointError, CheckpointStore, read_checkpoint, write_checkpoint


class StatePlace(Protocol):
    """Where files of state are kept; ``StateStore`` is one. Its methods raise JetStreamError or OSError."""

    async def put(self, partition: int, epoch: int, file: Path) -> str:
        """Keep a file of the owner of an epoch and return where."""
        ...

    async def get(self, partition: int, where: str, file: Path) -> None:
        """Write what is kept somewhere to a file."""
        ...

    async def remove(self, partition: int, where: str) -> None:
        """Remove a file."""
        ...

    async def remove_before(self, partition: int, epoch: int, keep: str) -> None:
        """Remove what owners of earlier epochs have left, but one."""
        ...


class SharedDirectory:
    """Files in a directory that all workers of a machine have."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def put(self, partition: int, epoch: int, file: Path) -> str:
        """Move a file to the directory."""
        name = f"checkpoint-{partition}.{epoch}-{secrets.token_hex(4)}"
        await asyncio.to_thread(file.replace, self._directory / name)
        return name

    async def get(self, partition: int, where: str, file: Path) -> None:
        """Link a kept file."""
        await asyncio.to_thread(file.hardlink_to, self._directory / Path(where).name)

    async def remove(self, partition: int, where: str) -> None:
        """Remove a file."""
        await asyncio.to_thread((self._directory / Path(where).name).unlink, missing_ok=True)

    async def remove_before(self, partition: int, epoch: int, keep: str) -> None:
        """Remove what owners of earlier epochs have left, but one."""
        for path in await asyncio.to_thread(lambda: list(self._directory.glob(f"checkpoint-{partition}.*"))):
            if path.name != keep and int(path.name.partition(".")[2].partition("-")[0]) < epoch:
                await self.remove(partition, path.name)


class LeasedCheckpoint:
    """Implements ``CheckpointStore`` for one lease."""

    def __init__(self, lease: Lease, place: StatePlace, scratch: Path, before: CheckpointStore | None = None) -> None:
        """Keep checkpoints.

        Args:
            lease: tells which one counts.
            place: where they are.
            scratch: a directory of this worker alone for files on their way.
            before: what the partition's state was kept in before it was leased.
        """
        self._before = before
        self._lease = lease
        self._place = place
        self._scratch = scratch / f"partition-{lease.partition}"

    async def load(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
        """See ``CheckpointStore``.

        Raises:
            JetStreamError: nobody answers.
        """
        lease, where = self._lease, self._lease.checkpoint
        # Never what later owners have: this one may have been stopped since it took the partition.
        await self._place.remove_before(lease.partition, lease.epoch, where)
        if not where:
            return await self._before.load() if self._before is not None else None
        self._scratch.unlink(missing_ok=True)
        try:
            await self._place.get(lease.partition, where, self._scratch)
            return await asyncio.to_thread(read_checkpoint, self._scratch)
        except JetStreamError as error:
            if error.code:
                raise CheckpointError(f"checkpoint {where} is not there: {error}") from error
            raise
        except OSError as error:
            raise CheckpointError(f"checkpoint {where} cannot be read: {error}") from error
        finally:
            self._scratch.unlink(missing_ok=True)

    async def save(self, arrays: dict[str, NDArray[Any]], document: dict[str, Any]) -> None:
        """See ``CheckpointStore``.

        Raises:
            OwnershipLostError: another worker has the partition.
        """
        await asyncio.to_thread(write_checkpoint, self._scratch, arrays, document)
        try:
            before = self._lease.checkpoint
            where = await self._place.put(self._lease.partition, self._lease.epoch, self._scratch)
            await self._lease.commit(where)
        except JetStreamError as error:
            raise OSError(str(error)) from error
        finally:
            self._scratch.unlink(missing_ok=True)
        if before:
            await self._place.remove(self._lease.partition, before)
