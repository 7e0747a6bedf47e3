"""Identifiers by day: what a top node says is a recount of all nodes below it, whatever was cut or killed meanwhile."""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gongfu.identify.statistics.documents import DayCell
from gongfu.kernel.errors import Problem
from gongfu.kernel.times import SECOND, format_rfc3339
from gongfu.tree.reports.identifier_days import IdentifierDays
from gongfu.tree.reports.identifier_report import IDENTIFIERS_DAILY
from gongfu.tree.reports.requests import StateCells
from tests.contract.tree.reports.report_tree import ReportTree
from tests.fixtures.tree import TreeNode, TreeOfHosts, until

DAY = 86_400 * SECOND
FIGURES = ("registered", "added", "real", "replayed", "enterprises", "prefixes")
Days = dict[str, Sequence[DayCell] | None]


class IdentifierTree(ReportTree):
    """Nodes whose identifier service says what the test has set, by day; None: there is no service."""

    def __init__(self, make_tree: Callable[..., TreeOfHosts]) -> None:
        self.days: dict[str, Days] = {}
        super().__init__(make_tree)

    def _sections(self, node: TreeNode) -> list[Any]:
        (reports,) = super()._sections(node)

        async def ask(day: str) -> Sequence[DayCell] | None:
            said = self.days.get(node.name)
            return None if said is None else said.get(day, ())

        return [reports, IdentifierDays(reports, node.directory.node, ask, every=0.02)]

    def recount(self, name: str, day: str) -> dict[tuple[str, str], Counter[str]]:
        out: dict[tuple[str, str], Counter[str]] = {}
        for node in self.below(name):
            for cell in (self.days.get(node) or {}).get(day) or ():
                entry = out.setdefault((cell.region, cell.industry), Counter())
                for figure in FIGURES:
                    value = getattr(cell, figure)
                    entry[figure] += len(value) if isinstance(value, tuple) else value
        return out

    def said(self, name: str, period: int) -> dict[tuple[str, str], Counter[str]]:
        cells = self.section(name).flow.books[IDENTIFIERS_DAILY.name].ledger.read(period)
        found = [cells.cell(i) for i in range(len(cells))]
        return {
            (cell.keys[0], cell.keys[1]): Counter({name: int(value) for name, value in cell.measures.items()})
            for cell in found
            if cell.present
        }


def some(rnd: random.Random, name: str) -> list[DayCell]:
    return [
        DayCell(
            region=region,
            industry=industry,
            registered=rnd.randint(0, 10**10),
            added=rnd.randint(-(10**6), 10**6),
            real=rnd.randint(0, 10**6),
            replayed=rnd.randint(0, 10**6),
            enterprises=tuple(f"{name}-{i}" for i in range(rnd.randint(0, 5))),
            prefixes=rnd.randint(1, 9),
        )
        for region in ("370100", "440100")
        for industry in ("C34", "")
        if rnd.random() < 0.8
    ]


async def test_the_top_says_what_a_recount_says_after_partitions_and_crashes(
    make_tree: Callable[..., TreeOfHosts],
) -> None:
    rnd = random.Random(20261123)
    tree = IdentifierTree(make_tree)
    links = [("nation", ""), ("province", "nation"), ("enterprise", "province"), ("other", "province")]
    for name, parent in links:
        await tree.add(name, parent)
    now = time.time_ns()
    midnight = now - now % DAY
    days = {format_rfc3339(midnight - back * DAY)[:10]: midnight - back * DAY for back in range(3)}
    # The nation itself has no identifier service.
    for round_ in range(12):
        for name, _ in links[1:]:
            tree.days[name] = {day: some(rnd, name) for day in days}
        name, parent = rnd.choice(links[1:])
        if round_ % 3 == 2:
            await tree.kill(name)
            await tree.tree.start(name)
        else:
            await tree.tree.cut(parent, name)
            tree.days[name] = {day: some(rnd, name) for day in days}
            await tree.tree.join(parent, name)
    # Days that are over are read again at the start only: what the nodes say of them is final by then.
    for name, _ in links[1:]:
        await tree.kill(name)
        await tree.tree.start(name)
    for name, _ in links:
        for day, period in days.items():
            await until(
                lambda name=name, day=day, period=period: tree.said(name, period) == tree.recount(name, day),
                f"{name} says the recount of {day}",
            )
    assert sum(cell["registered"] for cell in tree.said("nation", midnight).values()) > 0


async def test_nobody_else_states_it(make_tree: Callable[..., TreeOfHosts]) -> None:
    tree = IdentifierTree(make_tree)
    await tree.add("nation")
    with pytest.raises(Problem, match="stated by the node itself"):
        await tree.command("nation", "report-state")(StateCells(IDENTIFIERS_DAILY.name, []))
