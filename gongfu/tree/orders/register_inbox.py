"""Registers of many children at once: what comes one by one is stored as it is, and merged a moment later together.

Merging one register by itself costs eight statements, a thousand together hardly more. The message is durable in the
transaction in which it was taken; registers merge the same in whatever order and however often.
"""

import asyncio

from gongfu.kernel.errors import Problem
from gongfu.tree.host.section import Turn
from gongfu.tree.orders import messages, target_records
from gongfu.tree.orders.context import Context, Gathering, log
from gongfu.tree.orders.effects import Audit
from gongfu.tree.orders.register_intake import RegisterIntake
from gongfu.tree.orders.types import Reason

_MANY = 50
"""Registers of a message that is worth a merge of its own."""
_AT_ONCE = 1000
_GATHER_SECONDS = 0.005
_AGAIN_SECONDS = 1.0


class RegisterInbox:
    """Stands before a ``RegisterIntake``."""

    def __init__(self, context: Context, intake: RegisterIntake) -> None:
        self._context = context
        self._intake = intake
        self._gathering = Gathering(_GATHER_SECONDS, self._begin)
        self._task: asyncio.Task[None] | None = None

    def received(self, turn: Turn, peer: str, body: bytes) -> None:
        """Registers have come from a neighbour.

        Raises:
            Refusal: ``message-malformed``.
        """
        if self._context.directory.parent == peer:
            self._context.disbelieve(turn, peer, Audit("", "disbelieved", turn.now, Reason.NOT_OWN, peer, "registers"))
            return
        found = messages.decode_registers(body)
        if len(found) >= _MANY:
            self._intake.take(turn, [(peer, turn.now, one) for one in found])
        else:
            target_records.queue(turn.connection, peer, body, turn.now)
            turn.then(self._gathering.soon)

    def start(self) -> None:
        """Merge what was taken before a crash."""
        self._gathering.soon()

    async def stop(self) -> None:
        """Merge nothing more; it is stored."""
        self._gathering.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _begin(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._drain())
        else:
            self._gathering.soon()

    async def _drain(self) -> None:
        """Merge all that is stored; one that cannot be merged, whatever the cause, must not hold the others up."""
        host, limit = self._context.host, _AT_ONCE
        while True:
            try:
                taken = await host.turn(lambda turn, limit=limit: self._merge(turn, limit))
            except Problem as problem:
                log.warning("registers wait: %s", problem)
                await asyncio.sleep(_AGAIN_SECONDS)
            except Exception:
                log.exception("registers could not be merged, %s messages at once", limit)
                if limit == 1:
                    await host.turn(self._drop)
                limit = 1
            else:
                if taken < limit:
                    return

    def _merge(self, turn: Turn, limit: int) -> int:
        queued = target_records.take_queued(turn.connection, limit)
        self._intake.take(
            turn, [(peer, since, one) for peer, since, body in queued for one in messages.decode_registers(body)]
        )
        return len(queued)

    def _drop(self, turn: Turn) -> None:
        for peer, _, body in target_records.take_queued(turn.connection, 1):
            said = f"registers of {len(body)} bytes that cannot be merged"
            self._context.disbelieve(turn, peer, Audit("", "disbelieved", turn.now, Reason.NOT_OWN, peer, said))
