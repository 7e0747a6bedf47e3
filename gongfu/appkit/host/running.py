"""A running app: its process is started, fed, and started again with back-off when it ends."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from gongfu.appkit.context.messages import (
    Began,
    CallHealth,
    CallJob,
    CallMigrate,
    CallRoute,
    CallStarted,
    CallWindow,
    Done,
)
from gongfu.appkit.context.order_messages import CallOrder, CallProbe, CallReport
from gongfu.appkit.cron import parse_cron
from gongfu.appkit.declarations import ROLES, OnJob, OnRoute
from gongfu.appkit.grants import Grants
from gongfu.appkit.host.answering import Answering, NodeServices
from gongfu.appkit.host.checkpoint import Progress, read_progress
from gongfu.appkit.host.functions import functions_of
from gongfu.appkit.host.lane import ATTEMPTS, Lane, PointsKnown
from gongfu.appkit.host.log_lines import LogLines
from gongfu.appkit.host.ordering import Ordering, check_declared
from gongfu.appkit.host.process import AppCode, AppFailure, AppProcess, NotCalled
from gongfu.appkit.host.reporting import Reporting
from gongfu.appkit.host.status import AppStatus, RefusedCall, State
from gongfu.bus.ending import end_tasks
from gongfu.kernel.errors import Problem, forbidden, not_found

logger = logging.getLogger("gongfu.apps")

WINDOW_S = 30.0
ROUTE_S = 10.0
HEALTH_S = 20.0
MIGRATE_S = 300.0
TICK_S = 0.25
ROUTES_WAITING = 8
_BACKOFF_S = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)
# A process that ran for so long starts the row of back-offs again.
_STEADY_S = 60.0
# CPU time an app may save up, in seconds of its share.
_SAVED_S = 60.0

# Feeds a lane from the block log until cancelled.
Feed = Callable[[Lane], Awaitable[None]]
# Blocks in the log that a lane has not taken.
Lag = Callable[[Lane], Awaitable[int]]


class RunningApp:
    """One installed version of an app, from ``start`` to ``close``.

    Args:
        code: its manifest and folders.
        tenant: whose data it works on.
        grants: what it may do.
        services: what the node does for it.
        directory: points of the tenant.
        progress: folder in which its progress is stored.
        log: its log.
        feed: feeds its lane.
        lag: tells how far behind the lane is.
    """

    def __init__(
        self,
        code: AppCode,
        tenant: int,
        grants: Grants,
        services: NodeServices,
        directory: PointsKnown,
        progress: Path,
        log: LogLines,
        feed: Feed,
        lag: Lag,
    ) -> None:
        self.code = code
        self._tenant = tenant
        self._grants = grants
        self._directory = directory
        self._progress = progress
        self._services = services
        self._log = log
        self._feed = feed
        self._lag = lag
        self._answering = Answering(grants, services, code.manifest.resources.storage_bytes)
        self.ordering = Ordering(grants, self._call_patiently)
        self._reporting = Reporting(grants, services, self._call_patiently, self._answering.note_refusal)
        self._process: AppProcess | None = None
        self._began = Began()
        self._jobs, self._routes = list[OnJob](), list[OnRoute]()
        self._next: list[int] = []
        self._lane: Lane | None = None
        self._ready = asyncio.Event()
        self._failures = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._state, self._why = State.STARTING, ""
        self._restarts, self._cpu_before = -1, 0.0
        self._budget = (time.monotonic(), 0.0, code.manifest.resources.cpu * _SAVED_S)
        self._share = (time.monotonic(), 0.0, 0.0)
        self._waiting, self._start_s = 0, 0.0
        # Asked before each start of the process: why it may not run, empty when it may.
        self.may_start: Callable[[], Awaitable[str]] = _may_always

    async def try_out(self, *, migrate: bool) -> None:
        """Start it once: migrate its records, run its start functions and its checks; then end it.

        Raises:
            AppFailure: it cannot be loaded, a migration or a check failed, or it took too long.
        """
        process = AppProcess(self.code, self._answering.answer, self._log.add)
        try:
            check_declared(self.code.manifest, await process.start())
            if migrate:
                _raise_error("migration", await process.call(CallMigrate(), MIGRATE_S))
            _raise_error("start", await process.call(CallStarted(), HEALTH_S))
            _raise_error("health check", await process.call(CallHealth(), HEALTH_S))
        finally:
            await process.close()

    async def start(self) -> None:
        """Start it; it is started again and again until ``close``. Returns when it is ready or has failed once."""
        self._tasks.append(asyncio.create_task(self._keep(), name=f"app {self.code.manifest.app.id}"))
        ready = asyncio.create_task(self._ready.wait())
        while not ready.done() and self._state is not State.FAILING:
            await asyncio.wait({ready}, timeout=0.05)
        ready.cancel()

    async def close(self) -> None:
        """End it, and store what it has done."""
        self._state = State.STOPPED
        await self._end()
        if self._process is not None:
            await self._process.close()
            self._process = None
        if self._lane is not None:
            await self._lane.store()

    async def abandon(self) -> None:
        """End it as a crash of the host would: what is not stored is lost."""
        await self._end()
        if self._process is not None:
            await self._process.close()

    async def _end(self) -> None:
        self._ready.clear()
        await self.ordering.close()
        await end_tasks(self._tasks)
        self._tasks.clear()

    async def call_route(
        self, method: str, parts: Sequence[str], query: dict[str, str], body: bytes, user: str, role: str
    ) -> Done:
        """Return the answer of a route.

        Raises:
            Problem: 404 for no such route, 403 for the role, 429 when too many wait, 503 while it does not run.
        """
        try:
            self._grants.check_flag("routes")
        except PermissionError as refusal:
            raise not_found(str(refusal)) from None
        for index, route in enumerate(self._routes):
            found = route.match(method, list(parts))
            if found is None:
                continue
            if role in ROLES[: ROLES.index(route.role)]:
                raise forbidden(f"this needs the role {route.role}")
            if self._process is None or self._state is not State.RUNNING:
                raise Problem(503, "app-not-running", "The app does not run now", self._why)
            if self._waiting >= ROUTES_WAITING:
                raise Problem(429, "app-busy", "The app is busy", f"{ROUTES_WAITING} calls wait for it")
            call = CallRoute(route=index, method=method, path=found, query=query, body=body, user=user, role=role)
            self._waiting += 1
            try:
                return await self._process.call(call, ROUTE_S)
            except AppFailure as failure:
                raise Problem(502, "app-failed", "The app failed over this call", str(failure)) from None
            finally:
                self._waiting -= 1
        raise not_found(f"{self.code.manifest.app.id} has no route {method} /{'/'.join(parts)}")

    async def status(self) -> AppStatus:
        """Return what is told about it."""
        lane, process = self._lane, self._process
        counts = lane.counts if lane is not None else {}
        used = self._cpu_before + (process.cpu_s() if process is not None else 0.0)
        return AppStatus(
            app=self.code.manifest.app.id,
            version=self.code.manifest.app.version,
            state=self._state,
            why=self._why,
            process=process.process_id if process is not None and self._state is State.RUNNING else 0,
            restarts=max(self._restarts, 0),
            cpu_s=round(used, 3),
            cpu=round(self._share[2], 4),
            memory_bytes=process.resident_bytes() if process is not None else 0,
            windows=counts.get("windows", 0),
            failed=counts.get("failed", 0),
            given_up=counts.get("given_up", 0),
            late=counts.get("late", 0),
            shed=counts.get("shed", 0),
            lag_blocks=await self._lag(lane) if lane is not None else -1,
            refusals=self._answering.refusals,
            refused=tuple(RefusedCall(text, n) for text, n in self._answering.refused.most_common()),
            error=lane.error if lane is not None else "",
            functions=functions_of(self._began, self._next, self._reporting.trouble),
            missing=process.walls.missing if process is not None else (),
            start_s=round(self._start_s, 3),
        )

    async def _keep(self) -> None:
        while True:
            began = time.monotonic()
            process = self._process = AppProcess(self.code, self._answering.answer, self._log.add)
            self._restarts += 1
            try:
                if refused := await self.may_start():
                    raise AppFailure(refused)
                declared = check_declared(self.code.manifest, await process.start())
                _raise_error("start", await process.call(CallStarted(), HEALTH_S))
                self._begin(declared)
                self._start_s = time.monotonic() - began
                self._state, self._why = State.RUNNING, ""
                self._ready.set()
                why = await process.wait()
            except AppFailure as failure:
                why = str(failure)
            except ValueError as error:
                # Its progress is damaged, or it declares what no decorator lets pass.
                why = str(error)
            except Exception as error:
                logger.exception("%s cannot be started", self.code.manifest.app.id)
                why = f"the node failed: {error}"
            self._ready.clear()
            self._state, self._why = State.FAILING, why
            self._log.add("error", f"the process ended: {why}")
            for line in process.output()[-10:]:
                self._log.add("output", line)
            self._cpu_before += process.cpu_s()
            self._budget = (self._budget[0], 0.0, self._budget[2])
            await process.close()
            self._failures = 0 if time.monotonic() - began > _STEADY_S else self._failures + 1
            await asyncio.sleep(_BACKOFF_S[min(self._failures, len(_BACKOFF_S) - 1)])

    def _begin(self, declared: Began) -> None:
        """Take up what the app declares, the first time it is known."""
        if self._lane is not None:
            return
        self._began = declared
        self.ordering.begin(declared)
        self._jobs = [
            OnJob(job.every, parse_cron(job.cron) if job.cron else None, job.missed, job.timeout)
            for job in declared.jobs
        ]
        self._routes = [OnRoute(route.method, route.path, route.role) for route in declared.routes]
        progress = read_progress(self._progress) or Progress()
        self._lane = Lane(
            self.code.manifest.app.id,
            self._tenant,
            declared.points,
            self._grants,
            self._directory,
            progress,
            self._progress,
            self._give,
            self._answering.note_refusal,
        )
        now = self._services.now()
        self._next = [0] * len(self._jobs)
        for job in declared.jobs:
            progress.jobs.setdefault(job.name, now)
        self._tasks.append(asyncio.create_task(self._feed_lane(self._lane), name="app feed"))
        self._tasks.append(asyncio.create_task(self._tick(self._lane), name="app clock"))
        reports = self._reporting.run(declared, progress.jobs, self._lane.note_job)
        self._tasks.append(asyncio.create_task(reports))
        self._tasks += [
            asyncio.create_task(self._run_job(index, self._lane), name="app job") for index in range(len(self._jobs))
        ]

    async def _feed_lane(self, lane: Lane) -> None:
        while True:
            try:
                await self._feed(lane)
            except* Exception as group:
                self._why = f"feed: {group.exceptions[0]}"
                logger.error("%s: the feed ended: %r", lane.name, group.exceptions[0])
            await asyncio.sleep(1.0)

    async def _tick(self, lane: Lane) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._measure()
            await lane.tick(lambda: self._is_all_read(lane))

    async def _is_all_read(self, lane: Lane) -> bool:
        try:
            return await self._lag(lane) == 0
        except Exception as error:
            # Nobody knows: the log does not answer, so it may hold more.
            logger.debug("%s: the end of the log is not known: %r", lane.name, error)
            return False

    async def _give(self, call: CallWindow) -> Done | None:
        while True:
            await self._ready.wait()
            await self._within_share()
            process = self._process
            assert process is not None
            try:
                return await process.call(call, WINDOW_S)
            except NotCalled:
                self._ready.clear()  # it ended over something else: this window is not to blame
            except AppFailure:
                self._ready.clear()
                return None

    async def _run_job(self, index: int, lane: Lane) -> None:
        job, name, ended = self._jobs[index], self._began.jobs[index].name, 0
        while True:
            last, now = lane.progress.jobs[name], self._services.now()
            due = job.count_between(last, now)
            if due and (due == 1 or job.missed == "once"):
                scheduled = last
                for _ in range(due):
                    scheduled = job.next_after(scheduled)
                done = await self._call_patiently(CallJob(index, scheduled, due - 1), job.timeout / 1e9)
                if done is None:
                    ended += 1
                    if ended < ATTEMPTS:
                        continue
                    lane.counts["given_up"] += 1
                    lane.error = f"{name}: the process ended {ATTEMPTS} times over it"
                elif done.error:
                    lane.counts["failed"] += 1
                    lane.error = f"{name}: {done.error}"
                ended = 0
                lane.note_job(name, scheduled)
                continue
            if due:
                lane.note_job(name, now)
            self._next[index] = job.next_after(now)
            # Looked at again now and then: the clock of the machine may be set.
            wait = min(max((self._next[index] - now) / 1e9, 0.05), 60.0)
            await asyncio.sleep(wait)

    async def _call_patiently(self, call: CallJob | CallOrder | CallProbe | CallReport, wall_s: float) -> Done | None:
        """Return what a call gives, once the process runs and has CPU time left; None when it ended over it."""
        while True:
            await self._ready.wait()
            await self._within_share()
            process = self._process
            assert process is not None
            try:
                return await process.call(call, wall_s)
            except NotCalled:
                self._ready.clear()  # it ended over something else: this call is not to blame
            except AppFailure:
                self._ready.clear()
                return None

    async def _within_share(self) -> None:
        """Wait until the app has CPU time left of its share: what it does not use it saves, at most for a minute."""
        left = self._measure()
        if left < 0.0:
            await asyncio.sleep(min(-left / self.code.manifest.resources.cpu, 2 * _SAVED_S))

    def _measure(self) -> float:
        """Return the CPU time the app may still take, in seconds."""
        now, (at, used, left) = time.monotonic(), self._budget
        process = self._process
        spent = process.cpu_s() if process is not None and self._ready.is_set() else used
        share = self.code.manifest.resources.cpu
        left = min(left + (now - at) * share, share * _SAVED_S) - max(spent - used, 0.0)
        self._budget = (now, spent, left)
        began, before, _ = self._share
        if now - began >= 5.0:
            total = self._cpu_before + spent
            self._share = (now, total, max(total - before, 0.0) / (now - began))
        return left


async def _may_always() -> str:
    return ""


def _raise_error(what: str, done: Done) -> None:
    if done.error:
        raise AppFailure(f"{what}: {done.error}")
