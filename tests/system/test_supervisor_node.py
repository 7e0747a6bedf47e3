"""`gongfu up` with the real roles: refusals before the start, kills while it runs, drain, restart."""

import json
import os
import socket

from tests.fixtures.node import Node
from tests.fixtures.processes import is_alive, wait_until


def test_refusals_before_anything_starts(node: Node) -> None:
    with socket.create_server(("127.0.0.1", node.mqtt_port)):
        process = node.launch()
        assert process.wait() == 1
        taken = f"port {node.mqtt_port} ([mqtt] port) is taken by process {os.getpid()} ("
        assert taken in process.output
    configuration = node.data_dir.parent / "gongfu.toml"
    configuration.write_text("[web]\nprot = 1\n")
    process = node.launch()
    assert process.wait() == 1
    assert "gongfu.toml:2: [web] prot: unknown key; did you mean 'port'?" in process.output
    configuration.unlink()
    # /sys takes no directories, whoever asks.
    done = node.run_cli("up", "--data-dir", "/sys/gongfu", "--web-port", str(node.web_port))
    assert done.returncode == 1
    assert "the data directory /sys/gongfu cannot be written" in done.stderr
    assert "Traceback" not in process.output + done.stderr


def test_start_restart_kill_and_drain(node: Node) -> None:
    node.start()
    assert len(node.one_time_password) >= 12
    assert node.ready["mqtt"]["tcp"] == node.mqtt_port
    modes = [(node.data_dir / name).stat().st_mode & 0o077 for name in ("run/runtime.json", "secrets/device-key")]
    assert modes == [0, 0]
    assert "password" not in (node.data_dir / "log" / "supervisor.log").read_text()

    second = Node(node.data_dir, node.mqtt_port, node.websocket_port, node.web_port)
    process = second.launch()
    assert process.wait() == 1
    assert f"process {node.process.pid if node.process else 0}) uses the data directory" in process.output

    for role in ("nats", "history", "door-1", "worker", "web"):
        before = node.kill_role(role)
        wait_until(lambda name=role, old=before: node.pid_of(name) not in (0, old), f"{role} started again")
        node.wait_healthy()
        status = wait_until(lambda: node.run_cli("status", "--json").stdout, "the API answers")
        assert json.loads(status)["node"]["name"] == "gongfu"
    assert {name: role["restarts"] for name, role in node.roles().items()} == dict.fromkeys(node.roles(), 1)
    node.cli("device", "add", "after-kills")

    pids = [role["pid"] for role in node.roles().values()]
    assert node.stop() == 0
    assert not any(map(is_alive, pids))
    assert "did not stop within" not in node.output
    assert "Traceback" not in node.output

    node.start()
    assert node.ready["admin"] is not None, "of the first start"
    assert node.output.count("one_time_password") == 0
    assert [device["name"] for device in json.loads(node.cli("device", "list", "--json"))] == ["after-kills"]


def test_killed_supervisor_leaves_nothing_running(node: Node) -> None:
    node.start()
    pids = [role["pid"] for role in node.roles().values()]
    node.kill()
    wait_until(lambda: not any(map(is_alive, pids)), "roles gone")
    node.start()
    node.cli("status")
