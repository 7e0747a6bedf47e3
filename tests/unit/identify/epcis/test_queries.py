"""Queries: what each parameter means, by a plain reference; pages, orders, limits."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from gongfu.identify.epcis.facts import Facts
from gongfu.identify.epcis.query import QueryError, matches, parse_query
from gongfu.identify.epcis.selection import TokenError, TooLargeError, select
from gongfu.identify.epcis.uris import Namespaces
from tests.unit.identify.epcis.made import CONTEXT, case, document, event, item, lot, made_into, observed, packed
from tests.unit.identify.epcis.opened import Opened, opened

NAMESPACES = Namespaces().within(CONTEXT)
SHIPPING = "https://ref.gs1.org/cbv/BizStep-shipping"
PLACE = "urn:epc:id:sgln:4012345.00005."


def meets(told: dict[str, Any], **parameters: Any) -> bool:
    query = parse_query(parameters, NAMESPACES)
    return matches(query, Facts(told, NAMESPACES))


FULL = observed(
    100,
    "urn:epc:id:sgtin:4012345.011111.1",
    eventID="urn:uuid:full",
    bizStep="shipping",
    disposition="in_transit",
    readPoint={"id": PLACE + "7", "example:zone": {"example:name": "dock"}},
    bizLocation={"id": PLACE + "0"},
    quantityList=[{"epcClass": "urn:epc:class:lgtin:4012345.011111.L", "quantity": 20, "uom": "KGM"}],
    bizTransactionList=[{"type": "po", "bizTransaction": "urn:epcglobal:cbv:bt:4012345000009:1"}],
    sourceList=[{"type": "owning_party", "source": "urn:epc:id:pgln:4012345.00225"}],
    destinationList=[{"type": "possessing_party", "destination": "urn:epc:id:pgln:4012345.00226"}],
    persistentDisposition={"set": ["completeness_verified"], "unset": ["completeness_inferred"]},
    errorDeclaration={
        "declarationTime": "2026-03-02T00:00:00Z",
        "reason": "incorrect_data",
        "correctiveEventIDs": ["urn:uuid:other"],
        "example:who": "me",
    },
    sensorElementList=[
        {
            "sensorMetadata": {
                "time": "2026-03-01T00:00:50+01:00",
                "deviceID": "urn:epc:id:giai:4000001.111",
                "example:m": 1,
            },
            "sensorReport": [
                {"type": "Temperature", "value": 26.5, "uom": "CEL", "example:r": "x"},
                {
                    "type": "example:Abc",
                    "booleanValue": True,
                    "stringValue": "s",
                    "hexBinaryValue": "f0",
                    "percRank": 5,
                },
            ],
            "example:e": [1, 2],
        }
    ],
    **{
        "example:number": 5,
        "example:text": "five",
        "example:time": "2026-03-01T08:00:00+08:00",
        "example:list": ["a", "b"],
        "example:outer": {"example:inner": "deep", "example:number": 7},
    },
)
ADDED = {**FULL, "action": "ADD", "ilmd": {"example:grade": "A", "example:o": {"example:size": 3}}}

CASES: list[tuple[dict[str, Any], bool]] = [
    ({"eventType": ["ObjectEvent"]}, True),
    ({"eventType": ["AggregationEvent", "example:Other"]}, False),
    ({"GE_eventTime": "2026-03-01T00:01:40Z"}, True),
    ({"GE_eventTime": "2026-03-01T08:01:40.000000001+08:00"}, False),
    ({"LT_eventTime": "2026-03-01T00:01:40Z"}, False),
    ({"LT_eventTime": "2026-02-28T19:01:41-05:00"}, True),
    ({"EQ_action": ["ADD", "OBSERVE"]}, True),
    ({"EQ_action": ["DELETE"]}, False),
    *[({"EQ_bizStep": [word]}, True) for word in ("shipping", SHIPPING, "cbv:BizStep-shipping")],
    ({"EQ_bizStep": ["urn:epcglobal:cbv:bizstep:shipping", "receiving"]}, True),
    ({"EQ_bizStep": ["receiving"]}, False),
    ({"EQ_disposition": ["in_transit"]}, True),
    ({"EQ_persistentDisposition_set": ["completeness_verified"]}, True),
    ({"EQ_persistentDisposition_unset": ["completeness_verified"]}, False),
    ({"EQ_readPoint": ["https://id.gs1.org/414/4012345000054/254/7"]}, True),
    ({"EQ_readPoint": [PLACE + "0"]}, False),
    ({"WD_readPoint": [PLACE + "0"]}, True),
    ({"WD_readPoint": [PLACE + "8"]}, False),
    ({"WD_bizLocation": [PLACE + "0"]}, True),
    ({"EQ_bizLocation": ["https://example.com/414/4012345000054"]}, True),
    ({"MATCH_epc": [item(1)]}, True),
    ({"MATCH_epc": ["urn:epc:idpat:sgtin:4012345.011111.*"]}, True),
    ({"MATCH_epc": ["urn:epc:idpat:sgtin:4012345.011112.*", item(2)]}, False),
    ({"MATCH_anyEPC": [item(1)]}, True),
    ({"MATCH_parentID": [item(1)]}, False),
    ({"MATCH_inputEPC": [item(1)]}, False),
    ({"MATCH_epcClass": [lot("L")]}, True),
    ({"MATCH_anyEPCClass": [lot("L")]}, True),
    ({"MATCH_outputEPCClass": [lot("L")]}, False),
    ({"MATCH_epcClass": ["urn:epc:idpat:sgtin:4012345.011111.*"]}, True),
    ({"EQ_quantity": [20]}, True),
    ({"GT_quantity": 20}, False),
    ({"GE_quantity_KGM": 20.0}, True),
    ({"GE_quantity_GRM": 20.0}, False),
    ({"EQ_quantity_KGM": [19, 20]}, True),
    ({"EQ_eventID": ["urn:uuid:full"]}, True),
    ({"EQ_transformationID": ["urn:uuid:t"]}, False),
    ({"EQ_bizTransaction_po": ["urn:epcglobal:cbv:bt:4012345000009:1"]}, True),
    ({"EQ_bizTransaction_inv": ["urn:epcglobal:cbv:bt:4012345000009:1"]}, False),
    ({"EQ_bizTransaction_cbv:BTT-po": ["urn:epcglobal:cbv:bt:4012345000009:1"]}, True),
    ({"EQ_source_owning_party": ["https://id.gs1.org/417/4012345002256"]}, True),
    ({"EQ_destination_possessing_party": ["urn:epc:id:pgln:4012345.00226"]}, True),
    ({"EQ_destination_owning_party": ["urn:epc:id:pgln:4012345.00226"]}, False),
    ({"EXISTS_errorDeclaration": None}, True),
    ({"GE_errorDeclarationTime": "2026-03-02T00:00:00Z"}, True),
    ({"LT_errorDeclaration_Time": "2026-03-02T00:00:00Z"}, False),
    ({"EQ_errorReason": ["incorrect_data"]}, True),
    ({"EQ_errorReason": ["did_not_occur"]}, False),
    ({"EQ_correctiveEventID": ["urn:uuid:other"]}, True),
    ({"EQ_ERROR_DECLARATION_example:who": "me"}, True),
    ({"EXISTS_sensorElementList": None}, True),
    ({"GE_time": "2026-02-28T23:00:50Z"}, True),
    ({"LT_time": "2026-02-28T23:00:50Z"}, False),
    ({"GE_startTime": "2020-01-01T00:00:00Z"}, False),
    ({"EQ_type": ["Temperature"]}, True),
    ({"EQ_type": ["gs1:Temperature"]}, True),
    ({"EQ_type": ["example:Abc"]}, True),
    ({"EQ_type": ["Speed"]}, False),
    ({"EQ_deviceID": ["https://id.gs1.org/8004/4000001111"]}, True),
    ({"GE_value_CEL": 26.5}, True),
    ({"LT_value_CEL": 26.5}, False),
    ({"GE_value_KEL": 0}, False),
    ({"EQ_value_CEL": [26.5]}, True),
    ({"EQ_booleanValue": True}, True),
    ({"EQ_booleanValue": False}, False),
    ({"EQ_stringValue": ["s"]}, True),
    ({"EQ_hexBinaryValue": ["f1"]}, False),
    ({"LE_percRank": 5}, True),
    ({"EQ_SENSORREPORT_example:r": ["x"]}, True),
    ({"EQ_SENSORMETADATA_example:m": 1}, True),
    ({"GT_SENSORELEMENT_example:e": 1}, True),
    ({"GT_SENSORELEMENT_example:e": 2}, False),
    ({"EXISTS_SENSORREPORT_example:nothing": None}, False),
    ({"EQ_example:number": 5}, True),
    ({"EQ_example:number": ["5", "6"]}, True),
    ({"EQ_example:number": ["5.0"]}, True),
    ({"EQ_example:number": 7}, False),
    ({"EQ_INNER_example:number": 7}, True),
    ({"EQ_INNER_example:text": "five"}, False),
    ({"GE_example:number": 5}, True),
    ({"LT_example:number": 5}, False),
    ({"EQ_example:time": "2026-03-01T00:00:00Z"}, True),
    ({"GE_example:time": "2026-03-01T00:00:00Z"}, True),
    ({"GE_example:text": 1}, False),
    ({"EQ_example:list": ["b"]}, True),
    ({"EXISTS_example:outer": None}, True),
    ({"EXISTS_INNER_example:inner": None}, True),
    ({"EXISTS_example:inner": None}, False),
    ({"EQ_https://ns.example.com/epcis/text": "five"}, True),
    ({"@context": {"e": "https://ns.example.com/epcis/"}, "EQ_e:text": "five"}, True),
    ({"@context": {"example": "https://other.example.com/"}, "EQ_example:text": "five"}, False),
    ({"EXISTS_readPoint_example:zone": None}, True),
    ({"EQ_INNER_readPoint_example:name": "dock"}, True),
    ({"EXISTS_ILMD_example:grade": None}, False),
    ({"EQ_action": ["OBSERVE"], "EQ_bizStep": ["receiving"]}, False),
]


@pytest.mark.parametrize(("parameters", "expected"), CASES, ids=lambda value: str(value)[:60])
def test_a_parameter(parameters: dict[str, Any], expected: bool) -> None:
    assert meets(FULL, **parameters) is expected


def test_parameters_of_ilmd() -> None:
    assert meets(ADDED, **{"EQ_ILMD_example:grade": "A"})
    assert not meets(ADDED, **{"EQ_ILMD_example:size": 3})
    assert meets(ADDED, **{"EQ_INNER_ILMD_example:size": [3]})
    assert meets(ADDED, **{"EXISTS_INNER_ILMD_example:size": None})


def test_parameters_of_parents_and_transformations() -> None:
    pack = packed(1, case(1), item(1), childQuantityList=[{"epcClass": lot("L")}])
    assert meets(pack, MATCH_parentID=[case(1)])
    assert meets(pack, MATCH_anyEPC=[case(1)])
    assert not meets(pack, MATCH_epc=[case(1)])
    assert meets(pack, MATCH_epc=[item(1)])
    assert meets(pack, MATCH_epcClass=[lot("L")])
    assert not meets(pack, GE_quantity=0)
    made = made_into(1, [item(1), lot("A")], [item(2), lot("B")], transformationID="urn:uuid:t")
    assert meets(made, MATCH_inputEPC=[item(1)], MATCH_outputEPC=[item(2)], EQ_transformationID=["urn:uuid:t"])
    assert meets(made, MATCH_inputEPCClass=[lot("A")], MATCH_outputEPCClass=[lot("B")])
    assert not meets(made, MATCH_epc=[item(1)])
    assert meets(made, MATCH_anyEPC=[item(2)], MATCH_anyEPCClass=[lot("A")])


@pytest.mark.parametrize(
    "parameters",
    [
        {"EQ_nothing": ["x"]},
        {"MATCH_epc": "not a list"},
        {"MATCH_epc": ["not a uri"]},
        {"GE_eventTime": "yesterday"},
        {"EQ_action": ["SHIP"]},
        {"eventCountLimit": 0},
        {"eventCountLimit": 1, "maxEventCount": 1},
        {"perPage": "x"},
        {"orderBy": "disposition"},
        {"GE_value_cel": 1},
        {"EXISTS_": None},
        {"EQ_example:number": True},
        {"HASATTR_nothing": ["x"]},
        {"MATCH_epc": [item(1)] * 1001},
    ],
)
def test_what_is_no_query(parameters: dict[str, Any]) -> None:
    with pytest.raises(QueryError):
        parse_query(parameters)


def test_master_data_and_hierarchies(tmp_path: Path) -> None:
    site, hall, shelf = (f"https://id.gs1.org/414/401234500{n}" for n in ("0054", "0061", "0078"))
    header = {
        "epcisMasterData": {
            "vocabularyList": [
                {
                    "type": "urn:epcglobal:epcis:vtype:BusinessLocation",
                    "vocabularyElementList": [
                        {"id": site, "children": [hall], "attributes": [{"id": "cbvmda:city", "attribute": "Köln"}]},
                        {"id": hall, "children": [shelf, site]},
                    ],
                }
            ]
        }
    }
    with opened(tmp_path / "store") as it:
        it.take(document(observed(1, item(1), bizLocation={"id": shelf}), epcisHeader=header))
        it.take(document(observed(2, item(1), bizLocation={"id": site})))
        assert found(it, WD_bizLocation=[site]) == [1, 2]
        assert found(it, WD_bizLocation=[shelf]) == [1]
        assert found(it, HASATTR_bizLocation=["cbvmda:city"]) == [2]
        assert found(it, HASATTR_bizLocation=["urn:epcglobal:cbv:mda:street"]) == []
        assert found(it, 1000, **{"EQATTR_bizLocation_cbvmda:city": ["Köln"]}) == [2]


def found(it: Opened, per_page: int = 1000, **parameters: Any) -> list[int]:
    return [stored.number for stored in every_page(it, parameters, per_page)]


def every_page(it: Opened, parameters: dict[str, Any], per_page: int) -> list[Any]:
    query, token, events = parse_query(parameters, NAMESPACES), "", list[Any]()
    for _ in range(10_000):
        page = select(it.store, query, per_page=per_page, token=token)
        assert len(page.events) <= per_page
        events += page.events
        token = page.next
        if not token:
            return events
    raise AssertionError("pages without an end")


def test_random_queries_on_a_store(tmp_path: Path) -> None:
    """What the store finds by its indexes is what going through all events finds, in the order that was asked for."""
    chance = random.Random(3)
    places = [f"urn:epc:id:sgln:4012345.0000{n}.0" for n in range(3)]
    steps, dispositions = ["shipping", "receiving", "packing"], ["in_transit", "active"]
    told = list[dict[str, Any]]()
    for n in range(300):
        common: dict[str, Any] = {"bizStep": chance.choice(steps), "readPoint": {"id": chance.choice(places)}}
        if chance.random() < 0.5:
            common |= {"disposition": chance.choice(dispositions), "example:n": chance.randrange(5)}
        second = chance.randrange(200)
        kind = chance.random()
        if kind < 0.6:
            one = observed(second, *{item(chance.randrange(10)) for _ in range(2)}, **common)
        elif kind < 0.8:
            one = packed(second, case(chance.randrange(3)), item(chance.randrange(10)), **common)
        else:
            one = made_into(second, [item(chance.randrange(10)), lot("A")], [item(chance.randrange(10))], **common)
        told.append({**one, "eventID": f"urn:uuid:{n}"})
    choices: dict[str, Callable[[], Any]] = {
        "eventType": lambda: chance.sample(["ObjectEvent", "AggregationEvent", "TransformationEvent"], 2),
        "EQ_bizStep": lambda: chance.sample(steps, chance.randint(1, 2)),
        "EQ_disposition": lambda: [chance.choice(dispositions)],
        "EQ_readPoint": lambda: [chance.choice(places)],
        "EQ_action": lambda: [chance.choice(["ADD", "OBSERVE"])],
        "GE_eventTime": lambda: f"2026-03-01T00:{chance.randrange(3):02d}:{chance.randrange(60):02d}Z",
        "LT_eventTime": lambda: f"2026-03-01T00:{chance.randrange(4):02d}:{chance.randrange(60):02d}Z",
        "MATCH_epc": lambda: [item(chance.randrange(10)) for _ in range(2)],
        "MATCH_anyEPC": lambda: [chance.choice([case(0), item(1), "urn:epc:idpat:sgtin:4012345.011111.*"])],
        "MATCH_inputEPCClass": lambda: [lot("A")],
        "EQ_eventID": lambda: [f"urn:uuid:{chance.randrange(300)}" for _ in range(3)],
        "GE_example:n": lambda: chance.randrange(5),
    }
    with opened(tmp_path / "store") as it:
        for start in range(0, 300, 60):
            assert it.take(document(*told[start : start + 60])).success
        facts = [Facts(one, NAMESPACES) for one in told]
        for _ in range(50):
            parameters = {name: choices[name]() for name in chance.sample(sorted(choices), chance.randint(0, 3))}
            query = parse_query(parameters, NAMESPACES)
            expected = [n for n, one in enumerate(facts, 1) if matches(query, one)]
            order = chance.choice(["", "eventTime", "recordTime", "example:n", "quantity"])
            descending = chance.random() < 0.5
            if order:
                parameters |= {"orderBy": order, "orderDirection": "DESC" if descending else "ASC"}
            numbers = found(it, chance.choice([3, 20, 1000]), **parameters)
            assert sorted(numbers) == expected, parameters
            if order == "eventTime":
                keys = [(facts[n - 1].time, n) for n in numbers]
                assert keys == sorted(keys, reverse=descending), parameters
            elif order == "recordTime":
                assert numbers == sorted(numbers, reverse=descending), parameters
            elif order == "example:n":
                keys = [told[n - 1].get("example:n", float("-inf")) for n in numbers]
                assert keys == sorted(keys, reverse=descending), parameters
            limit = chance.randint(1, 20)
            assert found(it, 3, **parameters, eventCountLimit=limit) == numbers[:limit]


def test_pages_see_what_was_there_at_first(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as it:
        it.take(document(*(observed(n, item(1)) for n in range(10))))
        for parameters in ({}, {"MATCH_epc": [item(1)]}, {"orderBy": "eventTime", "orderDirection": "ASC"}):
            before = it.store.head
            query = parse_query(parameters)
            first = select(it.store, query, per_page=before - 1)
            it.take(document(observed(100 + before, item(1))))
            second = select(it.store, query, per_page=50, token=first.next)
            assert len(second.events) == 1
            assert not second.next
        with pytest.raises(TokenError):
            select(it.store, parse_query({"EQ_action": ["ADD"]}), token=first.next)
        for token in ("x", "AAAA", "中", first.next[:-2]):
            with pytest.raises(TokenError):
                select(it.store, query, token=token)


def test_too_many_events_are_an_error_where_that_is_asked_for(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as it:
        it.take(document(*(observed(n, item(n)) for n in range(5))))
        assert found(it, maxEventCount=5) == [1, 2, 3, 4, 5]
        with pytest.raises(TooLargeError):
            found(it, maxEventCount=4)


def test_record_times(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as it:
        for n in range(4):
            it.take(document(observed(n, item(n))))
        times = [orjson.loads(stored.document)["recordTime"] for stored in it.store.events([1, 2, 3, 4])]
        assert sorted(times) == times
        assert found(it, GE_recordTime=times[1], LT_recordTime=times[3]) == [2, 3]
        assert found(it, GE_recordTime=times[3]) == [4]
        assert found(it, LT_recordTime=times[0]) == []
        assert found(it, GE_recordTime="2999-01-01T00:00:00Z") == []


def test_events_of_other_vocabularies(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as it:
        it.take(document(event("example:Blessing", 1, **{"example:by": "me"}), observed(2, item(1))))
        assert found(it, eventType=["https://ns.example.com/epcis/Blessing"]) == [1]
        assert found(it, eventType=["example:Blessing", "ObjectEvent"]) == [1, 2]


def test_a_pattern_covers_its_class_and_no_longer_number(tmp_path: Path) -> None:
    kind = "urn:epc:idpat:sgtin:4012345.011111.*"
    grai = "urn:epc:id:grai:4012345.55555."
    with opened(tmp_path / "store") as it:
        it.take(
            document(
                event("ObjectEvent", 1, action="OBSERVE", quantityList=[{"epcClass": kind, "quantity": 5}]),
                observed(2, item(1)),
                observed(3, grai + "7", grai + "8"),
                observed(4, "urn:epc:id:sgtin:4012345.011112.1"),
            )
        )
        assert found(it, MATCH_epcClass=[kind]) == [1]
        assert found(it, MATCH_anyEPC=[kind]) == [2]
        assert found(it, MATCH_epc=["urn:epc:idpat:grai:4012345.55555.*"]) == [3]


def test_times_far_away(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as it:
        far = [{**observed(1, item(1)), "eventTime": f"{year}-01-01T00:00:00Z"} for year in ("0001", "1600", "9999")]
        assert it.take(document(*far, observed(1, item(1)))).captured_count == 4
        assert found(it, orderBy="eventTime", orderDirection="ASC") == [1, 2, 4, 3]
        assert found(it, GE_eventTime="2025-01-01T00:00:00Z") == [4, 3]
        assert [mention.number for mention in it.store.mentions(item(1))] == [1, 2, 4, 3]


def test_a_page_has_so_many_bytes(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as it:
        for n in range(6):
            it.take(document(observed(n, item(n), **{"example:blob": "x" * 3_000_000})))
        for order in ({}, {"orderBy": "quantity"}):
            pages = list[int]()
            query, token = parse_query(order), ""
            while len(pages) < 10:
                page = select(it.store, query, token=token)
                pages.append(len(page.events))
                token = page.next
                if not token:
                    break
            # A page that is full may be followed by an empty one.
            assert pages in ([3, 3], [3, 3, 0]), order
