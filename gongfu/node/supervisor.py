"""The supervisor: starts the roles in order, keeps them running, drains them in reverse order."""

import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from gongfu.node.backoff import Backoff
from gongfu.node.console import Console
from gongfu.node.data_directory import DataDirectory
from gongfu.node.log_file import LogFile
from gongfu.node.process_usage import usage_of
from gongfu.node.role_process import RoleProcess, RoleSpec

READY_TIMEOUT_S = 300.0
CRASH_LOOP = 3
CRASH_LINES = 12
_KEPT_LINES = 40


class Role:
    """A role over all its restarts, and what is told about it."""

    def __init__(self, spec: RoleSpec, log: Path) -> None:
        self.spec = spec
        self.state = "waiting"
        self.restarts = 0
        self.started_at = 0
        self.process: RoleProcess | None = None
        self.ready = asyncio.Event()
        self.first_ready = asyncio.Event()
        self.backoff = Backoff()
        self.log = LogFile(log)
        self.last_lines: deque[bytes] = deque(maxlen=_KEPT_LINES)
        self.usage = UsageMeter()

    @property
    def pid(self) -> int:
        """Process id, 0 while it does not run."""
        return self.process.pid if self.process is not None else 0


class UsageMeter:
    """CPU share of a process between two looks at it."""

    def __init__(self) -> None:
        self._pid = 0
        self._cpu = 0
        self._time = 0

    def measure(self, pid: int, *, descendants: bool = True) -> tuple[float, int]:
        """Return CPU use since the last call in per cent of one core, and resident bytes."""
        if pid == 0:
            return 0.0, 0
        now = time.monotonic_ns()
        cpu, resident = usage_of(pid, descendants=descendants)
        known = pid == self._pid and now > self._time
        percent = 100.0 * max(cpu - self._cpu, 0) / (now - self._time) if known else 0.0
        self._pid, self._cpu, self._time = pid, cpu, now
        return round(percent, 2), resident


class Supervisor:
    """Keeps the roles of a node running until ``stop`` is asked for.

    Args:
        directory: data directory; logs and state go there.
        specs: the roles in start order; they are drained in reverse order.
        console: where lines are shown.
        steps: one-time steps that roles may need by name, such as the migrations; a failing one ends the start.
        facts: what ``state.json`` tells beside the roles.
        name: what it calls itself in the report.
    """

    def __init__(
        self,
        directory: DataDirectory,
        specs: Sequence[RoleSpec],
        console: Console,
        steps: dict[str, Callable[[], Awaitable[None]]] | None = None,
        facts: dict[str, Any] | None = None,
        name: str = "supervisor",
    ) -> None:
        self._name = name
        self._directory = directory
        self._console = console
        self._roles = {spec.name: Role(spec, directory.log / f"{spec.name}.log") for spec in specs}
        self._steps = steps or {}
        self._step_done = {name: asyncio.Event() for name in self._steps}
        self._facts = facts or {}
        self._log = LogFile(directory.log / "supervisor.log")
        self._stop = asyncio.Event()
        self._killed = False
        self._started_at = time.time_ns()
        self._ready_at = 0
        self._usage = UsageMeter()
        self._keepers: list[asyncio.Task[None]] = []

    async def run(
        self, on_ready: Callable[[float], None], side_task: Callable[[], Awaitable[None]] | None = None
    ) -> int:
        """Run the node until a signal stops it; return the exit status.

        Args:
            on_ready: called once with the seconds from the start when every role is ready.
            side_task: runs beside the roles from the time the first one is ready (the metrics).
        """
        began = time.monotonic()
        self._take_signals()
        self._keepers = [asyncio.create_task(self._keep(role)) for role in self._roles.values()]
        steps = [asyncio.create_task(self._run_step(name)) for name in self._steps]
        announce = asyncio.create_task(self._announce(began, on_ready))
        stopped = asyncio.create_task(self._stop.wait())
        beside = [asyncio.create_task(self._beside(side_task))] if side_task else []
        failure: BaseException | None = None
        try:
            pending: set[asyncio.Task[Any]] = {stopped, *steps}
            while stopped in pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                failure = failure or next((e for task in done - {stopped} if (e := task.exception())), None)
                if failure is not None:
                    self.say(f"the node cannot start: {failure}")
                    self._stop.set()
        finally:
            for task in (announce, *beside, *steps):
                task.cancel()
            await self._drain()
            for task in (*self._keepers, announce, *beside, *steps):
                task.cancel()
            await asyncio.gather(*self._keepers, announce, *beside, *steps, return_exceptions=True)
            self._directory.state.unlink(missing_ok=True)
        return 1 if failure is not None else 130 if self._killed else 0

    def stop(self) -> None:
        """Ask for a drain."""
        self._stop.set()

    def add(self, specs: Sequence[RoleSpec]) -> None:
        """Run further roles from now on; those that are there already stay as they are."""
        new = [Role(spec, self._directory.log / f"{spec.name}.log") for spec in specs if spec.name not in self._roles]
        if self._stop.is_set():
            return
        for role in new:
            self._roles[role.spec.name] = role
        self._keepers += [asyncio.create_task(self._keep(role)) for role in new]

    def restart(self, name: str, reason: str) -> None:
        """End a role so that it is started again; nothing happens when it does not run."""
        role = self._roles.get(name)
        if role is not None and role.process is not None:
            self.say(f"restarting {name}: {reason}")
            role.process.terminate()

    def say(self, text: str) -> None:
        """Write lines to the console and to the log of the supervisor."""
        self._console.say(text)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._log.write("".join(f"{stamp} {line}\n" for line in text.splitlines()).encode())

    def report(self) -> list[dict[str, Any]]:
        """Return pid, state, restarts, CPU, memory and start of every role and of the supervisor itself."""
        rows: list[dict[str, Any]] = []
        for name, role in self._roles.items():
            percent, resident = role.usage.measure(role.pid)
            rows.append(self._row(name, role.pid, role.state, role.restarts, role.started_at))
            rows[-1].update(cpu_percent=percent, rss_bytes=resident)
        percent, resident = self._usage.measure(os.getpid(), descendants=False)
        own = self._row(self._name, os.getpid(), "stopping" if self._stop.is_set() else "ready", 0, self._started_at)
        rows.append({**own, "cpu_percent": percent, "rss_bytes": resident})
        return rows

    @staticmethod
    def _row(name: str, pid: int, state: str, restarts: int, started_at: int) -> dict[str, Any]:
        return {"role": name, "pid": pid, "state": state, "restarts": restarts, "started_at": started_at}

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            if self._stop.is_set():
                self._killed = True
                self.say("second interrupt: killing all roles")
                for role in self._roles.values():
                    if role.process is not None:
                        role.process.kill()
            self._stop.set()

        loop.add_signal_handler(signal.SIGINT, interrupt)
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        # A closed terminal does not end the node; settings are read at the start only.
        loop.add_signal_handler(signal.SIGHUP, lambda: self.say("SIGHUP has no effect; stop with SIGTERM"))

    async def _keep(self, role: Role) -> None:
        """Run a role again and again until the node stops."""
        while not self._stop.is_set():
            began = time.monotonic()
            role.ready.clear()
            role.last_lines.clear()
            role.started_at = time.time_ns()
            try:
                role.process = RoleProcess(
                    role.spec, lambda lines: self._take_lines(role, lines), lambda: self._mark_ready(role)
                )
            except OSError as error:
                role.process = None
                reason = f"could not be run: {error}"
            else:
                self._set_state(role, "starting")
                status = await self._until_exit(role, role.process)
                role.process = None
                reason = f"ended with {_status_text(status)} after {time.monotonic() - began:.1f} s"
            role.ready.clear()
            if self._stop.is_set():
                break
            delay = role.backoff.next_delay(time.monotonic() - began, random.random())  # noqa: S311 (spreads load only)
            role.restarts += 1
            self.say(f"{role.spec.name} {reason}; restart {role.restarts} in {delay:.2f} s")
            self._tell_crash_loop(role)
            self._set_state(role, "backing_off")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), delay)
        self._set_state(role, "stopped")

    async def _until_exit(self, role: Role, process: RoleProcess) -> int:
        deadline = asyncio.create_task(self._release_and_watch(role, process))
        try:
            return await process.exited
        finally:
            deadline.cancel()

    async def _release_and_watch(self, role: Role, process: RoleProcess) -> None:
        for need in role.spec.needs:
            await (self._step_done[need] if need in self._step_done else self._roles[need].ready).wait()
        process.release()
        try:
            await asyncio.wait_for(role.ready.wait(), READY_TIMEOUT_S)
        except TimeoutError:
            self.say(f"{role.spec.name} was not ready within {READY_TIMEOUT_S:.0f} s: killing it")
            process.kill()

    def _take_lines(self, role: Role, lines: bytes) -> None:
        role.log.write(lines)
        separate = lines.splitlines(keepends=True)
        role.last_lines.extend(separate)
        if shown := role.spec.shown:
            lines = b"".join(line for line in separate if any(mark in line for mark in shown))
        self._console.role_lines(role.spec.name, lines)

    def _mark_ready(self, role: Role) -> None:
        role.ready.set()
        role.first_ready.set()
        if role.restarts:
            self.say(f"{role.spec.name} is ready again (process {role.pid})")
        if not self._stop.is_set():
            self._set_state(role, "ready")

    def _tell_crash_loop(self, role: Role) -> None:
        failures = role.backoff.failures
        if failures >= CRASH_LOOP and failures % CRASH_LOOP == 0:
            last = list(role.last_lines)[-CRASH_LINES:]
            text = (
                "\n".join("    " + line.decode(errors="replace").rstrip() for line in last)
                or "    (it printed nothing)"
            )
            log = self._directory.log / f"{role.spec.name}.log"
            self.say(f"{role.spec.name} fell {failures} times in a row. Its last lines (all: {log}):\n{text}")

    def _set_state(self, role: Role, state: str) -> None:
        role.state = state
        self._write_state()

    def _write_state(self) -> None:
        document = {
            **self._facts,
            "pid": os.getpid(),
            "started_at": self._started_at,
            "ready_at": self._ready_at,
            "roles": [self._row(n, r.pid, r.state, r.restarts, r.started_at) for n, r in self._roles.items()],
        }
        temporary = self._directory.state.with_suffix(".new")
        try:
            temporary.write_text(json.dumps(document))
            temporary.replace(self._directory.state)
        except OSError as error:
            self._console.say(f"{self._directory.state} cannot be written: {error.strerror}")

    async def _run_step(self, name: str) -> None:
        await self._steps[name]()
        self._step_done[name].set()

    async def _announce(self, began: float, on_ready: Callable[[float], None]) -> None:
        waiting = {role.spec.name: asyncio.create_task(role.first_ready.wait()) for role in self._roles.values()}
        try:
            while True:
                done, pending = await asyncio.wait(waiting.values(), timeout=15.0)
                if not pending:
                    break
                names = [name for name, task in waiting.items() if task not in done]
                self.say(f"still waiting for {', '.join(names)}; logs are in {self._directory.log}")
        finally:
            for task in waiting.values():
                task.cancel()
        self._ready_at = time.time_ns()
        self._write_state()
        on_ready(time.monotonic() - began)

    async def _beside(self, side_task: Callable[[], Awaitable[None]]) -> None:
        await next(iter(self._roles.values())).first_ready.wait()
        try:
            await side_task()
        except Exception as error:
            self.say(f"the supervisor publishes no metrics: {type(error).__name__}: {error}")

    async def _drain(self) -> None:
        """Stop the roles in reverse order, those of a kind together; what does not end in time is killed."""
        self.say("stopping; a second Ctrl-C kills")
        for _, kind in itertools.groupby(reversed(self._roles.values()), key=_kind):
            await asyncio.gather(*(self._drain_role(role) for role in kind))

    async def _drain_role(self, role: Role) -> None:
        process = role.process
        if process is None or process.exited.done():
            return
        began = time.monotonic()
        self._set_state(role, "stopping")
        if self._killed:
            process.kill()
        process.terminate()
        process.release()  # one that still waits for its start could not act on the signal
        done, _ = await asyncio.wait([process.exited], timeout=role.spec.stop_timeout)
        if not done:
            self.say(f"{role.spec.name} did not stop within {role.spec.stop_timeout:.0f} s: killing it")
            process.kill()
            await process.exited
        self.say(f"{role.spec.name} stopped in {time.monotonic() - began:.1f} s")


def _kind(role: Role) -> str:
    """Return ``door`` for ``door-2@east``."""
    return role.spec.name.partition("@")[0].partition("-")[0]


def _status_text(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"
