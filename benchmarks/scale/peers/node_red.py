"""Node-RED: MQTT in → JSON → a threshold on every value in a function node; it stores nothing.

Installed by npm into ``benchmarks/.peers/node-red``. Its input is a mosquitto broker, whose CPU is not counted.
"""

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.ingest.generator import Load
from benchmarks.ingest.load import Generator
from benchmarks.ingest.peers.mosquitto import Mosquitto
from benchmarks.ingest.processes import usage
from demo.node import free_port

VERSION = "4.1.15"
FOLDER = Path(__file__).parents[2] / ".peers" / "node-red"
DEVICES = 100
START_TIMEOUT_S = 90.0
FUNCTION = """
const values = msg.payload.values;
let count = context.get('points') || 0, high = context.get('high') || 0;
for (const name in values) { count++; if (values[name] > 450) high++; }
context.set('points', count); context.set('high', high); global.set('points', count);
return null;
"""


@dataclass(frozen=True)
class NodeRedResult:
    """Points that reached the function node, points offered, CPU seconds of Node-RED, seconds."""

    offered: int
    taken: int
    cpu_seconds: float
    seconds: float


def install_node_red() -> Path | None:
    """Return the script of Node-RED, installed when absent; None without npm."""
    script = FOLDER / "node_modules" / "node-red" / "red.js"
    if not script.exists():
        npm = shutil.which("npm")
        if npm is None:
            return None
        FOLDER.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--no-audit", "--no-fund", "--omit=dev", f"node-red@{VERSION}"]
        subprocess.run(command, cwd=FOLDER, check=True, stdout=subprocess.DEVNULL)
    return script


def run_node_red(script: Path, mosquitto: str, folder: Path, seconds: float, rate: float, points: int) -> NodeRedResult:
    """Feed Node-RED through mosquitto at a fixed rate and measure its CPU time.

    Args:
        script: from ``install_node_red``.
        mosquitto: path of the broker.
        folder: working directory, made here.
        seconds: how long to send.
        rate: messages a second over all devices.
        points: values a message.
    """
    node = shutil.which("node")
    if node is None:
        raise RuntimeError("node is not installed")
    folder.mkdir()
    folder.chmod(0o755)
    with Mosquitto(mosquitto, folder) as broker:
        port = free_port()
        _write_flow(folder, broker.port)
        process = subprocess.Popen(
            [node, str(script), "--userDir", str(folder), "--port", str(port), "flows.json"],
            cwd=folder,
            env={**os.environ, "NODE_RED_DISABLE_TELEMETRY": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait(port)
            load = Load(
                "127.0.0.1",
                broker.port,
                [(f"sensor-{number:03d}", "") for number in range(DEVICES)],
                seconds,
                50,
                messages_per_s=rate,
                topic="data/{device}",
                points=points,
            )
            _send(load, 1.0)
            before, first = _cpu(process.pid), _settled(port)
            began = time.monotonic()
            offered = _send(load, seconds)
            taken = _settled(port) - first
            return NodeRedResult(offered * points, taken, _cpu(process.pid) - before, time.monotonic() - began)
        finally:
            process.kill()
            process.wait()


def _send(load: Load, seconds: float) -> int:
    with Generator(Load(**{**load.__dict__, "seconds": seconds})) as generator:
        generator.start()
        return generator.outcome().acknowledged


def _cpu(pid: int) -> float:
    return sum(row.cpu_seconds for row in usage(pid))


def _points(port: int) -> int:
    return int(httpx.get(f"http://127.0.0.1:{port}/points", timeout=5.0, trust_env=False).json())


def _settled(port: int) -> int:
    """Return the count once it does not grow any more."""
    count = -1
    while (now := _points(port)) != count:
        count = now
        time.sleep(1.0)
    return count


def _wait(port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            _points(port)
            return
        except (httpx.HTTPError, ValueError):
            if time.monotonic() > deadline:
                raise RuntimeError("Node-RED did not start") from None
            time.sleep(0.5)


def _write_flow(folder: Path, broker: int) -> None:
    flow = [
        {"id": "tab", "type": "tab", "label": "benchmark"},
        {
            "id": "broker",
            "type": "mqtt-broker",
            "broker": "127.0.0.1",
            "port": str(broker),
            "clientid": "node-red",
            "protocolVersion": "4",
            "keepalive": "60",
            "cleansession": True,
        },
        {
            "id": "in",
            "type": "mqtt in",
            "z": "tab",
            "topic": "data/+",
            "qos": "1",
            "datatype": "json",
            "broker": "broker",
            "wires": [["work"]],
        },
        {"id": "work", "type": "function", "z": "tab", "func": FUNCTION, "outputs": 1, "wires": [[]]},
        {"id": "ask", "type": "http in", "z": "tab", "url": "/points", "method": "get", "wires": [["count"]]},
        {
            "id": "count",
            "type": "function",
            "z": "tab",
            "func": "msg.payload = global.get('points') || 0; return msg;",
            "outputs": 1,
            "wires": [["answer"]],
        },
        {"id": "answer", "type": "http response", "z": "tab", "wires": []},
    ]
    (folder / "flows.json").write_text(json.dumps(flow))
    (folder / "settings.js").write_text(
        'module.exports = { uiHost: "127.0.0.1", logging: { console: { level: "off" } } };'
    )
