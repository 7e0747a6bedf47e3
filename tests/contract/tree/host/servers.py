"""Nodes of a tree on real nats-servers: leaf connections with certificates, as ``gongfu up`` makes them."""

import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.server import find_server
from gongfu.kernel.counters import Counters
from gongfu.store.records.engine import open_records
from gongfu.tree.host.host import TreeHost
from gongfu.tree.host.nats_transport import NatsTransport
from gongfu.tree.host.server_config import ChildrenListen, Credentials, ParentRemote, render_tree_server
from gongfu.tree.host.server_control import ServerControl, write_config
from gongfu.tree.membership.certificates import CertificateAuthority, Usage
from tests.contract.tree.host.notes import Notes
from tests.fixtures.nats import free_port
from tests.unit.tree.membership.tls import Identity, make_authority_of, write_identity
from tests.unit.tree.membership.trees import DAY, make_key

TOKEN = "token of a test tree"
START_S = 90


@dataclass
class Port:
    """Where a server listens; the same after a restart."""

    clients: int
    leaves: int


class ServedNode:
    """A node with its own tree-nats. The names of nodes say their keys, the same in every run."""

    def __init__(self, directory: Path, name: str, parent: "ServedNode | None" = None) -> None:
        self.name = name
        self.id = make_key(name).id
        self.parent = parent
        self.directory = directory / name
        self.directory.mkdir()
        self.authority: CertificateAuthority = make_authority_of(name, time.time_ns(), DAY)
        self.port = Port(free_port(), free_port())
        self.process: subprocess.Popen[bytes] | None = None
        self.counters = Counters()
        self.notes = Notes()
        self.host: TreeHost | None = None
        identities = self.directory / "identities"
        identities.mkdir()
        self._server = self._identity(identities, Usage.SERVER, self.authority, self.authority, ("127.0.0.1",))
        self._identities = identities
        self.client = self.certified_by(parent or self)
        self.control = ServerControl(self.config, self.render, self.url, TOKEN, self.counters)

    def certified_by(self, parent: "ServedNode") -> Identity:
        """Return the certificate that a parent gives to this node."""
        return self._identity(self._identities, Usage.CLIENT, parent.authority, parent.authority)

    def _identity(
        self,
        directory: Path,
        usage: Usage,
        issuer: CertificateAuthority,
        believed: CertificateAuthority,
        hosts: tuple[str, ...] = (),
    ) -> Identity:
        return write_identity(directory, self.name, usage, issuer, believed, time.time_ns(), DAY, hosts)

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port.clients}"

    @property
    def config(self) -> Path:
        return self.directory / "tree-nats.conf"

    @property
    def log(self) -> str:
        return (self.directory / "tree-nats.log").read_text()

    def render(self, children: Collection[str]) -> str:
        remote = None
        if self.parent is not None:
            remote = ParentRemote(f"127.0.0.1:{self.parent.port.leaves}", _files(self.client))
        listen = ChildrenListen("127.0.0.1", self.port.leaves, _files(self._server), tuple(children))
        return render_tree_server(
            port=self.port.clients, token=TOKEN, name=self.name, children=listen, parent=remote, node=self.id
        )

    def serve(self, *children: "ServedNode") -> None:
        """Start tree-nats."""
        if children or not self.config.exists():
            write_config(self.config, self.render([child.id for child in children]))
        with (self.directory / "tree-nats.log").open("ab") as log:
            self.process = subprocess.Popen([find_server(), "-D", "-c", self.config], stdout=log, stderr=log)
        deadline = time.monotonic() + START_S
        while not re.search(rf"\[{self.process.pid}\].* Server is ready", self.log):
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.01)

    def kill(self) -> None:
        """Kill tree-nats."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    async def start(self, template: Path) -> TreeHost:
        """Start the host on its records; the parent's link is open."""
        path = self.directory / "records.db"
        if not path.exists():
            shutil.copyfile(template, path)
        self.engine = open_records(f"sqlite:///{path}")
        transport = NatsTransport(self.id, self.url, TOKEN, self.counters)
        self.notes = Notes()
        self.host = TreeHost(self.id, self.engine, [self.notes], transport, counters=self.counters)
        await self.host.start()
        if self.parent is not None:
            await self.open(self.parent.id, parent=True)
        return self.host

    async def open(self, peer: str, *, parent: bool = False) -> None:
        assert self.host is not None
        await self.host.turn(partial(_open, self.host, peer, parent))

    async def stop(self) -> None:
        """End host and server."""
        await self.control.stop()
        if self.host is not None:
            await self.host.stop()
            self.engine.dispose()
            self.host = None
        self.kill()

    async def client_of(self, user: str):
        """Return a client of the server."""
        return await open_bus(BusAddress((self.url,), TOKEN, user), "test")

    def secure_context(self) -> ssl.SSLContext:
        """TLS as this node does it towards its parent."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_cert_chain(self.client.certificate, self.client.key)
        context.load_verify_locations(self.client.authority)
        return context


def _files(identity: Identity) -> Credentials:
    return Credentials(str(identity.certificate), str(identity.key), str(identity.authority))


def _open(host: TreeHost, peer: str, parent: bool, turn) -> None:
    host.open_link(turn, peer, parent=parent)
