"""Announcements of services that work on threads, published on the bus."""

import asyncio
import logging

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError

from gongfu.kernel.subjects import Subjects

logger = logging.getLogger(__name__)


class EventPublisher:
    """Publishes events of services; those work on threads, the bus lives on the loop."""

    def __init__(self, bus: Client, subjects: Subjects, loop: asyncio.AbstractEventLoop) -> None:
        self._bus = bus
        self._subjects = subjects
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()

    def publish(self, kind: str, document: object) -> None:
        """Publish on ``evt.<kind>`` soon; called on any thread."""
        self._loop.call_soon_threadsafe(self._begin, self._subjects.event(kind), msgspec.json.encode(document))

    async def close(self) -> None:
        """Wait until all is published."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, subject: str, document: bytes) -> None:
        task = self._loop.create_task(self._send(subject, document))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, subject: str, document: bytes) -> None:
        try:
            await self._bus.publish(subject, document)
        except (NatsError, OSError) as error:
            # Others forget what they cached by themselves after a short time, and the records have the change.
            logger.warning("an event on %s was not published: %s", subject, type(error).__name__)
