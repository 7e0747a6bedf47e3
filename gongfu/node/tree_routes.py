"""The API of the tree on this node: its routes ask the tree role, or enrol a node that has none yet."""

from pathlib import Path

from nats.aio.client import Client
from sqlalchemy import Engine

import gongfu
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import Clock
from gongfu.node.runtime import Runtime
from gongfu.rest.routing import Route
from gongfu.tree.api import nodes, orders, peers, reports, rollouts
from gongfu.tree.api.asking import open_ask


def tree_routes(runtime: Runtime, bus: Client, subjects: Subjects, engine: Engine, clock: Clock) -> list[Route]:
    """Return the routes of nodes, orders, roll-outs, reports and peers.

    Args:
        runtime: addresses and settings.
        bus: an open connection.
        subjects: names on the bus.
        engine: migrated records.
        clock: present time.
    """
    outside = nodes.Outside(Path(runtime.data_dir), engine, clock, gongfu.__version__)
    ask = open_ask(bus, subjects, outside.enrolled)
    others = (orders, rollouts, reports, peers)
    return [*nodes.routes(ask, outside), *(route for noun in others for route in noun.routes(ask))]
