"""The REST binding over real sockets."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest

from gongfu.identify.epcis.capture import Limits
from gongfu.identify.epcis.documents import findings
from tests.unit.identify.epcis.corpora import FILES, events_of, needs_corpora
from tests.unit.identify.epcis.made import CONTEXT, case, document, event, item, lot, observed, packed
from tests.unit.identify.epcis.served import Served, results, served

PLACE = "urn:epc:id:sgln:4012345.00005.0"


def problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == f"epcisException:{kind}", body
    assert body["status"] == status
    assert body["title"]
    return body


def members(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    assert answer.json()["type"] == "Collection"
    return answer.json()["member"]


async def test_capture_and_read(tmp_path: Path) -> None:
    async with served(tmp_path / "store") as it:
        one = observed(
            1,
            item(1),
            eventID="urn:uuid:1",
            eventTime="2026-03-01T08:00:01+08:00",
            eventTimeZoneOffset="+08:00",
            bizStep="cbv:BizStep-shipping",
            bizLocation={"id": PLACE},
            **{"example:note": {"example:text": "质检 ok", "example:n": 1.50}},
        )
        two = packed(2, case(1), item(1), item(2), bizStep="https://ref.gs1.org/cbv/BizStep-packing")
        job = await it.capture(document(one, two))
        assert (job["success"], job["captureErrorBehaviour"], job["errors"]) == (True, "rollback", [])
        assert job["createdAt"] <= job["finishedAt"]
        listed = (await it.client.get("/epcis/capture")).json()
        assert [entry["captureID"] for entry in listed] == [job["captureID"]]

        answer = await it.client.get("/epcis/events")
        assert answer.headers["GS1-EPCIS-Version"] == "2.0.0"
        assert not findings(answer.json())
        first, second = results(answer.content)
        # Times keep their zone, terms and identifiers their form, extensions everything.
        assert {key: first[key] for key in one} == one
        assert {key: second[key] for key in two} == two
        assert answer.json()["@context"][1] == CONTEXT[1]
        assert second["eventID"].startswith("ni:///sha-256;")

        answer = await it.client.get(f"/epcis/events/{quote('urn:uuid:1', safe='')}")
        assert not findings(answer.json())
        assert answer.json()["example:note"] == one["example:note"]
        assert (await it.client.get("/epcis/events/" + quote(second["eventID"], safe=""))).status_code == 200
        problem(await it.client.get("/epcis/events/urn:uuid:2"), 404, "NoSuchResourceException")
        problem(await it.client.get("/epcis/capture/nothing"), 404, "NoSuchResourceException")
        assert (await it.client.head("/epcis/events")).status_code == 200


async def test_one_event(tmp_path: Path) -> None:
    async with served(tmp_path / "store") as it:
        body = orjson.dumps({"@context": CONTEXT, **observed(1, item(1))})
        for _ in range(2):
            answer = await it.client.post("/epcis/events", content=body)
            assert answer.status_code == 201
            assert answer.headers["Location"].startswith("/epcis/events/ni%3A%2F%2F%2Fsha-256")
            shown = await it.client.get(answer.headers["Location"])
            assert shown.json()["eventID"] == answer.json()["eventID"]
        assert it.store.head == 1
        wrong = orjson.dumps({"@context": CONTEXT, **observed(1, item(1), action="SHIP")})
        assert (
            "SHIP"
            in problem(await it.client.post("/epcis/events", content=wrong), 400, "ValidationException")["detail"]
        )
        problem(await it.client.post("/epcis/events", content=document(observed(1))), 400, "ValidationException")


async def test_documents_that_are_refused(tmp_path: Path) -> None:
    async with served(tmp_path / "store", Limits(events=2, bytes=2000)) as it:
        post = it.client.post
        problem(await post("/epcis/capture", content=b"{"), 400, "ValidationException")
        refused = problem(await post("/epcis/capture", content=b'{"type":"EPCISDocument"}'), 400, "ValidationException")
        assert {"pointer": "", "detail": "@context is missing"} in refused["errors"]
        three = document(*(observed(n, item(n)) for n in range(3)))
        answer = await post("/epcis/capture", content=three)
        problem(answer, 413, "CaptureLimitExceededException")
        assert answer.headers["GS1-EPCIS-Capture-Limit"] == "2"
        problem(await post("/epcis/capture", content=b" " * 3000), 413, "CaptureLimitExceededException")
        xml = {"Content-Type": "application/xml"}
        problem(await post("/epcis/capture", content=b"<a/>", headers=xml), 415, "UnsupportedMediaTypeException")
        odd = {"GS1-Capture-Error-Behaviour": "hope"}
        problem(await post("/epcis/capture", content=document(), headers=odd), 400, "ValidationException")
        job = await it.capture(document(observed(1, item(1)), observed(2, item(2), bizStep="hoping")))
        assert (job["success"], job["capturedCount"]) == (False, 0)
        assert job["errors"][0]["type"] == "epcisException:ValidationException"
        assert job["errors"][0]["instance"] == "/epcisBody/eventList/1/bizStep"
        job = await it.capture(
            document(observed(1, item(1)), observed(2, item(2), bizStep="hoping")),
            **{"GS1-Capture-Error-Behaviour": "proceed"},
        )
        assert (job["success"], job["capturedCount"], it.store.head) == (False, 1, 1)


async def test_discovery_versions_and_permissions(tmp_path: Path) -> None:
    async with served(tmp_path / "store") as it:
        paths = [
            "",
            "/capture",
            "/events",
            "/events/x",
            "/queries",
            "/queries/q",
            "/epcs",
            "/epcs/x/events",
            "/eventTypes",
        ]
        for path in paths:
            answer = await it.client.options("/epcis" + path, headers={"Authorization": "nobody"})
            assert answer.status_code == 204
            assert "OPTIONS" in answer.headers["Allow"]
            for name in ("GS1-EPCIS-Version", "GS1-EPCIS-Min", "GS1-EPCIS-Max", "GS1-CBV-Version"):
                assert answer.headers[name] == "2.0.0"
            assert int(answer.headers["GS1-EPCIS-Capture-Limit"]) > 0
            assert int(answer.headers["GS1-EPCIS-Capture-File-Size-Limit"]) > 0
            assert answer.headers["GS1-Capture-Error-Behaviour"] == "rollback, proceed"
        get = it.client.get
        problem(await it.client.options("/epcis/nothing/here"), 404, "NoSuchResourceException")
        answer = await it.client.delete("/epcis/events")
        problem(answer, 405, "ImplementationException")
        assert answer.headers["Allow"] == "GET, POST, OPTIONS"
        for headers in (
            {"GS1-EPCIS-Version": "1.2"},
            {"GS1-EPCIS-Min": "2.1.0"},
            {"GS1-EPCIS-Max": "1.2"},
            {"GS1-CBV-Version": "3.0.0"},
            {"GS1-EPC-Format": "Always_EPC_URN"},
            {"Accept": "application/xml"},
        ):
            problem(await get("/epcis/events", headers=headers), 406, "NotAcceptableException")
        fits = {"GS1-EPCIS-Min": "1.2", "GS1-EPCIS-Max": "2.0.0", "Accept": "application/ld+json"}
        assert (await get("/epcis/events", headers=fits)).headers["Content-Type"] == "application/ld+json"
        answer = await get("/epcis/events", headers={"Authorization": "nobody"})
        problem(answer, 401, "SecurityException")
        assert "Basic" in answer.headers["WWW-Authenticate"]
        reader = {"Authorization": "reader"}
        assert (await get("/epcis/events", headers=reader)).status_code == 200
        problem(await it.client.post("/epcis/capture", content=document(), headers=reader), 403, "SecurityException")
        problem(await it.client.post("/epcis/queries", content=b"{}", headers=reader), 403, "SecurityException")


async def _some(it: Served) -> None:
    job = await it.capture(
        document(
            observed(1, item(1), bizStep="shipping", disposition="in_transit", bizLocation={"id": PLACE}),
            observed(2, item(2), bizStep="receiving", readPoint={"id": PLACE}, **{"example:n": 3}),
            packed(3, case(1), item(1), bizStep="packing"),
            event("ObjectEvent", 4, action="OBSERVE", quantityList=[{"epcClass": lot("L"), "quantity": 5}]),
            event("example:Other", 5),
        )
    )
    assert job["success"], job


async def test_top_level_resources(tmp_path: Path) -> None:
    async with served(tmp_path / "store") as it:
        await _some(it)
        get = it.client.get
        assert members(await get("/epcis/eventTypes"))[-1] == "example:Other"
        assert members(await get("/epcis/epcs")) == sorted([case(1), item(1), item(2), lot("L")])
        assert sorted(members(await get("/epcis/bizSteps"))) == ["packing", "receiving", "shipping"]
        assert members(await get("/epcis/dispositions")) == ["in_transit"]
        assert members(await get("/epcis/bizLocations")) == ["https://id.gs1.org/414/4012345000054"]
        assert members(await get("/epcis/readPoints")) == ["https://id.gs1.org/414/4012345000054"]
        assert "events" in members(await get("/epcis"))
        for path, times in (
            (f"/epcis/epcs/{quote(item(1), safe='')}", [1, 3]),
            (f"/epcis/epcs/{quote('urn:epc:id:sgtin:4012345.011111.1', safe='')}", [1, 3]),
            (f"/epcis/epcs/{quote(lot('L'), safe='')}", [4]),
            ("/epcis/bizSteps/shipping", [1]),
            ("/epcis/bizSteps/cbv%3ABizStep-shipping", [1]),
            ("/epcis/eventTypes/ObjectEvent", [1, 2, 4]),
            ("/epcis/eventTypes/TransactionEvent", []),
            (f"/epcis/bizLocations/{quote(PLACE, safe='')}", [1]),
        ):
            assert members(await get(path)) == ["events"]
            answer = await get(path + "/events")
            assert [int(told["eventTime"][17:19]) for told in results(answer.content)] == times, path
        answer = await get(f"/epcis/epcs/{quote(item(1), safe='')}/events?EQ_bizStep=packing")
        assert len(results(answer.content)) == 1
        problem(await get("/epcis/bizSteps/shipping/events?EQ_bizStep=packing"), 400, "QueryParameterException")
        problem(await get(f"/epcis/epcs/{quote(item(9), safe='')}"), 404, "NoSuchResourceException")
        problem(await get("/epcis/epcs/x/events"), 400, "QueryParameterException")
        problem(await get("/epcis/%ff"), 404, "NoSuchResourceException")


async def _pages(it: Served, path: str) -> list[httpx.Response]:
    found = [await it.client.get(path)]
    while "Link" in found[-1].headers:
        link = found[-1].headers["Link"]
        assert link.endswith('; rel="next"')
        found.append(await it.client.get(link[1 : link.index(">")]))
        assert found[-1].status_code == 200, found[-1].text
    return found


async def test_parameters_and_pages_of_a_url(tmp_path: Path) -> None:
    async with served(tmp_path / "store") as it:
        await _some(it)
        for query, times in (
            ("EQ_bizStep=shipping|receiving", [1, 2]),
            ("EQ_bizStep=shipping&EQ_bizStep=cbv:BizStep-packing", [1, 3]),
            ("GE_eventTime=2026-03-01T08:00:03+08:00", [3, 4, 5]),
            ("GE_eventTime=2026-03-01T08%3A00%3A03%2B08:00&LT_eventTime=2026-03-01T00:00:05Z", [3, 4]),
            ("EXISTS_example:n=", [2]),
            ("EQ_https://ns.example.com/epcis/n=3", [2]),
            ("GE_quantity=5", [4]),
            ("orderBy=eventTime&orderDirection=DESC&eventCountLimit=2", [5, 4]),
            ("MATCH_anyEPC=" + quote("urn:epc:idpat:sgtin:4012345.011111.*"), [1, 2, 3]),
        ):
            pages = await _pages(it, f"/epcis/events?perPage=2&{query}")
            found = [int(told["eventTime"][17:19]) for page in pages for told in results(page.content)]
            assert found == times, query
        extensions = {"GS1-Extensions": "mine=https://ns.example.com/epcis/"}
        answer = await it.client.get("/epcis/events?GE_mine:n=3", headers=extensions)
        assert len(results(answer.content)) == 1
        epcs = await _pages(it, "/epcis/epcs?perPage=1")
        assert [members(page)[0] for page in epcs] == sorted([case(1), item(1), item(2), lot("L")])
        for query in (
            "EQ_nothing=x",
            "GE_eventTime=now",
            "perPage=0",
            "perPage=x",
            "perPage=1001",
            "nextPageToken=abc",
            "GE_quantity=1&GE_quantity=2",
            "EQ_action=%ff",
            "MATCH_epc=no",
        ):
            problem(await it.client.get(f"/epcis/events?{query}"), 400, "QueryParameterException")
        problem(await it.client.get("/epcis/events?maxEventCount=2"), 413, "QueryTooLargeException")
        assert (await it.client.delete("/epcis/nextPageToken/abc")).status_code == 204


async def test_named_queries(tmp_path: Path) -> None:
    async with served(tmp_path / "store") as it:
        await _some(it)
        post, get = it.client.post, it.client.get
        mine = {"name": "shipped", "query": {"EQ_bizStep": ["shipping"]}}
        answer = await post("/epcis/queries", json=mine)
        assert (answer.status_code, answer.headers["Location"]) == (201, "/epcis/queries/shipped")
        assert (await get("/epcis/queries/shipped")).json()["query"] == mine["query"]
        assert [entry["name"] for entry in (await get("/epcis/queries")).json()] == ["shipped"]
        answer = await get("/epcis/queries/shipped/events")
        assert answer.json()["epcisBody"]["queryResults"]["queryName"] == "shipped"
        assert len(results(answer.content)) == 1
        problem(await post("/epcis/queries", json=mine), 409, "DuplicateNameException")
        # With a name of its own namespace, which the header declares and the query keeps.
        extended = {"name": "extended", "query": {"GE_mine:n": 3}}
        headers = {"GS1-Extensions": "mine=https://ns.example.com/epcis/"}
        assert (await post("/epcis/queries", json=extended, headers=headers)).status_code == 201
        assert len(results((await get("/epcis/queries/extended/events")).content)) == 1
        # Without a name it is answered at once.
        answer = await post("/epcis/queries", json={"query": {"EQ_action": ["ADD"], "perPage": 5}})
        assert [told["type"] for told in results(answer.content)] == ["AggregationEvent"]
        assert len(results((await get("/epcis/queries/SimpleEventQuery/events?EQ_action=ADD")).content)) == 1
        for wrong in (
            {},
            {"name": "a/b", "query": {}},
            {"name": "a"},
            {"name": "a", "query": {"EQ_nothing": []}},
            {"name": "a", "query": {"GE_eventTime": 5}},
        ):
            problem(await post("/epcis/queries", json=wrong), 400, "QueryValidationException")
        problem(await get("/epcis/queries/nothing"), 404, "NoSuchNameException")
        problem(await get("/epcis/queries/shipped/events?EQ_action=ADD"), 400, "QueryParameterException")
        problem(await it.client.delete("/epcis/queries/SimpleEventQuery"), 403, "SecurityException")
        assert (await it.client.delete("/epcis/queries/shipped")).status_code == 204
        problem(await get("/epcis/queries/shipped/events"), 404, "NoSuchNameException")
    async with served(tmp_path / "store") as it:
        assert [entry["name"] for entry in (await it.client.get("/epcis/queries")).json()] == ["extended"]


async def test_prefixes_that_contradict_each_other(tmp_path: Path) -> None:
    async with served(tmp_path / "store") as it:
        for n, uri in enumerate(("https://a.example/", "https://b.example/")):
            context = [CONTEXT[0], {"x": uri}]
            body = orjson.loads(document(observed(n, item(n), **{"x:field": n}))) | {"@context": context}
            assert (await it.capture(orjson.dumps(body)))["success"]
        answer = await it.client.get("/epcis/events")
        assert not findings(answer.json())
        first, second = results(answer.content)
        assert answer.json()["@context"][1] == {"x": "https://a.example/"}
        assert "@context" not in first
        assert second["@context"] == [{"x": "https://b.example/"}]
        # What one node answers, another takes.
        async with served(tmp_path / "other") as other:
            assert (await other.capture(answer.content))["capturedCount"] == 2
            again = await other.client.get("/epcis/events?EQ_https://b.example/field=1")
            assert len(results(again.content)) == 1


@needs_corpora
async def test_the_corpora_come_back_as_they_went_in(tmp_path: Path) -> None:
    path = next(path for path in FILES if path.name == "Capture__Documents__Namespaces_at_different_level.json")
    body = path.read_bytes()
    async with served(tmp_path / "store") as it:
        assert (await it.capture(body))["success"]
        answer = await it.client.get("/epcis/events?perPage=100")
        assert not findings(answer.json())
        back = [
            {key: value for key, value in told.items() if key not in ("eventID", "recordTime")}
            for told in results(answer.content)
        ]
        sent = [
            {key: value for key, value in told.items() if key not in ("eventID", "recordTime")}
            for told in events_of(orjson.loads(body))
        ]
        assert back == [told for n, told in enumerate(sent) if told not in sent[:n]]


@pytest.mark.parametrize("target", ["/epcis/events?" + "x=" * 300, "/epcis/" + "a/" * 50, "/epcis/events/%2e%2e"])
async def test_odd_requests_get_a_problem(tmp_path: Path, target: str) -> None:
    async with served(tmp_path / "store") as it:
        assert (await it.client.get(target)).headers["Content-Type"] == "application/problem+json"
