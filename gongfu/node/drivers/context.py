"""What drivers and probes work with, and in whose name they write."""

from collections.abc import Callable
from dataclasses import dataclass

from nats.aio.client import Client
from sqlalchemy import Engine

from gongfu.kernel.permissions import NODE_TENANT, Role, Subject
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import Clock
from gongfu.node.runtime import Runtime

# Called on any thread with the kind and the document of an event; must not block (``EventPublisher.publish``).
Publish = Callable[[str, object], None]


@dataclass(frozen=True, slots=True)
class DriverContext:
    """The parts of the node that drivers and probes reach.

    Attributes:
        engine: migrated records.
        bus: an open connection.
        runtime: addresses and settings.
        subjects: names on the bus.
        clock: this node's own time.
        publish: announces changes to the other roles.
    """

    engine: Engine
    bus: Client
    runtime: Runtime
    subjects: Subjects
    clock: Clock
    publish: Publish


def acting_for(order: str, tenant: int = NODE_TENANT) -> Subject:
    """Return the subject in whose name a driver writes: the audit of the registry then tells the order."""
    return Subject(0, f"order/{order}", tenant, Role.ADMIN)
