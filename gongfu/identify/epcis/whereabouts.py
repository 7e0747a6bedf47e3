"""Where a thing was and is, and who had it: its own events and those of what it was in meanwhile. Pure."""

from typing import NamedTuple

from gongfu.identify.epcis.facts import Facts
from gongfu.identify.epcis.movements import Movements
from gongfu.identify.epcis.rows import Role
from gongfu.identify.epcis.trace_model import EARLIEST, LATEST
from gongfu.identify.epcis.vocabulary import CBV

_OWNING = CBV + "SDT-owning_party"
_POSSESSING = CBV + "SDT-possessing_party"
# So many containers within each other are followed.
_MAX_CARRIERS = 64
_ENDED = {CBV + "BizStep-destroying": "destroyed", CBV + "BizStep-decommissioning": "decommissioned"}


class Moment(NamedTuple):
    """An event in the life of a thing.

    Attributes:
        time: nanoseconds.
        number: of the event.
        role: what the event says of the thing, or of what it was in.
        via: what the thing was in, by which the event concerns it; "" where the event names it.
        facts: what the event says.
    """

    time: int
    number: int
    role: Role
    via: str
    facts: Facts


class Holder(NamedTuple):
    """Who had or owned a thing from a time on."""

    since: int
    who: str
    kind: str
    number: int


class Whereabouts(NamedTuple):
    """Where a thing is, as far as events say.

    Attributes:
        place: business location, or else read point, of the newest event that names one; "" if none does.
        time: of that event.
        step, disposition: newest ones.
        within: what it is in now, outermost last.
        status: ``present``, ``consumed`` (made into something), ``destroyed`` or ``decommissioned``; ``unknown``
            without events.
        last_seen: time of the newest event.
    """

    place: str
    time: int
    step: str
    disposition: str
    within: tuple[str, ...]
    status: str
    last_seen: int


def timeline(moves: Movements, thing: str, *, limit: int = 10_000) -> list[Moment]:
    """Return the events that concern a thing, by time."""
    found: dict[int, Moment] = {}
    waiting = [(thing, EARLIEST, LATEST, "")]
    seen = set(waiting)
    while waiting:
        here, since, until, via = waiting.pop(0)
        for mention in moves.mentions(here):
            if mention.role in (Role.LOT_OF, Role.OF_LOT) or not since <= mention.time <= until:
                continue
            if len(found) >= limit:
                return sorted(found.values())[:limit]
            if mention.number not in found:
                facts = moves.facts(mention.number)
                found[mention.number] = Moment(mention.time, mention.number, mention.role, via, facts)
        for stay in moves.stays(here):
            begin, end = max(stay.since, since), min(stay.until, until)
            visit = (stay.parent, begin, end, stay.parent)
            if begin < end and visit not in seen and len(seen) < 8 * _MAX_CARRIERS:
                seen.add(visit)
                waiting.append(visit)
    return sorted(found.values(), key=lambda moment: moment[:3])


def holders(moments: list[Moment]) -> list[Holder]:
    """Return who had and owned a thing, by time; the same one twice in a row is told once."""
    found = list[Holder]()
    latest: dict[str, str] = {}
    for moment in moments:
        given = {party.kind: party.who for party in moment.facts.parties("sourceList")}
        taken = {party.kind: party.who for party in moment.facts.parties("destinationList")}
        for kind, name in ((_POSSESSING, "possessing"), (_OWNING, "owning")):
            # Before it is handed over it is with who gives it.
            for who in (given.get(kind), taken.get(kind)):
                if who and latest.get(kind) != who:
                    latest[kind] = who
                    found.append(Holder(moment.time, who, name, moment.number))
    return found


def containers(moves: Movements, thing: str) -> tuple[str, ...]:
    """Return what a thing is in now, outermost last."""
    chain = list[str]()
    here = thing
    while len(chain) < _MAX_CARRIERS:
        now = [stay for stay in moves.stays(here) if stay.until == LATEST]
        if not now or now[-1].parent in chain or now[-1].parent == thing:
            break
        here = now[-1].parent
        chain.append(here)
    return tuple(chain)


def whereabouts(moves: Movements, thing: str, moments: list[Moment] | None = None) -> Whereabouts:
    """Return where a thing is."""
    moments = timeline(moves, thing) if moments is None else moments
    if not moments:
        return Whereabouts("", 0, "", "", (), "unknown", 0)
    place, time, step, disposition, status = "", 0, "", "", "present"
    for moment in moments:
        facts = moment.facts
        if facts.biz_location or facts.read_point:
            place, time = facts.biz_location or facts.read_point, moment.time
        step, disposition = facts.biz_step or step, facts.disposition or disposition
        if moment.role is Role.INPUT:
            status = "consumed"
        elif facts.kind == "ObjectEvent" and facts.action == "DELETE":
            status = _ENDED.get(facts.biz_step, "decommissioned")
        elif moment.role is Role.OUTPUT or (facts.kind == "ObjectEvent" and facts.action == "ADD"):
            status = "present"
    return Whereabouts(place, time, step, disposition, containers(moves, thing), status, moments[-1].time)
