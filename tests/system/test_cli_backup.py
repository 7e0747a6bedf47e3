"""Backup of a working node, wipe, restore: what was acknowledged before the backup is there, once."""

import json
import shutil
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho

from tests.fixtures.node import Node
from tests.fixtures.processes import wait_until


class Pump:
    """Publishes one value after another at QoS 1 until it is stopped; ``acknowledged`` counts the PUBACKs in order."""

    def __init__(self, node: Node, name: str, secret: str) -> None:
        self.acknowledged = 0
        self._stop = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name)
        self._client.username_pw_set(name, secret)
        self._client.connect("127.0.0.1", node.mqtt_port)
        self._client.loop_start()
        self._thread = threading.Thread(target=self._run)
        self._start = time.time_ns() // 1_000_000 - 3_600_000
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            number = self.acknowledged + 1
            payload = json.dumps({"ts": self._start + number, "values": {"n": number}})
            self._client.publish("v1/devices/me/telemetry", payload, qos=1).wait_for_publish(60)
            self.acknowledged = number

    def stop(self) -> int:
        self._stop.set()
        self._thread.join(120)
        self._client.disconnect()
        self._client.loop_stop()
        return self.acknowledged


def values_of(node: Node) -> list[float]:
    done = node.run_cli("query", "p-1:n", "--from", "2h", "--limit", "100000", "--json")
    series = json.loads(done.stdout)["series"] if done.returncode == 0 else []
    return list(series[0]["values"]) if series else []


def test_backup_while_data_arrives_wipe_restore(node: Node, tmp_path: Path) -> None:
    node.start()
    secret = json.loads(node.cli("device", "add", "p-1", "--json"))["secret"]
    node.cli("user", "add", "li")
    pump = Pump(node, "p-1", secret)
    try:
        wait_until(lambda: pump.acknowledged >= 200, "200 acknowledged values")
        before = pump.acknowledged
        target = tmp_path / "backup"
        document = json.loads(node.cli("backup", str(target), "--json"))
    finally:
        total = pump.stop()
    assert total > before, "the node took data during the backup"
    assert document["not_included"] == []
    assert document["warnings"] == []
    assert document["counts"]["records"]["app_user"] == 2
    assert document["counts"]["history"]["point_double"] >= before
    assert not [
        file for file in target.rglob("*") if file.is_file() and file.stat().st_mode & 0o077 and "secrets" in str(file)
    ]
    assert target.stat().st_mode & 0o077 == 0
    assert node.run_cli("backup", str(target)).returncode == 1
    assert node.run_cli("backup", str(node.data_dir / "inside")).returncode == 1
    assert node.stop() == 0

    assert node.run_cli("restore", str(target)).returncode == 1
    assert node.run_cli("backup", str(tmp_path / "other")).returncode == 1
    shutil.rmtree(node.data_dir)
    restored = json.loads(node.cli("restore", str(target), "--json"))
    assert restored["counts"] == document["counts"]

    node.start()
    wait_until(lambda: len(values_of(node)) >= before, "the values are back")
    values = values_of(node)
    assert values == [float(n) for n in range(1, len(values) + 1)]
    assert before <= len(values) <= total
    assert {user["name"] for user in json.loads(node.cli("user", "list", "--json"))} == {"admin", "li"}
    # The device's secret and the block log go on where they were.
    pump = Pump(node, "p-1", secret)
    wait_until(lambda: pump.acknowledged >= 20, "new values are taken")
    pump.stop()


def test_damaged_backup_is_refused_before_anything_is_written(node: Node, tmp_path: Path) -> None:
    node.start()
    target = tmp_path / "backup"
    node.cli("backup", str(target))
    node.stop()
    assert json.loads(node.cli("backup", "--verify", str(target), "--json"))["verified"] is True
    record = target / "records" / "records.sqlite"
    content = bytearray(record.read_bytes())
    content[len(content) // 2] ^= 1
    record.write_bytes(content)
    fresh = tmp_path / "fresh"
    told = node.run_cli("backup", "--verify", str(target))
    assert told.returncode == 1
    assert "records.sqlite is not what was backed up" in told.stderr
    done = node.run_cli("restore", str(target), "--data-dir", str(fresh), "--json")
    assert done.returncode == 1
    assert "records.sqlite is not what was backed up" in json.loads(done.stderr)["error"]["message"]
    assert not fresh.exists()
    (target / "manifest.json").unlink()
    assert "is not a backup" in node.run_cli("restore", str(target), "--data-dir", str(fresh)).stderr
