"""Runs a role of a cluster on the machine that has its lease; on the others its process stands by."""

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from nats.aio.client import Client

from gongfu.bus.leases import Standing
from gongfu.bus.metrics import MetricsPublisher
from gongfu.bus.registers import Registers
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.node.role_lease import RoleLease, Watchdog
from gongfu.node.runtime import Runtime, report_ready

# Exit status of a process whose lease ended before it could end what it did (EX_TEMPFAIL of sysexits.h).
LOST_STATUS = 75
_LOOK_S = 0.1
_LAST_WORDS_S = 0.3

logger = logging.getLogger(__name__)


class Duty(Protocol):
    """What a role does while it has the lease."""

    async def start(self) -> None:
        """Begin."""
        ...

    async def suspend(self) -> None:
        """End what only the holder may do: the lease could not be renewed, and others may take it in a second."""
        ...

    async def resume(self) -> None:
        """Go on: the lease was renewed, nobody else had it."""
        ...

    async def stop(self) -> None:
        """End in order: on return nothing goes on, and what was taken is kept where the next holder finds it."""
        ...

    def gauges(self) -> Mapping[str, float]:
        """Return the figures for the metrics."""
        ...

    def acting(self) -> bool:
        """Return whether something goes on that only the holder may do; asked from another thread."""
        ...


# Makes the duty of one term; the argument tells what the process may do.
MakeDuty = Callable[[Callable[[], Standing]], Duty]


async def serve_leased(
    runtime: Runtime, bus: Client, role: str, name: str, counters: Counters, stop: asyncio.Event, make: MakeDuty
) -> None:
    """Stand by and serve in turn until ``stop`` is set.

    Args:
        runtime: name of the node and replicas.
        bus: an open connection.
        role: name of the role.
        name: of this process in the cluster.
        counters: of the process.
        stop: ends it.
        make: makes what is done with the lease.

    Raises:
        JetStreamError: JetStream does not answer or refuses at the start.
    """
    subjects = Subjects(runtime.node)
    registers = Registers(bus, subjects.registers_stream(), subjects.registers(), runtime.block_log.replicas)
    await registers.start()
    lease = RoleLease(registers, role, name)
    duty: Duty | None = None

    def gauges() -> Mapping[str, float]:
        return {"lease_held": float(duty is not None), **(duty.gauges() if duty is not None else {})}

    metrics = MetricsPublisher(bus, subjects, name, counters, gauges)
    metrics.start()
    report_ready()
    while await lease.gain(stop):
        duty = make(lease.standing)
        watchdog = Watchdog(lease.standing, duty.acting, lambda: _end_process(role))
        watchdog.start()
        # A failure ends the process, and the lease by itself soon after.
        await duty.start()
        logger.info("%s serves", role)
        await _serve(duty, lease, stop)
        await duty.stop()
        watchdog.stop()
        duty = None
        await lease.release()
    logger.info("%s stops", role)
    await metrics.stop()


async def _serve(duty: Duty, lease: RoleLease, stop: asyncio.Event) -> None:
    suspended = False
    while not (stop.is_set() or lease.lost):
        sure = lease.standing() is Standing.SURE
        if not sure and not suspended:
            logger.warning("the lease could not be renewed: nothing is done until it is")
            suspended = True
            await duty.suspend()
        elif sure and suspended:
            logger.info("the lease was renewed")
            await duty.resume()
            suspended = False
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK_S)


def _end_process(role: str) -> None:
    def tell() -> None:
        logger.error("%s: the lease is over and work goes on; the process ends so that another machine can begin", role)
        logging.shutdown()

    # In a thread of its own: what hangs may hang in the log, and hold its lock.
    telling = threading.Thread(target=tell, daemon=True)
    telling.start()
    telling.join(_LAST_WORDS_S)
    os._exit(LOST_STATUS)
