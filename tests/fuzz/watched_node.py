"""A node whose processes, memory and logs are looked at before and after."""

from pathlib import Path
from types import TracebackType

from benchmarks.ingest.processes import Usage, usage
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
        # By process id.
        self._memory: dict[int, Usage] = {}

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

    def _last_words(self) -> str:
        logs = sorted(self._data.rglob("*.log"))
        return "\n".join(f"{log.name}: {log.read_text(encoding='utf-8', errors='replace')[-2000:]}" for log in logs)

    def mark(self) -> None:
        """Remember processes and memory."""
        self._memory = {row.pid: row for row in usage(self.node.pid)}

    def check(self) -> None:
        """Compare with what was remembered.

        Raises:
            AssertionError: a process is another one, memory has grown, or a log has a stack trace.
        """
        now = {row.pid: row for row in usage(self.node.pid)}
        # Roles and servers that run only once they are asked for may have come.
        gone = sorted(row.name for pid, row in self._memory.items() if pid not in now)
        assert not gone, f"restarted: {', '.join(gone)}\n{self._last_words()}"
        for pid, before in self._memory.items():
            # The cache of blocks of nats-server and that of pages of the history have bounds of their own.
            grown = now[pid].rss_bytes - before.rss_bytes
            if before.name in ("door", "web", "worker", "supervisor"):
                assert grown < GROWTH_BYTES, f"{before.name} grew by {grown / 1e6:.0f} MB"
        for log in sorted(self._data.rglob("*.log")):
            text = log.read_text(encoding="utf-8", errors="replace")
            at = text.find("Traceback")
            assert at < 0, f"{log.name}: {text[max(at - 500, 0) : at + 3000]}"
