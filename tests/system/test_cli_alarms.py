"""What the command line does about alarms as such, against a whole running node."""

import json
from pathlib import Path

from tests.fixtures.node import Node


def test_alarms_are_shelved_suppressed_and_counted(running_node: Node, tmp_path: Path) -> None:
    node = running_node
    shelf = json.loads(node.cli("alarm", "shelve", "plant/*", "--for", "30m", "--reason", "repair", "--json"))
    assert (shelf["kind"], shelf["asset"], shelf["reason"]) == ("shelved", "plant/*", "repair")
    assert "plant/*" in node.cli("alarm", "suppress")
    assert node.cli("alarm", "unshelve", str(shelf["id"]), "--comment", "done") == "shelved plant/* *: ended\n"
    assert node.run_cli("alarm", "unshelve", str(shelf["id"])).returncode != 0
    out = node.cli("alarm", "service", "plant/kiln", "--work-order", "W-1", "--reason", "r")
    assert out.startswith("out of service by W-1")
    design = tmp_path / "design.json"
    cause = {"kind": "point", "asset": "plant/*", "point": "running", "operator": "==", "value": 0}
    design.write_text(json.dumps({"name": "off", "cause": cause, "suppresses": [{"asset": "plant/*"}]}), "utf-8")
    made = json.loads(node.cli("alarm", "suppress", "-f", str(design), "--json"))
    assert json.loads(node.cli("alarm", "suppress", "-f", str(design), "--json")) == made
    node.cli("alarm", "suppress", "--delete", str(made["id"]))
    found = json.loads(node.cli("alarm", "suppress", "--json"))
    assert (found["designs"], [item["work_order"] for item in found["suppressions"]]) == ([], ["W-1"])
    assert "priorities:" in node.cli("alarm", "kpi")
    assert json.loads(node.cli("alarm", "kpi", "--json"))["total"]["annunciations"] == 0
    exported = tmp_path / "alarms.csv"
    node.cli("alarm", "export", str(exported))
    assert exported.read_text("utf-8").startswith("rule,source,asset,point,")
    assert node.run_cli("alarm", "reset", "absent").returncode in (1, 5)
    assert node.run_cli("alarm", "shelve", "x", "--for", "8d", "--reason", "r").returncode != 0
