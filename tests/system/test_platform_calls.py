"""Two real nodes: an app goes from the store of one to the other; one calls the other's model under a contract."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixtures.nats import free_port
from tests.fixtures.node import Node
from tests.fixtures.processes import wait_until

MODEL = "tennessee-eastman.reactor-cooling"
APP = "com.example.vibration"
COLUMNS = ("reactor=K:393.55", "outlet=Cel:94.599", "level=%:75", "valve=%:41.106")
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Node]]:
    """A provider and a consumer, each the root of a tree of its own."""
    made: list[Node] = []
    try:
        for name in ("provider", "consumer"):
            folder = tmp_path_factory.mktemp(name)
            config = folder / "gongfu.toml"
            config.write_text(
                f'[node]\nname = "{name}"\n[tree]\nleaf_port = {free_port()}\njoin_port = {free_port()}\n'
            )
            node = Node(folder / "data", options=("--config", str(config)))
            made.append(node.start())
            node.cli("node", "found", "--name", name, "--tier", "enterprise")
        for node in made:
            wait_until(lambda node=node: "tree" in node.roles(), "the role tree is started", 60)
            node.wait_healthy()
        yield made[0], made[1]
    finally:
        for node in made:
            node.kill()


def listed(node: Node, *arguments: str) -> Any:
    return json.loads(node.cli(*arguments, "--json"))


def of(node: Node) -> httpx.Client:
    """The API of a node, for its local administrator."""
    return httpx.Client(base_url=f"{node.url}/v1", headers={"authorization": f"Bearer {node.token}"}, timeout=60)


def code(answer: httpx.Response) -> str:
    return str(answer.json()["code"])


@contextmanager
def second_person(node: Node) -> Iterator[httpx.Client]:
    """Another administrator of a node, signed in."""
    made = listed(node, "user", "add", "wang", "--role", "admin")
    first = made["password"]
    with httpx.Client(base_url=node.url, timeout=60) as client:
        token = client.post("/v1/session", json={"username": "wang", "password": first}).cookies["gongfu_session"]
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=node.url, headers=headers, timeout=60) as client:
        changed = client.post("/v1/session:changePassword", json={"old": first, "new": PASSWORD})
        assert changed.status_code == 200, changed.text
        yield client


def test_an_app_goes_from_store_to_node(nodes: tuple[Node, Node], tmp_path: Path) -> None:
    provider, consumer = nodes
    provider.cli("app", "new", "vibration", "--publisher", "com.example", "--in", str(tmp_path))
    key, package = str(tmp_path / "works.key"), str(tmp_path / "vibration.gfapp")
    provider.cli("app", "key", "new", "Example works", "--key", key)
    provider.cli("app", "pack", str(tmp_path / "vibration"), "-o", package, "--key", key)
    # Nobody trusts the key yet: neither the store nor the other node takes it.
    assert "key-unknown" in provider.run_cli("app", "publish", package).stderr
    for node in nodes:
        node.cli("app", "key", "trust", f"{key}.pub")
    provider.cli("app", "verify", package)
    made = listed(provider, "app", "publish", package, "--notes", "first")
    number = made["id"]

    with of(provider) as api:
        address = f"/store/versions/{number}"
        wait_until(lambda: api.get(address).json()["state"] == "reviewed", "the checks are done", 60)
        version = api.get(address).json()
        decision = {"decision": "publish", "sha256": made["sha256"]}
        assert code(api.post(f"{address}:decide", json=decision)) == "same-person"
    checks = {check["name"]: check["outcome"] for check in version["checks"]}
    assert checks == {
        "signature": "passed", "manifest": "passed", "size": "passed", "permissions": "noted", "tests": "passed",
    }  # fmt: skip
    with second_person(provider) as wang:
        decided = wang.post(f"/v1/store/versions/{number}:decide", json=decision)
    assert decided.status_code == 200, decided.text
    assert APP in provider.cli("store", "search", "vibration")
    # Cut off in the middle, it goes on.
    part = tmp_path / "kept" / f"{made['sha256']}.part"
    part.parent.mkdir()
    part.write_bytes(Path(package).read_bytes()[:1000])
    provider.cli("store", "fetch", APP, "-o", str(part.parent))
    assert (part.parent / f"{made['sha256']}.gfapp").read_bytes() == Path(package).read_bytes()
    consumer.environment["GONGFU_STORE_TOKEN"] = provider.token
    consumer.cli("app", "install", f"store:{APP}@{made['version']}", "--grant-all", "--store-url", provider.url)
    month = datetime.now(UTC).strftime("%Y-%m")
    with of(consumer) as ours, of(provider) as theirs:
        assert ours.get("/apps").json()["items"][0]["id"] == APP
        assert theirs.get(f"/store/apps/{APP}").json()["installs"] == 1
        assert [line["app"] for line in theirs.get(f"/store/statements?month={month}").json()["lines"]] == [APP]


def test_one_node_calls_the_model_of_the_other(nodes: tuple[Node, Node]) -> None:
    provider, consumer = nodes
    with of(provider) as theirs, of(consumer) as ours:
        to, by = (str(api.get("/tree/node").json()["id"]) for api in (ours, theirs))
        offered = listed(
            provider, "calls", "offer", "model", MODEL, "--to", to, "--quota", "3", "--price", "25",
            "--until", "2099-01-01T00:00:00Z", "--text", "For tests.",
        )  # fmt: skip
        offer = offered["terms"]["offer"]
        assert [port["unit"] for port in offered["terms"]["inputs"]][:1] == ["Cel"]
        contract = listed(consumer, "calls", "agree", provider.url, offer, "--provider", by)["id"]
        both = [api.get("/calls/contracts").json()["items"][0] for api in (theirs, ours)]
        assert [(one["id"], one["state"], one["side"]) for one in both] == [
            (contract, "valid", "provider"),
            (contract, "valid", "consumer"),
        ]
        assert both[0]["digest"] == both[1]["digest"]
        columns = [argument for column in COLUMNS for argument in ("--column", column)]
        first = listed(consumer, "calls", "call", contract, *columns, "--key", "one")
        # 393.55 K is 120.40 Cel: the base case of the plant, whose inlet water has 35 Cel.
        assert first["answer"]["columns"]["inlet"][0] == pytest.approx(35.0, abs=0.01)
        body = {"columns": dict(given(column) for column in COLUMNS), "key": "one"}
        call = f"/calls/contracts/{contract}:call"
        again = ours.post(call, json=body).json()
        assert (again["id"], again["repeated"]) == (first["id"], True)
        wrong = {"columns": {**body["columns"], "reactor": {"unit": "bar", "values": [1.0]}}}
        assert code(ours.post(call, json=wrong)) == "unit-mismatch"
        for _ in range(2):
            assert ours.post(call, json={"columns": body["columns"]}).status_code == 200
        refused = ours.post(call, json={"columns": body["columns"]})
        assert (refused.status_code, code(refused)) == (429, "quota-exceeded")
        report = listed(consumer, "calls", "reconcile", contract)
        assert report["differences"] == []
        assert report["here"] == report["there"] == {"calls": 3, "charged": 3, "amount": 75}
        provider.cli("calls", "revoke", offer, "--reason", "retired")
        assert code(ours.post(call, json={"columns": body["columns"]})) == "contract-ended"
        assert ours.get(f"/calls/contracts/{contract}").json()["state"] == "ended"


def given(column: str) -> tuple[str, dict[str, Any]]:
    port, _, rest = column.partition("=")
    unit, _, value = rest.partition(":")
    return port, {"unit": unit, "values": [float(value)]}
