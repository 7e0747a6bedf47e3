"""What the sites have: machines with identifiers, rules, the plant; and the processes that send their values."""

import json
import os
import subprocess
import sys
from pathlib import Path

from demo import provision
from demo.api import Api
from demo.processes import DeviceProcess, device_environment
from demo.tep import rules as tep_rules
from demo.tree.layout import Member
from demo.tree.machines import HOT_CELSIUS
from demo.tree.nodes import TreeNode

HALL = "hall"
RULE = {
    "name": "Machine hot",
    "enabled": True,
    "kind": "threshold",
    "asset": f"{HALL}/**",
    "point": "temperature",
    "condition": {"direction": "above", "limit": HOT_CELSIUS, "deadband": 5.0, "delay_s": 4.0},
    "priority": "high",
    "message": "The machine is hot",
}


def provision_site(node: TreeNode) -> list[tuple[str, int, str, str]]:
    """Make the machines of a site that are not there; return host, port, device and secret of each."""
    store = node.directory / "devices.json"
    kept: dict[str, str] = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
    names = [f"{node.member.key}-{number:02}" for number in range(1, node.member.machines + 1)]

    def work(api: Api) -> None:
        for number, name in enumerate(names, start=1):
            if name not in kept:
                identifier = f"{node.member.prefix}/machine.{number:04}"
                attributes = {"identifier": identifier, "maker": "gongfu demo"}
                api.post("/assets", {"path": f"{HALL}/{name}", "attributes": attributes})
                provision.ensure_device(api, kept, name, f"{HALL}/{name}", [])
        if node.member.plant:
            provision.ensure_assets(api)
            provision.ensure_device(api, kept, provision.PLANT_DEVICE, provision.PLANT, provision.PLANT_FILTERS)
        rules = [RULE, *(tep_rules.RULES if node.member.plant else ())]
        there = {rule["name"] for rule in api.items("/rules")}
        for rule in rules:
            if rule["name"] not in there:
                api.post("/rules", rule)

    node.call(work)
    _write_secret(store, json.dumps(kept))
    return [("127.0.0.1", node.process.ports.mqtt, name, kept[name]) for name in names]


def _write_secret(file: Path, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)


def start_plant(node: TreeNode) -> DeviceProcess:
    """Start the plant of a site."""
    kept = json.loads((node.directory / "devices.json").read_text(encoding="utf-8"))
    device = provision.PLANT_DEVICE
    environment = device_environment("127.0.0.1", node.process.ports.mqtt, device, kept[device])
    return DeviceProcess("demo.tep.client", node.directory / "plant.log", environment)


class MachinesProcess:
    """All machines of all sites, one process."""

    def __init__(self, machines: list[tuple[str, int, str, str]], log: Path) -> None:
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "demo.tree.machines"],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(machines).encode())
        self._process.stdin.close()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def is_site(member: Member) -> bool:
    """Return whether machines send to this node."""
    return member.machines > 0
