"""How the process of a role that uses the records starts and ends: logging, records, event loop, signals."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop
from sqlalchemy import Engine

from gongfu.node.runtime import Runtime, load_runtime, role_name
from gongfu.store.records.engine import open_records
from gongfu.store.records.migrations import migrate
from gongfu.store.records.revisions import MigrationError

# Serves until it is told to stop: the settings, the name of this process on the bus, the records.
Serve = Callable[[Runtime, str, Engine], Coroutine[Any, Any, None]]


def stop_by_signal() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set. Call it in the running loop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def run_role(role: str, serve: Serve, refusals: tuple[type[Exception], ...] = (), *, migrates: bool = True) -> int:
    """Run a role until it ends; return the exit status: 1 when it cannot start, which is logged in one line.

    Args:
        role: its name in logs and on the bus.
        serve: what it does.
        refusals: further exceptions that mean "cannot start"; any other is a fault of ours and shows its trace.
        migrates: bring the records to the present revision first.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    runtime = load_runtime()
    engine = open_records(runtime.records_url)
    try:
        if migrates:
            migrate(engine)
        uvloop.run(serve(runtime, role_name(role), engine))
    except (OSError, TimeoutError, MigrationError, *refusals) as error:
        logging.getLogger(f"gongfu.{role}").error("%s cannot start: %s", role, error)
        return 1
    finally:
        with contextlib.suppress(Exception):
            engine.dispose()
    return 0
