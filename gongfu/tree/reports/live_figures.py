"""The node's own live figures, stated again whenever they changed."""

import asyncio
import logging
from collections.abc import Callable, Collection

import msgspec

from gongfu.tree.host.section import Host
from gongfu.tree.nodes.directory import Directory
from gongfu.tree.reports.cells import CellError
from gongfu.tree.reports.flow import Flow
from gongfu.tree.reports.live_report import NODE_LIVE, LiveFigures, LiveSource, own_cells
from gongfu.tree.reports.neighbourhood import enterprise_of
from gongfu.tree.reports.pace import Pace, ended, waited

log = logging.getLogger(__name__)

# Rates that differ by less say the same.
_DIGITS = 3
_FRESH_S = 1.0


def rounded(rate: float) -> float:
    """Return a rate with three digits that say something."""
    return float(f"{rate:.{_DIGITS}g}") if rate else 0.0


class LiveStatements:
    """Looks at the source, and states what changed."""

    def __init__(
        self,
        source: LiveSource,
        directory: Directory,
        flow: Flow,
        pace: Pace,
        elsewhere: Callable[[], Collection[int]],
    ) -> None:
        self._source = source
        self._directory = directory
        self._flow = flow
        self._pace = pace
        self._elsewhere = elsewhere
        self._look = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._stated: tuple[LiveFigures, str] | None = None
        self._rated = self._fresh = 0.0

    async def start(self, host: Host) -> None:
        """Begin."""
        self._host = host
        await self._source.start()
        self._task = asyncio.create_task(self._run(), name="live figures")

    async def stop(self) -> None:
        """End."""
        self._stopping = True
        self._look.set()
        await ended(self._task)
        await self._source.stop()

    def look(self) -> None:
        """Look now: something is known to have changed."""
        self._look.set()

    async def _run(self) -> None:
        while not self._stopping:
            try:
                await self._state()
            except (CellError, ValueError):
                log.exception("live figures are not stated")
            except Exception:
                log.exception("no live figures")
            await waited(self._look, self._pace.live)
            self._look.clear()

    async def _state(self) -> None:
        figures = await self._source.figures(self._elsewhere())
        if figures is None:
            return
        now = asyncio.get_running_loop().time()
        rate = rounded(figures.points_per_second)
        if self._stated is not None and now - self._rated < self._pace.rate:
            rate = self._stated[0].points_per_second
        else:
            self._rated = now
        figures = msgspec.structs.replace(figures, points_per_second=rate)
        attributes = self._directory.chain.membership.attributes
        enterprise = enterprise_of(self._directory)
        named = f"{attributes.region}/{attributes.industry}/{attributes.size}/{enterprise}"
        # What is the same is stated again now and then: so it is known to be fresh.
        if self._stated == (figures, named) and now - self._fresh < _FRESH_S:
            return
        self._fresh = now
        self._flow.state(NODE_LIVE.name, 0, own_cells(figures, attributes, enterprise), self._host.now())
        self._stated = (figures, named)
