"""Reports of one running app: its function is asked for each period, and what it returns is stated at the node.

All cells of a period are stated each time and replace those before, so a repetition cannot double anything, and a later
statement corrects an earlier one (docs/tree.md, Reports). The merging above is that of every report.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from gongfu.appkit.context.messages import Began, Done
from gongfu.appkit.context.order_messages import CallReport, ReportDeclared
from gongfu.appkit.grants import Grants
from gongfu.kernel.errors import Problem

logger = logging.getLogger("gongfu.apps")

_S = 1_000_000_000
# Periods that are caught up after the node was away; older ones stay as they are.
_CAUGHT_UP = 100
# The node takes nothing now, or the app does not run: the next period would fail, too.
_NOT_NOW = 503

# Gives a call to the process, waiting until it runs; None when the process ended over it.
Give = Callable[[CallReport, float], Awaitable[Done | None]]


class ReportNode(Protocol):
    """What the node does about reports. All raise ``Problem``."""

    def now(self) -> int:
        """Return the time, UTC ns."""
        ...

    async def report_period(self, kind: str) -> int:
        """Return the length of the periods of a kind in seconds, 0 for a snapshot; 404 when nobody has declared it."""
        ...

    async def state_report(self, app: str, kind: str, start: int, cells: bytes) -> None:
        """State all cells (JSON) of a period that begins at a time."""
        ...


class Reporting:
    """Asks for reports until it is cancelled.

    Attributes:
        trouble: by kind, why the last statement failed; empty text when it did not.
        stated: statements that the node took.
    """

    def __init__(self, grants: Grants, node: ReportNode, give: Give, refused: Callable[[str], None]) -> None:
        self._grants = grants
        self._node = node
        self._give = give
        self._refused = refused
        self.trouble: dict[str, str] = {}
        self.stated = 0

    async def run(self, declared: Began, last: dict[str, int], note: Callable[[str, int], None]) -> None:
        """Ask for all reports the app declares and may file.

        Args:
            declared: by the code.
            last: by name of a note, the start of the newest period that was stated (UTC ns).
            note: keeps such a start under a name.
        """
        async with asyncio.TaskGroup() as group:
            for index, report in enumerate(declared.reports):
                try:
                    self._grants.check_report(report.kind)
                except PermissionError as refusal:
                    self._refused(str(refusal))
                    continue
                group.create_task(self._keep(index, report, last, note), name=f"report {report.kind}")

    async def _keep(
        self, index: int, report: ReportDeclared, last: dict[str, int], note: Callable[[str, int], None]
    ) -> None:
        name = f"report {report.kind}"
        while True:
            try:
                note(name, await self._state(index, report, last.get(name, -1)))
                self.trouble[report.kind] = ""
            except Problem as problem:
                self.trouble[report.kind] = problem.detail or problem.title
            except Exception:
                # One report must not end all of them.
                logger.exception("%s: report %s failed", self._grants.app, report.kind)
                self.trouble[report.kind] = "the node failed; its log says why"
            await asyncio.sleep(report.every / _S)

    async def _state(self, index: int, report: ReportDeclared, last: int) -> int:
        """State all periods that may have changed, the newest first; return its start.

        One that fails does not keep the others from being stated, unless the process ends over it or the node takes
        nothing now; all are repeated then.
        """
        length, now = await self._node.report_period(report.kind) * _S, self._node.now()
        if not length:
            await self._state_period(index, report, 0, now)
            return 0
        failed: Problem | None = None
        for start in reversed(periods(length, now, last, report.late)):
            try:
                await self._state_period(index, report, start, start + length)
            except Problem as problem:
                if problem.status == _NOT_NOW:
                    raise
                failed = failed or problem
        if failed is not None:
            raise failed
        return now - now % length

    async def _state_period(self, index: int, report: ReportDeclared, start: int, end: int) -> None:
        call = CallReport(handler=index, kind=report.kind, start=start, end=end)
        done = await self._give(call, report.timeout / _S)
        if done is None:
            raise Problem(_NOT_NOW, "app-failed", "The app failed over a report", "its process ended over a report")
        if done.error:
            raise Problem(502, "app-failed", "The app failed over a report", done.error)
        try:
            msgspec.json.decode(done.body)
        except msgspec.MsgspecError:
            raise Problem(502, "app-failed", "The app failed over a report", "its cells are not JSON") from None
        await self._node.state_report(self._grants.app, report.kind, start, done.body)
        self.stated += 1


def periods(length: int, now: int, last: int, late: int) -> list[int]:
    """Return the starts of the periods to be stated, oldest first.

    The present one; those since the newest that was stated, which was not over then; and those that have been over for
    no longer than ``late``. At most the newest 100. All in ns; ``last`` is -1 when none was stated.
    """
    present = now - now % length
    first = present if last < 0 else min(last - last % length, present)
    if late:
        first = min(first, (now - late) - (now - late) % length)
    first = max(first, present - (_CAUGHT_UP - 1) * length, 0)
    return list(range(first, present + length, length))
