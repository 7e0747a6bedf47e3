"""Keeps what machines say of their units while they are connected, and counts it."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from gongfu.connect.kit.machine_units import read
from gongfu.ingest.types import Writer
from gongfu.kernel.counters import Counters
from gongfu.registry.source_units import MAX_STATED, SourceUnits, StatedUnit, Statement, figures

logger = logging.getLogger("gongfu.connect")

# A point is made with its first value, which may come after its unit, and the records may be away for a while.
AGAIN_S = (2.0, 10.0, 60.0, 600.0, 3600.0)


@dataclass(slots=True)
class _Pending:
    """What a connection has said and is not kept yet, by asset path and point."""

    writer: Writer
    units: dict[tuple[str, str], StatedUnit] = field(default_factory=dict[tuple[str, str], StatedUnit])
    more: asyncio.Event = field(default_factory=asyncio.Event)


class MachineUnitDesk:
    """Takes units from drivers. Use from one event loop.

    Counters: ``units.taken``, ``.changed``, ``.unknown``, ``.differs``, ``.left_out`` (points).
    """

    def __init__(
        self, units: SourceUnits, executor: Executor, counters: Counters, again: Sequence[float] = AGAIN_S
    ) -> None:
        """Keep in ``units``; what has no point yet is tried again after ``again`` seconds, and then left out."""
        self._units = units
        self._executor = executor
        self._counters = counters
        self._again = again
        self._pending: dict[int, _Pending] = {}

    def take(self, writer: Writer, detail: Mapping[str, Any], begin: Callable[[Any], object]) -> None:
        """Keep what a driver says; ``begin`` runs the work beside everything else."""
        try:
            said = read(detail)
        except msgspec.ValidationError:
            logger.warning("a driver of %s says units in another form", writer.name)
            return
        pending = self._pending.get(writer.device)
        if begins := pending is None:
            pending = self._pending[writer.device] = _Pending(writer)
        pending.writer = writer
        for unit in said:
            asset = f"{writer.asset_path}/{unit.asset}" if unit.asset else writer.asset_path
            pending.units[asset, unit.point] = StatedUnit(
                asset=asset,
                point=unit.point,
                text=unit.text,
                unit=unit.unit,
                low=unit.low,
                high=unit.high,
                scaled=unit.scaled,
            )
        pending.more.set()
        if begins:
            # One at a time, so that what was said first is not kept last.
            begin(self._keep(pending))

    def forget(self) -> None:
        """Try nothing again: another machine hears the drivers from now on."""
        for pending in self._pending.values():
            pending.units.clear()
            pending.more.set()

    async def _keep(self, pending: _Pending) -> None:
        try:
            tries = iter(self._again)
            while pending.units:
                if pending.more.is_set():
                    pending.more.clear()
                    tries = iter(self._again)
                left = await self._state(pending)
                if not pending.units or pending.more.is_set():
                    continue
                wait = next(tries, None)
                if wait is None:
                    self._counters.add("units.left_out", left)
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await pending.more.wait()
        finally:
            del self._pending[pending.writer.device]

    async def _state(self, pending: _Pending) -> int:
        """Hand over what is pending; what is kept is so no more. Return how many points got nothing."""
        names, left = list(pending.units), 0
        for start in range(0, len(names), MAX_STATED):
            part = {name: pending.units[name] for name in names[start : start + MAX_STATED] if name in pending.units}
            source = f"connection {pending.writer.name}"
            statement = Statement(tenant=pending.writer.tenant, source=source, units=list(part.values()))
            try:
                outcome = await asyncio.get_running_loop().run_in_executor(self._executor, self._units.state, statement)
            except SQLAlchemyError as error:
                logger.warning("the units of %s are not kept yet: %s", pending.writer.name, type(error).__name__)
                left += len(part)
                continue
            left += outcome.missing
            for name, count in figures(outcome).items():
                self._counters.add(name, count)
            if not outcome.missing:
                for name, unit in part.items():
                    if pending.units.get(name) is unit:
                        del pending.units[name]
        return left
