"""The role ``notify`` put together: it tells people of alarms; everything it has to do is in the records."""

import asyncio
import logging
import random
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gongfu.bus.ending import end_tasks
from gongfu.bus.leases import Standing
from gongfu.kernel.counters import Counters
from gongfu.kernel.times import SystemClock
from gongfu.node.data_directory import DataDirectory
from gongfu.node.runtime import Runtime
from gongfu.node.shared_files.secrets import notify_folder, notify_link_key, secrets_in
from gongfu.reason.notify.channels.catalogue import send_message
from gongfu.reason.notify.channels.destinations import Destinations
from gongfu.reason.notify.channels.sending import Message, Receipt
from gongfu.reason.notify.dispatch import AT_ONCE, BATCH, Dispatcher, Send
from gongfu.reason.notify.service import MEMBER
from gongfu.reason.notify.types import Settings

logger = logging.getLogger("gongfu.notify")

_TURN_S = 1.0
_UNSURE_S = 0.1


class StoodDownError(BaseException):
    """Nothing may be sent now; what was to be sent stays as it is. No ``Exception``: it is no failure of a message."""


class SendGate:
    """Lets messages out while the process has the lease for certain; from any thread."""

    def __init__(self, send: Send, standing: Callable[[], Standing]) -> None:
        """Set up.

        Args:
            send: sends a message.
            standing: what the process may do.
        """
        self._send = send
        self._standing = standing
        self._lock = threading.Lock()
        self._under_way = 0

    @property
    def busy(self) -> bool:
        """Whether a message is on its way."""
        return self._under_way > 0

    def send(self, settings: Settings, secret: str, message: Message, now: int) -> Receipt:
        """Send a message.

        Raises:
            StoodDownError: the lease is not certain.
            MissedError, RefusedError: see ``Send``.
        """
        with self._lock:
            self._under_way += 1
        try:
            # After it is counted: whoever ends the process at the end of the lease sees it, or it sees the end.
            if self._standing() is not Standing.SURE:
                raise StoodDownError
            return self._send(settings, secret, message, now)
        finally:
            with self._lock:
                self._under_way -= 1


class NotifyHost:
    """Everything of the role but its process. ``start`` it, then ``stop`` it."""

    def __init__(
        self, runtime: Runtime, engine: Engine, counters: Counters, standing: Callable[[], Standing] | None = None
    ) -> None:
        """Compose; ``standing`` tells what a process may do that has the role by a lease."""
        secrets = secrets_in(DataDirectory(Path(runtime.data_dir)).notify_secrets, notify_folder(runtime, engine))

        def secret(channel: int) -> str:
            return str(secrets.read(channel).get(MEMBER, ""))

        send = partial(send_message, destinations=Destinations.of(runtime.notify.allow))
        self._counters = counters
        self._standing = standing
        self._gate = None if standing is None else SendGate(send, standing)
        self._dispatcher = Dispatcher(
            engine,
            SystemClock(),
            counters,
            send if self._gate is None else self._gate.send,
            secret,
            notify_link_key(runtime),
            random.random,
        )
        self._working: asyncio.Task[None] | None = None
        self._threads: ThreadPoolExecutor | None = None

    def gauges(self) -> Mapping[str, float]:
        """Return the figures for ``MetricsPublisher``."""
        return {}

    def acting(self) -> bool:
        """Return whether a message is on its way; from any thread."""
        return self._gate is not None and self._gate.busy

    async def start(self) -> None:
        """Begin to send."""
        if self._gate is not None:
            # Threads of its own, so that ``stop`` can wait for what they do.
            self._threads = ThreadPoolExecutor(AT_ONCE + 2, thread_name_prefix="notify")
            asyncio.get_running_loop().set_default_executor(self._threads)
        self._working = asyncio.create_task(self._work(), name="notifications")

    async def suspend(self) -> None:
        """Nothing to do: each message asks for itself whether it may go out."""

    async def resume(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """End. With a lease: when the messages on their way have been noted, so that the next holder does not send
        them again."""
        if self._working is not None:
            await end_tasks([self._working])
        if self._threads is not None:
            ended = asyncio.Event()
            loop = asyncio.get_running_loop()
            threads = self._threads

            def wait() -> None:
                threads.shutdown(wait=True)
                loop.call_soon_threadsafe(ended.set)

            threading.Thread(target=wait, name="notify end", daemon=True).start()
            await ended.wait()

    async def _work(self) -> None:
        while True:
            if self._standing is not None and self._standing() is not Standing.SURE:
                await asyncio.sleep(_UNSURE_S)
                continue
            tried = 0
            try:
                tried = await self._dispatcher.turn()
            except StoodDownError:
                continue
            except SQLAlchemyError as error:
                self._counters.add("notifications_retries")
                logger.warning("the records do not answer, trying again: %s", type(error).__name__)
            except Exception:
                self._counters.add("notifications_retries")
                logger.exception("notifications were not handled")
            if tried < BATCH:
                await asyncio.sleep(_TURN_S)
