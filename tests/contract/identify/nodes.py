"""Nodes of the identifier service with all faces on real sockets, in the event loop of a test."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from gongfu.identify.administration.handle_service import HandleService, one_server_site
from gongfu.identify.dns.answering import DnsAnswering
from gongfu.identify.dns.below import names_below
from gongfu.identify.dns.server import DnsServer
from gongfu.identify.dns.zones import DnsSettings, Zones
from gongfu.identify.handle.names import HandleName
from gongfu.identify.handle.predefined import HS_SITE, encode_site
from gongfu.identify.handle.resolution import Elsewhere, Nowhere
from gongfu.identify.handle.server import HandleServer
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.http.handles import PATH, HandlesFace
from gongfu.identify.http.server import HttpServer
from gongfu.identify.resolver.recursion import elsewhere_of, recursion
from gongfu.identify.resolver.resolver import Resolver
from gongfu.kernel.counters import Counters
from tests.fixtures.identifiers import PREFIX, IdentifierNode, identifiers
from tests.fixtures.resolution import PATIENCE

ZONE = "id.internal"


class Node:
    """A node: what it has, and where it listens."""

    def __init__(self, core: IdentifierNode, oids: Mapping[str, str]) -> None:
        self.core = core
        self.prefix = PREFIX
        self.roots: tuple[HandleValue, ...] = ()
        self.find_roots: Callable[[], Sequence[HandleValue]] = lambda: self.roots
        self.counters = Counters()
        lookup = core.identifiers.lookup
        self.resolver = Resolver(lookup, lambda: self.find_roots(), self.counters, patience=PATIENCE)
        self.handle = HandleService(core.identifiers, self.counters, recurse=recursion(self.resolver))
        self._handle_server = HandleServer(self.handle.answering)
        self._http = HttpServer(self.counters)
        face = HandlesFace(
            core.identifiers,
            self.handle.authenticator,
            self.handle.authorization,
            now=lambda: int(time.time()),
            elsewhere=elsewhere_of(self.resolver),
        )
        self._http.mount(PATH, face)
        zones = Zones(DnsSettings(zone=ZONE, oid_prefixes=oids), serial=1)
        self.dns = DnsAnswering(
            zones,
            lookup,
            self.counters,
            now=lambda: int(time.time()),
            resolve=self.resolver.found,
            below=names_below(core.identifiers),
        )
        self._dns_server = DnsServer(self.dns, self.counters)
        for watcher in (self.handle.changed, self._http.changed, self.dns.changed, self.resolver.forget):
            core.identifiers.watch(watcher)

    async def start(self) -> None:
        self.handle_port = await self._handle_server.start(port=0)
        self.http_port = await self._http.start(port=0)
        self.dns_port = await self._dns_server.start(port=0)

    async def stop(self) -> None:
        await self._handle_server.stop()
        await self._http.stop()
        await self._dns_server.stop()
        await self.resolver.close()

    def site(self) -> HandleValue:
        return HandleValue(1, HS_SITE, encode_site(one_server_site(1, "127.0.0.1", handle_port=self.handle_port)))

    async def refer_above(self, upper: "Node") -> None:
        """Begin at another node for what is not below this one's prefixes."""
        self.roots = (upper.site(),)
        await self.refer_to_roots()

    async def refer_to_roots(self) -> None:
        """Do so with the ``roots`` that are set."""

        def above(name: HandleName) -> Elsewhere | Nowhere:
            return Elsewhere("0.NA/0", self.roots, delegated=False)

        await self.core.identifiers.set_above(above)


@asynccontextmanager
async def node(path: Path, **oids: str) -> AsyncIterator[Node]:
    """Run a node; it has the prefix of ``tests.fixtures.identifiers``."""
    await asyncio.to_thread(path.mkdir)
    async with identifiers(path) as core:
        made = Node(core, {oid.replace("_", "."): prefix for oid, prefix in oids.items()})
        await made.start()
        try:
            yield made
        finally:
            await made.stop()


async def run(*arguments: str) -> str:
    """Run a program to its end and return what it writes."""
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, (arguments, out, err)
    return out.decode()


async def kdig(port: int, name: str, kind: str, *options: str) -> str:
    """Ask by Knot's dig."""
    return await run("kdig", "@127.0.0.1", "-p", str(port), "+timeout=20", name, kind, *options)
