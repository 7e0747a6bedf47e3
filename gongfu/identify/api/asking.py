"""How a route asks the identifier role: one request on the bus for each command; problems travel back."""

from collections.abc import Callable

from nats.aio.client import Client

from gongfu.bus import commands
from gongfu.bus.commands import Ask
from gongfu.kernel.errors import Problem, forbidden
from gongfu.kernel.permissions import NODE_TENANT, Subject
from gongfu.kernel.subjects import Subjects

# What reads through all records of a prefix, or asks other nodes one after the other.
_PATIENCE = {"sign-batch": 3600.0, "range-define": 300.0, "range-remove": 300.0, "resolve": 60.0, "trace": 60.0}


def no_identifiers() -> Problem:
    """Return the problem of a node without an identifier service."""
    return Problem(
        409, "no-identifiers", "No identifier service", "this node has none; set it up: gongfu id init --prefix …"
    )


def open_check(present: Callable[[], bool]) -> Callable[[Subject], None]:
    """Return what is asked before every request: 403 for users of other tenants, 409 ``no-identifiers``.

    Args:
        present: whether the service was set up; it must be quick.
    """

    def check(subject: Subject) -> None:
        if subject.tenant != NODE_TENANT:
            raise forbidden("identifiers are the matter of the node, not of its tenants")
        if not present():
            raise no_identifiers()

    return check


def open_ask(bus: Client, subjects: Subjects, present: Callable[[], bool]) -> Ask:
    """Return what asks the identifier role; besides the problems of the commands it raises those of ``open_check``."""
    check = open_check(present)
    return commands.open_ask(bus, lambda command: subjects.service(f"identify.{command}"), check, _PATIENCE)
