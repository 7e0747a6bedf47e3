"""OPC UA on a real node, both ways: its assets are served, and the same node's driver connects to them."""

import tomllib
from collections.abc import Iterator

import httpx
import pytest

from tests.fixtures.modbus_machine import float_words, modbus_machine
from tests.fixtures.nats import free_port
from tests.fixtures.node import Node
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
        wait_until(lambda: 21.5 in _mirrors(node, headers), "the mirror", DEADLINE_S)
        machine.set(10, float_words(22.25))
        wait_until(lambda: 22.25 in _mirrors(node, headers), "a change through both", DEADLINE_S)
    assert node.roles()["opcua"]["state"] == "ready"


def _mirrors(node: Node, headers: dict[str, str]) -> list[object]:
    items = httpx.get(f"{node.url}/v1/points", params={"limit": 200}, headers=headers, timeout=30).json()["items"]
    return [p["latest"]["value"] for p in items if p["asset_path"].startswith("镜") and p["latest"]]
