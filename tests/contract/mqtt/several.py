"""Several front doors on a real nats-server, each with a port of its own so that a test chooses the door."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.contract.mqtt.conftest import Door, until
from tests.fixtures.nats import TOKEN, NatsServer


class Doors:
    """Front doors of one node; ``doors[0]`` is ``door-1``."""

    def __init__(self, directory: Path, server: NatsServer, count: int) -> None:
        self.directory = directory
        self.server = server
        self.doors = [self._make(number, count) for number in range(count)]

    def _make(self, number: int, count: int) -> Door:
        nats = {"nats": self.server.address.servers[0], "token": TOKEN}
        return Door(self.directory, {**nats, "door": number, "doors": count}, number=number)

    def __getitem__(self, index: int) -> Door:
        return self.doors[index]

    def start(self) -> None:
        """Start all at once, as a supervisor does, and wait until each knows the others."""
        for door in self.doors:
            door.launch()
        for door in self.doors:
            door.wait()
        self.together()

    def together(self) -> None:
        """Wait until all know all."""
        running = [door for door in self.doors if door.process is not None]
        for door in running:
            until(lambda door=door: door.ask("counters").get("doors_up", 1) == len(running))

    def stop(self) -> None:
        for door in self.doors:
            if door.process is not None:
                door.stop()

    def total(self, name: str) -> float:
        return sum(door.count(name) for door in self.doors if door.process is not None)


@contextmanager
def several_doors(directory: Path, count: int = 3) -> Iterator[Doors]:
    """Front doors with an empty journal."""
    (directory / "nats").mkdir()
    server = NatsServer(directory / "nats")
    server.start()
    doors = Doors(directory, server, count)
    try:
        doors.start()
        yield doors
    finally:
        for door in doors.doors:
            if door.process is not None:
                door.kill()
        server.kill()
