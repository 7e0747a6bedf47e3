"""Asking the role ``models`` over the bus; it starts once somebody has asked."""

import asyncio
from collections.abc import Callable
from typing import Any

from nats.aio.client import Client

from gongfu.bus.requests import NobodyServesError, request
from gongfu.kernel.errors import Problem, unavailable
from gongfu.kernel.subjects import Subjects
from gongfu.reason.models.calling.types import ANSWER_S, InvokeAnswer, InvokeRequest
from gongfu.reason.models.inspecting import Inspection, InspectRequest
from gongfu.reason.models.streaming.types import AssetsAnswer, AssetsAsk, StreamState

_STATE_S = 2.0
# A role that was not needed before has started after this.
_START_S = 30.0
_AGAIN_S = 0.2
# The role answers before: whoever asks learns what became of the call.
_CALL_S = ANSWER_S + 10.0


class ModelsRole:
    """The role, as other roles see it."""

    def __init__(self, bus: Client, subjects: Subjects, want: Callable[[], None]) -> None:
        """Ask over ``bus``; ``want`` lets the role start, and blocks on the disk."""
        self._bus = bus
        self._subjects = subjects
        self._want = want

    async def state(self) -> StreamState | None:
        """Return what all bindings do, None while the role does not answer."""
        try:
            return await request(self._bus, self._name("state"), None, _STATE_S, StreamState)
        except Problem:
            return None

    async def assets(self, ask: AssetsAsk) -> AssetsAnswer:
        """Return a page of the assets of a binding.

        Raises:
            Problem: 503 while the role does not answer.
        """
        return await self._ask("assets", ask, _STATE_S, AssetsAnswer)

    async def invoke(self, call: InvokeRequest) -> InvokeAnswer:
        """Return what a model gives.

        Raises:
            Problem: see ``Invoker.invoke``; 503 while the role does not answer.
        """
        return await self._ask("invoke", call, _CALL_S, InvokeAnswer)

    async def inspect(self, question: InspectRequest) -> Inspection:
        """Return what an artifact says of itself.

        Raises:
            Problem: see ``Inspector.inspect``; 503 while the role does not answer.
        """
        return await self._ask("inspect", question, question.limits.start_wall_s + _START_S, Inspection)

    async def want(self) -> None:
        """Let the role run from now on."""
        await asyncio.to_thread(self._want)

    def _name(self, what: str) -> str:
        return self._subjects.service(f"models.{what}")

    async def _ask(self, what: str, question: Any, seconds: float, answer: Any) -> Any:
        await self.want()
        deadline = asyncio.get_running_loop().time() + _START_S
        while True:
            try:
                return await request(self._bus, self._name(what), question, seconds, answer)
            except NobodyServesError:
                if asyncio.get_running_loop().time() > deadline:
                    raise unavailable("the role models does not answer; see `gongfu status`") from None
            await asyncio.sleep(_AGAIN_S)
