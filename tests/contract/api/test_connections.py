"""Connections over the API: who may, what is refused with which words, and that secrets stay where they belong."""

import stat
from typing import Any

import pytest

from tests.contract.api.conftest import Web, problem

PASSWORD = "p%40ss-w0rd-of-the-plc"


def body(name: str, **more: Any) -> dict[str, Any]:
    addresses = [{"point": "温度", "where": "holding:0:float32", "unit": "Cel"}, {"point": "n", "where": "holding:9"}]
    return {"name": name, "url": "modbus://192.0.2.1/1", "asset": "车间/press", "addresses": addresses, **more}


def test_life_of_a_connection(web: Web) -> None:
    engineer = web.clients["engineer"]
    made = engineer.post("/v1/connections", json=body("plc-1", paused=True))
    assert made.status_code == 201, made.text
    document = made.json()
    assert (document["protocol"], document["asset_path"], document["points"]) == ("modbus", "车间/press", 2)
    assert document["status"] is None
    path = f"/v1/connections/{document['id']}"
    assert engineer.get(path).json() == document
    points = engineer.get("/v1/points", params={"search": "温度"}).json()["items"]
    assert [(point["unit"], point["type"]) for point in points] == [("Cel", "double")]
    listed = engineer.get("/v1/connections").json()["items"]
    assert [(one["name"], one["paused"]) for one in listed] == [("plc-1", True)]
    problem(engineer.post("/v1/connections", json=body("plc-1")), 409, "conflict")
    changed = engineer.patch(path, json={"options": {"timeout": 1.5}, "addresses": body("x")["addresses"][:1]})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["options"], changed.json()["points"]) == ({"timeout": 1.5}, 1)
    device = document["device"]
    assert engineer.get(f"/v1/devices/{device}").json()["name"] == "plc-1"
    assert engineer.delete(path).status_code == 204
    problem(engineer.get(path), 404, "not-found")
    problem(engineer.get(f"/v1/devices/{device}"), 404, "not-found")
    # What the machine brought stays.
    assert engineer.get("/v1/points", params={"search": "温度"}).json()["items"]
    actions = [entry["action"] for entry in web.clients["root"].get("/v1/audit").json()["items"]]
    assert {"connection.create", "connection.update", "connection.delete"} <= set(actions)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"url": "192.0.2.1"}, "must begin with the protocol"),
        ({"url": "nope://192.0.2.1"}, "no driver takes nope://"),
        ({"url": "modbus://192.0.2.1:99999"}, "url"),
        ({"options": {"timeot": 1}}, "'timeot' was unexpected"),
        ({"options": {"unit": 900}}, "option unit: 900 is greater than the maximum of 255"),
        ({"name": "a/b"}, "device name must not contain /"),
        ({"addresses": [{"point": "t", "where": "x", "every": 0}]}, "every must be"),
        ({"addresses": [{"point": "t", "where": "x", "unit": "parsec/h?"}]}, "unit"),
        ({"addresses": [{"point": "t", "where": "x", "deadband": 1, "swinging_door": 1}]}, "not both"),
        ({"addresses": [{"point": "t", "where": "x"}, {"point": "t", "where": "y"}]}, "there twice"),
        ({"addresses": [{"point": "t", "where": "x", "value_type": "float"}]}, "value_type must be one of"),
        ({"addresses": [{"point": "t"}]}, "where"),
    ],
)
def test_what_is_refused(web: Web, change: dict[str, Any], says: str) -> None:
    answer = web.clients["engineer"].post("/v1/connections", json={**body("refused"), **change})
    assert says in problem(answer, 400, answer.json()["code"])["detail"]
    assert not web.clients["engineer"].get("/v1/devices", params={"search": "refused"}).json()["items"]


@pytest.mark.parametrize("connection", [-1, 2**63, -(2**90)])
def test_a_number_that_is_no_id_is_refused(web: Web, connection: int) -> None:
    answer = web.clients["engineer"].post("/v1/connections:test", json={"connection": connection})
    problem(answer, 400, answer.json()["code"])


def test_secrets_stay_where_they_belong(web: Web) -> None:
    engineer = web.clients["engineer"]
    request = {"name": "server", "url": f"opc.tcp://reader:{PASSWORD}@192.0.2.1:4840/x", "paused": True}
    made = engineer.post("/v1/connections", json=request)
    assert made.status_code == 201, made.text
    document = made.json()
    assert document["url"] == "opc.tcp://192.0.2.1:4840/x"
    assert document["secrets"] == ["password"]
    assert document["options"] == {"username": "reader"}
    file = web.data_dir / "secrets" / "connections" / str(document["id"]) / "options.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"p@ss-w0rd-of-the-plc" in file.read_bytes()
    # A change of other options keeps it; a new one replaces it.
    path = f"/v1/connections/{document['id']}"
    kept = engineer.patch(path, json={"options": {"username": "other"}})
    assert (kept.json()["options"], kept.json()["secrets"]) == ({"username": "other"}, ["password"])
    assert b"p@ss-w0rd-of-the-plc" in file.read_bytes()
    engineer.patch(path, json={"options": {"password": "another one"}})
    assert b"p@ss-w0rd-of-the-plc" not in file.read_bytes()
    secret = "p@ss-w0rd-of-the-plc"
    for answer in (made, kept, engineer.get(path), web.clients["root"].get("/v1/audit")):
        assert secret not in answer.text
        assert "another one" not in answer.text
    assert secret not in web.log.read_text()
    for entry in web.data_dir.glob("records.db*"):
        assert secret.encode() not in entry.read_bytes()
    assert engineer.delete(path).status_code == 204
    assert not file.parent.exists()


def test_who_may(web: Web) -> None:
    key = web.clients["engineer"].post("/v1/connections", json=body("mine", paused=True)).json()["id"]
    path = f"/v1/connections/{key}"
    for role in ("viewer", "operator"):
        client = web.clients[role]
        assert client.get(path).status_code == 200
        for answer in (
            client.post("/v1/connections", json=body("theirs")),
            client.patch(path, json={"paused": False}),
            client.delete(path),
            client.post("/v1/connections:test", json={"url": "modbus://192.0.2.1"}),
            client.post(f"{path}:write", json={"point": "n", "value": 1}),
            client.post(f"{path}:call", json={"method": "i=1"}),
            client.post(f"{path}:signature", json={"method": "i=1"}),
        ):
            problem(answer, 403, "forbidden")
    stranger = web.clients["stranger"]
    assert stranger.get("/v1/connections").json()["items"] == []
    for answer in (
        stranger.get(path),
        stranger.patch(path, json={"paused": False}),
        stranger.delete(path),
        stranger.post(f"{path}:write", json={"point": "n", "value": 1}),
        stranger.post("/v1/connections:browse", json={"target": {"connection": key}}),
        stranger.post("/v1/connections:read", json={"target": {"connection": key}, "addresses": []}),
    ):
        problem(answer, 404, "not-found")
    web.clients["engineer"].delete(path)


def test_only_what_is_writable_is_written(web: Web) -> None:
    engineer = web.clients["engineer"]
    key = engineer.post("/v1/connections", json=body("w", paused=True)).json()["id"]
    path = f"/v1/connections/{key}:write"
    problem(engineer.post(path, json={"point": "n", "value": 1}), 403, "forbidden")
    problem(engineer.post(path, json={"point": "gone", "value": 1}), 404, "not-found")
    addresses = [{"point": "n", "where": "holding:9", "writable": True}]
    engineer.patch(f"/v1/connections/{key}", json={"addresses": addresses})
    problem(engineer.post(path, json={"point": "n", "value": "one"}), 400, "invalid-request")
    engineer.delete(f"/v1/connections/{key}")


def test_drivers_are_listed_with_their_schemas(web: Web) -> None:
    found = {one["protocol"]: one for one in web.clients["viewer"].get("/v1/drivers").json()["items"]}
    assert {"modbus", "opcua", "recording"} <= set(found)
    assert found["opcua"]["options_schema"]["properties"]["password"]["writeOnly"]
    assert found["modbus"]["title"].keys() == {"zh", "en"}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"method": ""}, "method must have 1 to 2000"),
        ({"method": "i=1", "object": "a\nb"}, "object must have 1 to 2000"),
        ({"method": "i=1", "arguments": [0] * 101}, "at most 100 arguments"),
        ({"method": "i=1", "arguments": 5}, "arguments"),
        ({"metod": "i=1"}, "metod"),
    ],
)
def test_calls_that_are_refused_before_anybody_is_asked(web: Web, body: dict[str, Any], says: str) -> None:
    engineer = web.clients["engineer"]
    name = f"called {says[:6]} {len(body)}{len(str(body))}"
    made = engineer.post("/v1/connections", json={"name": name, "url": "modbus://192.0.2.1/1", "paused": True})
    path = f"/v1/connections/{made.json()['id']}"
    assert says in problem(engineer.post(f"{path}:call", json=body), 400, "invalid-request")["detail"]
    assert engineer.delete(path).status_code == 204
