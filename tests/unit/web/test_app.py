"""The application around routes of the test: decoding, permissions, and what becomes of failures."""

import logging
from collections.abc import Sequence
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Action, Role, Subject
from gongfu.registry.sessions import Identity
from gongfu.rest.routing import ANONYMOUS, Call, Raw, Route
from gongfu.web.app import create_app
from gongfu.web.openapi import openapi_document

SECRET = "do-not-show-this"


class Body(msgspec.Struct, forbid_unknown_fields=True):
    n: int


def identify(token: str) -> Identity | None:
    return Identity(Subject(1, "u", 1, Role(token)), "hash", False) if token in set(Role) else None


def client(routes: Sequence[Route], role: str = "viewer") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(routes, identify, max_body_bytes=100))
    headers = {"authorization": f"Bearer {role}"} if role else {}
    return httpx.AsyncClient(transport=transport, base_url="http://node", headers=headers)


async def call(route: Route, role: str = "viewer", **request: Any) -> httpx.Response:
    async with client([route], role) as opened:
        return await opened.request(route.method, "/v1" + route.path.replace("{id}", "5"), **request)


def route(
    answer: Any, method: str = "GET", path: str = "/x", action: Action | None = Action.READ, **more: Any
) -> Route:
    return Route(method, path, action, answer, "Test", **more)


async def test_answers_of_every_kind() -> None:
    async def document(_: Call) -> dict[str, Any]:
        return {"count": np.int64(5), "mean": np.float64(0.5)}

    async def nothing(_: Call) -> None:
        return None

    async def raw(_: Call) -> Raw:
        return Raw(b"bytes", "application/octet-stream", {"x-more": "1"}, 206)

    assert (await call(route(document))).json() == {"count": 5, "mean": 0.5}
    assert (await call(route(nothing))).status_code == 204
    answer = await call(route(raw))
    assert (answer.status_code, answer.content, answer.headers["x-more"]) == (206, b"bytes", "1")


async def test_body_is_decoded_to_the_type_of_the_route() -> None:
    async def double(call: Call) -> int:
        return call.body.n * 2

    asked = route(double, "POST", request=Body, status=201)
    answer = await call(asked, json={"n": 21})
    assert (answer.status_code, answer.json()) == (201, 42)
    for bad, code in (
        ({"n": "21"}, "invalid-request"),
        ({"n": 1, "m": 2}, "invalid-request"),
        ({"n": 1.5}, "invalid-request"),
    ):
        answer = await call(asked, json=bad)
        assert (answer.status_code, answer.json()["code"]) == (400, code)
    answer = await call(asked, content=b"[" * 99, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    answer = await call(asked, content=b" " * 101, headers={"content-type": "application/json"})
    assert answer.status_code == 413


async def test_raw_body_comes_as_it_was() -> None:
    async def echo(call: Call) -> Raw:
        return Raw(call.body, call.headers["content-type"])

    answer = await call(
        route(echo, "POST", request=bytes), content=b"\x00\xff\\u0000", headers={"content-type": "text/odd"}
    )
    assert (answer.content, answer.headers["content-type"]) == (b"\x00\xff\\u0000", "text/odd")


async def test_permission_is_checked_before_the_body() -> None:
    async def never(_: Call) -> None:
        raise AssertionError("must not be called")

    asked = route(never, "POST", action=Action.DEVICE_WRITE, request=Body)
    assert (await call(asked, "viewer", content=b"{")).status_code == 403
    assert (await call(asked, "", content=b"{")).status_code == 401
    assert (await call(asked, "engineer", content=b"{")).status_code == 415


async def test_public_route_knows_no_subject() -> None:
    async def who(call: Call) -> bool:
        return call.subject == ANONYMOUS

    assert (await call(route(who, action=None), "")).json() is True
    assert (await call(route(who, action=None), "admin")).json() is True


async def test_problem_is_told_as_it_is() -> None:
    async def fail(_: Call) -> None:
        raise Problem(409, "conflict", "Conflict", "because", {"retry_after": 3, "further": [1]})

    answer = await call(route(fail))
    assert answer.headers["retry-after"] == "3"
    assert answer.json() == {
        "type": "/problems/conflict",
        "title": "Conflict",
        "status": 409,
        "code": "conflict",
        "detail": "because",
        "retry_after": 3,
        "further": [1],
        "request_id": answer.headers["x-request-id"],
    }


async def test_unexpected_failure_shows_nothing_and_is_logged_with_its_request_id(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(_: Call) -> None:
        raise RuntimeError(SECRET)

    with caplog.at_level(logging.ERROR, "gongfu.web"):
        answer = await call(route(fail))
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert SECRET not in answer.text
    assert "RuntimeError" not in answer.text
    assert answer.headers["x-request-id"] in caplog.text
    assert SECRET in caplog.text


async def test_answer_that_is_not_json_is_an_internal_error_and_not_a_broken_answer() -> None:
    async def odd(_: Call) -> object:
        return object()

    assert (await call(route(odd))).status_code == 500


async def test_verb_after_a_colon_is_its_own_path() -> None:
    async def plain(call: Call) -> str:
        return "plain " + call.path["id"]

    async def verb(call: Call) -> str:
        return "verb " + call.path["id"]

    routes = [route(plain, path="/things/{id}"), route(verb, "POST", path="/things/{id}:do")]
    async with client(routes) as opened:
        assert (await opened.get("/v1/things/5")).json() == "plain 5"
        assert (await opened.post("/v1/things/5:do")).json() == "verb 5"
        assert (await opened.get("/v1/things/5:do")).status_code == 405
        assert (await opened.post("/v1/things/5:other")).status_code == 404


def test_same_operation_twice_is_a_mistake_of_the_composition() -> None:
    async def answer(_: Call) -> None: ...

    with pytest.raises(ValueError, match="twice"):
        create_app([route(answer), route(answer)], identify)


def test_openapi_of_a_route() -> None:
    async def answer(_: Call) -> None: ...

    routes = [
        Route("PUT", "/things/{id}", Action.RULE_WRITE, answer, "Replace (?force)", Body, list[Body], 200),
        Route("POST", "/open", None, answer, "Open", bytes),
    ]
    document = openapi_document(routes, "1.2.3")
    operation = document["paths"]["/v1/things/{id}"]["put"]
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Body"}
    assert [item["name"] for item in operation["parameters"]] == ["id", "force"]
    assert operation["x-action"] == "rule.write"
    assert document["components"]["schemas"]["Body"]["additionalProperties"] is False
    assert document["paths"]["/v1/open"]["post"]["security"] == []
