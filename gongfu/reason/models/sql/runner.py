"""Runs the statements of SQL models: asked for, and by the clock.

By the clock a statement runs for each bound asset once in ``step_s``, over the step that has just ended. That is no
reading of the stream: what arrives later than ``wait_s`` after the end of its step is not seen, but by a back-fill.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from gongfu.kernel.block import Block, Columns
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem, invalid, unavailable
from gongfu.kernel.partitions import partition_of
from gongfu.kernel.quality import Quality
from gongfu.kernel.times import SECOND, Clock, format_rfc3339, parse_rfc3339
from gongfu.reason.models.calling.types import InvokeAnswer, InvokeBody, answer_of
from gongfu.reason.models.catalogue import Catalogue
from gongfu.reason.models.placement import RUNNING, Placement
from gongfu.reason.models.spec import ModelSpec, parameter_values
from gongfu.reason.models.sql.statement import bound_statement, columns_of, statement_of
from gongfu.reason.models.types import Column
from gongfu.reason.outputs import ModelOutputs
from gongfu.store.history.query import HistoryQueries
from gongfu.store.history.sql_tables import SqlTables
from gongfu.store.history.types import SqlLimits

logger = logging.getLogger(__name__)

# Assets of a binding whose statement runs by the clock; of more, the first ones.
MAX_ASSETS = 1000
_LOOK_S = 1.0


class SqlModels:
    """Asks the history in the name of a tenant."""

    def __init__(self, queries: HistoryQueries, tables: SqlTables, catalogue: Catalogue) -> None:
        self._queries = queries
        self._tables = tables
        self._catalogue = catalogue

    async def ask(
        self,
        tenant: int,
        spec: ModelSpec,
        parameters: Mapping[str, float],
        asset: str,
        time_from: int,
        time_to: int,
    ) -> tuple[NDArray[np.int64], dict[str, Column]]:
        """Return times and columns of what a statement gives.

        Raises:
            Problem: 400 for the statement, 422 for its answer, 503 when the history does not answer
                or the artifact is gone.
        """
        # Imported with the first statement: the parser takes 30 MB and half a second.
        from gongfu.store.history.sandbox import rewrite

        try:
            text = statement_of(spec, await asyncio.to_thread(self._catalogue.artifact(spec).read_bytes))
        except FileNotFoundError:
            raise unavailable(f"the statement of {spec.id} {spec.version} is not in the object store") from None
        bound = bound_statement(spec, text, asset, time_from, time_to, parameters)
        statement = rewrite(bound, tenant, self._tables.tables)
        await self._queries.guarded(self._tables.sync(tenant, statement.tables))
        limits = SqlLimits(seconds=min(spec.limits.wall_s, 30.0))
        result, _ = await self._queries.sql(statement.sql, statement.row_filters, limits)
        if result.truncated:
            raise invalid(f"the statement of {spec.id} gives more than {limits.rows} rows")
        return columns_of(spec, [name for name, _ in result.columns], result.rows, time_to)

    async def answer(
        self, tenant: int, spec: ModelSpec, parameters: Mapping[str, float], body: InvokeBody
    ) -> InvokeAnswer:
        """Return the answer of a call.

        Raises:
            Problem: see ``ask``; 400 when from or to is missing.
        """
        try:
            time_from, time_to = parse_rfc3339(body.time_from), parse_rfc3339(body.time_to)
        except ValueError:
            raise invalid(f"{spec.id} is a SQL model: give from and to as RFC 3339 times, and asset") from None
        times, columns = await self.ask(tenant, spec, parameters, body.asset, time_from, time_to)
        if not len(times):
            empty = {port.name: [] for port in spec.outputs}
            units = {port.name: port.unit for port in spec.outputs}
            return InvokeAnswer(model=spec.id, version=spec.version, columns=empty, units=units)
        found = answer_of(spec, columns, 0.0, [])
        return InvokeAnswer(
            model=found.model,
            version=found.version,
            columns=found.columns,
            units=found.units,
            times=[format_rfc3339(moment) for moment in times.tolist()],
            rows=found.rows,
            not_numbers=found.not_numbers,
        )


@dataclass(slots=True)
class Periods:
    """What the statement of a binding did since the role started: rows it gave, runs that failed, the end of the last
    step (UTC ns), values that were no number, errors by asset path."""

    rows: int = 0
    failed: int = 0
    not_numbers: int = 0
    last_at: int | None = None
    errors: dict[str, str] = field(default_factory=dict[str, str])


class PeriodicModels:
    """Runs the statements of bindings by the clock."""

    def __init__(
        self,
        models: SqlModels,
        outputs: ModelOutputs,
        engine: Engine,
        partitions: int,
        counters: Counters,
        clock: Clock,
    ) -> None:
        self._models = models
        self._outputs = outputs
        self._engine = engine
        self._partitions = partitions
        self._counters = counters
        self._clock = clock
        self.periods: dict[int, Periods] = {}
        self._next: dict[int, int] = {}

    async def run(self, bindings: "Mapping[int, tuple[ModelSpec, Placement]]") -> None:
        """Run what is due; call every second or so.

        Args:
            bindings: the bindings of SQL models at present.
        """
        now = self._clock.now_ns()
        for key, (spec, placement) in list(bindings.items()):
            step = round((spec.step_s or 60.0) * SECOND)
            due = self._next.setdefault(key, now // step * step + step)
            if now < due + round(spec.wait_s * SECOND):
                continue
            # After a pause only the newest step is done; a back-fill does the others.
            end = max(due, (now - round(spec.wait_s * SECOND)) // step * step)
            self._next[key] = end + step
            await self._one(key, spec, placement, end - step, end)
        for key in self._next.keys() - bindings.keys():
            del self._next[key]
            self.periods.pop(key, None)

    async def _one(self, key: int, spec: ModelSpec, placement: Placement, time_from: int, time_to: int) -> None:
        periods = self.periods.setdefault(key, Periods())
        scope = placement.scope
        parameters = parameter_values(spec, scope.parameters)
        gone = periods.errors.keys() - set(placement.paths)
        for path in gone:
            del periods.errors[path]
        ready = np.flatnonzero(placement.states == RUNNING)[:MAX_ASSETS].tolist()
        for number, at in enumerate(ready):
            path, asset = placement.paths[at], int(placement.assets[at])
            try:
                times, columns = await self._models.ask(scope.tenant, spec, parameters, path, time_from, time_to)
            except Problem as problem:
                periods.failed += 1
                periods.errors[path] = problem.detail or problem.title
                self._counters.add("model_statements_failed")
                continue
            periods.errors.pop(path, None)
            periods.rows += len(times)
            periods.last_at = time_to
            if len(times):
                points = points_of(placement, number, times, [columns[port.name] for port in spec.outputs])
                periods.not_numbers += int((points.qualities != Quality.GOOD).sum())
                partition = partition_of(asset, self._partitions)
                cause = Block(scope.tenant, time_to, {})
                await self._outputs.publish(cause, partition, time_to, points, {}, f"sql-{key}-{asset}")


def points_of(placement: Placement, row: int, times: NDArray[np.int64], columns: Sequence[Column]) -> Columns:
    """Return columns of one asset (``row`` of those that run) as points of its output series."""
    values: list[Column] = []
    for port, column in enumerate(columns):
        values.append(column * placement.output_factors[row, port] + placement.output_offsets[row, port])
    series = np.repeat(placement.outputs[row].astype(np.uint32), len(times))
    joined = np.concatenate(values)
    lost = ~np.isfinite(joined)
    qualities = np.where(lost, np.uint8(Quality.BAD_NOT_A_NUMBER), np.uint8(Quality.GOOD)).astype(np.uint8)
    return Columns(series, np.tile(times, len(columns)), qualities, joined)
