"""The nodes of the tree as processes: configuration and ports that stay, start, enrolment, end."""

import json
import random
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from demo.api import Api, ApiError
from demo.node import NodeProcess, Ports, free_port, write_configuration
from demo.tree.layout import MEMBERS, Member, depth

WEB_PORT, MQTT_PORT, JOIN_PORT, LEAF_PORT = 8100, 1900, 7100, 7200
TOKEN_SECONDS = 3600
JOINED_S = 60.0


class TreeNode:
    """One node of the demo.

    Attributes:
        member: who it is.
        directory: of its configuration and data.
        process: ``gongfu up``.
    """

    def __init__(self, member: Member, directory: Path, ports: dict[str, int], settings: str) -> None:
        self.member = member
        self.directory = directory
        self._numbers = ports
        self._settings = settings
        directory.mkdir(parents=True, exist_ok=True)
        self.configuration = directory / "gongfu.toml"
        self.process = self._process()

    def _process(self) -> NodeProcess:
        numbers = self._numbers
        ports = Ports(numbers["web"], numbers["mqtt"])
        extra = f"\n[tree]\njoin_port = {numbers['join']}\nleaf_port = {numbers['leaf']}\n{self._settings}"
        write_configuration(self.configuration, self.directory / "data", ports, extra=extra)
        (self.directory / "data").mkdir(exist_ok=True)
        return NodeProcess(self.directory / "data", self.configuration, ports)

    def command(self) -> str:
        """Return the command that starts this node by hand."""
        return shlex.join([sys.executable, "-m", "gongfu.node.cli", "up", "--config", str(self.configuration)])

    def sign_in(self) -> str:
        """Return how to sign in, as the node said it at its first start; empty when it never did."""
        kept = self.directory / "sign-in.txt"
        for line in self.process.banner:
            if line.strip().startswith("sign in"):
                kept.touch(mode=0o600)
                kept.write_text(line.strip().partition("   ")[0] + "\n", encoding="utf-8")
        if not kept.exists():
            return ""
        return f"{kept.read_text(encoding='utf-8').strip()}   (once; then with the password that you choose)"

    def call(self, work: Callable[[Api], Any]) -> Any:
        """Do something with the node's API, as the administrator of this machine."""
        api = self.process.api()
        try:
            return work(api)
        finally:
            api.close()

    def place(self) -> dict[str, Any]:
        """Return what the node says of its place in the tree."""
        return self.call(lambda api: api.get("/tree/node"))


def _ports(file: Path, first: int) -> dict[str, dict[str, int]]:
    """Return the ports of all nodes: those of the last start, chosen at the first one."""
    try:
        kept: dict[str, dict[str, int]] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = {}
    bases = {"web": WEB_PORT, "mqtt": MQTT_PORT, "join": JOIN_PORT, "leaf": LEAF_PORT}
    if first:
        bases = {name: first + 20 * number for number, name in enumerate(bases)}
    for number, member in enumerate(MEMBERS):
        mine = kept.setdefault(member.key, {})
        for name, base in bases.items():
            # What a child was told of its parent must stay; only what nobody knows yet is chosen.
            mine.setdefault(name, free_port(base + number))
    file.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    return kept


class NodeTree:
    """All nodes below one directory. ``start``, then ``stop``.

    Args:
        root: the directory.
        settings: further lines of every node's ``[tree]`` section, each ending with a line feed.
        first_port: where the ports begin, for several trees at once; 0 is the demo's.
    """

    def __init__(self, root: Path, settings: str = "", first_port: int = 0) -> None:
        root.mkdir(parents=True, exist_ok=True)
        ports = _ports(root / "ports.json", first_port)
        self.root = root
        self.nodes = {
            member.key: TreeNode(member, root / member.key, ports[member.key], settings) for member in MEMBERS
        }

    def __getitem__(self, key: str) -> TreeNode:
        return self.nodes[key]

    def start(self, timeout: float = 120.0) -> None:
        """Start all nodes at once and enrol those that are not in the tree, level by level."""
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            list(pool.map(lambda node: node.process.start(timeout), self.nodes.values()))
        for level in range(1 + max(depth(member) for member in MEMBERS)):
            with ThreadPoolExecutor(len(self.nodes)) as pool:
                list(pool.map(self._enrol, [n for n in self.nodes.values() if depth(n.member) == level]))

    def _enrol(self, node: TreeNode) -> None:
        if node.place()["enrolled"]:
            return
        member = node.member
        if not member.parent:
            founding = {"name": member.title, "tier": member.tier, "prefix": member.prefix}
            node.call(lambda api: api.post("/tree:found", founding))
            _until(lambda: bool(node.place()["enrolled"]), f"{member.title} has founded its tree")
            return
        wanted = {"tier": member.tier, "prefix": member.prefix, "valid_seconds": TOKEN_SECONDS}
        made = self[member.parent].call(
            lambda api: _retried(lambda: api.post("/tree/tokens", wanted | {"attributes": member.attributes}))
        )
        joining = {"token": made["token"], "name": member.title, "attributes": member.attributes}
        node.call(lambda api: _retried(lambda: api.post("/tree:join", joining)))
        _until(lambda: _linked(node), f"{member.title} is linked to its parent")

    def stop(self) -> None:
        """Stop all nodes, children first."""
        for level in range(max(depth(member) for member in MEMBERS), -1, -1):
            some = [n for n in self.nodes.values() if depth(n.member) == level]
            with ThreadPoolExecutor(len(some)) as pool:
                list(pool.map(lambda node: node.process.stop(), some))


def apart() -> int:
    """Return a first port for a tree of a test: outside of the demo's, and of those that connections get."""
    return random.randrange(10_000, 30_000, 100)


def _linked(node: TreeNode) -> bool:
    link = node.place().get("link")
    return bool(link and link["up"])


def _retried(work: Callable[[], Any], statuses: Sequence[int] = (0, 409, 503), seconds: float = 30.0) -> Any:
    """Ask again while a node is still becoming a member."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return work()
        except ApiError as error:
            if error.status not in statuses or time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def _until(done: Callable[[], bool], what: str, seconds: float = JOINED_S) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if done():
                return
        except ApiError:
            # The node's roles start anew when it becomes a member.
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.1)
