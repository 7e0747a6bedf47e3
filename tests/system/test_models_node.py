"""Models on a whole node, from the command line: registered, bound by pattern, called, back-filled, metered."""

import json
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from tests.fixtures.node import Node
from tests.fixtures.processes import wait_until

POWER = """
from gongfu.appkit.contract import Port, model

@model(id="pump.power", version="1.0.0", name="Pump power",
       inputs=[Port("flow", "m3/s"), Port("head", "m")], outputs=[Port("power", "kW")])
def power(columns, dt):
    if (columns["head"] > 1000).any():
        raise ValueError("no such head")
    return {"power": 9.79 * columns["flow"] * columns["head"]}
"""
MEAN = """
SELECT toStartOfInterval(time, INTERVAL 10 SECOND) AS time, avg(value) AS mean
FROM points WHERE asset = :asset AND point = 'flow' AND time >= :from AND time < :to GROUP BY time
"""
STEP_MS = 1000


class Pumps:
    """Two devices that send flow and head, one sample a second of source time."""

    def __init__(self, node: Node) -> None:
        self.clients: list[paho.Client] = []
        self.begin = (time.time_ns() // 1_000_000 - 3_600_000) // 60_000 * 60_000
        for name in ("pump-1", "pump-2"):
            secret = json.loads(node.cli("device", "add", name, "--json"))["secret"]
            client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name)
            client.username_pw_set(name, secret)
            client.connect("127.0.0.1", node.mqtt_port)
            client.loop_start()
            self.clients.append(client)

    def send(self, first: int, number: int) -> None:
        for client in self.clients:
            for n in range(first, first + number):
                payload = json.dumps({"ts": self.begin + n * STEP_MS, "values": {"flow": 0.1 * n, "head": 30.0}})
                client.publish("v1/devices/me/telemetry", payload, qos=1).wait_for_publish(60)

    def close(self) -> None:
        for client in self.clients:
            client.disconnect()
            client.loop_stop()


def ask(node: Node, path: str, body: Any = None) -> Any:
    """The API itself: a command line for each look would take most of the test's time."""
    request = urllib.request.Request(
        f"{node.url}/v1{path}",
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Bearer {node.token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def values(node: Node, asset: str, point: str) -> list[float]:
    found = [
        item["series"]
        for item in ask(node, "/points?limit=100")["items"]
        if (item["asset_path"], item["name"]) == (asset, point)
    ]
    if not found:
        return []
    now = time.time()
    span = {
        name: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for name, at in (("from", now - 7200), ("to", now))
    }
    time.sleep(0.2)
    return list(ask(node, "/series:query", {"series": found, **span})["series"][0]["values"])


def binding(node: Node) -> dict[str, Any]:
    time.sleep(0.2)
    return ask(node, "/models/pump.power")["bindings"][0]


def test_a_model_from_its_file_to_its_bill(node: Node, tmp_path: Path) -> None:
    (tmp_path / "power.py").write_text(POWER)
    (tmp_path / "mean.sql").write_text(MEAN)
    (tmp_path / "spec.json").write_text(json.dumps({"quota": {"calls_per_minute": 2, "rows_per_minute": 1000}}))
    node.start()
    assert "models" not in node.roles()  # nobody has asked
    node.cli("mechanism", "register", str(tmp_path / "power.py"), "--spec", str(tmp_path / "spec.json"))
    pumps = Pumps(node)
    node.cli("mechanism", "bind", "pump.power", "--assets", "pump-*", "--assume-units")
    try:
        # Both pumps wait for their points, which come with the first samples; what follows is computed.
        pumps.send(1, 5)
        wait_until(lambda: binding(node)["counts"].get("running") == 2, "both pumps run", 60)
        pumps.send(6, 5)
        wait_until(lambda: len(values(node, "pump-2", "power")) >= 5, "outputs are in the history", 60)
        rows = json.loads(node.cli("mechanism", "assets", "pump.power", str(binding(node)["id"]), "--json"))
        assert [(row["asset_path"], row["status"]) for row in rows] == [("pump-1", "running"), ("pump-2", "running")]
        for pump, name in ((pump, name) for pump in ("pump-1", "pump-2") for name in ("flow", "head")):
            wait_until(
                lambda pump=pump, name=name: len(values(node, pump, name)) == 10, f"{name} of {pump} is there", 60
            )
        job = json.loads(
            node.cli("mechanism", "backfill", "pump.power", "--from", "2000-01-01T00:00:00Z",
                     "--to", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "--wait", "--json")
        )  # fmt: skip
        assert (job["state"], job["progress"]["rows"], job["progress"]["points"]) == ("done", 20, 20)
        expected = pytest.approx([9.79 * 0.1 * n * 30.0 for n in range(1, 11)])
        wait_until(lambda: len(values(node, "pump-1", "power")) == 10, "what was before the binding is computed", 60)
        assert values(node, "pump-1", "power") == expected
        assert values(node, "pump-2", "power") == expected

        answer = json.loads(node.cli("mechanism", "invoke", "pump.power", "flow=100,200", "head=30,30",
                                     "--unit", "flow=L/s", "--json"))  # fmt: skip
        assert answer["columns"]["power"] == pytest.approx([9.79 * 0.1 * 30.0, 9.79 * 0.2 * 30.0])
        for arguments, words in (
            (("flow=1", "head=2", "--unit", "flow=bar"), "bar cannot be converted to m3/s"),
            (("flow=1",), "input 'head' is missing"),
            (("flow=1,2", "head=1"), "columns differ in length"),
            (("flow=1", "head=2000"), "no such head"),
        ):
            done = node.run_cli("mechanism", "invoke", "pump.power", *arguments)
            assert done.returncode == 1
            assert words in done.stderr
        # Command lines may take longer than the minute of the quota: one call after the other by the API does not.
        more = 0

        def refusal() -> str:
            nonlocal more
            try:
                ask(node, "/models/pump.power:invoke", {"columns": {"flow": [1.0], "head": [2.0]}})
            except urllib.error.HTTPError as error:
                return error.read().decode()
            more += 1
            return ""

        assert "grants 2 calls" in wait_until(refusal, "the quota is used up", 60)

        def used() -> Counter[str]:
            """What all hours of the test come to."""
            time.sleep(0.2)
            found: Counter[str] = Counter()
            for item in ask(node, "/model-usage")["items"]:
                assert item["model"] == "pump.power"
                found.update({name: item[name] for name in ("calls", "rows", "failures", "refused")})
            return found

        wait_until(lambda: used()["refused"], "the usage is written", 60)
        assert used() == {"calls": 2 + more, "rows": 2 + more, "failures": 1, "refused": 1}

        (tmp_path / "mean.json").write_text(
            json.dumps({"step_s": 10, "outputs": [{"name": "mean", "unit": "m3/s", "point": "mean flow"}]})
        )
        node.cli("mechanism", "register", str(tmp_path / "mean.sql"), "--id", "flow.mean", "--version", "1.0.0",
                 "--spec", str(tmp_path / "mean.json"))  # fmt: skip
        begin = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(pumps.begin / 1000))
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(pumps.begin / 1000 + 60))
        answer = json.loads(node.cli("mechanism", "invoke", "flow.mean", "--asset", "pump-1", "--from", begin,
                                     "--to", end, "--json"))  # fmt: skip
        assert [round(value, 6) for value in answer["columns"]["mean"]] == [0.5, 1.0]
        assert answer["times"][0] == begin
    finally:
        pumps.close()
    node.cli("mechanism", "remove", "pump.power")
    assert node.stop() == 0
