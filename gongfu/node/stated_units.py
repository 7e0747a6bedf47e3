"""From births to the records: what edge nodes say of their units travels from the front doors to the web role."""

import asyncio
import contextlib
import logging
from collections import deque

from nats.aio.client import Client
from nats.aio.subscription import Subscription

from gongfu.bus.requests import request, serve
from gongfu.ingest.sparkplug.units import UnitFollower
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem
from gongfu.kernel.subjects import Subjects
from gongfu.registry.source_units import Outcome, SourceUnits, Statement, figures

logger = logging.getLogger(__name__)

# Statements that wait, and units in them; more take the place of the oldest, which are said again with the next birth.
MAX_WAITING = 10_000
MAX_UNITS_WAITING = 200_000
# Between two tries, while nobody takes them.
_RETRY_S = 2.0
_TIMEOUT_S = 30.0
_AT_ONCE = 4


def units_service(subjects: Subjects) -> str:
    """Return the subject on which statements are taken."""
    return subjects.service("stated-units")


class UnitSender:
    """Hands statements over one by one, and again while nobody takes them. Use from one event loop.

    Counters: ``sparkplug.units_stated``, and ``sparkplug.units_left_out`` for what did not fit into the queue.

    Attributes:
        follower: reads the births.
    """

    def __init__(self, bus: Client, subjects: Subjects, counters: Counters) -> None:
        self.follower = UnitFollower(self._put)
        self._bus = bus
        self._subject = units_service(subjects)
        self._counters = counters
        self._waiting: deque[Statement] = deque()
        self._units = 0
        self._there = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to hand over."""
        self._task = asyncio.create_task(self._run(), name="stated units")

    async def stop(self) -> None:
        """End; what waits is said again by the next birth."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _put(self, statement: Statement) -> None:
        self._waiting.append(statement)
        self._units += len(statement.units)
        while len(self._waiting) > 1 and (len(self._waiting) > MAX_WAITING or self._units > MAX_UNITS_WAITING):
            oldest = self._waiting.popleft()
            self._units -= len(oldest.units)
            self._counters.add("sparkplug.units_left_out", len(oldest.units))
            self.follower.again(oldest)
        self._there.set()

    async def _run(self) -> None:
        while True:
            await self._there.wait()
            while self._waiting:
                statement = self._waiting.popleft()
                self._units -= len(statement.units)
                if await self._send(statement):
                    continue
                self._waiting.appendleft(statement)
                self._units += len(statement.units)
                await asyncio.sleep(_RETRY_S)
            self._there.clear()

    async def _send(self, statement: Statement) -> bool:
        """Return whether it need not be sent again."""
        try:
            outcome = await request(self._bus, self._subject, statement, _TIMEOUT_S, Outcome)
        except Problem as problem:
            if problem.status == 503 or problem.status >= 504:
                return False
            self._lost(statement, problem.code)
            return True
        except Exception as error:  # the next one may do
            logger.exception("a statement of units is not handed over")
            self._lost(statement, type(error).__name__)
            return True
        self._counters.add("sparkplug.units_stated", len(statement.units))
        if outcome.missing:
            self.follower.again(statement)  # points that a quota or a failure kept away may be there next time
        return True

    def _lost(self, statement: Statement, why: str) -> None:
        logger.warning("the units of %s were not taken: %s", statement.source, why)
        self._counters.add("sparkplug.units_left_out", len(statement.units))
        self.follower.again(statement)


async def serve_units(bus: Client, subjects: Subjects, units: SourceUnits, counters: Counters) -> Subscription:
    """Take statements until the returned subscription ends; of all who do, one gets each.

    Counters: ``units.taken``, ``.changed``, ``.unknown``, ``.differs``, ``.left_out`` (points).
    """

    async def take(statement: Statement) -> Outcome:
        outcome = await asyncio.to_thread(units.state, statement)
        for name, count in figures(outcome).items():
            counters.add(name, count)
        return outcome

    return await serve(bus, units_service(subjects), take, Statement, queue="stated-units", at_once=_AT_ONCE)
