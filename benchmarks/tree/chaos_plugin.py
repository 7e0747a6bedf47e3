"""The chaos test's order kind, driver and probe; a node loads them by ``[tree] plugins``.

The driver appends its idempotency key to a file of the node, with fsync, and nothing else: whatever calls it twice is
seen. It is not idempotent, so the engine must never call it again for the same key.
"""

import asyncio
import os
from pathlib import Path

from gongfu.node.drivers.context import DriverContext
from gongfu.tree.orders.kinds import Guard, OrderKind, Probe
from gongfu.tree.orders.plugins import Driver, DriverCall, DriverResult, ProbeCall, Seen
from gongfu.tree.orders.plugins import Probe as ProbePlugin
from gongfu.tree.orders.types import driver_key
from gongfu.tree.orders.verification import Sight

NAME = "chaos"
EFFECTS = "chaos-effects.log"
_SECOND = 1_000_000_000


def kinds() -> list[OrderKind]:
    """Return the kind."""
    return [
        OrderKind(
            name=NAME,
            schema={"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"],
                    "additionalProperties": False},
            may_issue=("*",),
            driver=NAME,
            probe=Probe(name=NAME, delay=0, every=_SECOND // 2, within=2 * _SECOND),
            idempotent=False,
            allowed=True,
            guard=Guard(most_targets=1_000, most_per_hour=10_000_000),
        )
    ]  # fmt: skip


class AppendDriver:
    """Appends the key to the file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def run(self, call: DriverCall) -> DriverResult:
        """Append."""
        await asyncio.to_thread(self._append, call.key)
        return DriverResult(True)

    def _append(self, key: str) -> None:
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, f"{key}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class AppendProbe:
    """Looks whether the key is in the file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def look(self, call: ProbeCall) -> Seen:
        """Look."""
        there = driver_key(call.order, call.target) in effects(self._file)
        return Seen(Sight.PRESENT if there else Sight.ABSENT, "in the file" if there else "not in the file")


def effects(file: Path) -> list[str]:
    """Return the keys in a file, in order."""
    return file.read_text(encoding="utf-8").split("\n")[:-1] if file.exists() else []


def drivers(context: DriverContext) -> dict[str, Driver]:
    """Return the driver by name."""
    return {NAME: AppendDriver(Path(context.runtime.data_dir) / EFFECTS)}


def probes(context: DriverContext) -> dict[str, ProbePlugin]:
    """Return the probe by name."""
    return {NAME: AppendProbe(Path(context.runtime.data_dir) / EFFECTS)}
