"""``python -m gongfu.store.history.serve <directory>``: one history node by itself, for a history of several nodes.

Environment: ``GONGFU_HISTORY_HOST`` (default 127.0.0.1), ``GONGFU_HISTORY_PORT`` (8123), ``GONGFU_HISTORY_USER``
(default ``default``), ``GONGFU_HISTORY_PASSWORD`` (needed: a node without one is not started).
"""

import logging
import os
import signal
import sys
import threading
from pathlib import Path

from gongfu.store.history.engine import DirectoryInUse, EngineError
from gongfu.store.history.node import HistoryNode

logger = logging.getLogger("gongfu.history")


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    env = os.environ
    password, port = env.get("GONGFU_HISTORY_PASSWORD", ""), env.get("GONGFU_HISTORY_PORT", "8123")
    if len(arguments) != 1 or not password or not port.isdigit():
        logger.error("usage: GONGFU_HISTORY_PASSWORD=... [GONGFU_HISTORY_PORT=8123] serve <directory>")
        return 2
    host, user = env.get("GONGFU_HISTORY_HOST", "127.0.0.1"), env.get("GONGFU_HISTORY_USER", "default")
    try:
        node = HistoryNode(Path(arguments[0]), host, int(port), user, password)
    except (DirectoryInUse, EngineError, OSError, OverflowError) as error:
        logger.error("history cannot start: %s", error)
        return 1
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    logger.info("history serves on %s port %d", host, node.port)
    stop.wait()
    node.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
