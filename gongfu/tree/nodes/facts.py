"""What the process knows of its node, and the section of nodes tells."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What the process knows of this node.

    Attributes:
        version: of the software.
        console: http address of its console, or empty.
        join_address: where children join, ``host:port``; empty when they cannot.
        leaf_address: where leaves of children connect, ``host:port``.
        hosts: names and addresses in the certificate of those ports.
        health: returns ``ok`` or ``degraded``.
    """

    version: str
    console: str = ""
    join_address: str = ""
    leaf_address: str = ""
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost")
    health: Callable[[], str] = lambda: "ok"
