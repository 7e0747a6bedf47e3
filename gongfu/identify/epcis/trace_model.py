"""What a trace is made of. Pure."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gongfu.identify.epcis.facts import Facts
from gongfu.identify.epcis.rows import Mention

# Before and after all times.
EARLIEST = -(1 << 62)
LATEST = 1 << 62
NOW = LATEST - 1


class History(Protocol):
    """The index that traces are made on."""

    def mentions(self, thing: str, limit: int) -> Sequence[Mention]:
        """Return which events name a thing, up to so many; those declared in error are not among them."""
        ...

    def facts(self, number: int) -> Facts:
        """Return what an event says."""
        ...

    def transformation(self, identifier: str) -> Sequence[int]:
        """Return the numbers of the events of a transformation that is told in several."""
        ...


class Stay(NamedTuple):
    """That a thing was in (or on, or part of) another for a time.

    Attributes:
        child, parent: things.
        since: when it was put in, nanoseconds.
        until: when it was taken out; ``LATEST`` if it was not.
        number: of the event that says so.
        kind: ``aggregation`` or ``association``.
    """

    child: str
    parent: str
    since: int
    until: int
    number: int
    kind: str


class Change(NamedTuple):
    """That things were made of others.

    Attributes:
        inputs, outputs: things with the time of the event that names them.
        numbers: of the events that say so.
    """

    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]
    numbers: tuple[int, ...]


class Link(NamedTuple):
    """A step of a trace.

    Attributes:
        source: earlier thing: input, content, or lot.
        target: later thing: output, container, or instance of the lot.
        kind: ``transformation``, ``aggregation``, ``association`` or ``lot``.
        time: of the event, nanoseconds.
        number: of the event; 0 for a lot that an identifier itself says.
        depth: steps from the thing that was asked for.
    """

    source: str
    target: str
    kind: str
    time: int
    number: int
    depth: int


class Trace(NamedTuple):
    """Where a thing comes from, or went.

    Attributes:
        things: reached, with the steps to each; the one that was asked for has 0.
        links: steps, in the order in which they were found.
        carriers: those of the things that only held others: what else was in them is not meant.
        complete: False where the limit of things or steps was reached.
    """

    things: dict[str, int]
    links: tuple[Link, ...]
    carriers: frozenset[str]
    complete: bool
