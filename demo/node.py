"""A node as a child process: ``gongfu up`` on its own data directory, with ports that are free."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import httpx

from demo.api import Api

STOP_TIMEOUT_S = 60.0


class NodeError(RuntimeError):
    """The node did not start; the message holds what it said last."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Listening ports of a node on loopback; 0 is off."""

    web: int
    mqtt: int
    websocket: int = 0


def is_free(port: int) -> bool:
    """Return whether nobody listens on a loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port(preferred: int = 0) -> int:
    """Return ``preferred`` when it is free, else another free loopback port."""
    if preferred and is_free(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_configuration(path: Path, data_dir: Path, ports: Ports, *, door_processes: int = 1, extra: str = "") -> None:
    """Write a ``gongfu.toml`` for a node on loopback.

    Args:
        path: the file.
        data_dir: data directory of the node.
        ports: where it listens.
        door_processes: number of front doors.
        extra: further sections.
    """
    path.write_text(
        f"[node]\ndata_dir = {json.dumps(str(data_dir))}\n\n"
        f"[mqtt]\nport = {ports.mqtt}\nwebsocket_port = {ports.websocket}\nprocesses = {door_processes}\n\n"
        f"[web]\nport = {ports.web}\n{extra}",
        encoding="utf-8",
    )


class NodeProcess:
    """``gongfu up`` as a child in its own process group, so that Ctrl-C reaches it only through ``stop``.

    Args:
        data_dir: data directory; made when absent.
        configuration: path of the ``gongfu.toml`` to use.
        ports: the ports written there.
    """

    def __init__(self, data_dir: Path, configuration: Path, ports: Ports) -> None:
        self.data_dir = data_dir
        self.ports = ports
        self.banner: list[str] = []
        self._configuration = configuration
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._errors: list[str] = []

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        """Address of the console and the API."""
        return f"http://127.0.0.1:{self.ports.web}"

    def start(self, timeout: float = 90.0) -> float:
        """Start the node, wait until it is ready, and return the seconds that took.

        Raises:
            NodeError: it ended, or was not ready in time.
        """
        self.banner.clear()  # of an earlier start
        began = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gongfu.node.cli", "up", "--config", str(self._configuration)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            process_group=0,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        threading.Thread(target=self._read, args=(self._process.stdout, True), daemon=True).start()
        threading.Thread(target=self._read, args=(self._process.stderr, False), daemon=True).start()
        while True:
            if self._answers():
                return time.monotonic() - began
            if self._process.poll() is not None:
                raise NodeError("the node did not start:\n" + "\n".join(self._errors[-15:]))
            if time.monotonic() - began > timeout:
                self.stop()
                raise NodeError(f"the node was not ready in {timeout:.0f} s:\n" + "\n".join(self._errors[-15:]))
            time.sleep(0.02)

    def token(self) -> str:
        """Return the administrator's token of this machine."""
        return (self.data_dir / "secrets" / "cli-token").read_text(encoding="utf-8").strip()

    def api(self) -> Api:
        """Return a client with the administrator's token of this machine."""
        return Api(self.url, self.token())

    def running(self) -> bool:
        """Return whether the supervisor still runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> int:
        """Drain the node and return its exit status. Killed with its children when it takes too long."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        return self._process.returncode

    def __enter__(self) -> "NodeProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _answers(self) -> bool:
        """Return whether the banner, the last thing a start prints, is complete and the API answers."""
        if not any("is ready" in line for line in self.banner):
            return False
        try:
            return httpx.get(f"{self.url}/v1/health", timeout=2.0).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def _read(self, stream: IO[bytes], banner: bool) -> None:
        for line in stream:
            text = line.decode(errors="replace").rstrip()
            (self.banner if banner else self._errors).append(text)
            del self._errors[:-200]
