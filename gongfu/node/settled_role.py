"""Roles of a cluster that stay on one machine, because it alone has on its disk what they need to go on.

The first machine that runs such a role is noted in a register for good. Another one that is to run it, too, says whose
it is and does nothing: two would do everything twice, and one in the place of a dead one would begin with nothing.
"""

import asyncio
import logging
from contextlib import suppress

import msgspec
from nats.aio.client import Client

from gongfu.bus.jetstream import JetStreamError
from gongfu.bus.registers import RegisterConflictError, Registers
from gongfu.kernel.subjects import Subjects
from gongfu.node.runtime import Runtime

_KIND = "home"
_LOOK_S = 5.0

logger = logging.getLogger(__name__)


class Home(msgspec.Struct, frozen=True):
    """Content of the register of a role: the machine that has it, ``""`` for none."""

    instance: str = ""


async def settle(runtime: Runtime, bus: Client, role: str, stop: asyncio.Event) -> bool:
    """Wait until the role is this machine's; return False when ``stop`` is set before.

    Args:
        runtime: names of node and machine, replicas.
        bus: an open connection.
        role: name of the role, a NATS token.
        stop: ends the wait.

    Raises:
        JetStreamError: JetStream does not answer or refuses at the start.
    """
    subjects = Subjects(runtime.node)
    registers = Registers(bus, subjects.registers_stream(), subjects.registers(), runtime.block_log.replicas)
    await registers.start()
    told, mute = "", False
    while not stop.is_set():
        try:
            revision, content = (await registers.read(_KIND)).get(role, (0, b"{}"))
            home = msgspec.json.decode(content or b"{}", type=Home).instance
            if not home:
                await registers.put(_KIND, role, msgspec.json.encode(Home(runtime.instance)), revision)
                home = runtime.instance
            if home == runtime.instance:
                return True
            if home != told:
                told = home
                logger.error(
                    "the role %s is planned on this machine, %s, but belongs to %s, which alone has what it keeps on "
                    "disk: it does not run here. Plan it on one machine; docs/cluster.md tells how to move it",
                    role, runtime.instance, home,
                )  # fmt: skip
        except RegisterConflictError:
            pass  # another was first: the next look tells who
        except JetStreamError as error:
            if not mute:
                mute = True
                logger.warning("nobody tells whose the role %s is; asking again: %s", role, error)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK_S)
    return False
