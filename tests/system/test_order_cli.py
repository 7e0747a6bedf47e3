"""Orders from the command line, from a nation to a site: two running nodes, a real link, real drivers and probes."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixtures.nats import free_port
from tests.fixtures.node import Node
from tests.fixtures.processes import wait_until

WAIT_S = 120.0


def tree_node(directory: Path) -> Node:
    """Return a node with ports of its own for children."""
    directory.mkdir()
    file = directory / "gongfu.toml"
    file.write_text(f"[tree]\njoin_port = {free_port()}\nleaf_port = {free_port()}\n")
    return Node(directory / "data", environment={"GONGFU_CONFIG": str(file)})


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Node]]:
    """A nation and a site below it, linked."""
    root = tmp_path_factory.mktemp("tree")
    nation, site = tree_node(root / "nation"), tree_node(root / "site")
    for node in (nation, site):
        node.launch()
    for node in (nation, site):
        assert node.process is not None
        node.process.wait_for('"ready_seconds"', WAIT_S)
    nation.cli("node", "found", "--name", "nation", "--tier", "nation")
    in_tree(nation)
    token = json.loads(nation.cli("node", "token", "issue", "--tier", "site", "--json"))["token"]
    site.cli("node", "join", token, "--name", "site-1")
    in_tree(site)
    wait_until(lambda: (api(site, "node", "show").get("link") or {}).get("up"), "the link is up", WAIT_S)
    yield nation, site
    for node in (site, nation):
        node.kill()


def in_tree(node: Node) -> None:
    wait_until(lambda: node.run_cli("order", "kinds").returncode == 0, "the tree role serves", WAIT_S)


def api(node: Node, *arguments: str) -> dict[str, Any]:
    done = node.run_cli(*arguments, "--json")
    return dict(json.loads(done.stdout)) if done.returncode == 0 else {}


def user(node: Node, name: str) -> dict[str, str]:
    """Add an engineer to a node; return the environment in which they give commands."""
    made = json.loads(node.cli("user", "add", name, "--role", "engineer", "--json"))
    signed_in = httpx.post(f"{node.url}/v1/session", json={"username": name, "password": made["password"]}, timeout=60)
    token = signed_in.cookies["gongfu_session"]
    password = {"old": made["password"], "new": "a sentence of many words"}
    headers = {"Authorization": f"Bearer {token}"}
    httpx.post(f"{node.url}/v1/session:changePassword", json=password, headers=headers, timeout=60).raise_for_status()
    return {"GONGFU_URL": node.url, "GONGFU_TOKEN": token}


def as_user(node: Node, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as another user than the administrator of the machine."""
    return Node(node.data_dir, environment={**node.environment, **environment}).run_cli(*arguments)


def test_a_notice_is_read_by_a_person_and_verified(pair: tuple[Node, Node]) -> None:
    nation, site = pair
    payload = json.dumps({"title": "演练", "text": "明日十时全省演练"}, ensure_ascii=False)
    preview = json.loads(
        nation.cli("order", "draft", "notice", "--payload", payload, "--node", "site-1", "--preview", "--json")
    )
    assert preview == {"targets": 1, "by_tier": {"site": 1}, "guard": {"ok": True, "reasons": []}}
    order = json.loads(
        nation.cli("order", "draft", "notice", "--payload", payload, "--tier", "site", "--issue", "--json")
    )
    assert (order["state"], order["targets"]) == ("issued", 1)
    here = wait_until(lambda: api(site, "order", "show", order["id"]).get("here"), "the order is at the site", WAIT_S)
    assert here["waits"]
    # Nobody has answered: watching it comes to no good end.
    assert nation.run_cli("order", "watch", order["id"], "--timeout", "0.1s").returncode == 1
    site.cli("order", "accept", order["id"])
    watched = nation.cli("order", "watch", order["id"], "--timeout", "1m", "--json")
    assert json.loads(watched.splitlines()[-1])["totals"] == {"verified": 1}
    shown = api(nation, "order", "show", order["id"], "--targets", "--audit")
    target = shown["target_list"][0]
    assert (target["name"], target["detail"]) == ("site-1", "confirmed")
    assert target["verdict"]["evidence"].startswith("confirmed by admin at ")
    assert [event["action"] for event in shown["audit"]][-2:] == ["issued", "drafted"]
    assert "verified" in nation.cli("order", "show", order["id"], "--targets")
    assert order["id"] in nation.cli("order", "list", "--state", "closed")


def test_a_device_is_blocked_by_two_persons_and_let_in_again(pair: tuple[Node, Node]) -> None:
    nation, site = pair
    site.cli("device", "add", "camera-1")
    payload = '{"action": "block", "devices": ["camera-1"]}'
    order = json.loads(nation.cli("order", "draft", "device-block", "--payload", payload, "--tier", "site", "--json"))
    assert order["state"] == "drafted"
    refused = nation.run_cli("order", "issue", order["id"], "--json")
    assert (refused.returncode, json.loads(refused.stderr)["error"]["code"]) == (1, "approvals-missing")
    own = nation.run_cli("order", "approve", order["id"], "--yes", "--json")
    assert (own.returncode, json.loads(own.stderr)["error"]["code"]) == (1, "author-may-not-approve")
    approved = as_user(nation, user(nation, "wang"), "order", "approve", order["id"], "--yes")
    assert approved.returncode == 0, approved.stderr

    # The site does not obey orders of this kind before it says so.
    nation.cli("order", "issue", order["id"])
    assert nation.run_cli("order", "watch", order["id"], "--timeout", "1m").returncode == 1
    assert "kind-not-allowed" in nation.cli("order", "show", order["id"], "--targets")
    assert api(site, "device", "show", "camera-1")["enabled"] is True

    assert "yes" in site.cli("order", "allow", "device-block")
    again = json.loads(nation.cli("order", "draft", "device-block", "--payload", payload, "--tier", "site", "--json"))
    as_user(nation, user(nation, "zhao"), "order", "approve", again["id"], "--yes")
    nation.cli("order", "issue", again["id"])
    nation.cli("order", "watch", again["id"], "--timeout", "1m")
    assert api(site, "device", "show", "camera-1")["enabled"] is False
    target = api(nation, "order", "show", again["id"], "--targets")["target_list"][0]
    assert target["verdict"]["evidence"].startswith("no front door has a connection")

    nation.cli("order", "revoke", again["id"], "--reason", "a mistake")
    wait_until(lambda: api(site, "device", "show", "camera-1")["enabled"], "it is let in again", WAIT_S)
    site.cli("order", "disallow", "device-block")


def test_a_rule_goes_out_in_waves(pair: tuple[Node, Node]) -> None:
    nation, _ = pair
    for node in pair:
        node.cli("order", "allow", "alarm-rule")
    rule = {
        "name": "pressure high",
        "kind": "threshold",
        "asset": "**",
        "point": "pressure",
        "condition": {"direction": "above", "limit": 8},
    }
    content = ("--payload", json.dumps(rule), "--every-node", "--canaries", "1", "--share", "1.0")
    made = json.loads(nation.cli("rollout", "create", "alarm-rule", *content, "--json"))
    assert [wave["targets"] for wave in made["waves"]] == [1, 1]
    environment = user(nation, "sun")
    approved = as_user(nation, environment, "rollout", "approve", made["id"], "--yes", "--json")
    assert json.loads(approved.stdout)["approvals"] == ["sun"], approved.stderr
    nation.cli("rollout", "start", made["id"])
    nation.cli("rollout", "watch", made["id"], "--timeout", "1m")
    shown = api(nation, "rollout", "show", made["id"])
    assert [(wave["state"], wave["totals"]) for wave in shown["waves"]] == [("passed", {"verified": 1})] * 2
    assert made["id"] in nation.cli("rollout", "list")
    stopped = nation.run_cli("rollout", "stop", made["id"], "--reason", "too late", "--json")
    assert (stopped.returncode, json.loads(stopped.stderr)["error"]["code"]) == (1, "conflict")


def test_wrong_use_says_what_to_do(pair: tuple[Node, Node]) -> None:
    nation, _ = pair
    for arguments, status, words in (
        (("draft", "notice"), 2, "either a list of nodes or a query"),
        (("draft", "notice", "--every-node", "--payload", "{"), 2, "not JSON"),
        (("draft", "notice", "--every-node", "--payload", "@/none"), 2, "No such file"),
        (("draft", "notice", "--every-node", "--payload", "{}"), 1, "title"),
        (("draft", "nonsense", "--every-node"), 1, "there is no kind"),
        (("draft", "notice", "--node", "nowhere"), 5, "there is no node"),
        (("draft", "notice", "--every-node", "--deadline", "soon"), 2, "is not a time"),
        (("show", "unknown"), 5, "unknown"),
        (("watch", "unknown", "--timeout", "long"), 2, "must be a duration"),
        (("allow", "nonsense"), 1, "there is no kind"),
    ):
        done = nation.run_cli("order", *arguments)
        assert (done.returncode, words in done.stderr) == (status, True), f"{arguments}: {done}"
