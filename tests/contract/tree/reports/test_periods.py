"""Kinds with periods: a day's catch-up, late and repeated statements, moving, publication, other databases."""

import asyncio
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from gongfu.kernel.errors import Problem
from gongfu.kernel.times import SECOND, format_rfc3339
from gongfu.tree.reports.cells import Cell, Cells, columns_of, contributor
from gongfu.tree.reports.kinds import Form, Leaving, Measure, ReportKind
from gongfu.tree.reports.requests import PublishTable, ShowReport
from tests.contract.tree.reports.report_tree import ReportTree
from tests.fixtures.tree import TreeOfHosts, until

MINUTE = 60 * SECOND
ALL = ("devices", "energy")
MINUTES = ReportKind(
    name="minutes",
    period=60,
    keys=("region", "line"),
    measures=(Measure(name="devices", form=Form.COUNT), Measure(name="energy", form=Form.SUM, decimals=3)),
    leaving=(Leaving(tier="*", keys=("region", "line"), measures=ALL),),
)


def now_period() -> int:
    now = time.time_ns()
    return now - now % MINUTE


def cells(kind: ReportKind, period: int, values: dict[tuple[str, str], int], enterprise: str) -> Cells:
    return columns_of(
        kind,
        [
            Cell(
                kind=kind.name,
                period=period,
                keys=keys,
                measures={"devices": value, "energy": 7 * value},
                contributors=(contributor(kind.name, enterprise),),
            )
            for keys, value in sorted(values.items())
        ],
    )


def sums(tree: ReportTree, name: str, periods: range) -> list[int]:
    ledger = tree.section(name).flow.books["minutes"].ledger
    return [int(ledger.read(period).exact[0].sum()) for period in periods]


async def test_a_day_of_minutes_is_caught_up_many_times_faster_than_it_took(
    make_tree: Callable[..., TreeOfHosts],
) -> None:
    tree = ReportTree(make_tree)
    for name, parent in (("nation", ""), ("province", "nation"), ("enterprise", "province"), ("site", "enterprise")):
        await tree.add(name, parent)
    await tree.declare("nation", MINUTES)
    await tree.knows("minutes")
    await tree.tree.cut("site", "enterprise")
    last = now_period()
    periods = range(last - 1_439 * MINUTE, last + 1, MINUTE)
    flow = tree.section("site").flow
    for i, period in enumerate(periods):
        values = {(region, line): i + len(line) for region in ("1101", "1102", "4401") for line in ("a", "bb")}
        flow.state("minutes", period, cells(MINUTES, period, values, "e"), period + MINUTE)
        if not i % 200:
            await asyncio.sleep(0)
    expected = sums(tree, "site", periods)
    assert len(expected) == 1_440
    assert all(expected)
    # A day's cut leaves no day of messages: what changed is stated when the link is back.
    assert all(link.waiting < 100 for link in tree.tree.node("site").host.links())
    began = time.monotonic()
    await tree.tree.join("site", "enterprise")
    await until(lambda: sums(tree, "nation", periods) == expected, "the nation has the day")
    took = time.monotonic() - began
    print(f"1,440 minutes in {took:.2f} s: {86_400 / took:,.0f} times real time")
    assert took < 86_400 / 20
    for name in ("enterprise", "province"):
        assert sums(tree, name, periods) == expected


async def test_a_period_counts_where_the_node_was_then(make_tree: Callable[..., TreeOfHosts]) -> None:
    tree = ReportTree(make_tree)
    await tree.add("nation")
    for i in (1, 2):
        await tree.add(f"province-{i}", "nation")
    await tree.add("site", "province-1")
    await tree.declare("nation", MINUTES)
    await tree.knows("minutes")
    moved = now_period()
    before, after = moved - 2 * MINUTE, moved
    flow = tree.section("site").flow
    for period, value in ((before, 5), (after, 8)):
        flow.state("minutes", period, cells(MINUTES, period, {("1101", "a"): value}, "e"), period + 1)
    both = range(before, after + 1, 2 * MINUTE)
    await until(lambda: sums(tree, "nation", both) == [5, 8], "both periods are at the top")
    await tree.move("site", "province-2", moved + SECOND)
    await until(lambda: sums(tree, "province-2", both) == [0, 8], "the new parent has what came after")
    await until(lambda: sums(tree, "province-1", both) == [5, 0], "the old parent keeps what was before")
    await until(lambda: sums(tree, "nation", both) == [5, 8], "nothing counts twice")
    flow.state("minutes", before, cells(MINUTES, before, {("1101", "a"): 500}, "e"), before + 1)
    flow.state("minutes", after, cells(MINUTES, after, {("1101", "a"): 9}, "e"), after + 1)
    await until(lambda: sums(tree, "nation", both) == [5, 9], "a late word of before does not count here")


@pytest.fixture
def postgres_urls(
    request: pytest.FixtureRequest,
) -> Iterator[Callable[[str], str]]:
    """Gives each node a database of its own on PostgreSQL."""
    server = request.getfixturevalue("postgres_server")
    template = request.getfixturevalue("postgres_template")
    made: list[str] = []

    def url(name: str) -> str:
        database = f"reports_{name}_{len(made)}_{time.time_ns()}".replace("-", "_")
        server.execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')
        made.append(database)
        return str(server.url(database))

    yield url
    for database in made:
        server.execute(f'DROP DATABASE "{database}" WITH (FORCE)')


async def test_the_same_on_postgresql(
    make_tree: Callable[..., TreeOfHosts], postgres_urls: Callable[[str], str]
) -> None:
    tree = ReportTree(make_tree, urls=postgres_urls)
    await tree.add("nation")
    await tree.add("province", "nation")
    await tree.add("site", "province")
    await tree.declare("nation", MINUTES)
    await tree.knows("minutes")
    last = now_period()
    periods = range(last - 30 * MINUTE, last, MINUTE)
    for i, period in enumerate(periods):
        values = {("1101", "a"): i, ("4401", "b"): 3}
        tree.section("site").flow.state("minutes", period, cells(MINUTES, period, values, "e"), period)
        await asyncio.sleep(0.005)
    expected = sums(tree, "site", periods)
    await until(lambda: sums(tree, "nation", periods) == expected, "the nation has all")
    for name in ("nation", "province"):
        await tree.kill(name)
        await tree.tree.start(name)
        assert sums(tree, name, periods) == expected
        assert not tree.tree.node(name).counters.snapshot().get("reports_unreadable")


async def test_small_cells_are_not_published_and_cannot_be_computed(make_tree: Callable[..., TreeOfHosts]) -> None:
    tree = ReportTree(make_tree)
    await tree.add("nation")
    for i in range(6):
        await tree.add(f"enterprise-{i}", "nation")
    await tree.declare("nation", MINUTES)
    await tree.knows("minutes")
    period = now_period() - MINUTE
    for i in range(6):
        # Five enterprises have line a, two of them line b as well, one of which is in another region.
        values = {("1101" if i < 4 else "4401", "a"): 10 + i}
        if i in (0, 5):
            values["1101" if i < 4 else "4401", "b"] = 100 + i
        section = tree.section(f"enterprise-{i}")
        section.flow.state("minutes", period, cells(MINUTES, period, values, tree.tree.id(f"enterprise-{i}")), period)
    total = sum(10 + i for i in range(6)) + 100 + 105
    await until(lambda: sums(tree, "nation", range(period, period + 1)) == [total], "all have reported")
    publish = tree.command("nation", "report-publish")
    when = format_rfc3339(period)
    table = await publish(PublishTable(kind="minutes", measure="devices", row="region", column="line", period=when))
    cell = {
        (row, column): table.values[i][j] for i, row in enumerate(table.rows) for j, column in enumerate(table.columns)
    }
    assert cell["1101", "b"] is None
    assert cell["4401", "b"] is None
    assert cell["4401", "a"] is None
    assert table.values[-1][-1] == total or table.values[-1][-1] is None
    # A late word changes the totals, but not what was published: the difference would be its.
    tree.section("enterprise-0").flow.state(
        "minutes", period, cells(MINUTES, period, {("1101", "a"): 999}, tree.tree.id("enterprise-0")), period
    )
    await until(lambda: sums(tree, "nation", range(period, period + 1)) != [total], "the late word is there")
    again = await publish(PublishTable(kind="minutes", measure="devices", row="region", column="line", period=when))
    assert (again.values, again.published_at) == (table.values, table.published_at)
    await tree.kill("nation")
    await tree.tree.start("nation")
    publish = tree.command("nation", "report-publish")
    again = await publish(PublishTable(kind="minutes", measure="devices", row="region", column="line", period=when))
    assert again.values == table.values
    # By one key only: what was suppressed before stays so.
    lines = await publish(PublishTable(kind="minutes", measure="devices", row="line", period=when))
    assert lines.values[lines.rows.index("b")] == [None]
    for wrong in (
        PublishTable(kind="minutes", measure="devices", row="nothing", period=when),
        PublishTable(kind="minutes", measure="devices", row="line", period=format_rfc3339(now_period() + MINUTE)),
        PublishTable(kind="minutes", measure="devices", row="line", period=format_rfc3339(period + SECOND)),
        PublishTable(kind="nothing", measure="devices", row="line"),
    ):
        with pytest.raises(Problem):
            await publish(wrong)
    report = await tree.command("nation", "report-show")(ShowReport("minutes", period=when, by=["region"]))
    assert [item.keys for item in report.items] == [{"region": "1101"}, {"region": "4401"}]
    assert report.coverage.reported == 6
    with pytest.raises(Problem):
        await tree.command("nation", "report-show")(ShowReport("minutes", by=["nothing"]))


async def test_old_periods_are_forgotten(make_tree: Callable[..., TreeOfHosts]) -> None:
    tree = ReportTree(make_tree)
    await tree.add("nation")
    await tree.declare("nation", MINUTES)
    await tree.knows("minutes")
    book = tree.section("nation").flow.books["minutes"]
    last = now_period()
    for i in range(10):
        period = last - i * MINUTE
        book.own(period, cells(MINUTES, period, {("1101", "a"): 1, ("1101", "b"): 1}, "e"), period)
    assert book.forget(100, 100) is None
    assert book.forget(6, 100) == last - 5 * MINUTE
    assert book.forget(100, 8) == last - 3 * MINUTE
    assert book.ledger.periods == [last - i * MINUTE for i in reversed(range(4))]
    assert int(np.sum(book.ledger.read(last).exact[0])) == 2
