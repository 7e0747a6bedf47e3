"""Certificates between two real nats-servers: a leaf listener that asks for one (Go's TLS), and leaves with one."""

import asyncio
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import nats
import pytest
from nats.aio.msg import Msg
from nats.errors import NoRespondersError

from gongfu.bus.server import find_server
from gongfu.tree.membership.certificates import Usage
from tests.fixtures.nats import free_port
from tests.unit.tree.membership.tls import Identity, client_context, make_authority_of, write_identity
from tests.unit.tree.membership.trees import DAY, make_key

DEADLINE_S = 60


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    log: Path

    def wait_for(self, *texts: str) -> str:
        """Return the first of ``texts`` that the log says."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            # Asked first: whatever it said before its end is in the log then.
            ended = self.process.poll()
            said = self.log.read_text()
            if found := [text for text in texts if text in said]:
                return found[0]
            assert ended is None, said
            time.sleep(0.02)
        raise TimeoutError(self.log.read_text())

    @property
    def url(self) -> str:
        """Where clients connect."""
        self.wait_for("Server is ready")
        found = re.search(r"Listening for client connections on (\S+)", self.log.read_text())
        assert found is not None
        return f"nats://{found[1]}"


@contextmanager
def run(directory: Path, name: str, text: str) -> Iterator[Running]:
    config, log = directory / f"{name}.conf", directory / f"{name}.log"
    config.write_text(f'server_name: "{name}"\nlisten: "127.0.0.1:-1"\ndebug: true\n{text}')
    with log.open("wb") as out, subprocess.Popen([find_server(), "-c", config], stdout=out, stderr=out) as process:
        try:
            yield Running(process, log)
        finally:
            process.kill()


def tls(identity: Identity, more: str = "") -> str:
    return (
        f'tls {{ cert_file: "{identity.certificate}", key_file: "{identity.key}", ca_file: "{identity.authority}"'
        f"{more} }}"
    )


@contextmanager
def parent_of(directory: Path, identity: Identity, allowed: str) -> Iterator[tuple[Running, int]]:
    """Run a parent whose leaves are known by the URI of their certificate."""
    for attempt in range(5):
        port = free_port()
        text = (
            f'leafnodes {{ listen: "127.0.0.1:{port}", {tls(identity, ", verify_and_map: true")}\n'
            f'  authorization {{ users: [ {{ user: "urn:gongfu:node:{allowed}" }} ] }} }}\n'
        )
        with ExitStack() as stack:
            server = stack.enter_context(run(directory, f"parent-{attempt}", text))
            if server.wait_for("Server is ready", "address already in use") == "Server is ready":
                yield server, port
                return
    raise RuntimeError("no free port")


def leaf(port: int, identity: Identity) -> str:
    return f'leafnodes {{ reconnect: "100ms", remotes: [ {{ url: "tls://127.0.0.1:{port}", {tls(identity)} }} ] }}\n'


@pytest.fixture
def identities(tmp_path: Path) -> dict[str, Identity]:
    now = time.time_ns()
    province, sibling = (make_authority_of(name, now, DAY) for name in ("province", "sibling"))

    def write(name: str, issuer: str, usage: Usage = Usage.CLIENT, **options: tuple[str, ...]) -> Identity:
        signer = province if issuer == "province" else sibling
        return write_identity(tmp_path, name, usage, signer, province, now, DAY, **options)

    return {
        "province": write("province", "province", Usage.SERVER, hosts=("127.0.0.1",)),
        "child": write("child", "province"),
        "other": write("other", "province"),
        "stranger": write("child", "sibling"),
    }


async def ask(child: Running, parent: Running) -> bytes:
    """Return what a client of the parent answers to a client of the child, through the link."""
    async with await nats.connect(parent.url) as answering, await nats.connect(child.url) as asking:

        async def reply(message: Msg) -> None:
            await message.respond(b"heard " + message.data)

        await answering.subscribe("question", cb=reply)
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                return (await asking.request("question", b"you", timeout=DEADLINE_S)).data
            except NoRespondersError:
                # The parent's interest is not known here yet.
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)


def shake_hands(port: int, identity: Identity) -> None:
    """Shake hands as a leaf whose TLS, unlike Go's, sends a certificate of any authority, asked for or not.

    Raises:
        ssl.SSLError: the parent refused.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as plain:
        # The greeting ends before TLS begins.
        while (received := plain.recv(1)) != b"\n":
            assert received
        with client_context(identity).wrap_socket(plain, server_hostname="127.0.0.1") as secure:
            # With TLS 1.3 the refusal comes after the client's end of the handshake.
            secure.recv(1)


async def test_only_the_child_with_a_certificate_of_its_parent_connects(
    tmp_path: Path, identities: dict[str, Identity]
) -> None:
    with parent_of(tmp_path, identities["province"], make_key("child").id) as (parent, port):
        # The sibling's authority signed that it is the child.
        with pytest.raises(ssl.SSLError, match="alert"):
            shake_hands(port, identities["stranger"])
        parent.wait_for("tls: failed to verify certificate")
        with run(tmp_path, "stranger", leaf(port, identities["stranger"])):
            parent.wait_for("tls: client didn't provide a certificate")
        # The right authority signed that it is another child.
        with run(tmp_path, "other", leaf(port, identities["other"])) as other:
            other.wait_for("Leafnode Error 'Authorization Violation'")
        assert "Using URI found in cert" not in parent.log.read_text()
        with run(tmp_path, "child", leaf(port, identities["child"])) as child:
            parent.wait_for(f'Using URI found in cert for auth ["urn:gongfu:node:{make_key("child").id}"]')
            assert await ask(child, parent) == b"heard you"
