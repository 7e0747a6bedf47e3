"""How a route asks the tree role: one request on the bus for each command; problems travel back."""

from collections.abc import Callable

from nats.aio.client import Client

from gongfu.bus import commands
from gongfu.bus.commands import Ask
from gongfu.kernel.errors import Problem, forbidden
from gongfu.kernel.permissions import NODE_TENANT, Subject
from gongfu.kernel.subjects import Subjects


def not_in_a_tree() -> Problem:
    """Return the problem of a node that is not in a tree."""
    return Problem(409, "not-in-a-tree", "This node is not in a tree", "found a tree or join one first")


def open_ask(bus: Client, subjects: Subjects, enrolled: Callable[[], bool]) -> Ask:
    """Return what asks the tree role; besides the problems of the commands it raises 403 for users of other tenants
    and 409 ``not-in-a-tree``.

    Args:
        bus: an open connection.
        subjects: of the node.
        enrolled: whether the node has an identity in a tree; asked before every request, so it must be quick.
    """

    def check(subject: Subject) -> None:
        if subject.tenant != NODE_TENANT:
            raise forbidden("the tree is the matter of the node, not of its tenants")
        if not enrolled():
            raise not_in_a_tree()

    return commands.open_ask(bus, lambda command: subjects.service(f"tree.{command}"), check)
