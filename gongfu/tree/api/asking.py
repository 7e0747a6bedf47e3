"""How a route asks the tree role: one request on the bus for each command; problems travel back."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, overload

import msgspec
from nats.aio.client import Client

from gongfu.bus.requests import NobodyServesError, request
from gongfu.kernel.errors import Problem, forbidden
from gongfu.kernel.permissions import NODE_TENANT, Subject
from gongfu.kernel.subjects import Subjects
from gongfu.tree.host.section import Asked

ANSWER_S = 15.0
# A role that is being started is waited for.
START_S = 5.0
_RETRY_S = 0.1

T = TypeVar("T")


class Ask(Protocol):
    """Asks the tree role of this node.

    Args of a call: who asks; the command, such as ``order-issue``; the request, an instance of the command's type or
    what encodes to one (None for null); the type of the answer.

    Raises:
        Problem: the one the command raised; 403 for users of other tenants; 409 ``not-in-a-tree``; 503 when the role
            does not answer.
    """

    @overload
    async def __call__(self, subject: Subject, command: str, body: Any, response_type: type[T]) -> T: ...
    @overload
    async def __call__(self, subject: Subject, command: str, body: Any = None, response_type: Any = Any) -> Any: ...
    async def __call__(self, subject: Subject, command: str, body: Any = None, response_type: Any = Any) -> Any:
        """Return the answer."""
        ...


def not_in_a_tree() -> Problem:
    """Return the problem of a node that is not in a tree."""
    return Problem(409, "not-in-a-tree", "This node is not in a tree", "found a tree or join one first")


def open_ask(bus: Client, subjects: Subjects, enrolled: Callable[[], bool]) -> Ask:
    """Return what asks the tree role.

    Args:
        bus: an open connection.
        subjects: of the node.
        enrolled: whether the node has an identity in a tree; asked before every request, so it must be quick.
    """

    async def ask(subject: Subject, command: str, body: Any = None, response_type: Any = Any) -> Any:
        if subject.tenant != NODE_TENANT:
            raise forbidden("the tree is the matter of the node, not of its tenants")
        if not enrolled():
            raise not_in_a_tree()
        asked = Asked(
            subject.user, subject.name, subject.tenant, subject.role.value, msgspec.Raw(msgspec.json.encode(body))
        )
        subject_name = subjects.service(f"tree.{command}")
        deadline = asyncio.get_running_loop().time() + START_S
        while True:
            try:
                return await request(bus, subject_name, asked, ANSWER_S, response_type)
            except NobodyServesError:
                # The role is being started.
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(_RETRY_S)

    return ask
