"""Machines on a real node: looked at and connected by the command line, lost and found, written to, removed."""

import json
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixtures.modbus_machine import ModbusMachine, float_words, modbus_machine
from tests.fixtures.nats import free_port
from tests.fixtures.node import Node
from tests.fixtures.processes import wait_until

DEADLINE_S = 60.0
MAP = """name,register,unit,scale,every,writable,asset
温度,holding:10:float32,Cel,,0.2,,
Speed,holding:20,/min,0.5,0.2,yes,泵 1
Running,holding:21:uint16.0,,,0.2,,泵 1
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = Node(tmp_path_factory.mktemp("connect") / "data").start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def machine() -> Iterator[ModbusMachine]:
    with modbus_machine() as one:
        one.set(10, float_words(21.5))
        one.set(20, [2900, 1])
        yield one


@pytest.fixture(scope="module")
def map_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("map") / "press.csv"
    file.write_text(MAP, encoding="utf-8")
    return file


def api(node: Node, path: str, **query: Any) -> Any:
    answer = httpx.get(
        f"{node.url}/v1{path}", params=query, headers={"Authorization": f"Bearer {node.token}"}, timeout=30
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def latest(node: Node, asset: str) -> dict[str, Any]:
    points = api(node, "/points", limit=100)["items"]
    return {point["name"]: point["latest"] for point in points if point["asset_path"] == asset}


def status_of(node: Node, name: str) -> dict[str, Any]:
    return dict(json.loads(node.cli("connect", "show", name, "--json"))["status"] or {})


def test_a_node_without_machines_runs_no_further_process(node: Node) -> None:
    assert "connect" not in node.roles()
    assert "modbus" in node.cli("connect", "drivers")
    assert "make one with" in node.cli("connect", "list")


def test_preview_shows_live_values_and_makes_nothing(node: Node, machine: ModbusMachine, map_file: Path) -> None:
    shown = node.cli("connect", f"modbus://127.0.0.1:{machine.port}/1", "--preview", "--map", str(map_file))
    assert "21.5" in shown
    assert "1450" in shown
    assert "泵 1/Speed" in shown
    assert "Nothing is made yet" in shown
    wrong = node.cli(
        "connect", f"modbus://127.0.0.1:{machine.port}/1", "--map", str(map_file), "--option", "order=cdab"
    )
    assert "set the order to abcd" in wrong
    assert api(node, "/connections")["items"] == []
    assert api(node, "/points")["items"] == []


def test_what_is_wrong_is_told_with_what_to_do(node: Node, machine: ModbusMachine, tmp_path: Path) -> None:
    done = node.run_cli("connect", f"modbus://127.0.0.1:{free_port()}/1")
    assert done.returncode == 1
    assert "refuses connections" in done.stderr
    assert "Check the port" in done.stderr
    bad = tmp_path / "bad.csv"
    bad.write_text("name,register\nx,holdings:1\n")
    done = node.run_cli("connect", f"modbus://127.0.0.1:{machine.port}/1", "--map", str(bad))
    assert done.returncode == 1
    assert "register 1 of the map (x)" in done.stderr
    done = node.run_cli("connect", "nope://127.0.0.1/1")
    assert done.returncode == 1
    assert "nope://" in done.stderr
    done = node.run_cli("connect", f"modbus://127.0.0.1:{machine.port}/1", "--option", "timeout=900")
    assert done.returncode == 1
    assert "option timeout: 900 is greater than the maximum of 60" in done.stderr
    assert "Traceback" not in done.stderr


def test_apply_brings_values_with_units(node: Node, machine: ModbusMachine, map_file: Path) -> None:
    url = f"modbus://127.0.0.1:{machine.port}/1"
    made = node.cli("connect", url, "--apply", "--map", str(map_file), "--name", "press-1", "--asset", "车间/press")
    assert "online" in made
    wait_until(lambda: (latest(node, "车间/press").get("温度") or {}).get("value") == 21.5, "value", DEADLINE_S)
    wait_until(lambda: (latest(node, "车间/press/泵 1").get("Running") or {}).get("value") is True, "bit", DEADLINE_S)
    wait_until(lambda: (latest(node, "车间/press/泵 1").get("Speed") or {}).get("value") == 1450, "speed", DEADLINE_S)
    assert set(latest(node, "车间/press/泵 1")) == {"Speed", "Running"}
    units = {point["name"]: point["unit"] for point in api(node, "/points", limit=100)["items"]}
    assert units == {"温度": "Cel", "Speed": "/min", "Running": ""}
    # One model of the press, one of its pump.
    models = {head["reference"] for head in api(node, "/thing-models")["items"]}
    assert models == {"press-1@1", "press-1 泵 1@1"}
    types = {asset["path"]: asset["type"] for asset in api(node, "/assets", limit=100)["items"]}
    assert types["车间/press"] == "press-1@1"
    assert types["车间/press/泵 1"] == "press-1 泵 1@1"
    machine.set(10, float_words(22.25))
    wait_until(lambda: latest(node, "车间/press")["温度"]["value"] == 22.25, "change", DEADLINE_S)
    wait_until(lambda: status_of(node, "press-1").get("values_per_second", 0) > 1, "a rate", DEADLINE_S)
    status = status_of(node, "press-1")
    assert status["state"] == "online"
    assert not status["rejected"]
    assert not status["shed"]
    listed = node.cli("connect", "list")
    assert "press-1" in listed
    assert "online" in listed


def test_write_is_read_back_and_kept_in_the_audit(node: Node, machine: ModbusMachine) -> None:
    assert "reads 1500" in node.cli("connect", "write", "press-1", "Speed", "1500", "--asset", "泵 1")
    assert machine.get(20) == [3000]
    wait_until(lambda: latest(node, "车间/press/泵 1")["Speed"]["value"] == 1500, "value", DEADLINE_S)
    refused = node.run_cli("connect", "write", "press-1", "温度", "5")
    assert refused.returncode == 4
    assert "writable" in refused.stderr
    wrong = node.run_cli("connect", "write", "press-1", "Speed", "999999", "--asset", "泵 1")
    assert wrong.returncode == 1
    assert "does not fit uint16" in wrong.stderr
    actions = [entry["action"] for entry in api(node, "/audit", limit=50)["items"]]
    assert "connection.write" in actions
    assert "connection.create" in actions


def test_a_lost_machine_is_told_and_comes_back(node: Node, machine: ModbusMachine) -> None:
    # A second machine, which must not notice.
    with modbus_machine() as other:
        node.cli(
            "connect", f"modbus://127.0.0.1:{other.port}/2", "--apply", "--name", "other", "--limit", "5",
            "--every", "0.2", "--parent", "holding",
        )  # fmt: skip
        machine.stop()
        wait_until(lambda: status_of(node, "press-1").get("state") == "waiting", "loss", DEADLINE_S)
        wait_until(lambda: latest(node, "车间/press")["温度"]["quality"] == "bad", "bad quality", DEADLINE_S)
        shown = node.cli("connect", "show", "press-1")
        assert "Check the port" in shown or "It is opened again" in shown

        def accepted() -> int:
            return (status_of(node, "other").get("counters") or {}).get("accepted", 0)

        before = accepted()
        wait_until(lambda: accepted() > before, "other goes on", DEADLINE_S)
        machine.start()
        machine.set(10, float_words(23.0))
        wait_until(lambda: latest(node, "车间/press")["温度"]["value"] == 23.0, "back", DEADLINE_S)
        events = wait_until(
            lambda: [one for one in api(node, "/events", limit=100)["items"] if one["kind"] == "connection.gap"],
            "event",
            DEADLINE_S,
        )
        assert events[0]["asset_path"] == "车间/press"
        node.cli("connect", "remove", "other")


def test_a_register_that_is_not_there_and_values_that_do_not_fit_are_told(node: Node, machine: ModbusMachine) -> None:
    headers = {"Authorization": f"Bearer {node.token}"}
    model = {"name": "cold", "properties": {"t": {"data_type": "double", "unit": "Cel", "maximum": 5}}}
    made = httpx.post(f"{node.url}/v1/thing-models?publish=true", json=model, headers=headers, timeout=30)
    assert made.status_code == 201, made.text
    addresses = [
        {"point": "t", "where": "holding:10:float32", "unit": "Cel", "every": 0.2},
        {"point": "gone", "where": "holding:900:float32", "every": 0.2},
        {"point": "n", "where": "holding:3", "every": 0.2},
    ]
    body = {"name": "kühl", "url": f"modbus://127.0.0.1:{machine.port}/1", "addresses": addresses}
    made = httpx.post(f"{node.url}/v1/connections", json=body, headers=headers, timeout=30)
    assert made.status_code == 201, made.text
    bound = {"items": [{"path": "kühl"}]}
    httpx.post(f"{node.url}/v1/thing-models/cold@1/instances", json=bound, headers=headers, timeout=30)
    machine.set(10, float_words(21.5))
    wanted = {"address-unknown", "model_range"}
    wait_until(lambda: {h["reason"] for h in status_of(node, "kühl").get("hints", ())} == wanted, "hints", DEADLINE_S)
    shown = node.cli("connect", "show", "kühl")
    assert "1 of the addresses: holding:900:float32" in shown
    assert "correct them or take them out; the others go on" in shown
    assert "21.5 is above the maximum 5 Cel" in shown
    assert "Correct the address (word order, type, scale), or the thing model" in shown
    # The others do go on.
    wait_until(lambda: (latest(node, "kühl").get("n") or {}).get("value") == 1003, "another value", DEADLINE_S)
    machine.set(10, float_words(4.5))
    wait_until(lambda: (latest(node, "kühl").get("t") or {}).get("value") == 4.5, "a value that fits", DEADLINE_S)
    node.cli("connect", "remove", "kühl")


def test_pause_and_resume(node: Node) -> None:
    node.cli("connect", "pause", "press-1")
    wait_until(lambda: status_of(node, "press-1").get("state") == "paused", "pause", DEADLINE_S)
    node.cli("connect", "resume", "press-1")
    wait_until(lambda: status_of(node, "press-1").get("state") == "online", "resume", DEADLINE_S)


def test_secrets_are_kept_apart(node: Node) -> None:
    directory = node.data_dir / "secrets" / "connections"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_killed_role_takes_up_its_connections_again(node: Node, machine: ModbusMachine) -> None:
    node.kill_role("connect")
    node.wait_healthy(DEADLINE_S)
    machine.set(10, float_words(24.0))
    wait_until(lambda: latest(node, "车间/press")["温度"]["value"] == 24.0, "value", DEADLINE_S)
    started = time.monotonic()
    wait_until(lambda: status_of(node, "press-1").get("state") == "online", "online", DEADLINE_S)
    assert time.monotonic() - started < DEADLINE_S


def test_recorded_session_replays_on_the_node(node: Node, machine: ModbusMachine, tmp_path: Path) -> None:
    file = tmp_path / "session.ndjson"
    url = f"modbus://127.0.0.1:{machine.port}/1"
    shown = node.cli(
        "connect", url, "--record", str(file), "--seconds", "1.5", "--every", "0.5", "--limit", "3", "--parent", "input"
    )
    assert "recorded to" in shown
    assert json.loads(file.read_text().splitlines()[0])["protocol"] == "modbus"
    node.cli("connect", f"recording://{file}", "--apply", "--name", "replayed", "--option", "speed=0")
    wait_until(lambda: (latest(node, "replayed").get("input 2") or {}).get("value") == 2, "value", DEADLINE_S)


def test_remove_keeps_asset_and_points(node: Node) -> None:
    node.cli("connect", "remove", "press-1")
    assert "press-1" not in node.cli("connect", "list")
    assert set(latest(node, "车间/press")) == {"温度"}
    done = node.run_cli("connect", "show", "press-1")
    assert done.returncode == 5
