"""The parent's time, and what is due at a time."""

from pathlib import Path

from gongfu.kernel.times import SECOND
from tests.contract.tree.host.notes import Notes
from tests.fixtures.tree import TreeNode, TreeOfHosts, until

DAY = 86_400 * SECOND


def error(root: TreeNode, node: TreeNode) -> int:
    """Return how far a node is from the time of the root, ns."""
    return abs(root.host.now() - node.host.now())


async def test_whole_tree_goes_by_its_root_whatever_the_clocks_between_say(make_tree, tmp_path: Path) -> None:
    tree: TreeOfHosts = make_tree(lambda node: [Notes()])
    nation = await tree.add("nation")
    province = await tree.add("province", "nation", clock=DAY)
    await until(lambda: error(nation, province) < SECOND, "the province has the nation's time")
    site = await tree.add("site", "province", clock=-DAY)
    await until(lambda: error(nation, site) < SECOND, "the site, too")
    at_province = {view.peer: view for view in province.host.links()}
    await until(lambda: {v.peer: v for v in province.host.links()}[site.id].offset is not None, "pings")
    at_province = {view.peer: view for view in province.host.links()}
    assert at_province[nation.id].skewed
    assert abs((at_province[nation.id].offset or 0) + DAY) < SECOND
    assert at_province[site.id].skewed
    # Seen from the province the site is a day behind the tree, not two behind the province.
    assert abs((at_province[site.id].offset or 0) + DAY) < SECOND
    await until(lambda: site.audited("clock.skew") != [], "it is in the audit")
    skews = site.audited("clock.skew")
    assert [entry[2] for entry in skews] == [f"node/{province.id}"]
    assert "differ by 86400.0" in skews[0][3]
    # The own clock is set: the parent's time goes on.
    before = site.host.now()
    site.clock.offset = 0
    assert 0 <= site.host.now() - before < 10 * SECOND
    await until(lambda: not site.host.links()[0].skewed, "it agrees again")
    assert error(nation, site) < SECOND
    # The offset outlives a restart without a parent.
    await tree.idle()
    await tree.stop("province")
    await tree.stop("nation")
    await tree.start("province")
    assert not province.host.links()[0].up
    assert abs(province.host.now() - province.clock.now_ns() + DAY) < SECOND


async def test_actions_are_due_in_the_parents_time(make_tree) -> None:
    tree: TreeOfHosts = make_tree(lambda node: [Notes()])
    nation = await tree.add("nation")
    site = await tree.add("site", "nation", clock=-DAY)
    done: list[str] = []
    # Far away by the own clock, due by the parent's.
    site.host.at(nation.host.now() + SECOND // 10, lambda: done.append("soon"))
    cancel = site.host.at(nation.host.now(), lambda: done.append("cancelled"))
    cancel()
    site.host.at(nation.host.now() + DAY, lambda: done.append("late"))
    failing = site.host.at(nation.host.now(), lambda: 1 // 0)
    await until(lambda: "soon" in done, "it is done")
    failing()
    nation.clock.offset = 2 * DAY
    nation.host.at(nation.host.now() + SECOND // 10, lambda: done.append("at the root"))
    await until(lambda: "at the root" in done, "likewise")
    assert done == ["soon", "at the root"]


async def test_nudges_are_gathered(make_tree) -> None:
    tree: TreeOfHosts = make_tree(lambda node: [Notes()])
    nation = await tree.add("nation")
    for i in range(500):
        nation.host.nudge("nodes", f"order/{i}")
    assert nation.nudges == []
    await until(lambda: nation.nudges != [], "they are told")
    assert len(nation.nudges) <= 102
    assert {"nodes", "order/0", "orders"} <= set(nation.nudges)
