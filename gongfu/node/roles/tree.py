"""Role ``tree``: the node's place in the tree, its links, orders, reports and peers."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Collection
from pathlib import Path

from sqlalchemy import Engine

import gongfu
from gongfu.bus.commands import serve_command
from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.metrics import MetricsPublisher
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node.app_offers import AppOffers
from gongfu.node.configuration import is_every_address
from gongfu.node.data_directory import DataDirectory, secret_of
from gongfu.node.drivers.context import DriverContext
from gongfu.node.event_publisher import EventPublisher
from gongfu.node.role_start import run_role, stop_by_signal
from gongfu.node.runtime import Runtime, report_ready
from gongfu.node.tree_health import RolesHealth
from gongfu.node.tree_sections import tree_sections
from gongfu.store.records.engine import reading
from gongfu.tree.host.host import TreeHost
from gongfu.tree.host.nats_transport import NatsTransport
from gongfu.tree.host.server_config import ChildrenListen, Credentials, ParentRemote, render_tree_server
from gongfu.tree.host.server_control import ServerControl, write_config
from gongfu.tree.nodes.facts import NodeFacts
from gongfu.tree.nodes.join_listener import JoinListener
from gongfu.tree.nodes.key_files import KeyFiles
from gongfu.tree.nodes.section import NodesSection, open_place

# Commands of a name that are answered at the same time.
AT_ONCE = 32
STOP_S = 10.0

logger = logging.getLogger("gongfu.tree")


async def _serve(runtime: Runtime, name: str, engine: Engine) -> None:
    stop = stop_by_signal()
    directory = DataDirectory(Path(runtime.data_dir))
    files = KeyFiles(directory.tree_keys)
    subjects, counters = Subjects(runtime.node), Counters()
    with reading(engine) as connection:
        place = open_place(connection, files, counters)
    if place is None:
        raise ValueError(f"the records have no identity in a tree, but {files.joined} says that there is one")
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), name)
    publisher = EventPublisher(bus, subjects, asyncio.get_running_loop())
    health = RolesHealth()
    await health.start(bus, subjects)
    token, url = secret_of(files.root / "nats-token"), f"nats://127.0.0.1:{runtime.tree_nats_port}"

    def render(nodes: Collection[str]) -> str:
        return _server_config(runtime, files, nodes_section, nodes, token)

    control = ServerControl(directory.tree_nats, render, url, token, counters)
    nodes_section = NodesSection(
        place,
        node_facts(runtime, health),
        links_changed=lambda: control.admit_soon(nodes_section.allowed()),
    )
    context = DriverContext(engine, bus, runtime, subjects, SystemClock(), publisher.publish)
    offers = AppOffers(engine, bus, subjects, context.clock)
    sections, orders = tree_sections(nodes_section, context, counters, offers)
    nodes_section.write_certificates()
    write_config(directory.tree_nats, render(nodes_section.allowed()))
    # The server of the links is started then.
    report_ready()
    host = TreeHost(
        place.key.id,
        engine,
        sections,
        NatsTransport(place.key.id, url, token, counters),
        counters=counters,
        nudged=lambda changed: publisher.publish("tree", {"changed": changed}),
    )
    listener = JoinListener(files, nodes_section.admit, counters)
    metrics = MetricsPublisher(bus, subjects, name, counters, host.metrics)

    async def run() -> None:
        await host.start()
        await offers.start(orders.offer)
        for section in sections:
            for command in section.commands():
                await serve_command(bus, subjects.service(f"tree.{command.name}"), command, at_once=AT_ONCE)
        await control.start(nodes_section.allowed())
        if runtime.tree.join_port:
            await listener.start(runtime.tree.host, runtime.tree.join_port)
        metrics.start()
        logger.info("node %s is in the tree, %d children", place.key.id, len(place.directory.children()))
        await stop.wait()

    running, stopping = asyncio.create_task(run()), asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    logger.info("tree stops")
    stop.set()
    await asyncio.wait({running}, timeout=1.0)
    failure = running.exception() if running.done() and not running.cancelled() else None
    running.cancel()
    await listener.stop()
    with contextlib.suppress(TimeoutError):
        # It may never have begun, when the server of the links did not come.
        await asyncio.wait_for(host.stop(), STOP_S)
    await offers.stop()
    await control.stop()
    await metrics.stop()
    await publisher.close()
    await bus.close()
    if failure is not None:
        raise failure


def node_facts(runtime: Runtime, health: RolesHealth) -> NodeFacts:
    """Return what is told of this node."""
    tree, web = runtime.tree, runtime.web
    name = tree.advertise or tree.host
    host = f"[{name}]" if ":" in name else name
    web_host = name if is_every_address(web.host) else web.host
    web_host = f"[{web_host}]" if ":" in web_host else web_host
    return NodeFacts(
        version=gongfu.__version__,
        console=f"{'https' if web.tls_certificate else 'http'}://{web_host}:{web.port}",
        join_address=f"{host}:{tree.join_port}" if tree.join_port and tree.leaf_port else "",
        leaf_address=f"{host}:{tree.leaf_port}",
        hosts=tuple(sorted({name, "127.0.0.1", "localhost"})),
        health=health,
    )


def _server_config(runtime: Runtime, files: KeyFiles, nodes: NodesSection, allowed: Collection[str], token: str) -> str:
    tree, identity = runtime.tree, nodes.identity
    own = Credentials(str(files.server_certificate), str(files.server_key), str(files.authority_certificate))
    up = Credentials(str(files.link_certificate), str(files.link_key), str(files.parent_authority))
    return render_tree_server(
        port=runtime.tree_nats_port,
        token=token,
        name=identity.node,
        node=identity.node,
        children=ChildrenListen(tree.host, tree.leaf_port, own, tuple(sorted(allowed))) if tree.leaf_port else None,
        parent=ParentRemote(identity.leaf_address, up) if identity.leaf_address else None,
    )


def main() -> int:
    """Run the role until SIGTERM; return the exit status."""
    return run_role("tree", _serve, (ValueError, Problem))


if __name__ == "__main__":
    sys.exit(main())
