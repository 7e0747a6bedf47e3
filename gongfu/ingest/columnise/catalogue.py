"""Series catalogue: (asset, child path, point name) to series, from memory, or from the registry in a thread."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any

from sqlalchemy import Engine

from gongfu.ingest.columnise.elements import PointTable
from gongfu.ingest.columnise.limits import TelemetryLimits
from gongfu.ingest.columnise.quotas import QuotaCounts
from gongfu.ingest.columnise.reasons import Reason
from gongfu.ingest.columnise.records import Found, Want, find_or_make
from gongfu.ingest.types import Writer
from gongfu.kernel.partitions import partition_of
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import Clock
from gongfu.thing.compiled import Binding, Screen
from gongfu.thing.shelf import Shelf

logger = logging.getLogger(__name__)

# A quota that is used up is asked for again after this.
_REFUSED_S = 10.0
# Assets that get a model are dropped together after this: a thousand may get one at once.
_RETYPED_S = 0.2
# Wants of many payloads share a transaction, up to this many: more are not faster, and take 6 KB each meanwhile.
_BATCH = 400


class RegistryUnavailableError(Exception):
    """The records did not answer."""


class SeriesCatalogue:
    """Points by asset. ``find`` is a look-up in memory; ``resolve`` reads the registry and makes what is missing.

    ``own`` has what is in memory by own asset of a writer, ``_below`` by own asset and child path: two levels, as a
    tuple for each of a million children would cost as much as their points. ``own`` is the same object for ever.
    Use from one event loop. All calls of ``resolve`` that come while a transaction runs share the next one.

    Attributes:
        generation: another number when what was found before may no longer be so.
        screen: bounds of the points of assets with a thing model.
    """

    def __init__(self, engine: Engine, executor: Executor, limits: TelemetryLimits, clock: Clock) -> None:
        self._engine = engine
        self._executor = executor
        self._limits = limits
        self._clock = clock
        self.own: dict[int, PointTable] = {}
        self._below: dict[int, dict[str, PointTable]] = {}
        self._refused: dict[tuple[int, str], tuple[Reason, float]] = {}
        self._waiting: list[tuple[Want, asyncio.Future[Found]]] = []
        self._task: asyncio.Task[None] | None = None
        self._quotas = QuotaCounts()
        self._shelf = Shelf()
        self._retyped: set[int] = set()
        self.screen = Screen()
        self.generation = 0

    def below(self, own: int) -> Mapping[str, PointTable] | None:
        """Return the points of all that is in memory below an own asset, by child path."""
        return self._below.get(own)

    def find(self, writer: Writer, child: str) -> PointTable | None:
        """Return the points of the writer's own asset (child "") or of one below it, or None when not in memory."""
        if not child:
            return self.own.get(writer.asset)
        below = self._below.get(writer.asset)
        return None if below is None else below.get(child)

    def refusal(self, writer: Writer, child: str) -> Reason | None:
        """Return why new points of an asset (or the asset) were refused a moment ago, or None."""
        refused = self._refused.get((writer.asset, child))
        if refused is None:
            return None
        if asyncio.get_running_loop().time() >= refused[1]:
            del self._refused[writer.asset, child]
            return None
        return refused[0]

    async def resolve(self, writer: Writer, child: str, names: dict[str, ValueType]) -> None:
        """Bring points into memory, making those that are new. What was refused is told by ``refusal``.

        Raises:
            RegistryUnavailableError: the records did not answer.
        """
        table = self.find(writer, child)
        want = Want(writer.tenant, writer.asset, child, names, table is not None and table.complete)
        future: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self._waiting.append((want, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="series catalogue")
        self._keep(want, await future)

    def forget(self) -> None:
        """Drop everything from memory: an asset was moved or deleted, or a point deleted."""
        self.own.clear()
        self._below.clear()
        self._refused.clear()
        self._quotas.forget()
        self.screen.clear()
        self.generation += 1

    def retyped(self, asset: int, forgotten: Callable[[], None]) -> None:
        """Drop an asset from memory that has another type, with others of which this is said in the next moment.

        Args:
            asset: asset id.
            forgotten: called then.
        """
        if not self._retyped:
            asyncio.get_running_loop().call_later(_RETYPED_S, self._forget_retyped, forgotten)
        self._retyped.add(asset)

    def _forget_retyped(self, forgotten: Callable[[], None]) -> None:
        gone, self._retyped = self._retyped, set()
        tables = [self.own.pop(asset) for asset in gone if asset in self.own]
        for below in self._below.values():
            tables += [below.pop(child) for child in [c for c, table in below.items() if table.asset in gone]]
        for table in tables:
            if table.model is not None:
                self.screen.release(table.model.names)
        self.generation += 1
        forgotten()

    def _keep(self, want: Want, found: Found) -> None:
        if found.refused is not None:
            expires = asyncio.get_running_loop().time() + _REFUSED_S
            self._refused[want.own, want.child] = (found.refused, expires)
        if not found.asset:
            return
        tables: dict[Any, PointTable] = self._below.setdefault(want.own, {}) if want.child else self.own
        key = want.child or want.own
        table = tables.get(key)
        if table is None or table.asset != found.asset:
            self.generation += table is not None
            table = tables[key] = PointTable(found.asset, partition_of(found.asset, self._limits.partitions))
        table.names.update(found.points)
        if found.model is not None:
            if table.model is None:
                table.model = Binding(found.model)
            table.model.note(found.points)
            self.screen.bind(found.model, found.points)
        table.complete = table.complete or not want.complete

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            wants = [want for want, _ in batch]
            try:
                found = await loop.run_in_executor(
                    self._executor,
                    find_or_make,
                    self._engine,
                    wants,
                    self._limits,
                    self._clock.now_ns(),
                    self._quotas,
                    self._shelf,
                )
            except Exception as error:
                logger.exception("registry did not answer")
                for _, future in batch:
                    if not future.done():
                        future.set_exception(RegistryUnavailableError(type(error).__name__))
                continue
            for (_, future), answer in zip(batch, found, strict=True):
                if not future.done():
                    future.set_result(answer)
