"""A history process of a test: its own directory and port, killed and started again at will."""

import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from gongfu.store.history.client import ClickHouseHistory

USER = "gongfu"
PASSWORD = "a password of a test"
DEADLINE_S = 60.0

_PROGRAM = """
import os, signal, sys, threading
from pathlib import Path
from gongfu.store.history.engine import DirectoryInUse, EngineLimits
from gongfu.store.history.node import HistoryNode
limits = EngineLimits(keep_free_bytes=int(sys.argv[5]))
try:
    node = HistoryNode(Path(sys.argv[1]), "127.0.0.1", int(sys.argv[2]), sys.argv[3], sys.argv[4], limits=limits)
except DirectoryInUse as error:
    sys.exit(str(error))
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
# Ends with the process that started it.
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start()
print(node.port, flush=True)
stop.wait()
node.close()
print("closed", flush=True)
"""


class ServedHistory:
    """``port`` stays the same over ``kill`` and ``start``."""

    def __init__(self, directory: Path, *, keep_free_bytes: int = 1_000_000) -> None:
        self.directory = directory
        self.port = 0
        self.keep_free_bytes = keep_free_bytes
        self.process: subprocess.Popen[str] | None = None

    def command(self) -> list[str]:
        arguments = [str(self.directory), str(self.port), USER, PASSWORD, str(self.keep_free_bytes)]
        return [sys.executable, "-c", _PROGRAM, *arguments]

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        line = _out(self.process).readline()
        if not line.strip():
            raise RuntimeError(f"history did not start: {self.process.stderr and self.process.stderr.read()}")
        self.port = int(line)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self._forget()

    def stop(self) -> str:
        """End it in order; return what it printed last."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(DEADLINE_S)
        said = _out(self.process).read()
        self._forget()
        return said

    def _forget(self) -> None:
        assert self.process is not None
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        self.process = None

    def store(self) -> ClickHouseHistory:
        return ClickHouseHistory(f"http://127.0.0.1:{self.port}", USER, PASSWORD)


def _out(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def wait_for(probe: object, what: str, seconds: float = DEADLINE_S) -> None:
    """Poll until ``probe()`` is true."""
    assert callable(probe)
    deadline = time.monotonic() + seconds
    while not probe():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)
