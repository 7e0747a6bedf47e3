"""Quotas of the records in a door: loaded when it starts, again when the registry tells of a change."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gongfu.bus.connection import subscribe
from gongfu.ingest.admission.admission import Admission
from gongfu.ingest.admission.quota import Override, Policy
from gongfu.kernel.subjects import Subjects
from gongfu.registry import quota_records
from gongfu.registry.changes import RegistryChange
from gongfu.store.records.engine import reading

logger = logging.getLogger(__name__)

# Announcements may be lost; so late a change is taken at the latest.
REFRESH_S = 30.0


class QuotaBook:
    """Keeps an ``Admission`` like the records. ``start`` before the door listens, ``stop`` after.

    Args:
        bus: an open connection.
        subjects: names of the node.
        engine: the records.
        executor: where they are read.
        admission: what to keep.
        changed: called after each change.
    """

    def __init__(
        self,
        bus: Client,
        subjects: Subjects,
        engine: Engine,
        executor: Executor,
        admission: Admission,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._bus = bus
        self._subject = subjects.event("registry")
        self._engine = engine
        self._executor = executor
        self._admission = admission
        self._changed = changed
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._known: dict[tuple[int, int], Override] = {}

    async def start(self) -> None:
        """Load all quotas and follow changes.

        Raises:
            SQLAlchemyError: the records cannot be read.
        """
        self._subscription = await subscribe(self._bus, self._subject, self._announced)
        await self._load()
        self._task = asyncio.create_task(self._run(), name="quotas")

    async def stop(self) -> None:
        """End."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task
            await self._subscription.unsubscribe()

    async def _announced(self, message: Msg) -> None:
        with suppress(msgspec.MsgspecError):  # others say so in the log
            if msgspec.json.decode(message.data, type=RegistryChange).kind == "quota":
                self._wake.set()

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), REFRESH_S)
            if self._stopping:
                return
            self._wake.clear()
            try:
                await self._load()
            except SQLAlchemyError as error:
                logger.warning("quotas cannot be read, those known stay: %s", type(error).__name__)

    async def _load(self) -> None:
        known = await asyncio.get_running_loop().run_in_executor(self._executor, _read, self._engine)
        if known == self._known:
            return
        for key in self._known.keys() | known.keys():
            if self._known.get(key) != known.get(key):
                self._admission.change(key, known.get(key))
        self._known = known
        self._changed()


def _read(engine: Engine) -> dict[tuple[int, int], Override]:
    with reading(engine) as connection:
        return {(row.tenant_id, row.device_id): _override(row) for row in quota_records.every(connection)}


def _override(row: Any) -> Override:
    return Override(
        points=row.points_per_second,
        messages=row.messages_per_second,
        bytes=row.bytes_per_second,
        burst_s=row.burst_seconds,
        policy=None if row.policy is None else Policy(row.policy),
    )
