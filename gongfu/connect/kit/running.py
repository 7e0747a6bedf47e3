"""One connection at work: opened, subscribed, watched, and opened again with growing delays when it is lost."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from gongfu.connect.kit.backoff import Backoff
from gongfu.connect.kit.hints import hints_of
from gongfu.connect.kit.sink import ReadingSink
from gongfu.connect.kit.status import Failure, State, Status
from gongfu.connect.kit.types import Address, Driver, DriverError, Reason, Timing
from gongfu.kernel.times import SECOND

logger = logging.getLogger(__name__)

T = TypeVar("T")

OPEN_S = 30.0
REQUEST_S = 30.0
_CLOSE_S = 5.0
_TICK_S = 1.0
# What was rejected is told for so long after the last time.
_LATELY_S = 30.0

# Trying again does not help these before the configuration is changed, but machines are changed too.
_LASTING = frozenset(
    {Reason.CREDENTIALS, Reason.CERTIFICATE_UNTRUSTED, Reason.CERTIFICATE_EXPIRED, Reason.ADDRESS_UNKNOWN,
     Reason.TYPE_MISMATCH, Reason.RANGE, Reason.UNSUPPORTED}
)  # fmt: skip
_LASTING_S = 60.0


class RunningConnection:
    """Keeps one connection up.

    Attributes:
        status: how it is now; the counters are brought up to date by ``refresh``.
    """

    def __init__(
        self,
        connection: int,
        tenant: int,
        name: str,
        make: Callable[[], Driver],
        addresses: Sequence[Address],
        sink: ReadingSink,
        timing: Timing,
        random: Callable[[], float],
        changed: Callable[[Status], None],
    ) -> None:
        """Set up; ``run`` does the work.

        Args:
            connection, tenant, name: whose it is.
            make: returns a new driver for each attempt; raises ``DriverError``.
            addresses: what is subscribed; with none the connection is held open for requests.
            sink: takes the readings.
            timing: clocks.
            random: returns numbers in 0 to 1.
            changed: called after each change of state.
        """
        self.status = Status(connection=connection, tenant=tenant, since=timing.now_ns())
        self._name = name
        self._make = make
        self._addresses = list(addresses)
        self._sink = sink
        self._timing = timing
        self._random = random
        self._changed = changed
        self._backoff = Backoff()
        self._driver: Driver | None = None
        self._lock = asyncio.Lock()
        self._measured = (timing.monotonic(), 0)
        # By reason: values rejected when it began, and at the last look, and when that number last rose.
        self._rejected: dict[str, tuple[int, int, float]] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        timing = self._timing
        try:
            while True:
                self._enter(State.CONNECTING)
                connected = 0.0
                try:
                    driver = self._make()
                    try:
                        await self._open(driver)
                        connected = timing.monotonic()
                        self._driver = driver
                        self._enter(State.ONLINE)
                        await self._watch(driver)
                        raise DriverError(Reason.UNREACHABLE, "the connection has ended.", "It is opened again.")
                    finally:
                        self._driver = None
                        await self._close(driver)
                except DriverError as error:
                    self._failed(error)
                except Exception as error:
                    logger.exception("driver of connection %s failed", self._name)
                    self._failed(
                        DriverError(
                            Reason.PROTOCOL, f"the driver failed: {type(error).__name__}.", "See the node's log."
                        )
                    )
                stood = timing.monotonic() - connected if connected else 0.0
                await self._pause(stood)
        finally:
            # Paused, changed, removed or stopped: from now on nobody knows.
            self._sink.lost(timing.now_ns(), "closed")
            self._sink.close()

    async def request(self, ask: Callable[[Driver], Awaitable[T]], within: float = REQUEST_S) -> T:
        """Let somebody read, write or browse on the open connection, one at a time.

        Raises:
            DriverError: it is not open, the driver refuses, or it took longer than ``within`` seconds.
        """
        try:
            async with asyncio.timeout(within), self._lock:
                driver = self._driver
                if driver is None:
                    last = self.status.last_error
                    what = f"connection {self._name} is not open" + (f": {last.what}" if last else ".")
                    raise DriverError(Reason.BUSY, what, last.advice if last else "Try again in a moment.")
                return await ask(driver)
        except TimeoutError:
            raise DriverError(
                Reason.TIMEOUT,
                f"{self._name} did not answer in {within:g} s.",
                "See whether the machine is overloaded.",
            ) from None

    async def refresh(self) -> Status:
        """Return the status with counters, rate and the figures of the driver brought up to date."""
        status, figures = self.status, self._sink.figures
        now = self._timing.monotonic()
        before, readings = self._measured
        if now - before >= 1.0:
            rate = (figures.readings - readings) / (now - before)
            # Of the last ten seconds or so: a poll a minute is not zero now and sixty then.
            share = min(1.0, (now - before) / 10.0)
            status.values_per_second = round(status.values_per_second * (1 - share) + rate * share, 3)
            self._measured = (now, figures.readings)
        status.counters = {
            "readings": figures.readings,
            "accepted": figures.accepted,
            "compressed": figures.compressed,
            "duplicates": figures.duplicates,
            "late": figures.late,
            "gaps": figures.gaps,
        }
        status.rejected, status.shed = dict(figures.rejected), dict(figures.shed)
        status.detail, status.pending = figures.detail, self._sink.pending
        driver = self._driver
        if driver is not None:
            with contextlib.suppress(DriverError, TimeoutError):
                async with asyncio.timeout(1.0):
                    status.health = dict(await driver.health())
        status.hints = hints_of(status.health, self._lately(now), figures.detail)
        return status

    # --- parts ---------------------------------------------------------------------------------------------------

    def _lately(self, now: float) -> dict[str, int]:
        """Return how many values were rejected, by reason, where that goes on."""
        for reason, count in self._sink.figures.rejected.items():
            first, last, at = self._rejected.get(reason, (0, 0, -_LATELY_S))
            if now - at >= _LATELY_S:
                first = last
            if count > last:
                self._rejected[reason] = (first, count, now)
        return {reason: last - first for reason, (first, last, at) in self._rejected.items() if now - at < _LATELY_S}

    async def _open(self, driver: Driver) -> None:
        try:
            async with asyncio.timeout(OPEN_S):
                await driver.open()
                if self._addresses:
                    await driver.subscribe(self._addresses, self._sink)
        except TimeoutError:
            raise DriverError(
                Reason.TIMEOUT,
                f"{self._name} was not connected within {OPEN_S:g} s.",
                "See whether the machine is overloaded or a firewall drops its answers.",
            ) from None

    async def _watch(self, driver: Driver) -> None:
        wait = asyncio.ensure_future(driver.wait())
        try:
            while True:
                done, _ = await asyncio.wait({wait}, timeout=_TICK_S)
                self._sink.due(self._timing.now_ns())
                if done:
                    wait.result()
                    return
        finally:
            if not wait.done():
                wait.cancel()
                with contextlib.suppress(BaseException):
                    await wait

    async def _close(self, driver: Driver) -> None:
        try:
            async with asyncio.timeout(_CLOSE_S):
                await driver.close()
        except TimeoutError:
            logger.warning("driver of connection %s did not close within %g s", self._name, _CLOSE_S)
        except Exception:
            logger.exception("driver of connection %s did not close", self._name)

    def _failed(self, error: DriverError) -> None:
        now = self._timing.now_ns()
        self.status.last_error = Failure(error.reason.value, error.what, error.advice, now)
        self.status.attempts += 1
        self.status.health = {}
        self._sink.lost(now, error.reason.value)
        if self.status.attempts == 1:
            logger.warning("connection %s: %s", self._name, error)

    async def _pause(self, stood: float) -> None:
        delay = self._backoff.next_delay(stood, self._random())
        error = self.status.last_error
        if error is not None and error.reason in _LASTING:
            delay = max(delay, _LASTING_S * (0.5 + 0.5 * self._random()))
        self.status.next_attempt = self._timing.now_ns() + int(delay * SECOND)
        self._enter(State.WAITING)
        await self._timing.sleep(delay)
        self.status.next_attempt = 0

    def _enter(self, state: State) -> None:
        status = self.status
        if state is State.ONLINE:
            status.attempts = 0
        if status.state is not state:
            status.state = state
            status.since = self._timing.now_ns()
        self._changed(status)
