"""Keeps what machines say of their units while they are connected, and counts it."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from gongfu.connect.kit.machine_units import read
from gongfu.ingest.types import Writer
from gongfu.kernel.counters import Counters
from gongfu.registry.source_units import SourceUnits, StatedUnit, Statement, figures

logger = logging.getLogger("gongfu.connect")


class MachineUnitDesk:
    """Takes units from drivers. Use from one event loop.

    Counters: ``units.taken``, ``.changed``, ``.unknown``, ``.differs``, ``.left_out`` (points).
    """

    def __init__(self, units: SourceUnits, executor: Executor, counters: Counters) -> None:
        self._units = units
        self._executor = executor
        self._counters = counters

    def take(self, writer: Writer, detail: Mapping[str, Any], begin: Callable[[Any], object]) -> None:
        """Keep what a driver says; ``begin`` runs the work beside everything else."""
        begin(self._keep(writer, detail))

    async def _keep(self, writer: Writer, detail: Mapping[str, Any]) -> None:
        try:
            said = read(detail)
        except msgspec.ValidationError:
            logger.warning("a driver of %s says units in another form", writer.name)
            return
        units = [
            StatedUnit(
                asset=f"{writer.asset_path}/{unit.asset}" if unit.asset else writer.asset_path,
                point=unit.point,
                text=unit.text,
                unit=unit.unit,
                low=unit.low,
                high=unit.high,
                scaled=unit.scaled,
            )
            for unit in said
        ]
        statement = Statement(tenant=writer.tenant, source=f"connection {writer.name}", units=units)
        try:
            outcome = await asyncio.get_running_loop().run_in_executor(self._executor, self._units.state, statement)
        except SQLAlchemyError as error:
            logger.warning("the units of %s were not kept: %s", writer.name, type(error).__name__)
            self._counters.add("units.left_out", len(units))
            return
        for name, count in figures(outcome).items():
            self._counters.add(name, count)
