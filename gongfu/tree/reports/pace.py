"""How often things of reports are done, how much is kept, and how what does them ends."""

import asyncio
import contextlib

import msgspec

SECOND = 1_000_000_000


class Pace(msgspec.Struct, frozen=True):
    """Times in seconds.

    Attributes:
        gather: what changes within it goes up together.
        spacing: between two statements, at least.
        heartbeat: a statement is made at least so often.
        silent: a child that was not heard for so long is silent.
        live: how often the node's own live figures are looked at.
        rate: changes of the rate alone are told at most so often.
        ask: between two requests to state everything anew, at first; doubled up to 64 times that.
        claims: how often devices with foreign identifiers are looked for.
        restate_claims: how often all of them are claimed anew.
        most_waiting: messages in the outbox upward, from which on nothing is added.
        most_periods: of a kind that are kept; ``most_cells``: cells of a kind, over all periods but the last two.
        fold_bytes: of statements of one child, after which they are folded.
    """

    gather: float = 0.02
    spacing: float = 0.1
    heartbeat: float = 20.0
    silent: float = 60.0
    live: float = 0.25
    rate: float = 2.0
    ask: float = 1.0
    claims: float = 2.0
    restate_claims: float = 300.0
    most_waiting: int = 64
    most_periods: int = 4_500
    most_cells: int = 4_000_000
    fold_bytes: int = 64 * 1024


DEFAULT_PACE = Pace()

_STOP_S = 1.0


async def ended(*tasks: asyncio.Task[None] | None) -> None:
    """Wait until tasks that were told to stop have ended; one that waits for a turn that never comes is cancelled."""
    running = {task for task in tasks if task is not None}
    if running:
        _, late = await asyncio.wait(running, timeout=_STOP_S)
        for task in late:
            task.cancel()


async def waited(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, at most so long. Unlike ``asyncio.wait_for`` of Python 3.11 it never loses a cancellation."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
