"""Recall: everything that a lot (or a thing) went into, where each of it is, and who had it. Pure."""

from typing import NamedTuple

from gongfu.identify.epcis.movements import ExhaustedError, Movements
from gongfu.identify.epcis.things import is_class
from gongfu.identify.epcis.trace import forward
from gongfu.identify.epcis.trace_model import EARLIEST, History, Trace
from gongfu.identify.epcis.whereabouts import Holder, Whereabouts, holders, timeline, whereabouts


class Recalled(NamedTuple):
    """One thing to be called back.

    Attributes:
        thing: instance, or a lot where no instances of it are known.
        depth: steps from the thing that is recalled.
        where: where it is.
        places: of a lot: all places where some of it was seen, with the last time, newest first.
        had: who had or owned it.
    """

    thing: str
    depth: int
    where: Whereabouts
    places: tuple[tuple[str, int], ...]
    had: tuple[Holder, ...]


class RecallList(NamedTuple):
    """The whole of it.

    Attributes:
        recalled: nearest first.
        trace: by which they were found.
        complete: False where a limit was reached.
    """

    recalled: tuple[Recalled, ...]
    trace: Trace
    complete: bool


def recall(history: History, thing: str, *, since: int = EARLIEST, limit: int = 10_000) -> RecallList:
    """Return what must be called back if a lot or a thing is bad.

    Args:
        history: events by what they name.
        thing: canonical identifier.
        since: from when on it is bad, nanoseconds.
        limit: of things.
    """
    moves = Movements(history)
    trace = forward(history, thing, since=since, limit=limit, of=moves)
    found = list[Recalled]()
    for name, depth in sorted(trace.things.items(), key=lambda item: (item[1], item[0])):
        if name in trace.carriers:
            continue
        try:
            moments = timeline(moves, name, limit=2000)
            where = whereabouts(moves, name, moments)
        except ExhaustedError:
            return RecallList(tuple(found), trace, False)
        places: dict[str, int] = {}
        if is_class(name):
            for moment in moments:
                place = moment.facts.biz_location or moment.facts.read_point
                if place:
                    places[place] = moment.time
        newest_first = tuple(sorted(places.items(), key=lambda item: -item[1]))
        found.append(Recalled(name, depth, where, newest_first, tuple(holders(moments))))
    return RecallList(tuple(found), trace, trace.complete)
