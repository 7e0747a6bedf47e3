"""One request to all servers of a subject, and their answers."""

import asyncio
import contextlib
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from gongfu.bus.connection import subscribe


async def gather(bus: Client, subject: str, body: Any, wait_s: float, expected: int = 0) -> list[Any]:
    """Return the results of all that answer in time, in no order; problems and unreadable answers are left out.

    Args:
        bus: an open connection.
        subject: what all of them serve, without a queue group.
        body: what msgspec can encode as JSON.
        wait_s: seconds to wait.
        expected: return as soon as so many have answered; 0 waits for the whole time.
    """
    results: list[Any] = []
    answered = 0
    done = asyncio.Event()

    async def take(message: Msg) -> None:
        nonlocal answered
        answered += 1
        # No data: nobody serves the subject (NATS answers 503 in a header).
        if not message.data:
            done.set()
            return
        try:
            answer = msgspec.json.decode(message.data)
        except msgspec.MsgspecError:
            answer = {}
        if isinstance(answer, dict) and "result" in answer:
            results.append(answer["result"])
        if expected and answered >= expected:
            done.set()

    inbox = bus.new_inbox()
    try:
        subscription = await subscribe(bus, inbox, take)
    except (NatsError, OSError):
        return []
    try:
        await bus.publish(subject, msgspec.json.encode(body), reply=inbox)
        async with asyncio.timeout(wait_s):
            await done.wait()
    except (TimeoutError, NatsError, OSError):
        pass
    finally:
        with contextlib.suppress(NatsError, OSError):
            await subscription.unsubscribe()
    return results
