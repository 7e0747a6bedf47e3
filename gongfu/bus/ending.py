"""Ending tasks that use the bus."""

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN_S = 0.2


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
