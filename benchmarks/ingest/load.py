"""Start the generator as a child and talk to it."""

import json
import subprocess
import sys
from dataclasses import asdict
from types import TracebackType

from benchmarks.ingest.generator import Load, Outcome


class Generator:
    """A generator process, connected when it is made.

    Args:
        load: what to send.

    Raises:
        RuntimeError: it could not connect; the message is what it said.
    """

    def __init__(self, load: Load) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.ingest.generator"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._write(json.dumps(asdict(load)))
        self._read("connected")

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def start(self) -> None:
        """Let it publish."""
        self._write("go")

    def outcome(self) -> Outcome:
        """Wait for its end and return what happened. Raises ``RuntimeError`` when it failed."""
        return Outcome(**json.loads(self._read("")))

    def __enter__(self) -> "Generator":
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

    def _read(self, expected: str) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line or (expected and line != expected):
            self._process.kill()
            _, errors = self._process.communicate()
            raise RuntimeError(f"the generator failed: {line} {errors[-1500:]}")
        return line
