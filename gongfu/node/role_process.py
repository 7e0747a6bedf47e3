"""One child process: start it, know when it is ready, read its output, know when it ended, stop it."""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gongfu.node.runtime import READY_VARIABLE, START_VARIABLE

_PR_SET_PDEATHSIG = 1
_READ_BYTES = 65_536
_MAX_LINE_BYTES = 8_192
_PROBE_INTERVAL_S = 0.01

# Loaded before any fork: nothing may be imported between fork and exec.
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class RoleSpec:
    """What a role is run with.

    Attributes:
        name: unique name such as ``door-1``.
        command: program and arguments.
        needs: roles and steps that must be ready before this one may use anything.
        address: loopback port that answers with a line when the role is ready; 0 when the role reports it by pipe.
        environment: variables beside those of the supervisor.
        stop_timeout: seconds from SIGTERM to SIGKILL.
        shown: only lines with one of these go to the console; all lines when empty. The log file has them all.
    """

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    address: int = 0
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    stop_timeout: float = 15.0
    shown: tuple[bytes, ...] = ()


class RoleProcess:
    """A running child. It dies with the supervisor, and leads its own process group, so that Ctrl-C reaches only the
    supervisor and no grandchild is left over."""

    def __init__(self, spec: RoleSpec, on_lines: Callable[[bytes], None], on_ready: Callable[[], None]) -> None:
        """Start it. What it depends on may not be ready yet: it waits in ``load_runtime`` until ``release``.

        Raises:
            OSError: the program cannot be run.
        """
        self.spec = spec
        self.started = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._on_lines = on_lines
        self._on_ready = on_ready
        self._rest = b""
        self._probe: asyncio.Task[None] | None = None
        self.exited: asyncio.Future[int] = self._loop.create_future()
        output, output_end = os.pipe()
        ready, ready_end = os.pipe()
        start, self._start = os.pipe()
        supervisor = os.getpid()

        def die_with_supervisor() -> None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != supervisor:
                os._exit(1)

        try:
            self._process = subprocess.Popen(  # noqa: S603 (the command is ours)
                spec.command,
                stdin=subprocess.DEVNULL,
                stdout=output_end,
                stderr=output_end,
                pass_fds=(ready_end, start),
                env={
                    **os.environ,
                    **spec.environment,
                    READY_VARIABLE: str(ready_end),
                    START_VARIABLE: str(start),
                    "PYTHONUNBUFFERED": "1",
                },
                process_group=0,
                preexec_fn=die_with_supervisor,
            )
        except BaseException:
            for descriptor in (output, ready, self._start):
                os.close(descriptor)
            raise
        finally:
            for descriptor in (output_end, ready_end, start):
                os.close(descriptor)
        self.pid = self._process.pid
        os.set_blocking(output, False)
        self._watch = {output, ready}
        self._output = output
        self._pidfd = os.pidfd_open(self.pid)
        self._loop.add_reader(output, self._read_output, output)
        self._loop.add_reader(ready, self._read_ready, ready)
        self._loop.add_reader(self._pidfd, self._reap)

    def release(self) -> None:
        """Let it go on: what it depends on is ready."""
        if self._start >= 0:
            os.close(self._start)
            self._start = -1
            if self.spec.address:
                self._probe = self._loop.create_task(self._probe_address())

    def terminate(self) -> None:
        """Ask it to drain and end."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and all its descendants now."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _read_output(self, descriptor: int) -> None:
        try:
            chunk = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return
        if not chunk:
            self._forget(descriptor)
        whole, newline, self._rest = (self._rest + chunk).rpartition(b"\n")
        lines = whole + newline
        if len(self._rest) > _MAX_LINE_BYTES or (not chunk and self._rest):
            lines, self._rest = lines + self._rest + b"\n", b""
        if lines:
            self._on_lines(lines)

    def _read_ready(self, descriptor: int) -> None:
        message = os.read(descriptor, 64)
        self._forget(descriptor)
        if message.startswith(b"READY"):
            self._on_ready()

    def _forget(self, descriptor: int) -> None:
        if descriptor in self._watch:
            self._watch.remove(descriptor)
            self._loop.remove_reader(descriptor)
            os.close(descriptor)

    def _reap(self) -> None:
        status = self._process.wait()
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.kill()  # grandchildren that outlived it
        if self._probe is not None:
            self._probe.cancel()
        if self._start >= 0:
            os.close(self._start)
            self._start = -1
        # Its last words may still be in the pipe; a grandchild could hold the other end open, so read once only.
        if self._output in self._watch:
            self._read_output(self._output)
        for descriptor in tuple(self._watch):
            self._forget(descriptor)
        if self._rest:
            self._on_lines(self._rest + b"\n")
            self._rest = b""
        if not self.exited.done():
            self.exited.set_result(status)

    async def _probe_address(self) -> None:
        while not _greets(self.spec.address):  # noqa: ASYNC110 (another process cannot set an event)
            await asyncio.sleep(_PROBE_INTERVAL_S)
        self._on_ready()


def _greets(port: int) -> bool:
    """Return whether a NATS server on loopback says ``INFO`` (it does so before authentication)."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.2) as connection:
            return connection.recv(5) == b"INFO "
    except OSError:
        return False
