"""Live figures of any node: known of children, asked of deeper ones, and an honest nothing when cut off."""

import asyncio
import time
from collections.abc import Callable

import msgspec

from gongfu.tree.membership.types import NodeState
from gongfu.tree.reports.live_report import LiveDoc, LiveFigures
from gongfu.tree.reports.requests import ShowReport
from tests.contract.tree.reports.moving import change_state
from tests.contract.tree.reports.report_tree import FAST, ReportTree
from tests.fixtures.tree import TreeOfHosts, until


async def grown(make_tree: Callable[..., TreeOfHosts], **changes: float) -> ReportTree:
    tree = ReportTree(make_tree, pace=msgspec.structs.replace(FAST, **changes))
    await tree.four_levels()
    for i, name in enumerate(tree.tree.nodes):
        tree.sources[name].figures_now = LiveFigures(devices=10 + i, online=i, alarms=i % 3, apps=1, identifiers=2 * i)
    for name in tree.tree.nodes:
        await until(lambda name=name: tree.live_right(name, name), f"live figures of {name}")
    return tree


async def test_every_node_below_can_be_asked_for_from_the_top(make_tree: Callable[..., TreeOfHosts]) -> None:
    tree = await grown(make_tree)
    ids = {tree.tree.id(name): name for name in tree.tree.nodes}

    def right(docs: dict[str, object]) -> bool:
        return len(docs) == len(ids) and all(tree.live_right(name, "nation") for name in ids.values())

    docs = await tree.section("nation").live(list(ids))
    while not right(docs):
        # Within a second of the question there is an answer, on a machine that is not too busy.
        docs = await tree.section("nation").live(list(ids))
    site = docs[tree.tree.id("site-100")]
    assert (site.known, site.reported, site.silent) == (1, 1, 0)
    assert docs[tree.tree.id("nation")].known == len(ids)
    # What is cut off is not in the answer: it is not zero.
    await tree.tree.cut("enterprise-10", "province-1")
    await asyncio.sleep(1.1)
    deep = [tree.tree.id(name) for name in ("site-100", "site-101", "site-200")]
    docs = await tree.section("nation").live(deep)
    assert tree.tree.id("site-100") not in docs


async def test_a_silent_child_stays_in_the_total_and_is_marked(make_tree: Callable[..., TreeOfHosts]) -> None:
    tree = await grown(make_tree, silent=1.0, heartbeat=0.2)
    before = tree.live("nation")
    await tree.tree.cut("enterprise-20", "province-2")

    def doc(at: str, of: str = "") -> LiveDoc:
        found = tree.section(at).live_of(tree.tree.id(of or at))
        assert found is not None
        return found

    await until(lambda: doc("nation").silent == 3, "the nation sees three silent nodes")
    assert doc("province-2", "enterprise-20").reported == 0
    assert doc("province-2", "enterprise-20").silent == 3
    nation = doc("nation")
    assert (nation.known, nation.reported) == (len(tree.tree.nodes), len(tree.tree.nodes) - 3)
    assert nation.devices == before["devices"]
    report = await tree.command("province-2", "report-show")(ShowReport("node-live", by=[]))
    assert report.coverage.silent == [tree.tree.id("enterprise-20")]
    assert report.items[0].silent >= 1
    await tree.tree.join("enterprise-20", "province-2")
    await until(lambda: doc("nation").silent == 0, "nobody is silent")
    assert doc("nation").reported == len(tree.tree.nodes)


async def test_a_suspended_child_is_not_counted_and_a_resumed_one_is(make_tree: Callable[..., TreeOfHosts]) -> None:
    tree = await grown(make_tree)
    everything = tree.live("nation")
    gone = tree.live("enterprise-10")
    await change_state(tree.tree, "enterprise-10", NodeState.SUSPENDED)

    def devices() -> int:
        doc = tree.section("nation").live_of(tree.tree.id("nation"))
        return doc.devices if doc else -1

    await until(lambda: devices() == everything["devices"] - gone["devices"], "the suspended subtree is not counted")
    tree.sources["site-100"].figures_now = LiveFigures(devices=500)
    await change_state(tree.tree, "enterprise-10", NodeState.ACTIVE)
    await until(lambda: tree.live_right("nation", "nation"), "the resumed subtree is counted")


async def test_forty_changes_a_second_at_every_leaf_are_merged_on_the_way(
    make_tree: Callable[..., TreeOfHosts],
) -> None:
    tree = await grown(make_tree, spacing=0.1)
    began, stated = time.monotonic(), 0
    while time.monotonic() - began < 2.0:
        stated += 1
        for name in tree.tree.nodes:
            if name.startswith("site"):
                tree.sources[name].figures_now = LiveFigures(devices=stated)
                tree.section(name).figures.look()
        await asyncio.sleep(0.025)
    await until(lambda: tree.live_right("nation", "nation"), "the last change is at the top")
    taken = tree.tree.node("nation").counters.snapshot()["reports_taken"]
    # Two provinces, ten times a second each at most, however many changed below.
    assert taken <= 2 * 10 * (time.monotonic() - began) + 40
