"""Ending tasks that use the bus."""

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN_S = 0.2


def stop_if_cancelled() -> None:
    """Raise a cancellation of the running task that a call before has swallowed.

    nats-py does so while it flushes, and ``asyncio.wait_for`` of Python 3.11 when what it waits for comes in the same
    turn (bpo-42130). A task group cancels its tasks once only, so a loop that goes on waits for ever. Not for clean-up.

    Raises:
        asyncio.CancelledError: the task is to end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def end_tasks(tasks: "Iterable[asyncio.Task[Any]]") -> None:
    """Cancel tasks until they have ended; their outcome is dropped.

    Once is not enough: nats-py swallows a cancellation that meets it while it flushes.
    """
    rest = set(tasks)
    while rest:
        for task in rest:
            task.cancel()
        done, rest = await asyncio.wait(rest, timeout=_AGAIN_S)
        for task in done:
            if not task.cancelled():
                task.exception()
