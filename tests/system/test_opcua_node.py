"""OPC UA on a real node, both ways: its assets are served, and the same node's driver connects to them."""

import json
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.connect.opcua import foreign_process
from tests.fixtures.modbus_machine import float_words, modbus_machine
from tests.fixtures.nats import free_port
from tests.fixtures.node import Node
from tests.fixtures.opcua_plant import OpcUaPlant, certificate
from tests.fixtures.processes import wait_until

pytest.importorskip("asyncua", reason="the extra opcua is not installed")
MAP = "name,register,unit,scale,every,writable,asset\n温度,holding:10:float32,Cel,,0.2,,\n"
DEADLINE_S = 90.0


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("opcua")
    (folder / "gongfu.toml").write_text(f"[opcua]\nenabled = true\nport = {free_port()}\nanonymous = true\n")
    made = Node(folder / "data").start()
    yield made
    made.kill()


def test_a_machine_is_served_and_read_back(node: Node, tmp_path_factory: pytest.TempPathFactory) -> None:
    map_file = tmp_path_factory.mktemp("map") / "map.csv"
    map_file.write_text(MAP, encoding="utf-8")
    headers = {"Authorization": f"Bearer {node.token}"}

    def latest(path: str) -> object:
        items = httpx.get(f"{node.url}/v1/points", params={"limit": 200}, headers=headers, timeout=30).json()["items"]
        return next((p["latest"]["value"] for p in items if p["asset_path"] == path and p["latest"]), None)

    with modbus_machine() as machine:
        machine.set(10, float_words(21.5))
        source = f"modbus://127.0.0.1:{machine.port}/1"
        node.cli("connect", source, "--apply", "--map", str(map_file), "--name", "炉", "--asset", "车间/炉")
        wait_until(lambda: latest("车间/炉") == 21.5, "the value of the machine", DEADLINE_S)

        port = tomllib.loads((node.data_dir.parent / "gongfu.toml").read_text())["opcua"]["port"]
        url = f"opc.tcp://127.0.0.1:{port}/gongfu"
        refused = node.run_cli("connect", url, "--preview")
        assert refused.returncode != 0
        assert "thumbprint" in refused.stderr
        assert "Traceback" not in refused.stderr
        # Server and driver of a node have one certificate: trusting it lets both in.
        path = f"{node.url}/v1/connections/opcua/certificates"
        own = httpx.get(path, headers=headers, timeout=30).json()["own"]
        (seen,) = httpx.get(path, headers=headers, timeout=30).json()["items"]
        assert (seen["fingerprint"], seen["state"]) == (own["fingerprint"], "rejected")
        done = httpx.post(f"{path}/{own['fingerprint']}:trust", headers=headers, timeout=30)
        assert done.status_code == 200, done.text

        wait_until(lambda: "21.5" in node.run_cli("connect", url, "--preview").stdout, "the preview", DEADLINE_S)
        shown = node.cli("connect", url, "--preview")
        assert "温度" in shown
        assert "Cel" in shown
        node.cli("connect", url, "--apply", "--name", "镜", "--asset", "镜")
        wait_until(lambda: 21.5 in _values(node, headers, "镜"), "the mirror", DEADLINE_S)
        machine.set(10, float_words(22.25))
        wait_until(lambda: 22.25 in _values(node, headers, "镜"), "a change through both", DEADLINE_S)
    assert node.roles()["opcua"]["state"] == "ready"


def test_what_is_wrong_with_a_server_is_told_and_hurts_no_other(node: Node, tmp_path: Path) -> None:
    """A live server with a wrong certificate, policy or password: command line, API and status say what to do."""
    headers = {"Authorization": f"Bearer {node.token}"}
    day = timedelta(days=1)
    client = httpx.Client(base_url=f"{node.url}/v1", headers=headers, timeout=60)
    plant = OpcUaPlant(tmp_path / "plant", {"操作员": "密码"})

    def told(url: str, *options: str) -> str:
        done = node.run_cli("connect", url, "--preview", *options)
        assert done.returncode == 1, done.stdout
        assert "Traceback" not in done.stderr
        return done.stderr

    def tested(url: str, **options: Any) -> dict[str, Any]:
        answer = client.post("/connections:test", json={"url": url, "options": options}).json()
        assert answer["ok"] is False
        assert answer["advice"]
        return answer

    def failed(name: str, url: str, reason: str, **options: Any) -> dict[str, Any]:
        body = {"name": name, "url": url, "options": options, "addresses": [{"point": "p", "where": "i=2258"}]}
        client.post("/connections", json=body).raise_for_status()

        def error() -> dict[str, Any]:
            items = client.get("/connections").json()["items"]
            status = next(one["status"] for one in items if one["name"] == name)
            return dict((status or {}).get("last_error") or {})

        wait_until(lambda: error().get("reason") == reason, f"{name}: {reason}", DEADLINE_S)
        assert f"do       {error()['advice']}" in node.cli("connect", "show", name)
        return error()

    with closing(plant), client:
        other = {"name": "旁边", "url": plant.url, "options": {"security": "none"}}
        where = [
            {"point": name, "where": plant.where(name), "every": 0.1, "value_type": kind}
            for name, kind in (("压力", "double"), ("计数", "int64"))
        ]
        made = client.post("/connections", json=other | {"addresses": where}).json()

        def counters() -> dict[str, int]:
            return dict((client.get(f"/connections/{made['id']}").json()["status"] or {}).get("counters") or {})

        wait_until(lambda: counters().get("accepted", 0) >= 2, "the neighbour", DEADLINE_S)
        for name, begins, ends, words in (
            ("老", -3 * day, -day, "has expired"),
            ("新", day, 3 * day, "is not valid yet"),
        ):
            shown = certificate(name, begins, ends)
            plant.show(shown)
            stranger = told(plant.url)
            assert "is not trusted here" in stranger
            assert words in stranger  # whoever compares thumbprints should know that it will not do
            listed = node.cli("connect", "certificates")
            mark = next(line.split()[0] for line in listed.splitlines() if f"CN={name}" in line)
            assert f"gongfu connect trust {mark}" in stranger
            assert "trusted" in node.cli("connect", "trust", mark)
            assert words in told(plant.url)
            assert "correct the clock" in told(plant.url)
            answer = tested(plant.url)
            assert (answer["reason"], words in answer["what"]) == ("certificate-expired", True)
            assert words in failed(name, plant.url, "certificate-expired")["what"]
        plant.show()
        assert "is not trusted here" in told(plant.url)
        assert tested(plant.url)["reason"] == "certificate-untrusted"
        failed("生", plant.url, "certificate-untrusted")
        policy = told(plant.url, "--option", "policy=Aes256_Sha256_RsaPss")
        assert "it offers Basic256Sha256/Sign" in policy
        assert "Set `security` and `policy` to auto" in policy
        failed("策", plant.url, "unsupported", policy="Aes256_Sha256_RsaPss")
        marks = node.cli("connect", "certificates").splitlines()
        node.cli("connect", "trust", next(one.split()[0] for one in marks if "rejected" in one))
        wrong = told(plant.url.replace("://", "://操作员:falsch@"))
        assert "Check user name and password" in wrong
        assert "falsch" not in wrong
        error = failed("口令", plant.url, "credentials", username="操作员", password="falsch")
        assert "falsch" not in str(error)
        nowhere = told("opc.tcp://nirgends.invalid:4840")
        assert "host name" in nowhere
        # All that time nothing of the neighbour's was lost, and it still brings values.
        plant.set("计数", 12)
        wait_until(lambda: 12 in _values(node, headers, "旁边"), "the neighbour's value", DEADLINE_S)
        assert counters()["gaps"] == 0
        for name in ("旁边", "老", "新", "生", "策", "口令"):  # a server of asyncua ends when its clients have gone
            node.cli("connect", "remove", name)


class ForeignMachine:
    """A node-opcua server as a process (``foreign/server.js``)."""

    def __init__(self, folder: Path) -> None:
        foreign_process.require()
        self.port = free_port()
        self.url = f"opc.tcp://127.0.0.1:{self.port}/plant"
        self._process = subprocess.Popen(
            ["node", "server.js", str(self.port), str(folder), "0"],
            cwd=foreign_process.FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() == "ready":
                break

    def set(self, name: str, value: float) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"set": name, "value": value, "status": ""}) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def test_alarms_and_methods_of_a_server(node: Node, tmp_path: Path) -> None:
    """Its alarms are ours: raised, acknowledged here and there, returned while nobody listened; methods are called."""
    headers = {"Authorization": f"Bearer {node.token}"}
    client = httpx.Client(base_url=f"{node.url}/v1", headers=headers, timeout=60)

    def alarms(state: str = "active") -> list[dict[str, Any]]:
        items = client.get("/alarms", params={"state": state}).json()["items"]
        return [one for one in items if one["source"] == "connection:泵站"]

    def events(kind: str) -> list[dict[str, Any]]:
        items = client.get("/events", params={"limit": 200}).json()["items"]
        return [json.loads(one["text"]) for one in items if one["kind"] == kind]

    with closing(ForeignMachine(tmp_path / "foreign")) as machine, client:
        address = {"point": "压力", "where": "ns=2;s=泵站.压力", "every": 0.1}
        body = {"name": "泵站", "url": machine.url, "options": {"security": "none"}, "addresses": [address]}
        key = client.post("/connections", json=body).json()["id"]
        wait_until(lambda: 1.5 in _values(node, headers, "泵站"), "the first value", DEADLINE_S)
        machine.set("压力", 12.5)
        (alarm,) = wait_until(alarms, "the alarm", DEADLINE_S)
        assert (alarm["asset_path"], alarm["point"], alarm["state"]) == ("泵站", "压力报警", "unacknowledged_active")
        done = client.post(f"/alarms/{alarm['id']}:acknowledge", json={"comment": "看到了"})
        assert done.status_code == 200, done.text
        # The server has it: it tells so in an event of its own, with who it was.
        told = wait_until(
            lambda: [e for e in events("opcua.alarm") if e["acknowledged"]], "the server's word", DEADLINE_S
        )
        assert "(Gongfu)" in told[0]["comment"]
        assert alarms()[0]["state"] == "acknowledged_active"

        # Nobody listens while it returns.
        client.patch(f"/connections/{key}", json={"paused": True}).raise_for_status()
        wait_until(lambda: "paused" in node.cli("connect", "show", "泵站"), "the pause", DEADLINE_S)
        machine.set("压力", 1.0)
        client.patch(f"/connections/{key}", json={"paused": False}).raise_for_status()
        wait_until(lambda: not alarms(), "its return", DEADLINE_S)
        # It comes and goes before anybody acknowledges it: at the server a branch waits.
        machine.set("压力", 13.0)
        wait_until(alarms, "the next", DEADLINE_S)
        machine.set("压力", 2.0)
        wait_until(lambda: [one["state"] for one in alarms()] == ["unacknowledged_returned"], "its return", DEADLINE_S)
        client.post(f"/alarms/{alarms()[0]['id']}:acknowledge", json={"comment": ""}).raise_for_status()
        wait_until(lambda: not alarms(), "that none is open", DEADLINE_S)
        wait_until(lambda: len(events("alarm.acknowledged-at-machine")) == 2, "both acknowledged there", DEADLINE_S)
        # A role that was killed knows nothing of alarms; the server does, and it is the same one.
        machine.set("压力", 12.5)
        (alarm,) = wait_until(alarms, "one more", DEADLINE_S)
        wait_until(lambda: [e for e in events("opcua.alarm") if "12.5" in e["message"]], "its event", DEADLINE_S)
        before = len(events("opcua.alarm"))
        node.kill_role("connect")
        wait_until(lambda: len(events("opcua.alarm")) > before, "the refresh", DEADLINE_S)
        node.wait_healthy(DEADLINE_S)
        assert [one["id"] for one in alarms()] == [alarm["id"]]

        # Methods.
        shown = node.cli("connect", "call", "泵站", "ns=2;s=泵站.加", "--signature")
        assert ("和" in shown, "Double" in shown, "b 的说明" in shown) == (True, True, True)
        assert "和 = 4.75" in node.cli("connect", "call", "泵站", "ns=2;s=泵站.加", "4", "0.75")
        named = client.post(
            f"/connections/{key}:call", json={"method": "ns=2;s=泵站.加", "arguments": {"b": 1, "a": 2}}
        )
        output = {"name": "和", "value": 3.0, "type_name": "Double", "fault": ""}
        assert named.json() == {"outputs": [output], "faults": []}
        for arguments, words in (
            (["4"], "takes 2 arguments, (a: Double, b: Double) -> 和: Double, not 1"),
            (["4", "drei"], "argument b: Double of ns=2;s=泵站.加 does not take 'drei'"),
            (["4", "-1"], "argument b: Double, failed: the value is out of range"),
        ):
            refused = node.run_cli("connect", "call", "泵站", "ns=2;s=泵站.加", "--", *arguments)
            assert refused.returncode == 1
            assert words in refused.stderr
        entries = client.get("/audit", params={"limit": 50}).json()["items"]
        called = next(entry for entry in entries if entry["action"] == "connection.call")
        assert "ns=2;s=泵站.加" in called["detail"]
        assert "加" in node.cli("connect", "browse", "泵站", client.post(
            "/connections:browse", json={"target": {"connection": key}}).json()["items"][-1]["where"])  # fmt: skip
        # A machine that is removed takes its alarms along.
        node.cli("connect", "remove", "泵站")
        wait_until(lambda: [one["state"] for one in alarms()] == ["unacknowledged_returned"], "its end", DEADLINE_S)


def _values(node: Node, headers: dict[str, str], asset: str) -> list[object]:
    items = httpx.get(f"{node.url}/v1/points", params={"limit": 200}, headers=headers, timeout=30).json()["items"]
    return [p["latest"]["value"] for p in items if p["asset_path"].startswith(asset) and p["latest"]]
