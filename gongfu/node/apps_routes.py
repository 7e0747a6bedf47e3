"""The API of installed apps on this node: its routes ask the role ``apps``, which runs once somebody installs one."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from sqlalchemy import Engine

from gongfu.appkit.host.status import AppStatus
from gongfu.appkit.installed import api
from gongfu.appkit.installed.folders import Folders
from gongfu.appkit.installed.service import InstalledApps
from gongfu.appkit.installed.types import AppAsk, Operation, RouteAnswer, RouteCall
from gongfu.appkit.package.types import TrustedKeys
from gongfu.bus.requests import NobodyServesError, request
from gongfu.kernel.errors import Problem, unavailable
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import Clock
from gongfu.node.apps_host import SERVICE
from gongfu.node.data_directory import DataDirectory
from gongfu.node.runtime import Runtime
from gongfu.rest.routing import Route

# A migration may take five minutes.
_DO_S = 420.0
_ROUTE_S = 30.0
_STATUS_S = 2.0
# A role that was not needed before has started after this.
_START_S = 60.0


def open_apps(
    runtime: Runtime, bus: Client, subjects: Subjects, engine: Engine, clock: Clock, trusted: Callable[[], TrustedKeys]
) -> tuple[InstalledApps, list[Route]]:
    """Return the installed apps and their routes.

    Args:
        runtime: addresses and settings.
        bus: an open connection to the bus.
        subjects: names on the bus.
        engine: migrated records.
        clock: present time.
        trusted: whose packages are taken.
    """
    directory = DataDirectory(Path(runtime.data_dir))
    asks = subjects.service(SERVICE)

    async def do(operation: Operation) -> str:
        await asyncio.to_thread(directory.want_apps)
        deadline = asyncio.get_running_loop().time() + _START_S
        while True:
            try:
                return await request(bus, f"{asks}.do", operation, _DO_S, str)
            except NobodyServesError:
                if asyncio.get_running_loop().time() > deadline:
                    raise unavailable("the role apps does not answer; see `gongfu status`") from None
            await asyncio.sleep(0.2)

    async def ask(what: str, question: AppAsk, answer: Any) -> Any:
        if not directory.apps.exists():
            return []
        try:
            return await request(bus, f"{asks}.{what}", question, _STATUS_S, answer)
        except Problem:
            return []

    async def status_of(question: AppAsk) -> dict[str, AppStatus]:
        found: list[AppStatus] = await ask("status", question, list[AppStatus])
        return {status.app: status for status in found}

    async def lines_of(question: AppAsk) -> list[str]:
        return await ask("log", question, list[str])

    async def call_route(call: RouteCall) -> RouteAnswer:
        return await request(bus, f"{asks}.route", call, _ROUTE_S, RouteAnswer)

    apps = InstalledApps(engine, clock, Folders(directory.apps), trusted, do)
    return apps, api.routes(apps, status_of, lines_of, call_route)
