"""What is found in the nodes' records, files and answers, for ``chaos_checker``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from benchmarks.tree.chaos_checker import Cells, Effect, Found, Issued
from benchmarks.tree.chaos_load import REPORT, Asker, Load, cells_of
from benchmarks.tree.chaos_plugin import EFFECTS, NAME, effects
from demo.tree.layout import MEMBERS
from demo.tree.nodes import TreeNode
from gongfu.registry.tables import device
from gongfu.store.records.engine import open_records, reading
from gongfu.tree.host.tables import tree_link, tree_outbox
from gongfu.tree.orders.combined import Registers
from gongfu.tree.orders.tables import event, order, target
from gongfu.tree.orders.target_records import registers_of

LIVE = "node-live"


class _Records:
    """What one node has in its records."""

    def __init__(self, node: TreeNode, own: str) -> None:
        engine = open_records(f"sqlite:///{node.directory / 'data' / 'records' / 'records.sqlite'}")
        try:
            with reading(engine) as connection:
                rows = connection.execute(
                    select(order.c.key, order.c.id, order.c.own, order.c.deadline, order.c.issued_at).where(
                        order.c.kind == NAME, order.c.body.is_not(None)
                    )
                ).all()
                self.orders = {row.key: row for row in rows}
                places = connection.execute(select(target.c.order_key, target.c.node, target.c.registers)).all()
                self.targets = [row for row in places if row.order_key in self.orders]
                came = select(event.c.id, func.min(event.c.at)).where(event.c.event == "received").group_by(event.c.id)
                self.received = {(row[0], own): int(row[1]) for row in connection.execute(came)}
                waiting = (
                    select(tree_link.c.peer, func.count(tree_outbox.c.number))
                    .select_from(tree_link.outerjoin(tree_outbox, tree_outbox.c.link == tree_link.c.id))
                    .group_by(tree_link.c.peer)
                )
                self.waiting = {str(row[0]): int(row[1]) for row in connection.execute(waiting)}
                self.devices = connection.execute(select(func.count()).select_from(device)).scalar_one()
        finally:
            engine.dispose()

    def registers(self) -> dict[tuple[str, str], Registers]:
        return {(self.orders[row.order_key].id, row.node): registers_of(row.registers) for row in self.targets}


def find(load: Load) -> Found:
    """Look everywhere."""
    tree, ids = load.tree, load.ids
    records = {key: _Records(node, ids[key]) for key, node in tree.nodes.items()}
    parents = {member.key: member.parent for member in MEMBERS}
    orders: list[Issued] = []
    for key, found in records.items():
        for number, row in found.orders.items():
            if row.own:
                targets = tuple(sorted(place.node for place in found.targets if place.order_key == number))
                orders.append(Issued(row.id, ids[key], targets, row.deadline))
    conflicts = [f"order {lost} was confirmed and is not there" for lost in load.confirmed - {one.id for one in orders}]
    totals, recounts = _reports(load, {key: found.devices for key, found in records.items()}, conflicts)
    return Found(
        orders=orders,
        ways={ids[key]: tuple(ids[one] for one in _way(key, parents)) for key in tree.nodes},
        registers={ids[key]: found.registers() for key, found in records.items()},
        received={name: at for found in records.values() for name, at in found.received.items()},
        effects=[Effect(ids[key], line) for key, node in tree.nodes.items() for line in effects(_file(node))],
        totals=totals,
        recounts=recounts,
        waiting={
            (key, name_of(ids, peer)): count for key, found in records.items() for peer, count in found.waiting.items()
        },
        conflicts=conflicts,
    )


def _file(node: TreeNode) -> Path:
    return node.directory / "data" / EFFECTS


def _way(key: str, parents: Mapping[str, str]) -> list[str]:
    way = [key]
    while parents[way[0]]:
        way.insert(0, parents[way[0]])
    return way


def name_of(ids: Mapping[str, str], node: str) -> str:
    """Return the key of a node id."""
    return next((key for key, known in ids.items() if known == node), node)


def _cells(document: Mapping[str, Any]) -> dict[tuple[str, ...], dict[str, int]]:
    """Return cells in tenths, so that all numbers are whole."""
    return {
        tuple(cell["keys"].values()): {name: round(value * 10) for name, value in cell["measures"].items()}
        for cell in document["items"]
    }


def _merged(parts: list[Cells]) -> dict[tuple[str, ...], dict[str, int]]:
    out: dict[tuple[str, ...], dict[str, int]] = {}
    for cells in parts:
        for keys, measures in cells.items():
            into = out.setdefault(keys, {})
            for name, value in measures.items():
                into[name] = max(into.get(name, value), value) if name == "hottest" else into.get(name, 0) + value
    return out


def _reports(
    load: Load, devices: Mapping[str, int], conflicts: list[str]
) -> tuple[dict[str, dict[str, Cells]], dict[str, dict[str, Cells]]]:
    totals: dict[str, dict[str, Cells]] = {}
    recounts: dict[str, dict[str, Cells]] = {}
    said: dict[str, Cells] = {}
    for key, node in load.tree.nodes.items():
        asker = Asker(node)
        answers = {kind: asker.ask("GET", f"/reports/{kind}") for kind in (REPORT, LIVE)}
        if wrong := [kind for kind, (status, _) in answers.items() if status != 200]:
            conflicts.append(f"{key} does not say its report {wrong[0]}: {answers[wrong[0]]}")
            continue
        said[key] = _cells(answers[REPORT][1])
        live = sum(cell["measures"].get("devices", 0) for cell in answers[LIVE][1]["items"])
        totals[key] = {REPORT: said[key], LIVE: {("devices",): {"devices": live}}}
    for site, (last, maybe) in load.stated.items():
        wanted = [_cells({"items": cells_of(counts)}) for counts in (last, *maybe)]
        if site in said and said[site] not in wanted:
            conflicts.append(f"{site} says {said[site]}, and stated {wanted[:3]}")
    for key in load.tree.nodes:
        sites = [site for site in load.stated if site == key or site in load.below[key]]
        count = sum(devices[one] for one in (key, *load.below[key]))
        recounts[key] = {
            REPORT: _merged([said[site] for site in sites if site in said]),
            LIVE: {("devices",): {"devices": count}},
        }
    return totals, recounts
