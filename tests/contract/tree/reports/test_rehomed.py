"""Really enrolled nodes: one that is re-homed, retired or suspended is counted where it is, and only there."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gongfu.tree.nodes.requests import NodeQuery, Rehoming, ReleaseNode
from gongfu.tree.reports.live_report import LiveFigures
from gongfu.tree.reports.section import ReportsSection
from tests.contract.tree.reports.report_tree import FAST, PERSON, Source
from tests.contract.tree.reports.test_periods import MINUTE, MINUTES, cells
from tests.fixtures.enrolled_tree import EnrolledTree
from tests.fixtures.tree import until


class Reporting(EnrolledTree):
    """Nodes that also report."""

    sources: dict[str, Source]

    def reports(self, name: str) -> ReportsSection:
        return next(section for section in self[name].more if isinstance(section, ReportsSection))

    def devices(self, at: str, of: str = "") -> int:
        doc = self.reports(at).live_of(self[of or at].id)
        return -1 if doc is None else doc.devices

    async def counted(self, expected: dict[str, int]) -> None:
        for name, n in expected.items():
            await until(lambda name=name, n=n: self.devices(name) == n, f"{n} devices at {name}")

    def sum_of(self, name: str, period: int) -> int:
        return int(self.reports(name).flow.books["minutes"].ledger.read(period).exact[0].sum())


@pytest.fixture
async def reporting(tmp_path: Path, sqlite_template: Path) -> AsyncIterator[Reporting]:
    sources: dict[str, Source] = {}

    def more(nodes: Any) -> list[ReportsSection]:
        source = sources.setdefault(nodes.directory.chain.membership.name, Source())
        section = ReportsSection(nodes.directory, source, pace=FAST)
        nodes.live = section.live
        return [section]

    tree = Reporting(tmp_path, sqlite_template, more=more)
    tree.sources = sources
    yield tree
    await tree.close()


async def test_a_node_that_was_rehomed_counts_at_its_new_parent_from_then_on(reporting: Reporting) -> None:
    tree = reporting
    await tree.found("nation")
    await tree.add("province1", "nation", "88.1", "province")
    await tree.add("province2", "nation", "88.2", "province")
    await tree.add("enterprise", "province1", "88.1.1", "enterprise")
    await tree.add("site", "enterprise", "88.1.1.1", "site")
    for i, name in enumerate(tree.nodes):
        tree.sources[name].figures_now = LiveFigures(devices=10**i)
    await tree.counted({"nation": 11_111, "province1": 11_010, "province2": 100})
    await tree.reports("nation").kinds.declare(PERSON, MINUTES)
    await until(lambda: "minutes" in tree.reports("site").flow.books, "the site knows the kind")
    now = time.time_ns()
    this = now - now % MINUTE
    long_ago = this - 120 * MINUTE
    flow = tree.reports("site").flow
    for period, value in ((long_ago, 5), (this, 7)):
        flow.state("minutes", period, cells(MINUTES, period, {("1101", "a"): value}, "e"), period)
    await until(lambda: (tree.sum_of("nation", long_ago), tree.sum_of("nation", this)) == (5, 7), "both are at the top")
    release = await tree["nation"].ask(
        "node-release", ReleaseNode(tree["enterprise"].id, tree["province2"].id, True, "a new owner")
    )
    token = await tree.token("province2", "enterprise", "")
    await tree["enterprise"].ask("node-rehome", Rehoming(token, release.release))
    await tree.counted({"province1": 10, "province2": 11_100, "nation": 11_111, "enterprise": 11_000})
    await until(lambda: tree.sum_of("province2", this) == 7, "the present period is at the new parent")
    await until(lambda: tree.sum_of("province1", this) == 0, "and no more at the old one")
    assert (tree.sum_of("province1", long_ago), tree.sum_of("province2", long_ago)) == (5, 0)
    await until(lambda: (tree.sum_of("nation", long_ago), tree.sum_of("nation", this)) == (5, 7), "nothing twice")
    docs = (await tree["nation"].ask("node-list", NodeQuery())).items
    live = {doc.name: doc.live.devices for doc in docs if doc.live is not None}
    assert live["enterprise"] == 11_000
    await tree.change("enterprise", "retire", "site", "closed")
    await tree.counted({"enterprise": 1_000, "province2": 1_100, "nation": 1_111})
    await tree.change("nation", "suspend", "province1", "unpaid")
    await tree.counted({"nation": 1_101})
    await tree.change("nation", "resume", "province1")
    await tree.counted({"nation": 1_111})
