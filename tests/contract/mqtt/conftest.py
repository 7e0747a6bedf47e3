"""A running front door on free ports that tests may kill and start again."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.contract.mqtt.raw_client import RawClient
from tests.fixtures.nats import free_port

DEADLINE_S = 60.0

DEVICES: dict[str, dict[str, Any]] = {
    "dev": {
        "id": 1,
        "tenant": 1,
        "secret": "secret-of-dev",
        "publish": ["#", "$x/#", "$TopicA/#"],
        "subscribe": ["#", "$x/#", "$TopicA/#"],
    },
    "dev2": {"id": 2, "tenant": 1, "secret": "secret-of-dev2", "publish": ["#"], "subscribe": ["#"]},
    "limited": {"id": 3, "tenant": 1, "secret": "secret-of-limited", "publish": ["mine/+"], "subscribe": ["mine/#"]},
    "foreign": {"id": 4, "tenant": 2, "secret": "secret-of-foreign", "publish": ["#"], "subscribe": ["#"]},
    "disabled": {
        "id": 5,
        "tenant": 1,
        "secret": "secret-of-disabled",
        "publish": [],
        "subscribe": [],
        "enabled": False,
    },
}


@dataclass
class Door:
    """A front door process. The same ports and directory serve after ``kill`` and ``start``."""

    directory: Path
    settings: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    number: int = 0

    def __post_init__(self) -> None:
        self.settings = {
            "directory": str(self.directory),
            "tcp": free_port(),
            "websocket": free_port(),
            "devices": DEVICES,
            "door": self.number,
            **self.settings,
        }

    @property
    def port(self) -> int:
        return self.settings["tcp"]

    @property
    def log(self) -> Path:
        return self.directory / f"door-{self.number}.log"

    def start(self) -> None:
        """Start and wait until it serves."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start."""
        file = self.directory / f"settings-{self.number}.json"
        file.write_text(json.dumps(self.settings))
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.contract.mqtt.door_program", str(file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def wait(self) -> None:
        """Wait until it serves."""
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the front door ended: {self.log.read_text()}"

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """End it in order; return its exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(DEADLINE_S)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process = None
        return status

    def restart(self) -> None:
        """A crash and a start."""
        self.kill()
        self.start()

    def ask(self, command: str) -> dict[str, float]:
        """Give a command of ``door_program`` and return its answer."""
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def count(self, name: str) -> float:
        return self.ask("counters").get(name, 0)

    def taken(self, name: str = "dev") -> list[dict[str, Any]]:
        """Return what the intake took from a device, in order."""
        path = self.directory / f"intake-{self.number}.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        keys = ("device", "form", "payload", "received", "context")
        return [item for item in (dict(zip(keys, row, strict=True)) for row in rows) if item["device"] == name]

    def client(self, version: int, client_id: str = "", device: str = "dev", **options: Any) -> RawClient:
        """Return a raw client that is not connected yet."""
        secret = DEVICES[device]["secret"]
        return RawClient(self.port, version, client_id, username=device, password=secret.encode(), **options)


def until(condition: Callable[[], bool], seconds: float = DEADLINE_S) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """One front door for a module."""
    item = Door(tmp_path_factory.mktemp("door"))
    item.start()
    yield item
    if item.process is not None:
        item.stop()


@pytest.fixture
def own_door(tmp_path: Path) -> Iterator[Callable[..., Door]]:
    """Makes front doors of one test, with their own settings."""
    doors: list[Door] = []

    def make(**settings: Any) -> Door:
        item = Door(tmp_path, settings, number=settings.get("door", 0))
        item.start()
        doors.append(item)
        return item

    yield make
    for item in doors:
        if item.process is not None:
            item.kill()
