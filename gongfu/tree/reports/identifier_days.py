"""States the node's own days of ``identifiers-daily``, as the identifier service counts them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence

from gongfu.bus.commands import Command
from gongfu.identify.statistics.documents import DayCell
from gongfu.kernel.errors import Problem
from gongfu.kernel.times import format_rfc3339
from gongfu.tree.host.section import Host, Refusal, Turn
from gongfu.tree.reports.identifier_report import IDENTIFIERS_DAILY, day_cells
from gongfu.tree.reports.pace import SECOND, ended, waited
from gongfu.tree.reports.section import ReportsSection

log = logging.getLogger(__name__)

AskDay = Callable[[str], Awaitable[Sequence[DayCell] | None]]
"""Returns the figures of a day (``YYYY-MM-DD``, UTC); None where there is no identifier service."""

# What a node may have been stopped for without a day's last figures being lost above.
_DAYS_BACK = 7
_EVERY_S = 10.0
# What is the same is stated again now and then: so it is known to be fresh.
_FRESH_S = 60.0


class IdentifierDays:
    """Implements ``Section``, without messages of its own: what it states goes up as any report does.

    Args:
        reports: of the node.
        node: its id.
        ask: for the figures of a day.
        every: seconds between two questions.
    """

    def __init__(self, reports: ReportsSection, node: str, ask: AskDay, *, every: float = _EVERY_S) -> None:
        self._reports = reports
        self._node = node
        self._ask = ask
        self._every = every
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # Days that are over and were stated since the start.
        self._past: set[int] = set()
        # By day: what was stated last, and when (time of the loop, s).
        self._stated: dict[int, tuple[Sequence[DayCell], float]] = {}

    @property
    def topics(self) -> Collection[str]:
        """None."""
        return ()

    def received(self, turn: Turn, peer: str, topic: str, body: bytes) -> None:
        """Take nothing."""
        raise Refusal("no-such-topic")

    def restate(self, turn: Turn, peer: str) -> None:
        """Nothing: reports restate what was stated."""

    def link_changed(self, peer: str, up: bool) -> None:
        """Nothing to do."""

    def commands(self) -> Sequence[Command]:
        """Return none."""
        return ()

    async def start(self, host: Host) -> None:
        """Begin to ask."""
        self._host = host
        self._task = asyncio.create_task(self._run(), name="days of identifiers")

    async def stop(self) -> None:
        """End."""
        self._stopping.set()
        if self._task is not None:
            await ended(self._task)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._state()
            except Problem as problem:
                log.warning("identifiers are not reported: %s", problem.detail or problem.title)
            except Exception:
                log.exception("identifiers are not reported")
            await waited(self._stopping, self._every)

    async def _state(self) -> None:
        length = IDENTIFIERS_DAILY.period * SECOND
        today = IDENTIFIERS_DAILY.period_start(self._host.now())
        for back in range(_DAYS_BACK, -1, -1):
            day = today - back * length
            # Yesterday's last figures may come a little after midnight.
            if day in self._past and back > 1:
                continue
            found = await self._ask(format_rfc3339(day)[:10])
            if found is None:
                return
            if found or day == today or self._reports.has_own(IDENTIFIERS_DAILY.name, day):
                await self._state_day(day, found)
            self._past.add(day)
        first = today - _DAYS_BACK * length
        self._past = {day for day in self._past if day >= first}
        self._stated = {day: stated for day, stated in self._stated.items() if day >= first}

    async def _state_day(self, day: int, found: Sequence[DayCell]) -> None:
        now = asyncio.get_running_loop().time()
        stated = self._stated.get(day)
        if stated is not None and stated[0] == found and now - stated[1] < _FRESH_S:
            return
        await self._reports.state(IDENTIFIERS_DAILY, day, day_cells(day, found, self._node))
        self._stated[day] = found, now
