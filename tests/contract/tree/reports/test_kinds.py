"""Kinds travel down, evolve, and what is stated before they are known is asked for; what may not leave does not."""

import zlib
from collections.abc import Callable

import msgspec
import pytest

from gongfu.kernel.errors import Problem
from gongfu.tree.api.reports import ReportKindPage
from gongfu.tree.host.section import Turn
from gongfu.tree.reports.flow import Flow
from gongfu.tree.reports.kinds import Form, Leaving, Measure, ReportKind
from gongfu.tree.reports.messages import STATEMENT, Said, unpack
from gongfu.tree.reports.record_kinds import RecordKind
from gongfu.tree.reports.requests import DeclareKind, KindDoc, ListKinds, ShowReport, StateCells
from gongfu.tree.reports.views import NewCell
from gongfu.tree.reports.wire import unpack_batch
from tests.contract.tree.reports.report_tree import METERS, ReportTree
from tests.fixtures.tree import TreeOfHosts, until


async def small(make_tree: Callable[..., TreeOfHosts]) -> ReportTree:
    tree = ReportTree(make_tree)
    await tree.add("nation")
    await tree.add("province", "nation")
    await tree.add("enterprise", "province")
    await tree.add("site", "enterprise")
    return tree


async def test_a_kind_is_known_in_the_whole_subtree_and_nowhere_else(make_tree: Callable[..., TreeOfHosts]) -> None:
    tree = await small(make_tree)
    await tree.declare("province", METERS)
    await tree.knows("meters", ["province", "enterprise", "site"])
    # One that comes later is told, too; so is one that was down.
    await tree.kill("site")
    other = msgspec.structs.replace(METERS, name="other")
    await tree.declare("province", other)
    await tree.tree.start("site")
    await tree.add("site-2", "enterprise")
    await tree.knows("other", ["site", "site-2", "enterprise"])
    assert "meters" not in tree.section("nation").flow.books
    with pytest.raises(Problem) as caught:
        await tree.declare("enterprise", msgspec.structs.replace(METERS, version=2))
    assert caught.value.status == 409
    with pytest.raises(Problem):
        await tree.declare("nation", msgspec.structs.replace(METERS, name="Meters!"))
    with pytest.raises(Problem):
        await tree.declare("nation", msgspec.structs.replace(METERS, name="node-live"))
    await tree.command("nation", "report-kind-declare")(DeclareKind(record=RecordKind(name="finding")))
    page = ReportKindPage(await tree.command("nation", "report-kinds")(ListKinds()))
    assert msgspec.json.decode(msgspec.json.encode(page), type=ReportKindPage) == page
    assert [kind.name for kind in page.items if isinstance(kind, KindDoc)] == [
        "finding",
        "identifiers-daily",
        "node-live",
    ]


async def test_what_was_stated_before_its_kind_is_known_is_asked_for(make_tree: Callable[..., TreeOfHosts]) -> None:
    tree = await small(make_tree)
    await tree.declare("province", METERS)
    await tree.knows("meters", ["site"])
    await tree.state("site", "meters", {("110100", "a"): (5, 1.0, 2.0)})
    counters = tree.tree.node("nation").counters
    await until(lambda: counters.snapshot().get("reports_unknown_kind", 0) > 0, "the nation counts what it cannot take")
    shown = await tree.command("nation", "report-kinds")(ListKinds())
    assert [(kind.name, kind.child) for kind in shown if kind.name == "meters"] == [
        ("meters", tree.tree.id("province"))
    ]
    # Declared above, it is another kind: the province's cells of its own are dropped, and audited.
    await tree.declare("nation", METERS)
    section = tree.section("site")
    await until(
        lambda: section.flow.books["meters"].declared_by == tree.tree.id("nation"), "the nation's kind is below"
    )
    assert [entry[2] for entry in tree.tree.node("province").audited("report-kind.replace")] == ["meters"]
    await tree.state("site", "meters", {("110100", "a"): (7, 1.0, 2.0)})
    await tree.settled()


async def test_a_newer_version_adds_a_measure_and_keeps_the_cells(make_tree: Callable[..., TreeOfHosts]) -> None:
    tree = await small(make_tree)
    await tree.declare("nation", METERS)
    await tree.knows("meters")
    await tree.state("site", "meters", {("110100", "a"): (5, 1.0, 2.0)})
    await tree.settled()
    more = Measure(name="coldest", form=Form.MIN, unit="Cel", decimals=1)
    leaving = tuple(
        msgspec.structs.replace(rule, measures=(*rule.measures, "coldest")) if rule.tier != "province" else rule
        for rule in METERS.leaving
    )
    await tree.declare(
        "nation", msgspec.structs.replace(METERS, version=2, measures=(*METERS.measures, more), leaving=leaving)
    )
    for name in tree.tree.nodes:
        await until(lambda name=name: tree.section(name).flow.books["meters"].kind.version == 2, f"version 2 at {name}")
    await tree.settled()
    await tree.state("site", "meters", {("110100", "a"): (6, 1.5, 2.0), ("440100", "b"): (1, 0.0, 0.0)})
    await tree.settled()
    with pytest.raises(Problem):
        await tree.declare("nation", msgspec.structs.replace(METERS, version=3, keys=("region",)))
    await tree.kill("province")
    await tree.tree.start("province")
    assert tree.equal("province")


SECRET = ReportKind(
    name="secret",
    keys=("region", "line"),
    measures=(Measure(name="devices", form=Form.COUNT), Measure(name="margin", form=Form.SUM, decimals=2)),
    leaving=(
        Leaving(tier="site", keys=("region", "line"), measures=("devices", "margin")),
        Leaving(tier="enterprise", keys=("region",), measures=("devices",), lengths={"region": 2}),
        # Nothing leaves a province: it has no rule.
    ),
)


async def test_what_may_not_leave_a_tier_is_in_no_byte_that_leaves_it(make_tree: Callable[..., TreeOfHosts]) -> None:
    tree = await small(make_tree)
    sent: dict[str, list[bytes]] = {name: [] for name in tree.tree.nodes}
    for name, spoken in sent.items():
        section = tree.section(name)
        section._parts[STATEMENT] = _Listening(section.flow, spoken)
    await tree.declare("nation", SECRET)
    await tree.knows("secret")
    cells = [
        NewCell(keys={"region": "110105", "line": "furnace-line"}, measures={"devices": 4, "margin": 1234.56}),
        NewCell(keys={"region": "110106", "line": "roller-line"}, measures={"devices": 3, "margin": 8.5}),
    ]
    await tree.command("site", "report-state")(StateCells("secret", cells))

    def total(name: str) -> list[tuple[tuple[str, ...], int]]:
        read = tree.section(name).flow.books["secret"].ledger.read(0)
        found = [read.cell(i) for i in range(len(read)) if read.present[i]]
        return sorted((cell.keys, int(cell.measures["devices"])) for cell in found)

    await until(lambda: total("province") == [(("11", ""), 7)], "the province has what leaves an enterprise")
    assert total("enterprise") == [(("110105", "furnace-line"), 4), (("110106", "roller-line"), 3)]
    at_enterprise, at_province = b"".join(sent["enterprise"]), b"".join(sent["province"])
    for word in (b"furnace-line", b"roller-line", b"110105", b"110106", b"margin"):
        assert word in at_enterprise, word
        assert word not in at_province, word
    report = await tree.command("province", "report-show")(ShowReport("secret"))
    assert [(item.keys, item.measures) for item in report.items] == [({"region": "11", "line": ""}, {"devices": 7})]
    # Nothing leaves the province, and the nation is not told that anything is zero.
    assert b"secret" not in b"".join(sent["nation"])
    report = await tree.command("nation", "report-show")(ShowReport("secret"))
    assert report.items == []
    assert report.coverage.never == [tree.tree.id("province")]


class _Listening:
    """Takes statements like the flow does, and keeps their bytes: columns unpacked."""

    def __init__(self, flow: Flow, spoken: list[bytes]) -> None:
        self._flow, self._spoken = flow, spoken

    def received(self, turn: Turn, peer: str, topic: str, body: bytes) -> None:
        said = unpack(body, Said)
        wire, _ = unpack_batch(said.data)
        self._spoken += [body, said.data, zlib.decompress(wire.body)]
        self._flow.received(turn, peer, topic, body)
