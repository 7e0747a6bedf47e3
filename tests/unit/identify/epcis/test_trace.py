"""Traces: the cases that an expert asks for, and random worlds against a slow reference."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.identify.epcis.facts import Facts
from gongfu.identify.epcis.movements import Movements
from gongfu.identify.epcis.recall import recall
from gongfu.identify.epcis.rows import THING, Mention, mention_keys, mention_of, thing_of
from gongfu.identify.epcis.trace import backward, forward
from gongfu.identify.epcis.trace_model import EARLIEST, LATEST, NOW, Trace
from gongfu.identify.epcis.uris import Namespaces, time_ns
from gongfu.identify.epcis.whereabouts import holders, timeline, whereabouts
from tests.unit.identify.epcis.made import at, case, event, item, lot, made_into, observed, packed

NAMESPACES = Namespaces().within({"example": "https://ns.example.com/epcis/"})


class Remembered:
    """Events as the index that traces are made on, in memory."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self._facts = [Facts(event, NAMESPACES) for event in events]
        self._mentions: dict[str, list[Mention]] = {}
        for number, facts in enumerate(self._facts):
            for key in mention_keys(facts, number):
                if key.startswith(THING):
                    self._mentions.setdefault(thing_of(key), []).append(mention_of(key))

    def mentions(self, thing: str, limit: int) -> Sequence[Mention]:
        return self._mentions.get(thing, [])[:limit]

    def facts(self, number: int) -> Facts:
        return self._facts[number]

    def transformation(self, identifier: str) -> Sequence[int]:
        return [number for number, facts in enumerate(self._facts) if facts.transformation == identifier]


def time(second: int) -> int:
    return time_ns(at(second))


def links(trace: Trace) -> set[tuple[str, str, str]]:
    return {(link.source, link.target, link.kind) for link in trace.links}


def test_backward_through_packing_and_making() -> None:
    world = Remembered(
        made_into(1, [lot("flour"), lot("salt")], [item(1), item(2)]),
        packed(2, case(1), item(1), item(2)),
        packed(3, case(2), case(1)),
        packed(4, case(1), item(2), action="DELETE"),
    )
    trace = backward(world, case(2))
    assert set(trace.things) == {case(2), case(1), item(1), lot("flour"), lot("salt")}
    assert trace.things[lot("flour")] == 3
    assert links(backward(world, case(2), at=time(3))) == links(trace) | {
        (item(2), case(1), "aggregation"),
        (lot("flour"), item(2), "transformation"),
        (lot("salt"), item(2), "transformation"),
    }


def test_a_pallet_that_is_used_again_connects_nothing() -> None:
    world = Remembered(
        packed(1, case(1), item(1)),
        packed(2, case(1), action="DELETE"),
        packed(3, case(1), item(2)),
        made_into(4, [case(1)], [item(9)]),
    )
    assert set(backward(world, item(9)).things) == {item(9), case(1), item(2)}
    assert item(9) not in forward(world, item(1)).things
    assert forward(world, item(2)).things == {item(2): 0, case(1): 1, item(9): 2}
    assert forward(world, item(2)).carriers == {case(1)}


def test_events_may_come_in_any_order() -> None:
    events = [
        packed(3, case(1), item(1), action="DELETE"),
        made_into(4, [item(1)], [item(5)]),
        packed(1, case(1), item(1), item(2)),
    ]
    for world in (Remembered(*events), Remembered(*reversed(events))):
        assert set(forward(world, item(1)).things) == {item(1), case(1), item(5)}
        assert set(backward(world, case(1)).things) == {case(1), item(2)}


def test_the_zone_of_a_time_counts() -> None:
    late = packed(0, case(1), item(1), action="DELETE") | {"eventTime": "2026-03-01T09:00:01+09:00"}
    world = Remembered(late, packed(2, case(1), item(1)))
    # 09:00:01 in Tokyo is a second after midnight UTC, before the packing.
    assert set(backward(world, case(1)).things) == {case(1), item(1)}


def test_transformations_told_in_several_events() -> None:
    one = {"transformationID": "urn:uuid:t"}
    world = Remembered(
        made_into(5, [], [item(9)], **one),
        made_into(1, [lot("a")], [], **one),
        made_into(3, [item(3)], [], **one),
        made_into(2, [item(7)], [item(8)]),
    )
    assert set(backward(world, item(9)).things) == {item(9), lot("a"), item(3)}
    assert set(forward(world, lot("a")).things) == {lot("a"), item(9)}


def test_loops_end() -> None:
    world = Remembered(
        packed(1, item(1), item(2)),
        packed(2, item(2), item(1)),
        made_into(3, [item(1)], [item(2)]),
        made_into(4, [item(2)], [item(1)]),
        made_into(5, [item(1)], [item(1)]),
    )
    for thing in (item(1), item(2)):
        assert set(backward(world, thing).things) == {item(1), item(2)}
        assert set(forward(world, thing).things) == {item(1), item(2)}
        assert whereabouts(Movements(world), thing).within in ((item(1),), (item(2),))


def test_lots_and_instances_mix() -> None:
    world = Remembered(
        made_into(1, [item("ore")], [lot("L")]),
        observed(2, item(1), action="ADD", ilmd={"cbvmda:lotNumber": "L"}),
        observed(2, "https://shop.example/01/04012345111118/10/L/21/2"),
        made_into(3, [lot("L")], [item("mixed")]),
    )
    assert set(forward(world, item("ore")).things) == {item("ore"), lot("L"), item(1), item(2), item("mixed")}
    assert links(backward(world, item(2))) == {
        (lot("L"), item(2), "lot"),
        (item("ore"), lot("L"), "transformation"),
    }


def test_a_kind_of_thing_connects_nothing() -> None:
    kind = {"epcClass": "urn:epc:idpat:sgtin:4012345.011111.*", "quantity": 1}
    first = event("TransformationEvent", 1, inputEPCList=[item(1)], outputQuantityList=[kind])
    second = event("TransformationEvent", 2, inputQuantityList=[kind], outputEPCList=[case(9)])
    world = Remembered(first, second)
    assert set(backward(world, case(9)).things) == {case(9), "https://id.gs1.org/01/04012345111118"}


def test_amounts_of_a_lot_leave_a_container() -> None:
    def moved(second: int, amount: float | None, action: str) -> dict[str, Any]:
        quantity = {"epcClass": lot("L")} | ({} if amount is None else {"quantity": amount})
        return event("AggregationEvent", second, parentID=case(1), action=action, childQuantityList=[quantity])

    world = Remembered(moved(1, 10, "ADD"), moved(2, 4, "DELETE"), moved(3, 6, "DELETE"), moved(4, 1, "ADD"))
    moves = Movements(world)
    assert [bool(moves.held_at(case(1), time(second))) for second in range(5)] == [False, True, True, False, True]
    assert not Movements(Remembered(moved(1, 10, "ADD"), moved(2, None, "DELETE"))).held_at(case(1), NOW)


def test_where_things_are_and_who_had_them() -> None:
    def handed(second: int, thing: str, giver: int, taker: int, place: int) -> dict[str, Any]:
        return observed(
            second,
            thing,
            bizStep="shipping",
            bizLocation={"id": f"https://example.com/place/{place}"},
            sourceList=[{"type": "possessing_party", "source": f"https://example.com/party/{giver}"}],
            destinationList=[{"type": "possessing_party", "destination": f"https://example.com/party/{taker}"}],
        )

    world = Remembered(
        observed(1, item(1), action="ADD", bizStep="commissioning", readPoint={"id": "https://example.com/place/0"}),
        packed(2, case(1), item(1), item(2)),
        handed(3, case(1), 1, 2, 3),
        packed(4, case(1), item(1), action="DELETE"),
        handed(5, case(1), 2, 3, 4),
        packed(6, case(2), case(1)),
        handed(7, case(2), 3, 4, 5),
    )
    moves = Movements(world)
    assert whereabouts(moves, item(1)).place == "https://example.com/place/3"
    assert whereabouts(moves, item(1)).within == ()
    inside = whereabouts(moves, item(2))
    assert (inside.place, inside.within, inside.status) == (
        "https://example.com/place/5",
        (case(1), case(2)),
        "present",
    )
    assert [holder.who[-1] for holder in holders(timeline(moves, item(2)))] == ["1", "2", "3", "4"]
    listed = recall(world, item(1))
    assert [(one.thing, one.where.place) for one in listed.recalled] == [(item(1), "https://example.com/place/3")]
    assert whereabouts(moves, "https://example.com/nothing").status == "unknown"


def test_a_recall_list_names_what_became_of_a_lot() -> None:
    world = Remembered(
        made_into(1, [lot("bad")], [item(1), item(2)], bizLocation={"id": "https://example.com/plant"}),
        packed(2, case(1), item(1), item(3)),
        observed(3, case(1), bizLocation={"id": "https://example.com/shop"}),
        made_into(4, [item(2)], [item(5)]),
        observed(5, item(5), action="DELETE", bizStep="destroying"),
        observed(6, bizLocation={"id": "https://example.com/store"}, quantityList=[{"epcClass": lot("bad")}]),
    )
    listed = recall(world, lot("bad"))
    found = {one.thing: one for one in listed.recalled}
    assert set(found) == {lot("bad"), item(1), item(2), item(5)}
    assert listed.trace.carriers == {case(1)}
    assert found[item(1)].where.place == "https://example.com/shop"
    assert found[item(1)].where.within == (case(1),)
    assert found[item(2)].where.status == "consumed"
    assert found[item(5)].where.status == "destroyed"
    assert [place for place, _ in found[lot("bad")].places] == [
        "https://example.com/store",
        "https://example.com/plant",
    ]


def test_limits_are_told() -> None:
    world = Remembered(*(packed(n, case(n), case(n - 1)) for n in range(1, 40)))
    assert len(backward(world, case(39)).things) == 40
    short = backward(world, case(39), limit=10)
    assert (len(short.things), short.complete) == (10, False)
    assert not backward(world, case(39), depth=5).complete
    assert max(backward(world, case(39), depth=5).things.values()) == 5


# Slow reference: every question is answered by going through all events again.

# Lots of another trade item than the instances: that an event names both says nothing then.
LOTS = [f"https://id.gs1.org/01/09521141012345/10/{name}" for name in "AB"]
THINGS = [item(1), item(2), item(3), case(1), case(2), *LOTS]


def held(events: list[dict[str, Any]], parent: str, until: int) -> set[tuple[str, str, int]]:
    """Return what is in a parent after all events up to a time, and the event that put it there."""
    inside: dict[tuple[str, str], int] = {}
    order = sorted(range(len(events)), key=lambda number: (time_ns(events[number]["eventTime"]), number))
    for number in order:
        told = events[number]
        if time_ns(told["eventTime"]) > until or told.get("parentID") != parent:
            continue
        kind = {"AggregationEvent": "aggregation", "AssociationEvent": "association"}[told["type"]]
        children = [*told.get("childEPCs", []), *(one["epcClass"] for one in told.get("childQuantityList", []))]
        if told["action"] == "ADD":
            for child in children:
                inside.setdefault((child, kind), number)
        elif told["action"] == "DELETE":
            for child in children or [child for child, of in inside if of == kind]:
                inside.pop((child, kind), None)
    return {(child, kind, number) for (child, kind), number in inside.items()}


def sides(told: dict[str, Any], side: str) -> list[str]:
    return [*told.get(f"{side}EPCList", []), *(one["epcClass"] for one in told.get(f"{side}QuantityList", []))]


def groups(events: list[dict[str, Any]]) -> list[list[int]]:
    found: dict[Any, list[int]] = {}
    for number, told in enumerate(events):
        if told["type"] == "TransformationEvent":
            found.setdefault(told.get("transformationID", number), []).append(number)
    return list(found.values())


def slow_backward(events: list[dict[str, Any]], thing: str) -> set[tuple[str, str, str]]:
    found, seen, waiting = set[tuple[str, str, str]](), set[tuple[str, int]](), [(thing, NOW)]
    while waiting:
        here, until = waiting.pop()
        if (here, until) in seen:
            continue
        seen.add((here, until))
        for group in groups(events):
            # Of a thing that comes out twice the first time counts for whether it is there.
            given = [time_ns(events[n]["eventTime"]) for n in group if here in sides(events[n], "output")]
            if given and min(given) <= until:
                taken: dict[str, int] = {}
                for n in group:
                    for source in sides(events[n], "input"):
                        moment = time_ns(events[n]["eventTime"])
                        taken[source] = max(taken.get(source, moment), moment)
                for source, moment in taken.items():
                    found.add((source, here, "transformation"))
                    waiting.append((source, moment))
        for child, kind, _ in held(events, here, until):
            found.add((child, here, kind))
            waiting.append((child, until))
    return found


def slow_forward(events: list[dict[str, Any]], thing: str) -> set[tuple[str, str, str]]:
    moments = sorted({time_ns(told["eventTime"]) for told in events})
    found = set[tuple[str, str, str]]()
    seen = set[tuple[str, int, int, bool]]()
    waiting = [(thing, EARLIEST, LATEST, False)]
    while waiting:
        visit = waiting.pop()
        if visit in seen:
            continue
        seen.add(visit)
        here, since, until, _ = visit
        for group in groups(events):
            own = [time_ns(events[n]["eventTime"]) for n in group if here in sides(events[n], "input")]
            if any(since <= moment < until for moment in own):
                given: dict[str, int] = {}
                for n in group:
                    for target in sides(events[n], "output"):
                        moment = time_ns(events[n]["eventTime"])
                        given[target] = min(given.get(target, moment), moment)
                for target, moment in given.items():
                    found.add((here, target, "transformation"))
                    waiting.append((target, moment, LATEST, False))
        for parent in THINGS:
            for kind in ("aggregation", "association"):
                stay: int | None = None
                for moment in [*moments, LATEST]:
                    inside = moment != LATEST and any(
                        (child, of) == (here, kind) for child, of, _ in held(events, parent, moment)
                    )
                    if inside and stay is None:
                        stay = moment
                    elif stay is not None and not inside:
                        begin, end = max(stay, since), min(moment, until)
                        if begin < end:
                            found.add((here, parent, kind))
                            waiting.append((parent, begin, end, True))
                        stay = None
    return found


SOME = st.lists(st.sampled_from(THINGS), max_size=3, unique=True)


@st.composite
def worlds(draw: st.DrawFn) -> list[dict[str, Any]]:
    events = list[dict[str, Any]]()
    for _ in range(draw(st.integers(1, 9))):
        # No two events of one parent at one time: which came first would be a matter of storing.
        second = draw(st.integers(0, 5)) * 20 + len(events)
        if draw(st.booleans()):
            children = draw(SOME)
            events.append(
                event(
                    draw(st.sampled_from(["AggregationEvent", "AssociationEvent"])),
                    second,
                    parentID=draw(st.sampled_from(THINGS)),
                    action=draw(st.sampled_from(["ADD", "ADD", "DELETE", "OBSERVE"])),
                    childEPCs=[thing for thing in children if "/10/" not in thing],
                    childQuantityList=[{"epcClass": thing} for thing in children if "/10/" in thing],
                )
            )
        else:
            group = draw(st.sampled_from([{}, {}, {"transformationID": "urn:uuid:t"}]))
            events.append(made_into(second, draw(SOME), draw(SOME), **group))
    return events


@settings(max_examples=120, deadline=None)
@given(worlds(), st.sampled_from(THINGS))
def test_random_worlds(events: list[dict[str, Any]], thing: str) -> None:
    world = Remembered(*events)
    assert links(backward(world, thing)) == slow_backward(events, thing)
    assert links(forward(world, thing)) == slow_forward(events, thing)


def test_a_trace_reads_so_many_events() -> None:
    world = Remembered(*(packed(n, case(n), case(n - 1)) for n in range(1, 40)))
    some = Movements(world, events=10)
    trace = backward(world, case(39), of=some)
    assert not trace.complete
    assert 5 < len(trace.things) < 20
    assert not forward(world, case(0), of=Movements(world, events=10)).complete
