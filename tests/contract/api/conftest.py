"""The web role as a process, with a real nats-server, once on SQLite and once on PostgreSQL."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixtures.nats import TOKEN, NatsServer, free_port
from tests.fixtures.postgres import PostgresServer

ROLES = ("admin", "engineer", "operator", "viewer")
PASSWORD = "correct horse battery"


@dataclass
class Web:
    """A running web role, and clients of all roles in the node's tenant and of the admin of another one."""

    url: str
    data_dir: Path
    nats: NatsServer
    log: Path
    one_time_password: str = ""
    clients: dict[str, httpx.Client] = field(default_factory=dict)
    users: dict[str, dict[str, Any]] = field(default_factory=dict)

    def client(self, token: str | None = None, **headers: str) -> httpx.Client:
        if token:
            headers["authorization"] = f"Bearer {token}"
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)

    def sign_in(self, name: str, password: str) -> httpx.Response:
        with self.client() as client:
            return client.post("/v1/session", json={"username": name, "password": password})

    def token_of(self, name: str, password: str) -> str:
        response = self.sign_in(name, password)
        assert response.status_code == 200, response.text
        return response.cookies["gongfu_session"]

    def add_user(self, name: str, role: str, tenant: int | None = None) -> None:
        """Add a user with a changed password, and a client of it with a bearer token."""
        made = self.clients["root"].post("/v1/users", json={"name": name, "role": role, "tenant_id": tenant})
        assert made.status_code == 201, made.text
        self.users[name] = made.json()["user"]
        first = made.json()["password"]
        client = self.client(self.token_of(name, first))
        changed = client.post("/v1/session:changePassword", json={"old": first, "new": PASSWORD})
        assert changed.status_code == 200, changed.text
        self.clients[name] = client


def _run(directory: Path, nats: NatsServer, records_url: str) -> Iterator[Web]:
    port = free_port()
    runtime = {
        "node": "test",
        "data_dir": str(directory),
        "nats_servers": list(nats.address.servers),
        "nats_token": TOKEN,
        # Nobody serves the history: its operations answer 503.
        "history_url": f"http://127.0.0.1:{free_port()}",
        "history_user": "gongfu",
        "history_password": "none",
        "records_url": records_url,
        "mqtt": {"max_payload_bytes": 200_000},
        "web": {"port": port},
        "telemetry": {},
    }
    path = directory / "runtime.json"
    path.write_text(json.dumps(runtime))
    environment = {**os.environ, "GONGFU_RUNTIME": str(path)}
    prepared = subprocess.run(
        [sys.executable, "-m", "gongfu.node.prepare"], env=environment, capture_output=True, text=True, check=True
    )
    read, write = os.pipe()
    log = directory / "web.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gongfu.node.roles.web"],
            env={**environment, "GONGFU_READY_FD": str(write)},
            pass_fds=[write],
            stderr=output,
        )
    os.close(write)
    try:
        with os.fdopen(read, "rb") as pipe:
            assert pipe.read() == b"READY\n", log.read_text()
        web = Web(f"http://127.0.0.1:{port}", directory, nats, log)
        web.one_time_password = json.loads(prepared.stdout)["admin"][1]
        web.clients["root"] = web.client((directory / "secrets" / "cli-token").read_text().strip())
        for role in ROLES:
            web.add_user(f"{role}-user", role)
            web.clients[role] = web.clients[f"{role}-user"]
        tenant = web.clients["root"].post("/v1/tenants", json={"name": "other plant"}).json()["id"]
        web.add_user("stranger", "admin", tenant)
        yield web
        for client in web.clients.values():
            client.close()
    finally:
        process.terminate()
        status = process.wait(60)
    assert status == 0, log.read_text()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def web(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A running web role."""
    directory = tmp_path_factory.mktemp("web")
    (directory / "nats").mkdir()
    nats = NatsServer(directory / "nats")
    nats.start()
    try:
        if request.param == "sqlite":
            yield from _run(directory, nats, f"sqlite:///{directory / 'records.db'}")
        else:
            server: PostgresServer = request.getfixturevalue("postgres_server")
            name = f"test_{uuid.uuid4().hex}"
            server.execute(f'CREATE DATABASE "{name}"')
            yield from _run(directory, nats, server.url(name))
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        nats.kill()


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is a problem document, and return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert (document["status"], document["code"], document["type"]) == (status, code, f"/problems/{code}")
    assert document["title"]
    assert document["request_id"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text
    return document
