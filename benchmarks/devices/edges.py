"""Edge nodes with many children each, and last wills (Sparkplug NDEATH): what happens when all lose power at once.

``python -m benchmarks.devices.edges`` is the process that is killed: it reads one JSON document (``Edges``) from
standard input, connects, reports for all children once, prints a line, and holds the connections.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import httpx

from benchmarks.ingest.payloads import publish_head, varint
from benchmarks.ingest.report import Row
from demo.node import NodeProcess

GROUP = "line"
_BATCH = 2000
_WAIT_S = 120.0


@dataclass(frozen=True)
class Edges:
    """Edge nodes (name, secret) and the number of children of each."""

    host: str
    port: int
    nodes: list[tuple[str, str]]
    children: int


def edge_path(name: str, child: int) -> str:
    """Return the path of a child below the asset of its edge node's connection."""
    return f"{GROUP}/{name}/c{child:03d}"


def _text(value: str) -> bytes:
    raw = value.encode()
    return len(raw).to_bytes(2, "big") + raw


def _connect(name: str, secret: str) -> bytes:
    """Return a CONNECT with credentials, a clean session and a will at QoS 1, keep alive ten minutes."""
    will = _text(f"spBv1.0/{GROUP}/NDEATH/{name}") + _text("")
    body = b"\x00\x04MQTT\x04\xce\x02\x58" + _text(name) + will + _text(name) + _text(secret)
    return b"\x10" + varint(len(body)) + body


def hold(edges: Edges) -> None:
    """Connect, report once, say so, and hold until killed."""
    held: list[socket.socket] = []
    for name, secret in edges.nodes:
        made = socket.create_connection((edges.host, edges.port), timeout=60.0)
        made.sendall(_connect(name, secret))
        if made.recv(4)[3:4] != b"\0":
            raise RuntimeError(f"{name} was refused")
        held.append(made)
    for (name, _), made in zip(edges.nodes, held, strict=True):
        stamp = time.time_ns() // 1_000_000
        body = {edge_path(name, child): [{"ts": stamp, "values": {"p": 1.5}}] for child in range(edges.children)}
        payload = json.dumps(body).encode()
        made.sendall(publish_head("v1/gateway/telemetry", len(payload)) + b"\x00\x01" + payload)
    for (name, _), made in zip(edges.nodes, held, strict=True):
        if made.recv(4)[:1] != b"\x40":
            raise RuntimeError(f"{name} was not acknowledged")
    print("held", flush=True)
    while True:
        for made in held:
            made.sendall(b"\xc0\x00")
        time.sleep(20.0)


def wave(
    node: NodeProcess,
    post: Callable[[list[dict[str, object]]], dict[str, list[dict[str, str]]]],
    say: Callable[[str], None],
    nodes: int,
    children: int,
) -> list[Row]:
    """Add edge nodes and children, let them report, kill the process that holds them, and wait until all are offline.

    Args:
        node: the running node.
        post: imports devices.
        say: prints progress.
        nodes: number of edge nodes, one connection each.
        children: children of each.
    """
    total = nodes * (children + 1)
    say(f"{nodes} edge nodes with {children} children each")
    names = [f"edge-{number:05d}" for number in range(nodes)]
    secrets: list[tuple[str, str]] = []
    lines: list[dict[str, object]] = [
        {"name": f"{name}-c{child:03d}", "asset": f"{name}/{edge_path(name, child)}", "points": {"p": "double"}}
        for name in names
        for child in range(children)
    ]
    for start in range(0, nodes, _BATCH):
        answer = post([{"name": name} for name in names[start : start + _BATCH]])
        secrets += [(item["name"], item["secret"]) for item in answer["secrets"]]
    for start in range(0, len(lines), _BATCH):
        post(lines[start : start + _BATCH])
    edges = Edges("127.0.0.1", node.ports.mqtt, secrets, children)
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.devices.edges"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(asdict(edges)) + "\n")
        process.stdin.flush()
        if process.stdout.readline().strip() != "held":
            raise RuntimeError("the edge nodes did not connect")
        say("waiting until all are online")
        online = _until(lambda: not _any(node, online=False), 1)
        wills, began = _wills(node), time.monotonic()
        say("kill -9")
        process.kill()
        process.wait()
        offline = _until(lambda: not _any(node, online=True), 1)
        spent = time.monotonic() - began
        published = _until(lambda: _wills(node) - wills, nodes)
    finally:
        process.kill()
        process.wait()
    return [
        Row("edge nodes and their children", total, "devices"),
        Row("all of them online before the kill", online, "(1 is yes)", 1.0, "higher"),
        Row("kill -9 of all edge nodes: until all are offline", spent, "s", 10.0),
        Row("all of them offline after it", offline, "(1 is yes)", 1.0, "higher"),
        Row("wills published less connections killed", abs(published - nodes), "wills", 0.0),
    ]


def _until(figure: Callable[[], float], wanted: float) -> float:
    """Return a figure once it has reached what is wanted, or what it is after two minutes."""
    deadline = time.monotonic() + _WAIT_S
    while (found := figure()) < wanted and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def _any(node: NodeProcess, *, online: bool) -> bool:
    """Return whether any edge node or child is online (or is not)."""
    api = node.api()
    try:
        return bool(api.get("/devices", online=str(online).lower(), search="^edge-", limit=1)["items"])
    finally:
        api.close()


def _wills(node: NodeProcess) -> float:
    headers = {"Authorization": f"Bearer {node.token()}"}
    text = httpx.get(f"{node.url}/metrics", headers=headers, trust_env=False, timeout=30.0).raise_for_status().text
    lines = (line for line in text.splitlines() if line.startswith("gongfu_wills_published_total"))
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def main() -> int:
    """Hold until killed."""
    document = json.loads(sys.stdin.readline())
    hold(Edges(**{**document, "nodes": [(name, secret) for name, secret in document["nodes"]]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
