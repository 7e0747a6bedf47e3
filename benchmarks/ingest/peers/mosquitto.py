"""Mosquitto (Debian package) as a receiver: takes the messages, acknowledges and drops them; nobody subscribes."""

import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from benchmarks.ingest.generator import Load, Outcome
from benchmarks.ingest.load import Generator
from benchmarks.ingest.processes import usage


def find_mosquitto() -> str | None:
    """Return the path of the broker, or None when it is not installed."""
    return shutil.which("mosquitto") or next(
        (path for path in ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto") if Path(path).exists()), None
    )


class Mosquitto:
    """A broker on a free loopback port, anonymous, without persistence.

    Args:
        program: path of the broker.
        folder: where its configuration goes.
    """

    def __init__(self, program: str, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        configuration = folder / "mosquitto.conf"
        configuration.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
            "max_inflight_messages 0\nmax_queued_messages 0\nlog_type error\n"
        )
        self._process = subprocess.Popen([program, "-c", str(configuration)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10.0
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def __enter__(self) -> "Mosquitto":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()


def receive_only(program: str, folder: Path, connections: int, seconds: float, window: int) -> tuple[Outcome, float]:
    """Run the load against mosquitto; return the outcome and the broker's CPU seconds."""
    with Mosquitto(program, folder) as broker:
        load = Load("127.0.0.1", broker.port, [(f"device-{i:04d}", "") for i in range(connections)], seconds, window)
        with Generator(load) as generator:
            before = usage(broker.pid)[0].cpu_seconds
            generator.start()
            outcome = generator.outcome()
            return outcome, usage(broker.pid)[0].cpu_seconds - before
