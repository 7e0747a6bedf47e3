"""Calls of models: a process for each version and set of parameters that is called, apart from those of the stream."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gongfu.kernel.errors import Problem, invalid, not_found, unavailable
from gongfu.kernel.times import Clock
from gongfu.reason.models.calling.quota import CallerQuotas
from gongfu.reason.models.calling.types import (
    ANSWER_S,
    InvokeAnswer,
    InvokeBody,
    InvokeRequest,
    answer_of,
    problem_of,
    rows_of,
)
from gongfu.reason.models.calling.usage import UsageMeter, add_usage
from gongfu.reason.models.catalogue import Catalogue
from gongfu.reason.models.executor import Executor
from gongfu.reason.models.sandbox.types import ModelFailure
from gongfu.reason.models.spec import Kind, ModelSpec, parameter_values
from gongfu.reason.models.types import ModelDefinitionError
from gongfu.store.records.engine import reading, writing

logger = logging.getLogger(__name__)

# Processes for calls at a time, calls that wait for one process, and how long a process waits for the next call.
MAX_PROCESSES = 8
MAX_WAITING = 32
IDLE_S = 60.0
FLUSH_S = 2.0

Open = Callable[[ModelSpec, Mapping[str, float], str], Executor]
# Answers a call of a SQL model.
AskHistory = Callable[[int, ModelSpec, Mapping[str, float], InvokeBody], Awaitable[InvokeAnswer]]


@dataclass(slots=True)
class _Place:
    """A process for calls."""

    executor: Executor
    used: float
    waiting: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Invoker:
    """Answers calls; ``start`` and ``close``. Usage of the last two seconds is lost with a kill -9."""

    def __init__(
        self,
        engine: Engine,
        catalogue: Catalogue,
        open_executor: Open,
        ask_history: AskHistory,
        clock: Clock,
        answer_s: float = ANSWER_S,
    ) -> None:
        self._answer_s = answer_s
        self._engine = engine
        self._catalogue = catalogue
        self._open = open_executor
        self._ask_history = ask_history
        self._clock = clock
        self._quotas = CallerQuotas()
        self._meter = UsageMeter()
        self._places: dict[tuple[int, str, str, str, tuple[tuple[str, float], ...]], _Place] = {}
        self._task: asyncio.Task[None] | None = None
        self._count = 0

    def start(self) -> None:
        """Begin to write usage and to end idle processes."""
        self._task = asyncio.create_task(self._upkeep(), name="invoker")

    async def close(self) -> None:
        """End all processes, and write the usage."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        for place in self._places.values():
            await place.executor.close()
        self._places.clear()
        await self._flush()

    async def invoke(self, request: InvokeRequest) -> InvokeAnswer:
        """Return what a model gives for a call.

        Raises:
            Problem: 404 for the model, 400 and 422 for what was sent, 429 for the quota, 504 when it takes too long
                (``ANSWER_S`` in all), 422 when the model fails, 503 when too many calls wait.
        """
        try:
            async with asyncio.timeout(self._answer_s):
                return await self._invoke(request)
        except TimeoutError:
            raise Problem(
                504,
                "model-timeout",
                "The model did not answer in time",
                f"{request.model[:120]}: no answer in {self._answer_s:g} s, with what it waited for others",
                {"reason": "timeout", "advice": "send fewer rows or fewer calls at once, and try again"},
            ) from None

    async def _invoke(self, request: InvokeRequest) -> InvokeAnswer:
        body = request.body
        spec = await asyncio.to_thread(self._find, request.tenant, request.model, body.version)
        now = self._clock.now_ns()
        try:
            parameters = parameter_values(spec, body.parameters, body.units)
        except ModelDefinitionError as error:
            raise invalid(str(error)) from None
        rows = None if spec.kind is Kind.SQL else rows_of(spec, body)
        n = 1 if rows is None else len(rows.times)
        who = (request.tenant, spec.id, request.caller)
        try:
            self._quotas.take(*who, spec.quota, n, asyncio.get_running_loop().time())
        except Problem:
            self._meter.count(*who, now, refused=True)
            raise
        if rows is None:
            try:
                answer = await self._ask_history(request.tenant, spec, parameters, body)
            except BaseException:
                self._meter.count(*who, now, failed=True)
                raise
            self._meter.count(*who, now, rows=answer.rows)
            return answer
        place = await self._place(request.tenant, spec, parameters)
        try:
            async with place.turn:
                place.used = asyncio.get_running_loop().time()
                outcome = await place.executor.evaluate(rows)
        except BaseException as failure:
            # Also one that nobody waits for any more: it has cost what it has cost.
            self._meter.count(*who, now, failed=True)
            if isinstance(failure, ModelFailure):
                raise problem_of(spec, failure) from None
            raise
        finally:
            place.waiting -= 1
        self._meter.count(*who, now, rows=n, cpu_s=outcome.cpu_s)
        return answer_of(spec, outcome.columns, outcome.cpu_s, list(outcome.notes.values()))

    def _find(self, tenant: int, name: str, version: str) -> ModelSpec:
        with reading(self._engine) as connection:
            stored = self._catalogue.find(connection, tenant, name, version)
        if stored is None:
            raise not_found(f"model {name[:120]}{f' {version[:40]}' if version else ''}")
        return stored.spec

    async def _place(self, tenant: int, spec: ModelSpec, parameters: Mapping[str, float]) -> _Place:
        """Return the process for a call, which is counted among those that wait for it: so nobody ends it meanwhile."""
        # A version that was removed may come again with another artifact.
        key = (tenant, spec.id, spec.version, spec.sha256, tuple(sorted(parameters.items())))
        place = self._places.get(key)
        if place is None:
            while len(self._places) >= MAX_PROCESSES:
                idle = [item for item in self._places.items() if not item[1].waiting]
                if not idle:
                    raise unavailable(f"{MAX_PROCESSES} models are called at present; try again")
                oldest, other = min(idle, key=lambda item: item[1].used)
                del self._places[oldest]
                await other.executor.close()
            # Another call may have come first while room was made.
            place = self._places.get(key)
        if place is None:
            self._count += 1
            executor = self._open(spec, parameters, f"call-{self._count}")
            place = self._places.setdefault(key, _Place(executor, asyncio.get_running_loop().time()))
        if place.waiting >= MAX_WAITING:
            raise unavailable(f"{MAX_WAITING} calls of {spec.id} wait already; try again")
        place.waiting += 1
        return place

    async def _upkeep(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            try:
                await self._flush()
                await self._end_idle()
            except Exception:
                # Once is no reason to count nothing any more.
                logger.exception("usage is not written, or a process not ended")

    async def _end_idle(self) -> None:
        now = asyncio.get_running_loop().time()
        for key, place in list(self._places.items()):
            if not place.waiting and now - place.used > IDLE_S:
                del self._places[key]
                await place.executor.close()

    async def _flush(self) -> None:
        counted = self._meter.drain()
        if not counted:
            return

        def write() -> None:
            with writing(self._engine) as connection:
                add_usage(connection, counted)

        try:
            await asyncio.to_thread(write)
        except SQLAlchemyError as error:
            logger.warning("usage of models is not written yet: %s", type(error).__name__)
            self._meter.put_back(counted)
        except Exception:
            self._meter.put_back(counted)
            raise
