"""Thing models over HTTP: from a file to assets, and what is wrong on the way."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gongfu.thing.exchange import export_model
from gongfu.thing.types import Field, Model, Property, Service
from tests.contract.api.conftest import Web, problem

MACHINE = {"name": "机器", "abstract": True, "properties": {"运行": {"data_type": "boolean"}}}
FLOW = {"data_type": "double", "unit": "m3/h", "minimum": 0, "maximum": 120}
PUMP = {"name": "pump", "extends": "机器@1", "properties": {"flow": FLOW}}


def test_model_becomes_assets(web: Web) -> None:
    client = web.clients["engineer"]
    made = client.post("/v1/thing-models", json=MACHINE, params={"publish": "true"})
    assert made.status_code == 201, made.text
    assert made.json()["reference"] == "机器@1"
    draft = client.post("/v1/thing-models", json=PUMP).json()
    assert (draft["state"], list(draft["resolved"]["properties"])) == ("draft", ["运行", "flow"])
    bind = {"items": [{"path": "hall/pump 1", "identifier": "88.1/p1"}, {"path": "hall/pump 2"}]}
    problem(client.post("/v1/thing-models/pump@1/instances", json=bind), 409, "conflict")
    assert client.post("/v1/thing-models/pump@1:publish").json()["state"] == "published"
    bound = client.post("/v1/thing-models/pump/instances", json=bind)
    assert bound.status_code == 201, bound.text
    assert [item["misfits"] for item in bound.json()["items"]] == [[], []]
    page = client.get("/v1/thing-models/pump/instances", params={"limit": 1}).json()
    assert [item["path"] for item in page["items"]] == ["hall/pump 1"]
    rest = client.get("/v1/thing-models/pump/instances", params={"cursor": page["next"]}).json()
    assert [item["path"] for item in rest["items"]] == ["hall/pump 2"]
    asset = client.get("/v1/assets", params={"path": "hall/pump 1"}).json()["items"][0]
    assert (asset["type"], asset["attributes"]) == ("pump@1", {"identifier": "88.1/p1"})
    problem(client.patch(f"/v1/assets/{asset['id']}", json={"type": "pump@7"}), 400, "invalid-request")
    names = [item["reference"] for item in client.get("/v1/thing-models", params={"limit": 1000}).json()["items"]]
    assert {"pump@1", "机器@1"} <= set(names)
    narrower = {**PUMP, "properties": {"flow": {**FLOW, "maximum": 100}}}
    assert client.post("/v1/thing-models", json=narrower).json()["reference"] == "pump@2"
    found = client.get("/v1/thing-models/pump@2:diff", params={"from": "pump@1"}).json()
    assert found["breaking"]
    assert [change["where"] for change in found["changes"]] == ["properties.flow.maximum"]
    problem(client.get("/v1/thing-models/pump@2:diff"), 400, "invalid-request")
    assert client.delete("/v1/thing-models/pump@2").status_code == 204
    problem(client.delete("/v1/thing-models/pump@1"), 409, "conflict")
    assert client.post("/v1/thing-models/pump@1:retire").json()["state"] == "retired"
    assert len(client.get("/v1/thing-models/pump/versions").json()["items"]) == 1
    problem(web.clients["stranger"].get("/v1/thing-models/pump"), 404, "not-found")
    problem(web.clients["viewer"].post("/v1/thing-models", json=MACHINE), 403, "forbidden")


@pytest.mark.parametrize("form", ["json", "wot", "aas", "nodeset", "csv"])
def test_files_in_and_out(web: Web, form: str) -> None:
    client = web.clients["engineer"]
    services = {} if form == "csv" else {"start": Service({"speed": Field("double", unit="/min")})}
    model = Model(f"in {form}", properties={"流量": Property("double", unit="m3/h", maximum=9)}, services=services)
    content = export_model(model, "x@1", form).content
    answer = client.post("/v1/thing-models:import", content=content, headers={"content-type": "application/xml"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["format"] == form
    assert answer.json()["left_out"] == []
    made = client.post("/v1/thing-models", json=answer.json()["models"][0])
    assert made.status_code == 201, made.text
    out = client.get(f"/v1/thing-models/in {form}@1:export", params={"format": form})
    assert out.status_code == 200, out.text
    assert "x-left-out" not in out.headers
    again = client.post("/v1/thing-models:import", content=out.content, params={"format": form}).json()
    assert again["models"] == answer.json()["models"]
    wrapped = client.get(f"/v1/thing-models/in {form}@1:export", params={"format": form, "wrapped": "true"}).json()
    assert wrapped["content"].encode() == out.content


def _cli(web: Web, *arguments: str, status: int = 0) -> str:
    token = (web.data_dir / "secrets" / "cli-token").read_text().strip()
    command = [sys.executable, "-m", "gongfu.node.cli", "model", *arguments, "--url", web.url, "--token", token]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_command_line(web: Web, tmp_path: Path) -> None:
    table = tmp_path / "fan.csv"
    table.write_text("model,name,data_type,unit,colour\nfan,speed,double,/min,red\n", encoding="utf-8")
    assert "nothing was stored" in _cli(web, "import", str(table), "--preview")
    imported = _cli(web, "import", str(table), "--publish")
    assert "fan@1 (published): 1 properties" in imported
    assert "left out: colour" in imported
    assert "fan@1" in _cli(web, "list", "--search", "fa")
    assert "/min" in _cli(web, "show", "fan")
    exported = tmp_path / "fan.jsonld"
    _cli(web, "export", "fan", "--format", "wot", "-o", str(exported))
    assert json.loads(exported.read_text(encoding="utf-8"))["@type"] == "tm:ThingModel"
    table.write_text("model,name,data_type,unit\nfan,speed,double,/s\n", encoding="utf-8")
    assert "fan@2 (draft)" in _cli(web, "import", str(table))
    assert "properties.speed.unit" in _cli(web, "diff", "fan@1", "fan@2")
    assert "roof/fan 1" in _cli(web, "bind", "fan@1", "roof/fan 1")
    assert "all as it says" in _cli(web, "check", "fan")
    asset = web.clients["root"].get("/v1/assets", params={"path": "roof/fan 1"}).json()["items"][0]
    points = web.clients["root"].get("/v1/points", params={"asset": asset["id"]}).json()["items"]
    web.clients["root"].patch(f"/v1/points/{points[0]['series']}", json={"unit": "Hz"})
    assert "model_unit" in _cli(web, "check", "fan", status=1)
    table.write_text("name,data_type\nx,real\n", encoding="utf-8")
    assert "line 2" in _cli(web, "import", str(table), status=1)


def test_wrong_requests_are_problems(web: Web) -> None:
    client = web.clients["engineer"]
    for document in (
        {"name": "x", "colour": 1},
        {"name": "x", "properties": {"p": {"data_type": "real"}}},
        {"name": "x", "properties": {"p": {"data_type": "double", "unit": "rpm"}}},
        {"name": "x", "extends": "nothing"},
    ):
        found = problem(client.post("/v1/thing-models", json=document), 400, "invalid-request")
        assert found["detail"]
    problem(client.post("/v1/thing-models", json={"name": "x", "extends": "nothing@1"}), 409, "conflict")
    problem(client.post("/v1/thing-models:import", content=b"<a/>"), 400, "invalid-request")
    problem(client.post("/v1/thing-models:import", content=b"{}", params={"format": "x"}), 400, "invalid-request")
    big = json.dumps({"name": "x", "description": "x" * 250_000})
    problem(client.post("/v1/thing-models:import", content=big), 413, "body-too-large")
    problem(client.get("/v1/thing-models/nothing:export"), 404, "not-found")
