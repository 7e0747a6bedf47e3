"""Who is read next: connections of devices that sent more than their turn wait here, fairly among devices and tenants.

A device whose bytes fit into its credit of the moment is read at once and never comes here. What it costs the others is
decided by what is *read*: a connection that waits is not read, so its bytes stay with the sender (TCP) and one read of
the socket is all that is kept. docs/overload.md has the rules in words.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from gongfu.ingest.admission.account import FAIR_SHARE, Account
from gongfu.ingest.admission.admission import Admission
from gongfu.ingest.admission.fair import FairQueue
from gongfu.ingest.admission.limiter import Limiter
from gongfu.ingest.admission.pacer import Pacer
from gongfu.ingest.types import Intake
from gongfu.kernel.counters import Counters

if TYPE_CHECKING:
    from gongfu.ingest.mqtt.server.connection import Connection

logger = logging.getLogger(__name__)

# What is handled at once: packets and bytes of one connection; then others have their turn.
SLICE_PACKETS = 64
SLICE_BYTES = 32 * 1024
# What a packet costs beside its bytes.
PACKET_BYTES = 128
# What one device may send in one turn of the event loop without waiting in line.
DIRECT_BYTES = SLICE_BYTES
# After waiting in line all that a device sends waits in line, for so long.
SHUT_S = 0.1
# Longest time for waiting connections in one turn of the event loop.
TURN_S = 0.0005
PAUSE_S = 0.001
# While the intake is busy with others one of them is served this often, so that nobody waits for ever.
LEAST_S = 0.01
# Most time that is saved up for them.
_ALLOWANCE_S = 0.002
_LATER_S = 0.1e-6
_TICK_S = 0.05
_CALM_S = 0.5
_OTHERS_S = 1.0
_NOTE_S = 1.0
# Bytes read and not handled of one device; beyond it none of its connections is read.
HELD_BYTES = 2 * 1024 * 1024
_UNPARK = 16


class FairReader:
    """The connections that wait for their turn or for their quota.

    Counters: ``connections_delayed.<reason>`` (times one had to wait), ``delayed_ms.<reason>``.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        admission: Admission,
        intake: Intake,
        counters: Counters,
        clients: Callable[[], Iterable["Connection"]],
    ) -> None:
        """``clients`` returns the authenticated connections."""
        self._clients = clients
        self.admission = admission
        self.pacer = Pacer()
        # When somebody was last read without waiting (loop time); connections set it.
        self.direct_at = 0.0
        self._loop = loop
        self._intake = intake
        self._counters = counters
        self._queue: FairQueue[Connection] = FairQueue(DIRECT_BYTES)
        self._parked: dict[Limiter, dict[Connection, None]] = {}
        self._timers: dict[Limiter, asyncio.TimerHandle] = {}
        self._delayed: set[Account] = set()
        self._scheduled = False
        self._ticking = False
        self._tick_due = self._noted_at = 0.0
        self._served_at = -_CALM_S
        self._allowance = self._turn_at = self._least_at = 0.0
        intake.follow_commits(self._committed)

    @property
    def waiting(self) -> int:
        """Number of connections that wait."""
        return len(self._queue) + sum(len(parked) for parked in self._parked.values())

    def gauges(self) -> dict[str, float]:
        """Return what is now, for the metrics."""
        return {
            "connections_delayed": float(self.waiting),
            "greedy_share": self.pacer.share if self._ticking else 1.0,
        }

    def wait(self, connection: "Connection", account: Account, now: float) -> None:
        """Put a connection that is not read any more in line."""
        reason = account.over_quota(now) or FAIR_SHARE
        self._counters.add(f"connections_delayed.{reason}")
        connection.queued = True
        connection.delayed = reason, now
        account.waiting += 1
        account.shut = now + SHUT_S
        self._queue.add(account.writer.tenant, account.writer.device, connection)
        if account.held_bytes > HELD_BYTES and not account.stopped:
            account.stopped = True
            self._counters.add("devices_stopped")
            for other in list(self._clients()):
                if other.account is account and not other.paused:
                    other.pause()
                    self.wait(other, account, now)
        self._schedule()

    def changed(self) -> None:
        """Quotas have changed: whoever waits for one looks again."""
        for limiter in list(self._parked):
            self._unpark(limiter)

    def stop(self) -> None:
        """Write what is still to be told of delays."""
        self._note()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)
            if not self._ticking:
                self._ticking = True
                self._turn_at = time.perf_counter()
                self._tick_due = self._turn_at + _TICK_S
                self._loop.call_later(_TICK_S, self._tick)

    def _turn(self) -> None:
        """Serve those who wait for up to their share of the time."""
        self._scheduled = False
        if not len(self._queue):
            return
        began = time.perf_counter()
        free = self.pacer.share >= 1.0
        busy = self._intake.saturated or self._intake.busy
        if busy:
            self._turn_at = began
            if began - self._least_at >= LEAST_S and not self._intake.saturated:
                self._least_at = began
                if not self._serve_next():
                    return
        else:
            gained = self.pacer.share * (began - self._turn_at)
            points = self._intake.points_in
            self._allowance = _ALLOWANCE_S if free else min(_ALLOWANCE_S, self._allowance + gained)
            self._turn_at = ended = began
            while self._allowance > 0 and ended - began < TURN_S:
                if not self._serve_next():
                    return
                before, ended = ended, time.perf_counter()
                self._allowance -= ended - before
            # Part of the work is done later, for many payloads together.
            self._allowance -= (self._intake.points_in - points) * _LATER_S
        if len(self._queue):
            self._scheduled = True
            if free and self._allowance > 0 and not busy:
                self._loop.call_soon(self._turn)
            else:
                self._loop.call_later(PAUSE_S, self._turn)

    def _serve_next(self) -> bool:
        """Serve whose turn it is; return whether there was one."""
        connection = self._queue.take()
        if connection is None:
            return False
        try:
            self._serve(connection)
        except Exception:
            logger.exception("a connection that had waited could not be served")
            connection.drop("error")
            self._leave(connection)
        return True

    def _serve(self, connection: "Connection") -> None:
        account = connection.account
        if connection.closed or account is None:
            self._leave(connection)
            return
        now = self._loop.time()
        self._served_at = now
        account.turn = now
        account.roll(now)
        tenant, device = account.writer.tenant, account.writer.device
        if reason := account.over_quota(now):
            if account.over_since is None:
                account.over_since = now
            everything = account.sheds(reason)
            late = now - account.over_since > self.admission.defaults.max_delay_s
            more = connection.refuse(reason, late, everything)
            full = not more and account.held_bytes > HELD_BYTES and not connection.closed
            if full or (more and not connection.cost):
                self._park(connection, account, reason, now, firm=full or late or everything)
                return
        else:
            more = connection.serve(account.messages_left(now, SLICE_PACKETS), SLICE_BYTES)
        # A turn costs something even when there was nothing to handle: it must pass.
        self._queue.charge(tenant, device, connection.cost + PACKET_BYTES)
        account.shut = now + SHUT_S
        self._account_delay(connection, account, now)
        if connection.closed:
            self._leave(connection)
        elif more or account.held_bytes > HELD_BYTES:
            self._queue.add(tenant, device, connection)
        else:
            account.stopped = False
            self._leave(connection)
            connection.read_on()

    def _leave(self, connection: "Connection") -> None:
        connection.queued = False
        if connection.account is not None:
            connection.account.waiting -= 1

    # --- quotas --------------------------------------------------------------------------------------------------

    def _park(self, connection: "Connection", account: Account, reason: str, now: float, *, firm: bool) -> None:
        """Let a connection wait until a quota has something again; unless ``firm``, at most for the longest delay."""
        self._account_delay(connection, account, now)
        connection.delayed = reason, now
        limiter = account.limiter if account.limiter.shut > now else account.group.limiter
        parked = self._parked.get(limiter)
        if parked is None:
            parked = self._parked[limiter] = {}
            self._arm(limiter, now)
        parked[connection] = None
        if not firm and account.over_since is not None:
            due = account.over_since + self.admission.defaults.max_delay_s
            if due < limiter.shut:
                self._loop.call_later(max(due - now, 0.0) + PAUSE_S, self._release, connection, limiter)

    def _arm(self, limiter: Limiter, now: float) -> None:
        timer = self._timers.get(limiter)
        if timer is not None:
            timer.cancel()
        self._timers[limiter] = self._loop.call_later(max(limiter.shut - now, PAUSE_S), self._unpark, limiter)

    def _unpark(self, limiter: Limiter) -> None:
        now = self._loop.time()
        parked = self._parked.get(limiter, {})
        if limiter.shut <= now:
            for connection in list(itertools.islice(parked, _UNPARK)):
                self._release(connection, limiter)
        if parked:
            self._arm(limiter, now)
        else:
            self._parked.pop(limiter, None)
            self._timers.pop(limiter).cancel()

    def _release(self, connection: "Connection", limiter: Limiter) -> None:
        parked, account = self._parked.get(limiter), connection.account
        if parked is None or connection not in parked or account is None:
            return
        del parked[connection]
        if connection.closed:
            self._leave(connection)
        else:
            self._queue.add(account.writer.tenant, account.writer.device, connection)
            self._schedule()

    # --- figures and pacing --------------------------------------------------------------------------------------

    def _account_delay(self, connection: "Connection", account: Account, now: float) -> None:
        reason, since = connection.delayed
        account.waited(reason, now - since)
        connection.delayed = account.over_quota(now) or FAIR_SHARE, now
        self._delayed.add(account)

    def _note(self) -> None:
        for account in self._delayed:
            if whole := account.take_delays():
                self._intake.delayed(account.writer, whole)
        self._delayed.clear()

    def _committed(self, seconds: float) -> None:
        self.pacer.committed(seconds, self._loop.time() - self._served_at > _CALM_S)

    def _tick(self) -> None:
        now = time.perf_counter()
        lag, self._tick_due = now - self._tick_due, now + _TICK_S
        self.pacer.adjust(now, lag, self._loop.time() - self.direct_at < _OTHERS_S)
        if now - self._noted_at > _NOTE_S:
            self._noted_at = now
            self._note()
            self.admission.sweep()
        if self.waiting or self._delayed or self._loop.time() - self._served_at < _CALM_S:
            self._loop.call_later(_TICK_S, self._tick)
        else:
            self._ticking = False
