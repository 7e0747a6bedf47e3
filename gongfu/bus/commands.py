"""Commands: what one role of a node asks of another on behalf of a user, such as the API of the role that has the
data. One request on the bus for each; problems travel back."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar, overload

import msgspec
from nats.aio.client import Client
from nats.aio.subscription import Subscription

from gongfu.bus.requests import NobodyServesError, request, serve
from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Role, Subject

ANSWER_S = 15.0
# A role that is being started is waited for.
START_S = 5.0
_RETRY_S = 0.1

T = TypeVar("T")


class Command(msgspec.Struct, frozen=True):
    """A request that a role answers on the bus, and the API forwards (``Asked`` → ``answer``).

    Attributes:
        name: such as ``order-issue``; served as ``<role>.<name>``.
        request: msgspec type of ``Asked.body``.
        answer: on the event loop; may raise ``Problem``.
    """

    name: str
    request: Any
    answer: Callable[[Subject, Any], Awaitable[Any]]


class Asked(msgspec.Struct, frozen=True):
    """How a command travels from the web role: who asks, and the request of the command's type."""

    user: int
    name: str
    tenant: int
    role: str
    body: msgspec.Raw = msgspec.Raw(b"null")


class Ask(Protocol):
    """Asks a role of this node.

    Args of a call: who asks; the command, such as ``order-issue``; the request, an instance of the command's type or
    what encodes to one (None for null); the type of the answer.

    Raises:
        Problem: the one the command raised; 503 when the role does not answer; others as the maker of it says.
    """

    @overload
    async def __call__(self, subject: Subject, command: str, body: Any, response_type: type[T]) -> T: ...
    @overload
    async def __call__(self, subject: Subject, command: str, body: Any = None, response_type: Any = Any) -> Any: ...
    async def __call__(self, subject: Subject, command: str, body: Any = None, response_type: Any = Any) -> Any:
        """Return the answer."""
        ...


def asked_by(subject: Subject, body: Any) -> Asked:
    """Return the command of a user as it travels."""
    return Asked(subject.user, subject.name, subject.tenant, subject.role.value, msgspec.Raw(msgspec.json.encode(body)))


def subject_of(asked: Asked) -> Subject:
    """Return who asks."""
    return Subject(asked.user, asked.name, asked.tenant, Role(asked.role))


async def serve_command(bus: Client, address: str, command: Command, *, at_once: int) -> Subscription:
    """Answer a command until the returned subscription ends.

    Args:
        bus: an open connection.
        address: subject on the bus.
        command: what is answered.
        at_once: requests that are handled at the same time.
    """
    decoder = msgspec.json.Decoder(command.request) if command.request is not None else None

    async def answer(asked: Asked) -> Any:
        try:
            body = decoder.decode(asked.body) if decoder is not None else None
        except msgspec.MsgspecError as error:
            raise invalid(str(error)) from None
        return await command.answer(subject_of(asked), body)

    return await serve(bus, address, answer, Asked, at_once=at_once)


def open_ask(
    bus: Client,
    address: Callable[[str], str],
    check: Callable[[Subject], None],
    patience: Mapping[str, float] | None = None,
) -> Ask:
    """Return what asks a role.

    Args:
        bus: an open connection.
        address: subject on the bus of a command.
        check: asked before every request, so it must be quick; raises a ``Problem`` for what must not be asked.
        patience: seconds to wait for the answer to commands that take their time; ``ANSWER_S`` for all others.
    """

    async def ask(subject: Subject, command: str, body: Any = None, response_type: Any = Any) -> Any:
        check(subject)
        asked, name = asked_by(subject, body), address(command)
        seconds = (patience or {}).get(command, ANSWER_S)
        return await while_starting(lambda: request(bus, name, asked, seconds, response_type), START_S)

    return ask


async def while_starting(once: Callable[[], Awaitable[T]], seconds: float) -> T:
    """Return what a request returns, which is made again for some seconds while nobody serves it.

    Raises:
        Problem: the request's; 503 when nobody serves it even then.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            return await once()
        except NobodyServesError:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(_RETRY_S)
