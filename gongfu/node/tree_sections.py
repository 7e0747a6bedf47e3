"""The sections of the tree put together: what this node tells and takes besides who is in the tree."""

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import gongfu
from gongfu.appkit.provided_kinds import APP
from gongfu.identify.api.asking import open_ask
from gongfu.identify.statistics.documents import DayCell, DayCells, DayWish
from gongfu.kernel.counters import Counters
from gongfu.node.app_offers import AppOffers
from gongfu.node.data_directory import DataDirectory
from gongfu.node.drivers.builtin import builtin_kinds, drivers, probes
from gongfu.node.drivers.context import DriverContext, acting_for
from gongfu.node.live_figures import NodeFigures
from gongfu.tree.host.section import Section
from gongfu.tree.nodes.section import NodesSection
from gongfu.tree.orders.kinds import OrderKind
from gongfu.tree.orders.plugins import Driver, Probe
from gongfu.tree.orders.section import OrdersSection
from gongfu.tree.peers.handlers import Echo, NodeSummary
from gongfu.tree.peers.section import PeersSection
from gongfu.tree.reports.identifier_days import AskDay, IdentifierDays
from gongfu.tree.reports.section import ReportsSection
from gongfu.tree.rollouts.section import RolloutsSection
from gongfu.tree.services.section import ServicesSection

T = TypeVar("T")


def tree_sections(
    nodes: NodesSection, context: DriverContext, counters: Counters, offers: AppOffers
) -> tuple[list[Section], OrdersSection]:
    """Return all sections, in the order in which they say what a neighbour must know; and that of the orders.

    Args:
        nodes: who is in the tree.
        context: what drivers and probes work with.
        counters: of the process.
        offers: kinds of orders of installed apps.

    Raises:
        ValueError: a plug-in of ``[tree] plugins`` cannot be used.
        KindError: a kind of order contradicts itself.
    """
    kinds, own_drivers, own_probes = plugins(context)
    own_drivers[APP], own_probes[APP] = offers, offers
    orders = OrdersSection(nodes.directory, kinds, own_drivers, own_probes, counters=counters)
    offers.taken = {kind.name for kind in kinds}
    orders.offer(offers.read())
    rollouts = RolloutsSection(nodes.directory, orders)
    figures = NodeFigures(
        context.engine, context.bus, context.subjects, context.clock, context.runtime.telemetry.online_seconds
    )
    reports = ReportsSection(nodes.directory, figures, counters=counters)
    nodes.live = reports.live
    summary = NodeSummary(nodes.directory, lambda: {"version": gongfu.__version__})
    peers = PeersSection(nodes.directory, {"echo": Echo(), "node-summary": summary}, counters)
    days = IdentifierDays(reports, nodes.directory.node, _identifier_days(context))
    services = ServicesSection(
        nodes.directory, lambda change: context.publish("identifier-change", change), counters=counters
    )
    return [nodes, services, orders, rollouts, reports, days, peers], orders


def _identifier_days(context: DriverContext) -> AskDay:
    present = DataDirectory(Path(context.runtime.data_dir)).identifiers.is_dir
    ask = open_ask(context.bus, context.subjects, present)

    async def of_day(day: str) -> Sequence[DayCell] | None:
        if not present():
            return None
        answer = await ask(acting_for("identifiers-daily"), "day-cells", DayWish(day), DayCells)
        return answer.cells

    return of_day


def plugins(context: DriverContext) -> tuple[list[OrderKind], dict[str, Driver], dict[str, Probe]]:
    """Return kinds, drivers and probes: the built-in ones and those of the modules in ``[tree] plugins``.

    Such a module has functions ``kinds()``, ``drivers(context)`` and ``probes(context)``.

    Raises:
        ValueError: a module cannot be imported, lacks a function, or has a name that is there already.
    """
    kinds = {kind.name: kind for kind in builtin_kinds()}
    own_drivers, own_probes = drivers(context), probes(context)
    for name in context.runtime.tree.plugins:
        try:
            module = importlib.import_module(name)
            _merge(kinds, {kind.name: kind for kind in module.kinds()}, name)
            _merge(own_drivers, module.drivers(context), name)
            _merge(own_probes, module.probes(context), name)
        except (ImportError, AttributeError) as error:
            raise ValueError(f"[tree] plugins: {name}: {error}") from None
    return list(kinds.values()), own_drivers, own_probes


def _merge(into: dict[str, T], more: dict[str, T], module: str) -> None:
    if twice := sorted(_names(into) & _names(more)):
        raise ValueError(f"[tree] plugins: {module}: {twice[0]!r} is there already")
    into.update(more)


def _names(names: Iterable[Any]) -> set[Any]:
    return set(names)
