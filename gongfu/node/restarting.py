"""The node is asked to start anew (``svc.restart``): it drains, and its launcher starts the release that is current."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from gongfu.kernel.errors import Problem
from gongfu.kernel.subjects import Subjects
from gongfu.node.launcher import RELEASES_VARIABLE, RESTART_STATUS

if TYPE_CHECKING:
    from nats.aio.client import Client


class RestartRequest(msgspec.Struct, frozen=True):
    """Body of ``svc.restart``."""

    reason: str


class Restarting:
    """Takes the request once; ``stop`` drains the node."""

    def __init__(self, stop: Callable[[], None], say: Callable[[str], None]) -> None:
        self._stop = stop
        self._say = say
        self._asked = False

    async def start(self, bus: "Client", subjects: Subjects) -> None:
        """Begin to answer; ends with the bus."""
        # Later than the rest: the supervisor starts the roles before it loads what the bus needs.
        from gongfu.bus.requests import serve

        await serve(bus, subjects.service("restart"), self._restart, RestartRequest)

    def status(self, status: int) -> int:
        """Return the exit status of the node, given the one it would have without the request."""
        return RESTART_STATUS if self._asked and status == 0 else status

    async def _restart(self, request: RestartRequest) -> dict[str, bool]:
        if not os.environ.get(RELEASES_VARIABLE):
            raise Problem(409, "no-launcher", "This node was not started by the launcher", "see docs/orders.md")
        if not self._asked:
            self._asked = True
            self._say(f"starting anew: {request.reason}")
            self._stop()
        return {"accepted": True}
