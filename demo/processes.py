"""The two devices as child processes."""

import os
import subprocess
import sys
from pathlib import Path

STOP_TIMEOUT_S = 10.0


class DeviceProcess:
    """One MQTT client as a child; its log goes to a file.

    Args:
        module: what to run, such as ``demo.tep.client``.
        log: log file, appended to.
        environment: what the module reads beside the process's environment. Secrets go here, never on a command line.
    """

    def __init__(self, module: str, log: Path, environment: dict[str, str]) -> None:
        self.module = module
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                process_group=0,
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def exit_status(self) -> int | None:
        """Return the exit status, None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """End the process: politely, then by force."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def device_environment(host: str, port: int, device: str, secret: str, after_ms: int | None = None) -> dict[str, str]:
    """Return what a device process reads from its environment."""
    environment = {
        "GONGFU_DEMO_HOST": host,
        "GONGFU_DEMO_PORT": str(port),
        "GONGFU_DEMO_DEVICE": device,
        "GONGFU_DEMO_SECRET": secret,
    }
    if after_ms is not None:
        environment["GONGFU_DEMO_AFTER_MS"] = str(after_ms)
    return environment
