"""Engine processes of the demo: started, watched, and started again a moment after they end, as systemd would."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

STOP_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class EngineSpec:
    """How a process is run.

    Attributes:
        name: what it is called here.
        command: program and arguments.
        log: where its output goes.
        ready: tells whether it serves.
        environment: variables beside those of this process.
        user: run as this user, None as the own one.
        restart_s: pause before it is started again; None leaves it down.
    """

    name: str
    command: Sequence[str]
    log: Path
    ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    user: str | None = None
    restart_s: float | None = 2.0


class Kept:
    """One process that is kept running."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self.starts = 0
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, daemon=True, name=spec.name)

    @property
    def pid(self) -> int:
        """Process id, 0 while it is down."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else 0

    def start(self) -> "Kept":
        """Start it; ``wait_ready`` waits."""
        self._thread.start()
        return self

    def wait_ready(self, seconds: float) -> None:
        """Wait until it serves.

        Raises:
            TimeoutError: it does not; the text has its last lines.
        """
        deadline = time.monotonic() + seconds
        while not (self.pid and self.spec.ready()):
            if time.monotonic() > deadline:
                said = self.spec.log.read_text(errors="replace").splitlines()[-8:] if self.spec.log.exists() else []
                raise TimeoutError(f"{self.spec.name} does not serve:\n" + "\n".join(said))
            time.sleep(0.05)

    def stop(self) -> None:
        """End it for good."""
        self._stopping.set()
        with self._lock:
            process = self._process
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(STOP_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self._thread.join(5)

    def _keep(self) -> None:
        while not self._stopping.is_set():
            with self._lock, self.spec.log.open("ab") as log:
                if self._stopping.is_set():
                    return
                self._process = subprocess.Popen(
                    [*self.spec.command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **self.spec.environment},
                    user=self.spec.user,
                    cwd="/",
                    process_group=0,
                )
                self.starts += 1
            self._process.wait()
            if self.spec.restart_s is None or self._stopping.wait(self.spec.restart_s):
                return
