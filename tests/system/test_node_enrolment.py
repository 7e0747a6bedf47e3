"""Real nodes: found and join by the command line, cut off, brought back, moved, killed, backed up and restored."""

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixtures.nats import free_port
from tests.fixtures.node import Node
from tests.fixtures.processes import wait_until

LIMIT_S = 60.0


class TreeNode(Node):
    """A node with ports of its own for the tree."""

    def __init__(self, directory: Path, name: str) -> None:
        directory.mkdir()
        config = directory / "gongfu.toml"
        config.write_text(f'[node]\nname = "{name}"\n[tree]\nleaf_port = {free_port()}\njoin_port = {free_port()}\n')
        super().__init__(directory / "data", options=("--config", str(config)))
        self.environment = {"GONGFU_CONFIG": str(config)}

    def json(self, *arguments: str) -> Any:
        return json.loads(self.cli("node", *arguments, "--json"))

    def refusal(self, *arguments: str) -> str:
        """Return the code with which a command fails."""
        done = self.run_cli("node", *arguments, "--json")
        assert done.returncode != 0, done.stdout
        return str(json.loads(done.stderr)["error"]["code"])

    def child(self) -> dict[str, Any]:
        [child] = self.json("list")
        return dict(child)

    def wait_link(self, up: bool) -> None:
        wait_until(lambda: self.child()["link"]["up"] is up, f"the link is {'up' if up else 'down'}", LIMIT_S)

    def audited(self, action: str) -> set[str]:
        """Return the first words of the details of an action's audit entries."""
        with sqlite3.connect(f"file:{self.data_dir}/records/records.sqlite?mode=ro", uri=True) as records:
            rows = records.execute("SELECT detail FROM audit WHERE action = ?", (action,)).fetchall()
        return {str(detail).partition(":")[0] for (detail,) in rows}


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[tuple[TreeNode, ...]]:
    made = tuple(TreeNode(tmp_path / name, name) for name in ("nation", "province", "site"))
    yield made
    for node in made:
        node.kill()


def test_the_life_of_nodes(nodes: tuple[TreeNode, ...], tmp_path: Path) -> None:
    nation, province, site = nodes
    nation.start()
    assert nation.json("show")["enrolled"] is False
    assert nation.refusal("list") == "not-in-a-tree"
    assert set(nation.roles()) == {"nats", "history", "door-1", "worker", "web"}

    # While it runs: its roles come by themselves.
    founded = nation.json("found", "--name", "Nation", "--tier", "nation", "--prefix", "88", "--region", "11")
    assert founded["path"] == [{"id": founded["id"], "name": "Nation", "tier": "nation"}]
    # Who asks before they serve is told so.
    wait_until(lambda: nation.run_cli("node", "list", "--json").returncode == 0, "the node lists its children", 60.0)
    assert nation.json("list") == []
    assert nation.refusal("found", "--name", "x", "--tier", "y") == "already-in-a-tree"
    nation.wait_healthy(LIMIT_S)

    # Stopped: straight into its data directory. What is wrong with a token is said, here and there.
    token = nation.json("token", "issue", "--tier", "province", "--prefix", "88.1")
    assert province.refusal("join", token["token"][:-1]) == "token-malformed"
    assert province.refusal("join", token["token"], "--tier", "site") == "tier-wrong"
    revoked = nation.json("token", "issue", "--tier", "province")
    nation.json("token", "revoke", revoked["name"])
    assert province.refusal("join", revoked["token"]) == "token-revoked"
    joined = json.loads(province.cli("node", "join", "-", "--name", "Province", "--json", stdin=token["token"]))
    assert (joined["prefix"], joined["parent"]["id"]) == ("88.1", founded["id"])
    province.start()
    nation.wait_link(True)
    child = nation.child()
    assert (child["name"], child["state"], child["prefix"]) == ("Province", "active", "88.1")
    assert site.refusal("join", token["token"]) == "token-used"
    reasons = {"tier-wrong", "token-revoked", "token-used"}
    wait_until(lambda: nation.audited("node.join-refused") == reasons, "refusals are audited", LIMIT_S)
    listed = {one["name"]: one["state"] for one in nation.json("token", "list")}
    assert listed == {token["name"]: "used", revoked["name"]: "revoked"}

    # The nation has its own page of it, and nobody without a session.
    assert httpx.get(f"{nation.url}/v1/tree/nodes", timeout=60).status_code == 401
    headers = {"authorization": f"Bearer {nation.token}"}
    document = httpx.get(f"{nation.url}/v1/openapi.json", headers=headers, timeout=60).json()
    assert {"/v1/tree/node", "/v1/tree:join", "/v1/tree/tokens/{name}:revoke"} <= set(document["paths"])

    # Suspended: told, then cut off; resumed: back.
    assert nation.json("suspend", "Province", "--reason", "test")["state"] == "suspended"
    nation.wait_link(False)
    assert province.json("show")["state"] == "suspended"
    assert nation.json("resume", child["id"])["state"] == "active"
    nation.wait_link(True)
    wait_until(lambda: province.json("show")["state"] == "active", "the province is active", LIMIT_S)

    # A third joins while it runs, and moves.
    site.start()
    text = province.cli("node", "token", "issue", "--tier", "site", "--prefix", "88.1.1")
    site.cli("node", "join", text.strip(), "--name", "Site")
    province.wait_link(True)
    release = nation.cli("node", "release", "Site", "--to", "Nation", "--reason", "test").strip()
    text = nation.cli("node", "token", "issue", "--tier", "site").strip()
    assert site.json("rehome", text, release)["prefix"] == "88.1.1"
    wait_until(lambda: province.json("list") == [], "the former parent knows", LIMIT_S)
    wait_until(lambda: site.json("show")["link"]["up"], "the link to the new parent is up", LIMIT_S)
    site.stop()
    nation.json("retire", "Site")

    # Killed at both ends, role and server of links: nothing is lost.
    for node, role in ((nation, "tree"), (province, "tree"), (nation, "tree-nats"), (province, "tree-nats")):
        before = node.pid_of(role)
        os.kill(before, signal.SIGKILL)
        wait_until(lambda n=node, r=role, b=before: n.pid_of(r) not in (0, b), f"{role} is started again", LIMIT_S)
    for node in (nation, province):
        node.wait_healthy(LIMIT_S)
    nation.wait_link(True)
    assert nation.json("show")["id"] == founded["id"]
    assert [step["name"] for step in province.json("show")["path"]] == ["Nation", "Province"]

    # A backup has the keys: a node that is made from it is the same one.
    target = tmp_path / "backup"
    province.cli("backup", str(target), "--json")
    province.stop()
    nation.wait_link(False)
    key = (province.data_dir / "secrets/tree/node.key").read_bytes()
    shutil.rmtree(province.data_dir)
    province.cli("restore", str(target), "--json")
    restored = province.data_dir / "secrets/tree/node.key"
    assert (restored.read_bytes(), restored.stat().st_mode & 0o777) == (key, 0o600)
    province.start()
    nation.wait_link(True)
    assert province.json("show")["id"] == child["id"]
