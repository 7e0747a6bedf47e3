"""A node whose processes, memory and logs are looked at before and after."""

from pathlib import Path
from types import TracebackType

from benchmarks.ingest.processes import usage
from demo.node import NodeProcess, Ports, free_port, write_configuration

# Allocators keep some; a leak of one kilobyte a connection is many times this in ten minutes.
GROWTH_BYTES = 96 * 1024 * 1024


class WatchedNode:
    """A running node on loopback.

    Args:
        folder: where its data goes.
    """

    def __init__(self, folder: Path) -> None:
        self.ports = Ports(web=free_port(), mqtt=free_port())
        self._data = folder / "data"
        self._data.mkdir()
        write_configuration(folder / "gongfu.toml", self._data, self.ports)
        self.node = NodeProcess(self._data, folder / "gongfu.toml", self.ports)
        self._pids: dict[str, int] = {}
        self._memory: dict[str, int] = {}

    def __enter__(self) -> "WatchedNode":
        self.node.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.node.stop()

    def devices(self, *names: str) -> list[tuple[str, str]]:
        """Make devices; return (name, secret) of each."""
        api = self.node.api()
        try:
            return [(name, api.post("/devices", {"name": name, "asset": f"fuzz/{name}"})["secret"]) for name in names]
        finally:
            api.close()

    def mark(self) -> None:
        """Remember processes and memory."""
        rows = usage(self.node.pid)
        self._pids = {row.name: row.pid for row in rows}
        self._memory = {row.name: row.rss_bytes for row in rows}

    def check(self) -> None:
        """Compare with what was remembered.

        Raises:
            AssertionError: a process is another one, memory has grown, or a log has a stack trace.
        """
        rows = usage(self.node.pid)
        now = {row.name: row.pid for row in rows}
        # A role that runs only once it was asked for may have come.
        assert {name: now.get(name) for name in self._pids} == self._pids, "a process was restarted"
        for row in rows:
            # The cache of blocks of nats-server and that of pages of the history have bounds of their own.
            grown = row.rss_bytes - self._memory[row.name]
            if row.name in ("door", "web", "worker", "supervisor"):
                assert grown < GROWTH_BYTES, f"{row.name} grew by {grown / 1e6:.0f} MB"
        for log in sorted(self._data.rglob("*.log")):
            text = log.read_text(encoding="utf-8", errors="replace")
            at = text.find("Traceback")
            assert at < 0, f"{log.name}: {text[max(at - 500, 0) : at + 3000]}"
