"""The history process: owns the directory, serves it, and stops without losing anything acknowledged."""

import logging
import threading
from pathlib import Path

from gongfu.kernel.counters import Counters
from gongfu.store.history.engine import Engine, EngineLimits
from gongfu.store.history.retention import Keep
from gongfu.store.history.server import HistoryServer
from gongfu.store.history.upkeep import Upkeep

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 10.0
POLL_SECONDS = 1.0


class HistoryNode:
    """A served history directory. Use from one thread; serving has its own."""

    def __init__(
        self,
        directory: Path,
        host: str,
        port: int,
        user: str,
        password: str,
        *,
        limits: EngineLimits | None = None,
        keep: Keep | None = None,
        upkeep: bool = True,
    ) -> None:
        """Open the directory, start to serve and to look after it; port 0 takes a free one.

        Args:
            directory: the directory.
            host: address to serve on.
            port: port.
            user: name of the one user.
            password: its password.
            limits: bounds of the engine.
            keep: how long points and roll-ups are kept; default is for ever.
            upkeep: False builds no roll-ups and removes nothing, for a restore.

        Raises:
            DirectoryInUse: another process owns the directory.
            OSError: the port is taken.
        """
        self.counters = Counters()
        self._engine = Engine(directory, limits)
        try:
            self._server = HistoryServer((host, port), self._engine, user, password, self.counters)
        except OSError:
            self._engine.close()
            raise
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": POLL_SECONDS}, daemon=True
        )
        self._thread.start()
        self._upkeep = Upkeep(self._engine, self._server.count, keep or Keep())
        if upkeep:
            self._upkeep.start()

    @property
    def port(self) -> int:
        """The port it serves on."""
        return self._server.server_port

    def close(self) -> None:
        """Finish running statements, then close the engine."""
        self._upkeep.stop(DRAIN_SECONDS)
        self._server.drain(DRAIN_SECONDS)
        self._server.shutdown()
        self._server.server_close()
        self._engine.close()
