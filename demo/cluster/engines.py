"""The engines a cluster stands on: three nats-servers, PostgreSQL, history nodes."""

import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from demo.cluster.kept import EngineSpec
from demo.node import free_port
from gongfu.bus.nats_cluster import render_cluster_config
from gongfu.bus.server import find_server
from gongfu.node.runtime import RUNTIME_VARIABLE

HISTORY_USER = "gongfu"


class EngineMissingError(RuntimeError):
    """A program the demo needs is not installed; the text says what to do."""


def greets(port: int, words: bytes = b"") -> bool:
    """Return whether a loopback port takes connections and, with ``words``, says them first."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.3) as connection:
            return not words or connection.recv(len(words)) == words
    except OSError:
        return False


def nats_servers(
    root: Path, token: str, count: int = 3, restart_s: float | None = 2.0
) -> tuple[list[EngineSpec], list[int]]:
    """Return the servers of a NATS cluster and their ports for clients."""
    ports, routes = [free_port() for _ in range(count)], [free_port() for _ in range(count)]
    specs: list[EngineSpec] = []
    for number, (port, route) in enumerate(zip(ports, routes, strict=True), 1):
        directory = root / f"nats-{number}"
        directory.mkdir(parents=True, exist_ok=True)
        config = directory / "nats.conf"
        config.write_text(
            render_cluster_config(
                name=f"nats-{number}",
                port=port,
                route_port=route,
                routes=[f"127.0.0.1:{port}" for port in routes],
                store_dir=directory / "store",
                token=token,
            )
        )
        config.chmod(0o600)
        command = [str(find_server()), "-c", str(config)]
        specs.append(
            EngineSpec(
                f"nats-{number}", command, directory / "nats.log", lambda port=port: greets(port, b"INFO "),
                restart_s=restart_s,
            )
        )  # fmt: skip
    return specs, ports


def find_postgres() -> Path:
    """Return the directory of PostgreSQL's programs.

    Raises:
        EngineMissingError: it is not installed.
    """
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if named := shutil.which("postgres"):
        found.append(Path(named).parent)
    if not found:
        raise EngineMissingError(
            "PostgreSQL is not installed: a cluster keeps its records there (apt install postgresql)"
        )
    return max(found, key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0))


def postgres(root: Path) -> tuple[EngineSpec, str]:
    """Return a PostgreSQL server, its directory made, and the URL of its database.

    Raises:
        EngineMissingError: it is not installed, or cannot make its directory.
    """
    programs, directory = find_postgres(), root / "postgres"
    # PostgreSQL refuses to run as root.
    names = {entry.pw_name for entry in pwd.getpwall()}
    owner = ("postgres" if "postgres" in names else "nobody") if os.geteuid() == 0 else None
    data, sockets = directory / "data", directory / "run"
    for path in (directory, data, sockets):
        path.mkdir(exist_ok=True)
        path.chmod(0o700)
        if owner:
            shutil.chown(path, owner)
    if not (data / "PG_VERSION").exists():
        command = [programs / "initdb", "-D", data, "-U", "gongfu", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
        done = subprocess.run(command, user=owner, capture_output=True, text=True, cwd="/", check=False)
        if done.returncode:
            raise EngineMissingError(f"PostgreSQL cannot make its directory: {done.stderr.strip()[-300:]}")
    arguments = ["-D", data, "-k", sockets, "-c", "listen_addresses=", "-c", "max_connections=120"]
    return (
        EngineSpec(
            "postgres",
            [str(part) for part in (programs / "postgres", *arguments)],
            root / "postgres.log",
            lambda: _pg_answers(programs, sockets),
            user=owner,
        ),
        f"postgresql://gongfu@/postgres?host={sockets}",
    )


def _pg_answers(programs: Path, sockets: Path) -> bool:
    command = [programs / "pg_isready", "-q", "-h", sockets]
    return subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode == 0


def history_nodes(
    root: Path, nats_urls: list[str], token: str, password: str, count: int = 2
) -> tuple[list[EngineSpec], list[str]]:
    """Return history nodes (chDB behind ClickHouse's HTTP protocol) and their addresses."""
    specs: list[EngineSpec] = []
    urls: list[str] = []
    for number in range(1, count + 1):
        port = free_port()
        directory = root / f"history-{number}"
        directory.mkdir(parents=True, exist_ok=True)
        urls.append(f"http://127.0.0.1:{port}")
        runtime = {
            "node": "gongfu",
            "data_dir": str(directory),
            "nats_servers": nats_urls,
            "nats_token": token,
            "history_url": urls[-1],
            "history_user": HISTORY_USER,
            "history_password": password,
            "records_url": "",
            "mqtt": {},
            "web": {},
            "telemetry": {},
        }
        file = directory / "runtime.json"
        file.write_text(json.dumps(runtime))
        file.chmod(0o600)
        specs.append(
            EngineSpec(
                f"history-{number}",
                [sys.executable, "-m", "gongfu.node.roles.history"],
                directory / "history.log",
                lambda port=port: greets(port),
                {RUNTIME_VARIABLE: str(file), "PYTHONPATH": str(Path(__file__).parents[2])},
            )
        )
    return specs, urls
