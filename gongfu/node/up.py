"""`gongfu up`: check, lock, prepare, run. What cannot work is said before anything is started."""

import asyncio
import contextlib
import json
import os
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

import gongfu
from gongfu.kernel.subjects import Subjects
from gongfu.node.configuration import Configuration, exposures
from gongfu.node.console import Console
from gongfu.node.data_directory import DataDirectory, DataDirectoryError, DirectoryLock
from gongfu.node.log_watch import LogWatch
from gongfu.node.plan import (
    PREPARE,
    Plan,
    banner,
    late_roles,
    make_plan,
    port_needs,
    ready_document,
    role_specs,
)
from gongfu.node.ports import port_trouble
from gongfu.node.restarting import Restarting
from gongfu.node.runtime import RUNTIME_VARIABLE
from gongfu.node.supervisor import Supervisor

if TYPE_CHECKING:
    from nats.aio.msg import Msg

METRICS_INTERVAL_S = 2.0
LATE_ROLES_INTERVAL_S = 0.5


class _Gauges(msgspec.Struct):
    log_available: float | None = None


class _RoleMetrics(msgspec.Struct):
    """What matters here of a role's metrics."""

    role: str
    gauges: _Gauges


def run_node(configuration: Configuration, *, quiet: bool = False, as_json: bool = False) -> int:
    """Run the node until it is stopped; return the exit status (0 drained, 1 could not start, 130 killed)."""
    console = Console(quiet=quiet)
    directory = DataDirectory(configuration.data_dir)
    try:
        directory.create()
        with DirectoryLock(directory):
            troubles = [text for text in map(port_trouble, port_needs(configuration)) if text]
            if troubles:
                for text in troubles:
                    console.say(text)
                return 1
            for warning in exposures(configuration):
                console.say(f"WARNING: {warning}")
            _raise_file_limit()
            plan = make_plan(configuration, directory)
            return asyncio.run(_run(plan, directory, console, as_json))
    except (DataDirectoryError, OSError) as error:
        console.say(f"the node cannot start: {error}")
        return 1


async def _run(plan: Plan, directory: DataDirectory, console: Console, as_json: bool) -> int:
    first: list[tuple[str, str]] = []

    async def prepare() -> None:
        if admin := await _prepare(directory.runtime):
            first.append(admin)

    web = plan.runtime.web
    supervisor = Supervisor(
        directory,
        role_specs(plan, directory),
        console,
        steps={PREPARE: prepare},
        facts={
            "node": plan.runtime.node,
            "version": gongfu.__version__,
            "web": {
                "host": web.host,
                "port": web.port,
                "tls": bool(web.tls_certificate),
                "certificate": web.tls_certificate,
            },
        },
        name=plan.cluster.name("supervisor"),
    )

    def ready(seconds: float) -> None:
        admin = first[0] if first else None
        if as_json:
            print(json.dumps(ready_document(plan, directory, seconds, admin)), flush=True)
        else:
            print(banner(plan, directory, seconds, admin), flush=True)

    restarting = Restarting(supervisor.stop, supervisor.say)
    late = asyncio.create_task(_await_late_roles(plan, directory, supervisor))
    try:
        return restarting.status(await supervisor.run(ready, lambda: _watch_bus(plan, supervisor, restarting)))
    finally:
        late.cancel()


async def _await_late_roles(plan: Plan, directory: DataDirectory, supervisor: Supervisor) -> None:
    """Start the roles that run only where somebody has asked for them, as soon as they are asked for."""
    waiting = late_roles(plan, directory)
    while waiting:
        for role in [role for role in waiting if role.wanted()]:
            supervisor.add(role.specs())
            waiting.remove(role)
        await asyncio.sleep(LATE_ROLES_INTERVAL_S)


async def _prepare(runtime: Path) -> tuple[str, str] | None:
    """Run the preparation; return name and one-time password of an administrator made now.

    Raises:
        RuntimeError: it failed; the text is what it said.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gongfu.node.prepare",
        env={**os.environ, RUNTIME_VARIABLE: str(runtime)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        process_group=0,
    )
    try:
        output, errors = await process.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        raise
    if process.returncode:
        said = errors.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise RuntimeError(said[-1])
    admin = json.loads(output.splitlines()[-1])["admin"]
    return (str(admin[0]), str(admin[1])) if admin else None


async def _watch_bus(plan: Plan, supervisor: Supervisor, restarting: Restarting) -> None:
    """Publish the roles' process data every two seconds, restart an own NATS whose log stays shut, and the node."""
    from gongfu.bus.connection import BusAddress, open_bus, subscribe

    runtime, name = plan.runtime, plan.cluster.name("supervisor")
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), name)
    subjects = Subjects(runtime.node)
    watch = LogWatch()
    read = msgspec.json.Decoder(_RoleMetrics).decode

    async def heard(message: "Msg") -> None:
        with contextlib.suppress(msgspec.MsgspecError):
            metrics = read(message.data)
            if metrics.gauges.log_available is not None:
                watch.heard(metrics.role, metrics.gauges.log_available > 0, time.monotonic())

    await subscribe(bus, subjects.metrics("*"), heard)
    await restarting.start(bus, subjects)
    try:
        while True:
            roles = supervisor.report()
            document: dict[str, Any] = {
                "role": name,
                "pid": os.getpid(),
                "time": time.time_ns(),
                "counters": {"role_restarts": sum(row["restarts"] for row in roles)},
                "gauges": {"roles_ready": sum(row["state"] == "ready" for row in roles) - 1},
                "roles": roles,
            }
            await bus.publish(subjects.metrics(name), msgspec.json.encode(document))
            if watch.should_restart(shutil.disk_usage(runtime.data_dir).free, time.monotonic()):
                supervisor.restart("nats", "the block log takes nothing although the disk has room")
            await asyncio.sleep(METRICS_INTERVAL_S)
    finally:
        with contextlib.suppress(Exception):
            await bus.close()


def _raise_file_limit() -> None:
    """Let every role open as many connections as the machine allows; children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
