"""Traces, recall lists and timelines of a store, as plain objects for the API and the console.

All methods read and compute; whoever serves others meanwhile calls them in a thread.
"""

from collections.abc import Sequence
from typing import Any

from gongfu.identify.epcis import rows
from gongfu.identify.epcis.facts import Facts
from gongfu.identify.epcis.movements import ExhaustedError, Movements
from gongfu.identify.epcis.recall import recall
from gongfu.identify.epcis.rows import Mention
from gongfu.identify.epcis.store import EventStore
from gongfu.identify.epcis.things import canonical, is_class
from gongfu.identify.epcis.trace import backward, forward
from gongfu.identify.epcis.trace_model import EARLIEST, NOW, Link, Trace
from gongfu.identify.epcis.uris import time_ns, time_text
from gongfu.identify.epcis.whereabouts import Holder, Moment, Whereabouts, holders, timeline, whereabouts

MAX_THINGS = 10_000


class StoredHistory:
    """A store as the index that traces are made on."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    def mentions(self, thing: str, limit: int) -> Sequence[Mention]:
        """Return which events name a thing, up to so many, but for those declared in error."""
        mentions = self._store.mentions(thing, limit)
        return [mention for mention in mentions if not self._store.disregarded(mention.number)]

    def facts(self, number: int) -> Facts:
        """Return what an event says."""
        stored = self._store.event(number)
        if stored is None:
            raise KeyError(number)
        return self._store.facts(stored)

    def transformation(self, identifier: str) -> Sequence[int]:
        """Return the numbers of the events of a transformation."""
        numbers = self._store.grouped(rows.TRANSFORMATION, identifier)
        return [number for number in numbers if not self._store.disregarded(number)]


class Traceability:
    """Answers where things come from, where they went, and where they are."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._history = StoredHistory(store)

    def trace(
        self, thing: str, direction: str = "both", *, at: str = "", limit: int = 1000, depth: int = 32
    ) -> dict[str, Any]:
        """Return the graph of a thing.

        Args:
            thing: EPC URI, Digital Link, lot, or any URI that events name.
            direction: ``backward``, ``forward`` or ``both``.
            at: RFC 3339; backward up to this time, forward from it on; "" for all times.
            limit: of things, up to ``MAX_THINGS``.
            depth: of steps.

        Raises:
            ValueError: a parameter is not one of these.
        """
        if direction not in ("backward", "forward", "both"):
            raise ValueError("direction is backward, forward or both")
        if not 1 <= limit <= MAX_THINGS or not 1 <= depth <= 256:
            raise ValueError(f"limit is 1 to {MAX_THINGS}, depth 1 to 256")
        name, moves = canonical(thing), Movements(self._history)
        moment = time_ns(at) if at else None
        traces = dict[str, Trace]()
        if direction != "forward":
            until = NOW if moment is None else moment
            traces["backward"] = backward(self._history, name, at=until, limit=limit, depth=depth, of=moves)
        if direction != "backward":
            since = EARLIEST if moment is None else moment
            traces["forward"] = forward(self._history, name, since=since, limit=limit, depth=depth, of=moves)
        return {
            "thing": name,
            "known": bool(self._history.mentions(name, 1)),
            **{way: self._graph(trace, moves) for way, trace in traces.items()},
        }

    def _graph(self, trace: Trace, moves: Movements) -> dict[str, Any]:
        return {
            "things": [
                {
                    "thing": thing,
                    "depth": depth,
                    "class": is_class(thing),
                    "carrier": thing in trace.carriers,
                    "events": len(moves.mentions(thing)),
                }
                for thing, depth in trace.things.items()
            ],
            "links": [self._link(link, moves) for link in trace.links],
            "complete": trace.complete,
        }

    def _link(self, link: Link, moves: Movements) -> dict[str, Any]:
        return {
            "from": link.source,
            "to": link.target,
            "kind": link.kind,
            "time": time_text(link.time),
            "eventID": moves.facts(link.number).event_id if link.number else "",
            "depth": link.depth,
        }

    def timeline(self, thing: str, *, limit: int = 1000) -> dict[str, Any]:
        """Return the life of a thing: its events and those of what it was in, where it is, who had it.

        Raises:
            ValueError: limit is out of range.
        """
        if not 1 <= limit <= MAX_THINGS:
            raise ValueError(f"limit is 1 to {MAX_THINGS}")
        name, moves = canonical(thing), Movements(self._history)
        try:
            moments = timeline(moves, name, limit=MAX_THINGS)
            where = whereabouts(moves, name, moments)
        except ExhaustedError:
            raise ValueError("there are too many events of it for a timeline; ask /events by time") from None
        return {
            "thing": name,
            "events": [_moment(moment) for moment in moments[-limit:]],
            "complete": len(moments) <= limit,
            "whereabouts": _where(where),
            "holders": [_holder(holder) for holder in holders(moments)],
        }

    def recall(self, thing: str, *, since: str = "", limit: int = 1000) -> dict[str, Any]:
        """Return what must be called back if a lot or a thing is bad.

        Args:
            thing: lot or instance.
            since: RFC 3339, from when on it is bad; "" for always.
            limit: of things.

        Raises:
            ValueError: a parameter is not one of these.
        """
        if not 1 <= limit <= MAX_THINGS:
            raise ValueError(f"limit is 1 to {MAX_THINGS}")
        listed = recall(self._history, canonical(thing), since=time_ns(since) if since else EARLIEST, limit=limit)
        return {
            "thing": canonical(thing),
            "complete": listed.complete,
            "recalled": [
                {
                    "thing": item.thing,
                    "class": is_class(item.thing),
                    "depth": item.depth,
                    **_where(item.where),
                    "places": [{"place": place, "time": time_text(time)} for place, time in item.places],
                    "holders": [_holder(holder) for holder in item.had],
                }
                for item in listed.recalled
            ],
            "carriers": sorted(listed.trace.carriers),
        }


def _holder(holder: Holder) -> dict[str, Any]:
    return {"since": time_text(holder.since), "who": holder.who, "kind": holder.kind}


def _where(where: Whereabouts) -> dict[str, Any]:
    return {
        "place": where.place,
        "placeTime": time_text(where.time) if where.place else "",
        "bizStep": where.step,
        "disposition": where.disposition,
        "within": list(where.within),
        "status": where.status,
        "lastSeen": time_text(where.last_seen) if where.last_seen else "",
    }


def _moment(moment: Moment) -> dict[str, Any]:
    facts = moment.facts
    return {
        "eventID": facts.event_id,
        "type": facts.kind,
        "action": facts.action,
        "eventTime": facts.event["eventTime"],
        "eventTimeZoneOffset": facts.event["eventTimeZoneOffset"],
        "time": time_text(moment.time),
        "role": moment.role.name.lower(),
        "via": moment.via,
        "bizStep": facts.biz_step,
        "disposition": facts.disposition,
        "readPoint": facts.read_point,
        "bizLocation": facts.biz_location,
        "things": len(facts.things),
    }
