"""Questions of devices that the front door answers itself: session limits, and attributes (ThingsBoard's API)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from gongfu.ingest.mqtt.access import inner_topic
from gongfu.ingest.mqtt.broker.messages import Message
from gongfu.ingest.thingsboard.answers import (
    SessionLimits,
    answer_attributes,
    answer_call,
    answer_gateway,
    gateway_question,
)
from gongfu.ingest.thingsboard.topics import request_number
from gongfu.ingest.types import Writer

if TYPE_CHECKING:
    from gongfu.ingest.mqtt.server.dialogue import Dialogue

# Attributes of the asset of a device, or of one below it.
AttributesOf = Callable[[Writer, str], Awaitable[dict[str, Any]]]

# Questions that wait for the registry; more get the answer that there is nothing.
MAX_QUESTIONS = 256
_INFLIGHT = 100

logger = logging.getLogger(__name__)


class Answerer:
    """Answers questions of devices; use from one event loop.

    Attributes:
        attributes_of: reads attributes, None where there are none to read.
    """

    def __init__(self) -> None:
        self.attributes_of: AttributesOf | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def answer(self, dialogue: "Dialogue", topic: str, payload: bytes) -> None:
        """Answer what a device published to a topic of which ``is_question`` is true."""
        kind, number = request_number(topic)
        if kind == "rpc":
            answer = answer_call(payload, _limits(dialogue))
            if answer is not None:
                _send(dialogue, f"v1/devices/me/rpc/response/{number}", answer)
            return
        question = gateway_question(payload) if kind == "gateway" else None
        if kind == "gateway" and question is None:
            dialogue.context.counters.add("messages_dropped.malformed_question")
            return

        def reply(attributes: dict[str, Any]) -> None:
            if question is None:
                _send(dialogue, f"v1/devices/me/attributes/response/{number}", answer_attributes(payload, attributes))
            else:
                _send(dialogue, "v1/gateway/attributes/response", answer_gateway(question, attributes))

        if self.attributes_of is None or len(self._tasks) >= MAX_QUESTIONS:
            dialogue.context.counters.add("questions_shed")
            reply({})
            return
        child = "" if question is None else question.device
        task = asyncio.create_task(self._ask(self.attributes_of(dialogue.writer, child), reply))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @staticmethod
    async def _ask(asked: Awaitable[dict[str, Any]], reply: Callable[[dict[str, Any]], None]) -> None:
        try:
            reply(await asked)
        except Exception:
            # The client asks again when it has had no answer for a while.
            logger.exception("a question of a device was not answered")


def _send(dialogue: "Dialogue", topic: str, payload: bytes) -> None:
    session = dialogue.session
    if session is not None:
        message = Message(inner_topic(session.prefix, topic), payload, 1, False)
        dialogue.context.broker.router.publish(session.tenant, message, None)


def _limits(dialogue: "Dialogue") -> SessionLimits:
    account = dialogue.connection.account
    payload = dialogue.context.limits.max_payload
    if account is None:
        return SessionLimits(payload, _INFLIGHT)
    quota = account.limiter.quota
    return SessionLimits(payload, _INFLIGHT, quota.messages, quota.points, quota.burst_s)
