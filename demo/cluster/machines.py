"""The whole cluster: engines, two machines that run ``gongfu up``, and what can be killed."""

import json
import os
import secrets
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from demo.api import Api
from demo.cluster.engines import HISTORY_USER, greets, history_nodes, nats_servers, postgres
from demo.cluster.kept import EngineSpec, Kept
from demo.node import Ports, free_port

READY_S = 180.0
PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Shape:
    """How much of everything there is."""

    doors: int = 2
    workers: int = 2
    histories: int = 2
    instances: tuple[str, ...] = ("a", "b")


@dataclass
class Machine:
    """One machine of the cluster: a configuration, a data directory, and its ``gongfu up``."""

    instance: str
    data_dir: Path
    ports: Ports
    supervisor: Kept

    def roles(self) -> dict[str, int]:
        """Return process ids by role, as far as they run."""
        try:
            state = json.loads((self.data_dir / "run" / "state.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return {row["role"]: int(row["pid"]) for row in state["roles"] if row["state"] == "ready"}

    def api(self) -> Api:
        """Return a client with the administrator's token of this machine."""
        token = (self.data_dir / "secrets" / "cli-token").read_text(encoding="utf-8").strip()
        return Api(f"http://127.0.0.1:{self.ports.web}", token)


@dataclass
class Cluster:
    """Engines and machines below one directory. ``start``, then ``stop``."""

    root: Path
    shape: Shape = field(default_factory=Shape)
    engines: dict[str, Kept] = field(default_factory=dict[str, Kept])
    machines: list[Machine] = field(default_factory=list[Machine])
    nats_ports: list[int] = field(default_factory=list[int])
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    history_urls: list[str] = field(default_factory=list[str])
    history_password: str = field(default_factory=lambda: secrets.token_hex(16))

    def start(self) -> float:
        """Start everything and return the seconds it took.

        Raises:
            EngineMissingError: a program is not installed.
            TimeoutError: something does not serve in time.
        """
        began = time.monotonic()
        self.root.mkdir(parents=True, exist_ok=True)
        # Others must reach the sockets of PostgreSQL, which runs as another user when this is root.
        self.root.chmod(0o711)
        nats, self.nats_ports = nats_servers(self.root, self.token)
        urls = [f"nats://127.0.0.1:{port}" for port in self.nats_ports]
        database, records = postgres(self.root)
        histories, self.history_urls = history_nodes(
            self.root, urls, self.token, self.history_password, self.shape.histories
        )
        for spec in (*nats, database, *histories):
            self.engines[spec.name] = Kept(spec).start()
        for kept in self.engines.values():
            kept.wait_ready(READY_S)
        for instance in self.shape.instances:
            self.machines.append(self._machine(instance, urls, records))
        for machine in self.machines:
            machine.supervisor.start()
        for machine in self.machines:
            machine.supervisor.wait_ready(READY_S)
        return time.monotonic() - began

    def _machine(self, instance: str, nats: list[str], records: str) -> Machine:
        data_dir = self.root / instance
        data_dir.mkdir(exist_ok=True)
        ports = Ports(web=free_port(), mqtt=free_port())
        file = self.root / f"{instance}.toml"
        file.write_text(
            f"""\
[node]
data_dir = {json.dumps(str(data_dir))}

[cluster]
instance = "{instance}"
secrets_dir = {json.dumps(str(self.root / "secrets"))}

[nats]
servers = {json.dumps(nats)}
token = "{self.token}"

[block_log]
replicas = {len(nats)}
max_bytes = "256MB"

[records]
url = "{records}"

[history]
urls = {json.dumps(self.history_urls)}
user = "{HISTORY_USER}"
password = "{self.history_password}"

[telemetry]
partitions = {PARTITIONS}

[worker]
processes = {self.shape.workers}

[mqtt]
port = {ports.mqtt}
websocket_port = 0
processes = {self.shape.doors}

[web]
port = {ports.web}
"""
        )
        file.chmod(0o600)

        def serves() -> bool:
            try:
                health = httpx.get(f"http://127.0.0.1:{ports.web}/v1/health", timeout=1.0, trust_env=False)
            except httpx.HTTPError:
                return False
            return health.status_code == httpx.codes.OK and greets(ports.mqtt)

        spec = EngineSpec(
            f"gongfu-{instance}",
            [sys.executable, "-m", "gongfu.node.cli", "up", "--config", str(file)],
            self.root / f"{instance}.log",
            serves,
            {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"},
        )
        return Machine(instance, data_dir, ports, Kept(spec))

    def stop(self) -> None:
        """End everything."""
        for machine in self.machines:
            machine.supervisor.stop()
        for kept in reversed(self.engines.values()):
            kept.stop()

    def processes(self) -> dict[str, int]:
        """Return everything that can be killed: process ids by name."""
        found = {name: kept.pid for name, kept in self.engines.items()}
        for machine in self.machines:
            found[f"supervisor@{machine.instance}"] = machine.supervisor.pid
            found.update((role, pid) for role, pid in machine.roles().items() if "@" in role)
        return {name: pid for name, pid in found.items() if pid}

    def kill(self, name: str, number: int = 9) -> int:
        """Send a signal to a process and return its id.

        Raises:
            KeyError: it does not run.
        """
        pid = self.processes()[name]
        os.kill(pid, number)
        return pid

    def stored(self) -> int:
        """Return the points the history has, -1 while a node of it does not answer."""
        total = 0
        for rows in self.ask_history("SELECT count() AS n FROM gongfu.point_double FINAL"):
            if rows is None:
                return -1
            total += int(rows[0]["n"])
        return total

    def ask_history(self, query: str) -> list[list[dict[str, Any]] | None]:
        """Return the rows of each history node, None for one that does not answer."""
        found: list[list[dict[str, Any]] | None] = []
        headers = {"X-ClickHouse-User": HISTORY_USER, "X-ClickHouse-Key": self.history_password}
        for url in self.history_urls:
            try:
                answer = httpx.post(
                    f"{url}/?default_format=JSONEachRow", content=query, headers=headers, timeout=10.0, trust_env=False
                )
                answer.raise_for_status()
                found.append([json.loads(line) for line in answer.text.splitlines()])
            except (httpx.HTTPError, ValueError):
                found.append(None)
        return found
