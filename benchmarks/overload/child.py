"""Start a load process as a child and talk to it by lines of JSON."""

import json
import subprocess
import sys
from types import TracebackType
from typing import Any


class Child:
    """A process that has said ``connected``; ``start`` lets it begin, ``outcome`` waits for its end.

    Raises:
        RuntimeError: it failed; the message is what it said.
    """

    def __init__(self, module: str, document: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._write(json.dumps(document))
        if self._read() != "connected":
            raise RuntimeError(f"{module} did not connect")

    def start(self) -> None:
        """Let it begin."""
        self._write("go")

    def outcome(self) -> dict[str, Any]:
        """Wait for its end and return what happened."""
        return dict(json.loads(self._read()))

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            self._process.kill()
            _, errors = self._process.communicate()
            raise RuntimeError(f"the load process failed: {errors[-1500:]}")
        return line
