"""The API of orders, from a route's call to the engine and back, through the JSON of the bus."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Action, Subject
from gongfu.rest.routing import Call
from gongfu.tree.api.orders import routes
from tests.unit.tree.orders_at_work.nodes_with_orders import ANN, BOB, OrderTree, kind

MakeTree = Callable[..., Any]
PAIR = (("nation", ""), ("site", "nation"))


class Api:
    """Calls routes as the web does, and the section as the bus does."""

    def __init__(self, tree: OrderTree, name: str) -> None:
        commands = {command.name: command for command in tree.orders(name).commands()}

        async def ask(subject: Subject, command: str, body: Any = None, response_type: Any = Any) -> Any:
            request = msgspec.json.decode(msgspec.json.encode(body), type=commands[command].request)
            answer = await commands[command].answer(subject, request)
            return msgspec.json.decode(msgspec.json.encode(answer), type=response_type)

        self.routes = {(route.method, route.path): route for route in routes(ask)}

    async def call(
        self, method: str, path: str, body: Any = None, subject: Subject = ANN, query: Any = None, **names: str
    ) -> Any:
        route = self.routes[(method, path)]
        decoded = None if route.request is None else msgspec.json.decode(msgspec.json.encode(body), type=route.request)
        answer = await route.answer(Call(subject, names, query or {}, decoded))
        shown = msgspec.json.encode(answer)
        msgspec.json.decode(shown, type=route.response)
        return msgspec.json.decode(shown)


async def test_an_order_by_the_api(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(kind(approvals=1), places=PAIR)
    api = Api(tree, "nation")
    kinds = await api.call("GET", "/order-kinds")
    assert kinds["next"] is None
    assert [(one["name"], one["title"]["zh"], one["issuable_here"]) for one in kinds["items"]] == [
        ("block", "封堵", True)
    ]
    body = {
        "kind": "block",
        "payload": {"address": "192.0.2.1"},
        "selection": {"query": {"subtree": tree.id("site"), "tiers": ["site"]}},
        "deadline": "2200-01-01T00:00:00Z",
        "priority": "urgent",
        "reason": "a test",
    }
    assert await api.call("POST", "/orders:preview", body) == {
        "targets": 1,
        "by_tier": {"site": 1},
        "guard": {"ok": True, "reasons": []},
    }
    drawn = await api.call("POST", "/orders", body)
    assert drawn["selection"] == {"query": {"subtree": [tree.id("site")], "tiers": ["site"]}}
    assert (drawn["payload"], drawn["not_before"], drawn["state"]) == (body["payload"], None, "drafted")
    order = drawn["id"]
    drawn = await api.call("PATCH", "/orders/{id}", {**body, "reason": "better"}, id=order)
    approved = await api.call("POST", "/orders/{id}:approve", {"digest": drawn["digest"]}, BOB, id=order)
    assert approved["approvals"][0]["person"] == "bob"
    assert approved["state"] == "approved"
    await api.call("POST", "/orders/{id}:issue", id=order)
    await tree.settled("nation", order, "verified")
    shown = await api.call("GET", "/orders/{id}", id=order)
    assert (shown["state"], shown["totals"], shown["progress"]) == (
        "closed",
        {"verified": 1},
        [{"tier": "site", "counts": {"verified": 1}}],
    )
    targets = await api.call("GET", "/orders/{id}/targets", query={"limit": "1", "state": "verified"}, id=order)
    assert [one["name"] for one in targets["items"]] == ["site"]
    events = await api.call("GET", "/orders/{id}/audit", query={"limit": "2"}, id=order)
    assert [one["action"] for one in events["items"]] == ["issued", "approved"]
    events = await api.call("GET", "/orders/{id}/audit", query={"cursor": events["next"]}, id=order)
    assert [(one["action"], one["user"]) for one in events["items"]] == [("changed", "ann"), ("drafted", "ann")]
    orders = await api.call("GET", "/orders", query={"state": "closed"})
    assert [one["id"] for one in orders["items"]] == [order]
    assert (await api.call("POST", "/orders/{id}:revoke", {"reason": "enough"}, id=order))["revoked"]
    other = await api.call("POST", "/orders", body)
    assert (await api.call("POST", "/orders/{id}:discard", id=other["id"]))["state"] == "discarded"
    site = Api(tree, "site")
    kinds = await site.call("POST", "/order-kinds/{kind}:allow", {"allowed": False}, kind="block")
    assert not kinds["items"][0]["obeyed"]
    for verb, body in (("accept", None), ("refuse", {"reason": "no"})):
        with pytest.raises(Problem) as caught:
            await site.call("POST", f"/orders/{{id}}:{verb}", body, id=order)
        assert caught.value.status == 409
    with pytest.raises(Problem, match="state must be one of"):
        await api.call("GET", "/orders", query={"state": "lost"})


async def test_who_may_do_what(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(places=(("nation", ""),))
    allowed = {key: route.action for key, route in Api(tree, "nation").routes.items()}
    assert allowed[("POST", "/orders/{id}:approve")] is Action.ORDER_APPROVE
    assert allowed[("POST", "/orders/{id}:refuse")] is Action.ORDER_ANSWER
    assert {action for (method, _), action in allowed.items() if method == "GET"} == {Action.READ}
    assert Action.READ not in {action for (method, _), action in allowed.items() if method != "GET"}
