"""Request and reply between the roles of a node: JSON both ways, problems included.

The answer is ``{"result": ...}`` or ``{"problem": {...}}``; a problem raised by the handler is raised again at the
caller.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError, NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError

from gongfu.bus.connection import subscribe
from gongfu.kernel.errors import Problem, invalid, unavailable

T = TypeVar("T")

_ASK_FOR_LESS = "the bus takes 16 MiB; ask for less at a time"
_MEMBERS = frozenset({"type", "title", "status", "code", "detail"})

logger = logging.getLogger(__name__)


class NobodyServesError(Problem):
    """Nobody answers on a subject (503): the request was not taken by anybody."""

    def __init__(self, subject: str) -> None:
        problem = unavailable(f"nobody serves {subject}")
        super().__init__(problem.status, problem.code, problem.title, problem.detail)


class _Answer(msgspec.Struct, omit_defaults=True):
    """What travels back."""

    result: msgspec.Raw = msgspec.Raw(b"null")
    problem: dict[str, Any] | None = None


async def serve(
    bus: Client,
    subject: str,
    handler: Callable[[Any], Awaitable[Any]],
    request_type: Any = Any,
    queue: str = "",
    at_once: int = 1,
) -> Subscription:
    """Answer requests on a subject until the returned subscription ends.

    Args:
        bus: an open connection.
        subject: what to answer on.
        handler: takes the decoded request and returns what msgspec can encode; may raise ``Problem``.
        request_type: type the request is decoded to; anything else is answered with problem ``invalid-request``.
        queue: queue group; of all servers in it one gets each request.
        at_once: requests that are handled at the same time; with more than one, further ones get 503.
    """
    decoder = msgspec.json.Decoder(request_type)

    async def answer(message: Msg) -> None:
        try:
            result = await handler(decoder.decode(message.data or b"null"))
            reply = _Answer(result=msgspec.Raw(msgspec.json.encode(result)))
        except msgspec.MsgspecError as error:
            reply = _Answer(problem=invalid(str(error)).document())
        except Problem as problem:
            reply = _Answer(problem=problem.document())
        except Exception:
            logger.exception("request on %s failed", subject)
            reply = _Answer(problem=Problem(500, "internal", "Internal error").document())
        if not message.reply:
            return
        try:
            await bus.publish(message.reply, msgspec.json.encode(reply))
        except MaxPayloadError:
            # Without a word the caller would wait until it gives up.
            reply = _Answer(problem=Problem(413, "too-large", "The answer is too large", _ASK_FOR_LESS).document())
            await bus.publish(message.reply, msgspec.json.encode(reply))

    if at_once == 1:
        return await subscribe(bus, subject, answer, queue)
    running: set[asyncio.Task[None]] = set()

    async def begin(message: Msg) -> None:
        if len(running) >= at_once:
            full = _Answer(problem=unavailable(f"{at_once} requests on {subject} are at work").document())
            await bus.publish(message.reply, msgspec.json.encode(full))
            return
        task = asyncio.create_task(answer(message), name=subject)
        running.add(task)
        task.add_done_callback(running.discard)

    return await subscribe(bus, subject, begin, queue)


@overload
async def request(bus: Client, subject: str, body: Any, timeout: float, response_type: type[T]) -> T: ...  # noqa: ASYNC109
@overload
async def request(bus: Client, subject: str, body: Any, timeout: float = ...) -> Any: ...  # noqa: ASYNC109
async def request(bus: Client, subject: str, body: Any, timeout: float = 5.0, response_type: Any = Any) -> Any:  # noqa: ASYNC109
    """Return the answer to a request, decoded to ``response_type``.

    Args:
        bus: an open connection.
        subject: where it is served.
        body: what msgspec can encode as JSON.
        timeout: seconds to wait.
        response_type: type of the answer.

    Raises:
        Problem: the one the handler raised; 503 ``unavailable`` when nobody answers in time; 413 ``too-large`` when
            request or answer is larger than the bus takes (16 MiB); 502 ``bad-answer`` when the answer is not of the
            type.
    """
    try:
        message = await bus.request(subject, msgspec.json.encode(body), timeout=timeout)
    except NoRespondersError:
        raise NobodyServesError(subject) from None
    except MaxPayloadError:
        raise Problem(413, "too-large", "The request is too large", _ASK_FOR_LESS) from None
    except NatsTimeoutError:
        raise unavailable(f"{subject} did not answer in {timeout:g} s") from None
    except (NatsError, OSError) as error:
        raise unavailable(f"bus: {type(error).__name__}") from error
    return answer_of(message.data, subject, response_type)


def answer_of(data: bytes, subject: str, response_type: Any) -> Any:
    """Return the answer that travelled back from a subject.

    Raises:
        Problem: the one the handler raised; 502 ``bad-answer`` when the answer is not of the type.
    """
    try:
        answer = msgspec.json.decode(data, type=_Answer)
        if answer.problem is None:
            return msgspec.json.decode(answer.result, type=response_type)
    except msgspec.MsgspecError as error:
        raise Problem(502, "bad-answer", "A part of the node answered wrongly", subject) from error
    raise _problem_from(answer.problem)


def _problem_from(document: dict[str, Any]) -> Problem:
    extra = {key: value for key, value in document.items() if key not in _MEMBERS}
    return Problem(
        int(document.get("status", 500)),
        str(document.get("code", "internal")),
        str(document.get("title", "Internal error")),
        str(document.get("detail", "")),
        extra,
    )
