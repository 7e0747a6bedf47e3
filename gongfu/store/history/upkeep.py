"""What a history does for itself, in one thread: corrections that a crash left open, roll-ups, retention, merges.

The engine's own merges wait for the first seconds too: after a load they would take both cores just when the node
starts (a start with a million devices took 13 s instead of 5).
"""

import logging
import threading
import time

from gongfu.store.history.compaction import Compaction
from gongfu.store.history.engine import Engine, EngineError
from gongfu.store.history.retention import Keep, Retention
from gongfu.store.history.rollups import Count, Rollups

logger = logging.getLogger(__name__)

FIRST_SECONDS = 10.0
EVERY_SECONDS = 60.0
# A look for partitions to merge is one statement (2 ms).
LOOK_SECONDS = 15.0
# One statement uses one core, and a rest as long as the work follows: half a core at most.
_SETTINGS = {"max_threads": "1", "max_execution_time": "600", "max_query_size": "4000000"}


class Upkeep:
    """Looks after one engine until it is stopped. Counts ``upkeep_failed`` beside what its parts count."""

    def __init__(self, engine: Engine, count: Count, keep: Keep) -> None:
        self._engine = engine
        self._count = count
        self._stop = threading.Event()
        self._rollups = Rollups(self._run, count)
        self._retention = Retention(self._run, count, keep, self._rollups.pending)
        self._compaction = Compaction(self._run, count)
        self._thread = threading.Thread(target=self._work, name="history upkeep", daemon=True)
        self._held = False

    def start(self) -> None:
        """Begin; nothing is merged until ``FIRST_SECONDS`` later."""
        self._held = self._switch_merges("STOP")
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Begin nothing new and wait for what runs, so long at most."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self, statement: str) -> str:
        return self._engine.run(statement, "TabSeparated", settings=_SETTINGS).data.decode()

    def _switch_merges(self, switch: str) -> bool:
        """Let the engine's merges stop or start; return whether it did."""
        try:
            self._run(f"SYSTEM {switch} MERGES")
        except EngineError as error:
            logger.warning("merges were not switched (%s): %s", switch.lower(), str(error)[:300])
            return False
        return True

    def _work(self) -> None:
        self._stop.wait(FIRST_SECONDS)
        while self._held and not self._switch_merges("START"):
            if self._stop.wait(FIRST_SECONDS):
                return
        self._held = False
        open_corrections = True
        next_round = time.monotonic()
        while not self._stop.is_set():
            try:
                if time.monotonic() >= next_round:
                    next_round = time.monotonic() + EVERY_SECONDS
                    if open_corrections:
                        self._rollups.finish_corrections()
                        open_corrections = False
                    while not self._stop.is_set():
                        begin = time.monotonic()
                        if not self._rollups.step():
                            self._retention.step()
                            break
                        self._stop.wait(time.monotonic() - begin)
                while not self._stop.is_set() and self._compaction.step():
                    pass
            except EngineError as error:
                # A full disk, a query over its memory: the next round tries again.
                self._count("upkeep_failed", 1)
                logger.warning("history upkeep failed, trying again: %s", str(error)[:300])
            self._stop.wait(LOOK_SECONDS)
