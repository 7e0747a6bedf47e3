"""The HTTP server: with a certificate the cookie is for TLS only; a taken port is said and not shared."""

import asyncio
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from gongfu.registry.api import session
from gongfu.registry.service import open_registry
from gongfu.registry.users import ensure_first_admin
from gongfu.web.app import create_app
from gongfu.web.http_server import HttpServer
from tests.fixtures.nats import free_port


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 signed by itself, and its key."""
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    # rustls wants a leaf, not a certificate authority, as the server's own.
    command += ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


async def test_sign_in_over_tls(sqlite_records: Engine, certificate: tuple[Path, Path]) -> None:
    password = ensure_first_admin(sqlite_records)
    registry = open_registry(sqlite_records, bytes(32))
    app = create_app(session.routes(registry, secure=True), registry.sessions.identify)
    port = free_port()
    server = HttpServer(app, "127.0.0.1", port, certificate=str(certificate[0]), key=str(certificate[1]))
    await server.start()
    try:
        context = ssl.create_default_context(cafile=certificate[0])
        async with httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=context, timeout=60) as client:
            body = {"username": "admin", "password": password}
            answer = await client.post("/v1/session", json=body, headers={"origin": f"https://127.0.0.1:{port}"})
            assert answer.status_code == 200
            assert "Secure" in answer.headers["set-cookie"].split("; ")
            assert (await client.get("/v1/session")).json()["user"]["name"] == "admin"
        async with httpx.AsyncClient(timeout=60) as client:
            with pytest.raises(httpx.TransportError):
                await client.get(f"http://127.0.0.1:{port}/v1/session")
    finally:
        await asyncio.wait_for(server.stop(), 10)


async def test_taken_port_is_an_error_and_not_a_hang(sqlite_records: Engine) -> None:
    registry = open_registry(sqlite_records, bytes(32))
    app = create_app(session.routes(registry), registry.sessions.identify)
    taken = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    async with taken:
        with pytest.raises(OSError, match="in use"):
            await HttpServer(app, "127.0.0.1", port).start()


async def test_port_of_another_server_of_ours_is_not_shared(sqlite_records: Engine) -> None:
    registry = open_registry(sqlite_records, bytes(32))
    app = create_app(session.routes(registry), registry.sessions.identify)
    port = free_port()
    first = HttpServer(app, "127.0.0.1", port)
    await first.start()
    try:
        with pytest.raises(OSError, match="in use"):
            await HttpServer(app, "127.0.0.1", port).start()
    finally:
        await asyncio.wait_for(first.stop(), 10)
