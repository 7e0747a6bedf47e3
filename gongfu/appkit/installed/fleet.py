"""All apps of this machine that run: implements ``lifecycle.Runner``, and answers for them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from gongfu.appkit.grants import Grants
from gongfu.appkit.host.answering import NodeServices
from gongfu.appkit.host.checkpoint import Progress, write_progress
from gongfu.appkit.host.directory import Directory
from gongfu.appkit.host.lane import Lane
from gongfu.appkit.host.log_lines import LogLines
from gongfu.appkit.host.order_calls import OrderAnswer, OrderCall, ProbeQuestion, SeenTold
from gongfu.appkit.host.process import AppCode, AppFailure
from gongfu.appkit.host.running import RunningApp
from gongfu.appkit.host.status import AppStatus, State
from gongfu.appkit.installed.folders import Folders
from gongfu.appkit.installed.lifecycle import READY_S
from gongfu.appkit.installed.types import InstalledApp, InstalledVersion, RouteAnswer, RouteCall
from gongfu.appkit.permissions import refused_needs
from gongfu.kernel.errors import not_found, unavailable
from gongfu.kernel.permissions import NODE_TENANT

logger = logging.getLogger("gongfu.apps")


class Fleet:
    """Running apps by identifier.

    Args:
        folders: where apps are.
        services: makes the services and the directory of a tenant, once each.
        feed: feeds a lane from the block log until cancelled.
        last: returns the last sequence of every partition of the block log.
    """

    def __init__(
        self,
        folders: Folders,
        services: Callable[[int], tuple[NodeServices, Directory]],
        feed: Callable[[Lane], Awaitable[None]],
        last: Callable[[], Awaitable[Mapping[int, int]]],
    ) -> None:
        self._folders = folders
        self._services = services
        self._feed = feed
        self._last = last
        self._running: dict[str, RunningApp] = {}
        self._tenants: dict[str, int] = {}
        self._logs: dict[str, LogLines] = {}
        self._directories: dict[int, Directory] = {}
        # Why an app may not be started, also not again after its process ended; empty: it may.
        self.may_run: Callable[[str], Awaitable[str]] = _may_always

    async def prepare(self, app: InstalledApp, version: InstalledVersion) -> None:
        """Note where the data begins that a new app gets: now."""
        # Whoever tried to install it before may have been of another tenant.
        self._logs.pop(app.app, None)
        progress = Progress(positions=dict(await self._last()))
        folder = self._folders.state(app.app, version.generation)
        await asyncio.to_thread(write_progress, folder, msgspec.msgpack.encode(progress))

    async def try_out(self, app: InstalledApp, version: InstalledVersion) -> None:
        """Migrate the records of a version, start it, check it, end it.

        Raises:
            AppFailure: why that was not possible.
        """
        await (await self._make(app, version)).try_out(migrate=True)

    async def start(self, app: InstalledApp) -> None:
        """Run the version in force.

        Raises:
            AppFailure: it does not run within 20 s; it is tried again and again all the same.
        """
        await self.stop(app.app)
        running = await self._make(app, app.current)
        running.may_start = lambda: self.may_run(app.app)
        self._running[app.app], self._tenants[app.app] = running, app.tenant
        try:
            await asyncio.wait_for(running.start(), READY_S)
        except TimeoutError:
            raise AppFailure(f"it was not ready in {READY_S:g} s") from None
        status = await running.status()
        if status.state is not State.RUNNING:
            raise AppFailure(status.why)

    async def stop(self, app: str) -> None:
        """End an app if it runs; what it has done is stored."""
        running = self._running.pop(app, None)
        if running is not None:
            await running.close()

    def keeps(self, app: str) -> bool:
        """Return whether it runs, or is started again and again."""
        return app in self._running

    async def close(self) -> None:
        """End all."""
        await asyncio.gather(*(self.stop(app) for app in list(self._running)))

    async def abandon(self) -> None:
        """End all as a crash of the role would: what is not stored is lost."""
        running, self._running = list(self._running.values()), {}
        await asyncio.gather(*(one.abandon() for one in running))

    def forget(self, app: str) -> None:
        """Drop what is kept in memory of an app that was removed."""
        self._logs.pop(app, None)
        self._tenants.pop(app, None)

    async def points_changed(self, tenant: int) -> None:
        """Read the points of a tenant anew."""
        directory = self._directories.get(tenant)
        if directory is not None:
            await asyncio.to_thread(directory.reload)

    async def call_route(self, call: RouteCall) -> RouteAnswer:
        """Return the answer of a route.

        Raises:
            Problem: see ``RunningApp.call_route``; 404 for an app that does not run.
        """
        running = self._running.get(call.app)
        if running is None or self._tenants.get(call.app) != call.tenant:
            raise not_found(f"no app {call.app!r} runs here")
        done = await running.call_route(call.method, call.parts, call.query, call.body, call.user, call.role)
        if done.error:
            return RouteAnswer(done.status or 500, "text/plain; charset=utf-8", done.error.encode())
        return RouteAnswer(done.status, done.media_type, done.body)

    async def carry_out(self, call: OrderCall) -> OrderAnswer:
        """Return what became of an order.

        Raises:
            Problem: see ``Ordering.carry_out``; 503 for an app that does not run here now.
        """
        return await self._of_node(call.app).ordering.carry_out(call)

    async def look(self, question: ProbeQuestion) -> SeenTold:
        """Return what a probe sees.

        Raises:
            Problem: see ``Ordering.look``; 503 for an app that does not run here now.
        """
        return await self._of_node(question.app).ordering.look(question)

    def _of_node(self, app: str) -> RunningApp:
        running = self._running.get(app)
        if running is None or self._tenants.get(app) != NODE_TENANT:
            raise unavailable(f"{app} does not run here now")
        return running

    async def statuses(self, tenant: int, app: str = "") -> list[AppStatus]:
        """Return how the apps of a tenant run, or one of them."""
        wanted = [app] if app else sorted(self._running)
        return [
            await self._running[name].status()
            for name in wanted
            if name in self._running and self._tenants[name] == tenant
        ]

    def log(self, tenant: int, app: str, lines: int) -> list[str]:
        """Return the last lines of the log of an app."""
        return self._log(app).last(lines) if self._tenants.get(app) == tenant else []

    def gauges(self) -> dict[str, float]:
        """Return the figures for ``MetricsPublisher``."""
        return {"apps_running": float(len(self._running))}

    def _log(self, app: str) -> LogLines:
        if app not in self._logs:
            self._logs[app] = LogLines(self._folders.of(app))
        return self._logs[app]

    async def _make(self, app: InstalledApp, version: InstalledVersion) -> RunningApp:
        services, directory = self._services(app.tenant)
        if app.tenant not in self._directories:
            await asyncio.to_thread(directory.reload)
            self._directories[app.tenant] = directory
        state = self._folders.state(app.app, version.generation)
        granted, asked = version.granted, version.manifest.needs
        code = AppCode(version.manifest, self._folders.code(app.app, version.generation), state / "data", granted)
        return RunningApp(
            code,
            app.tenant,
            Grants(app.app, granted, frozenset(version.models), refused_needs(asked, granted)),
            services,
            directory,
            Path(state),
            self._log(app.app),
            self._feed,
            self._lag,
        )

    async def _lag(self, lane: Lane) -> int:
        last = await self._last()
        return sum(max(sequence - lane.position(partition), 0) for partition, sequence in last.items())


async def _may_always(_: str) -> str:
    return ""
