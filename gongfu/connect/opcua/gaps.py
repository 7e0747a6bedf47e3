"""What was missed: told to the sink, then read back where the server has a history."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gongfu.connect.kit.types import DriverError, Sink, Timing
from gongfu.connect.opcua.history import backfill, with_history
from gongfu.connect.opcua.limits import Limits
from gongfu.connect.opcua.session import Session
from gongfu.connect.opcua.targets import Target

SETTLE = 1.0
"""Seconds until a server's history is asked: its store writes a little later than it publishes."""


class Gaps:
    """The gaps of one connection.

    Attributes:
        told: gaps told to the sink, by address and range.
        filled: values read back from history.
    """

    def __init__(self, session: Session, targets: Sequence[Target], sink: Sink, limits: Limits, timing: Timing) -> None:
        self.told = 0
        self.filled = 0
        self.read_history = True
        self._session = session
        self._targets = {target.address: target for target in targets}
        self._sink = sink
        self._limits = limits
        self._timing = timing
        self._filling: set[asyncio.Task[None]] = set()

    def report(self, addresses: Sequence[int], since: int, until: int, reason: str) -> None:
        """Tell the sink at once that values between two times (UTC ns) did not come.

        Where the server has a history, the values are read afterwards, in the background; they arrive as late ones.
        """
        missed = list(addresses)
        if not missed or until <= since:
            return
        self.told += 1
        self._sink.gap(missed, since, until, reason)
        if self.read_history:
            task = asyncio.create_task(self._fill(missed, since, until, reason))
            self._filling.add(task)
            task.add_done_callback(self._filling.discard)

    async def _fill(self, missed: list[int], since: int, until: int, reason: str) -> None:
        await self._timing.sleep(SETTLE)
        targets = [self._targets[address] for address in missed if address in self._targets]
        told = {"since": since, "until": until, "reason": reason}
        try:
            stored = await with_history(self._session, targets, self._limits)
            if not stored:
                return
            now = self._timing.now_ns()
            came, failed = await backfill(self._session, stored, since, until, self._sink, self._limits, now)
        except DriverError as error:
            self._sink.event("opcua.backfill-failed", {**told, "detail": str(error)})
            return
        self.filled += came
        self._sink.event(
            "opcua.backfilled", {**told, "values": came, "points": len(stored) - len(failed), "failed": len(failed)}
        )

    async def close(self) -> None:
        """Stop reading back; the gaps have been told already."""
        tasks = list(self._filling)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class LastHeard:
    """When this connection last heard from its machine, kept in a file: a restart is a gap too."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "opcua-heard.json"

    def load(self) -> int:
        """Return UTC ns, 0 when nothing is known."""
        try:
            at = json.loads(self._path.read_bytes())["at"]
        except (OSError, ValueError, KeyError, TypeError):
            return 0
        return at if isinstance(at, int) and at > 0 else 0

    def save(self, at: int) -> None:
        """Keep UTC ns ``at``; a disk that refuses is not worth losing the connection."""
        with suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = self._path.with_suffix(".part")
            part.write_text(json.dumps({"at": at}))
            part.replace(self._path)
