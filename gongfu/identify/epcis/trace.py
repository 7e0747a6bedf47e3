"""Backward and forward trace through aggregation, association, transformation and lots. Pure.

Backward from a thing: what it was made of, what was in it, the lot it is of, and so on from each of these, only by
events up to the time that counts. Forward: what was made of it, what it was put into (a carrier: what else is in it is
not meant, but what is made of the carrier while it holds the thing is), and the instances of a lot. A loop ends
because no thing is looked at twice for the same time.
"""

from collections import deque
from typing import NamedTuple

from gongfu.identify.epcis.movements import ExhaustedError, Movements
from gongfu.identify.epcis.rows import Role
from gongfu.identify.epcis.things import DOMAIN, is_class
from gongfu.identify.epcis.trace_model import EARLIEST, LATEST, NOW, History, Link, Trace


class _Visit(NamedTuple):
    thing: str
    since: int
    until: int
    carrier: bool


class _Walk:
    """One trace in the making."""

    def __init__(self, thing: str, visit: _Visit, limit: int) -> None:
        self.depths = {thing: 0}
        self.links: dict[tuple[str, str, str, int], Link] = {}
        self.carried = set[str]()
        self.meant = {thing}
        self.complete = True
        self._limit = limit
        self._seen = {visit}
        self._waiting = deque([(visit, 0)])

    def step(self, link: Link, visit: _Visit) -> None:
        """Take a link, and go on from its other end if that was not done."""
        thing = visit.thing
        if thing not in self.depths and len(self.depths) >= self._limit:
            self.complete = False
            return
        if len(self.links) >= 4 * self._limit:
            self.complete = False
            return
        self.links.setdefault((link.source, link.target, link.kind, link.number), link)
        self.depths.setdefault(thing, link.depth)
        (self.carried if visit.carrier else self.meant).add(thing)
        if visit not in self._seen and len(self._seen) < 8 * self._limit:
            self._seen.add(visit)
            self._waiting.append((visit, link.depth))

    def passes_over(self, visit: _Visit, steps: int, depth: int) -> bool:
        """Tell whether nothing goes on from a thing: it is too far away, or a class that connects nothing."""
        if steps >= depth:
            self.complete = False
            return True
        return steps > 0 and _unspecific(visit.thing)

    def next(self) -> tuple[_Visit, int] | None:
        """Return what is looked at next, nearest first."""
        return self._waiting.popleft() if self._waiting else None

    def trace(self) -> Trace:
        """Return what was found."""
        carriers = frozenset(self.carried - self.meant)
        return Trace(self.depths, tuple(self.links.values()), carriers, self.complete)


def _unspecific(thing: str) -> bool:
    """Tell whether a class is all there ever was of a trade item: it connects nothing with nothing."""
    return thing.startswith(DOMAIN) and is_class(thing) and "/10/" not in thing


def backward(
    history: History, thing: str, *, at: int = NOW, limit: int = 10_000, depth: int = 64, of: Movements | None = None
) -> Trace:
    """Return where a thing comes from.

    Args:
        history: events by what they name.
        thing: canonical identifier of an instance or a lot.
        at: time that counts, nanoseconds; later events are not looked at.
        limit: of things.
        depth: of steps.
        of: what was read of the history before.
    """
    moves = of or Movements(history)
    start = _Visit(thing, EARLIEST, at, False)
    walk = _Walk(thing, start, limit)
    while (waiting := walk.next()) is not None:
        visit, steps = waiting
        if walk.passes_over(visit, steps, depth):
            continue
        try:
            _backward_step(walk, moves, visit, steps)
        except ExhaustedError:
            walk.complete = False
            break
    return walk.trace()


def _backward_step(walk: _Walk, moves: Movements, visit: _Visit, steps: int) -> None:
    here, until = visit.thing, visit.until
    for time, change in moves.changes(here, Role.OUTPUT):
        if time > until:
            continue
        for source, taken in change.inputs:
            link = Link(source, here, "transformation", taken, change.numbers[0], steps + 1)
            walk.step(link, _Visit(source, EARLIEST, taken, False))
    for stay in moves.held_at(here, until):
        link = Link(stay.child, here, stay.kind, stay.since, stay.number, steps + 1)
        walk.step(link, _Visit(stay.child, EARLIEST, until, False))
    for lot, mention in moves.lots(here):
        link = Link(lot, here, "lot", mention.time, mention.number, steps + 1)
        walk.step(link, _Visit(lot, EARLIEST, until, False))


def forward(
    history: History,
    thing: str,
    *,
    since: int = EARLIEST,
    limit: int = 10_000,
    depth: int = 64,
    of: Movements | None = None,
) -> Trace:
    """Return where a thing went and what became of it.

    Args:
        history: events by what they name.
        thing: canonical identifier of an instance or a lot.
        since: time that counts, nanoseconds; earlier events are not looked at.
        limit: of things.
        depth: of steps.
        of: what was read of the history before.
    """
    moves = of or Movements(history)
    start = _Visit(thing, since, LATEST, False)
    walk = _Walk(thing, start, limit)
    while (waiting := walk.next()) is not None:
        visit, steps = waiting
        if walk.passes_over(visit, steps, depth):
            continue
        try:
            _forward_step(walk, moves, visit, steps)
        except ExhaustedError:
            walk.complete = False
            break
    return walk.trace()


def _forward_step(walk: _Walk, moves: Movements, visit: _Visit, steps: int) -> None:
    here = visit.thing
    for time, change in moves.changes(here, Role.INPUT):
        if not visit.since <= time < visit.until:
            continue
        for target, given in change.outputs:
            link = Link(here, target, "transformation", time, change.numbers[0], steps + 1)
            walk.step(link, _Visit(target, given, LATEST, False))
    for stay in moves.stays(here):
        begin, end = max(stay.since, visit.since), min(stay.until, visit.until)
        if begin < end:
            link = Link(here, stay.parent, stay.kind, stay.since, stay.number, steps + 1)
            walk.step(link, _Visit(stay.parent, begin, end, True))
    if not visit.carrier:
        for member, mention in moves.members(here):
            link = Link(here, member, "lot", mention.time, mention.number, steps + 1)
            walk.step(link, _Visit(member, visit.since, LATEST, False))
