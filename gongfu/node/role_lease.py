"""The lease on a role of a cluster: one process has it, others stand by. The decisions are those of partitions
(gongfu/bus/leases.py): a register for each role, changed by compare-and-set only, and times by which the holder has
ended what it does before another may begin.
"""

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from gongfu.bus.jetstream import JetStreamError
from gongfu.bus.leases import LeaseRecord, LeaseView, Standing, standing
from gongfu.bus.ownership import OwnershipLostError
from gongfu.bus.partition_leases import EXPIRE_S, HEARTBEAT_S, OWN_S, OWNER_S, Lease, LeaseDocument
from gongfu.bus.registers import RegisterConflictError, Registers

# A stand-by looks so often.
LOOK_S = 0.5
# A holder that could not renew for ``OWNER_S`` less this ends what it does.
MARGIN_S = 1.0
_WATCH_S = 0.05
_STANDBY = "standby"

logger = logging.getLogger(__name__)


class RoleLease:
    """The lease on one role, as one process sees it. ``gain``, then ``release``; ``gain`` again after a loss."""

    def __init__(self, registers: Registers, role: str, me: str) -> None:
        """Compose.

        Args:
            registers: where the leases of the node are, started.
            role: name of the role, a NATS token.
            me: name of this process; no other of the cluster has it.
        """
        self._registers = registers
        self._role = role
        self._kind = f"role-{role}"
        self._me = me
        self._process = secrets.token_hex(8)
        self._lease: Lease | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._released = asyncio.Event()

    @property
    def lost(self) -> bool:
        """Whether this process does not have it any more, or never had."""
        return self._lease is None or self._lease.lost

    @property
    def epoch(self) -> int:
        """Greater than that of every earlier holder; 0 before the first ``gain``."""
        return 0 if self._lease is None else self._lease.epoch

    def standing(self) -> Standing:
        """Return what this process may do now; from any thread."""
        if self._lease is None or self._lease.lost:
            return Standing.OVER
        return standing(time.monotonic(), self._lease.until, MARGIN_S)

    async def gain(self, stop: asyncio.Event) -> bool:
        """Wait until this process has the lease; return False when ``stop`` is set before."""
        loop = asyncio.get_running_loop()
        view, told = LeaseView(self._me, 1, EXPIRE_S, OWN_S), ""
        while not stop.is_set():
            try:
                # Who cannot write itself does not know whether others can: nobody's silence counts then.
                await self._registers.put(_STANDBY, self._token(), msgspec.json.encode({"name": self._me}), None)
                found = (await self._registers.read(self._kind)).get("0", (0, b"{}"))
                document = msgspec.json.decode(found[1], type=LeaseDocument)
                now = loop.time()
                view.observe(now, {0: LeaseRecord(document.owner, found[0])} if found[0] else {}, {})
                if 0 in view.decide(now, frozenset()).take and await self._take(document, found[0]):
                    return True
                if document.owner != told:
                    told = document.owner
                    logger.info("%s stands by: %s has the role %s", self._me, told or "nobody", self._role)
            except JetStreamError as error:
                logger.debug("lease of role %s: %s", self._role, error)
                view.excuse(loop.time())
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_S)
        await self._leave()
        return False

    async def _take(self, found: LeaseDocument, revision: int) -> bool:
        began = asyncio.get_running_loop().time()
        # The time, so that epochs grow even when the registers are made anew.
        epoch = max(found.epoch + 1, time.time_ns())
        document = msgspec.structs.replace(found, owner=self._me, process=self._process, epoch=epoch)
        try:
            revision = await self._registers.put(self._kind, "0", msgspec.json.encode(document), revision)
        except RegisterConflictError:
            return False  # another was first
        self._lease = Lease(self._registers, 0, document, revision, began + OWNER_S, self._kind)
        self._released.clear()
        self._renewing = asyncio.create_task(self._renew_always(self._lease), name=f"lease of {self._role}")
        logger.info("%s has the role %s at epoch %d", self._me, self._role, epoch)
        return True

    async def release(self) -> None:
        """Give it back, when nothing is done for the role any more; nothing happens when it is lost already."""
        self._released.set()
        if self._renewing is not None:
            await self._renewing
        if self._lease is not None and not self._lease.lost:
            try:
                await self._lease.release()
                logger.info("%s gives the role %s back", self._me, self._role)
            except (OwnershipLostError, JetStreamError) as error:
                # It ends by itself when it is not renewed any more.
                logger.warning("the lease of role %s could not be given back: %s", self._role, error)
                self._lease.lose()
        await self._leave()

    async def _leave(self) -> None:
        with suppress(JetStreamError):
            await self._registers.put(_STANDBY, self._token(), b"", None)

    async def _renew_always(self, lease: Lease) -> None:
        while not self._released.is_set():
            try:
                await lease.renew()
            except OwnershipLostError:
                logger.warning("%s has lost the role %s to another machine", self._me, self._role)
                return
            except JetStreamError as error:
                logger.debug("lease of role %s: %s", self._role, error)
            except Exception:
                # Whatever it is, the lease must go on being renewed.
                logger.exception("the lease of role %s could not be renewed", self._role)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._released.wait(), HEARTBEAT_S)

    def _token(self) -> str:
        return f"{self._role}-{self._me}".replace(".", "_")


class Watchdog:
    """A thread that ends the process when its lease is over while it still does what only the holder may do.

    A thread, because the event loop may be what hangs; nothing that is asked to end politely is certain to.
    """

    def __init__(
        self, standing: Callable[[], Standing], acting: Callable[[], bool], end_process: Callable[[], None]
    ) -> None:
        """Set up; ``start`` it.

        Args:
            standing: what the process may do; asked from the thread.
            acting: whether something goes on that only the holder may do; asked from the thread.
            end_process: ends the process at once.
        """
        self._standing = standing
        self._acting = acting
        self._end_process = end_process
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End; call when nothing goes on any more."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_WATCH_S):
            # In this order: what begins after the second question saw a lease that was not over.
            if self._standing() is Standing.OVER and self._acting():
                self._end_process()
                return
