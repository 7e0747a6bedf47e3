"""Messages between real hosts: each taken once and in order; what is refused, what fails."""

import asyncio

import pytest

from gongfu.kernel.errors import Problem
from gongfu.tree.host.section import Turn
from tests.contract.tree.host.notes import Notes, notes_of, tell
from tests.fixtures.tree import TreeOfHosts, until


async def test_messages_are_taken_once_and_in_order_in_both_directions(make_tree) -> None:
    tree: TreeOfHosts = make_tree(lambda node: [Notes()])
    await tree.add("nation")
    await tree.add("site", "nation")
    nation, site = tree.node("nation"), tree.node("site")
    down = [f"down {i}".encode() for i in range(700)]

    def send_all(turn: Turn) -> None:
        for body in down:
            turn.send(site.id, "note", body)

    await nation.host.turn(send_all)
    up = [f"up {i}".encode() for i in range(300)]
    await asyncio.gather(*(site.host.turn(lambda t, b=body: t.send(nation.id, "note", b)) for body in up))
    await tree.idle()
    assert notes_of(site.engine) == down
    assert sorted(notes_of(nation.engine)) == sorted(up)
    assert site.section(Notes).changes == [(nation.id, True)]
    view = nation.host.links()[0]
    assert (view.peer, view.up, view.waiting, view.oldest) == (site.id, True, 0, 0)


async def test_refused_message_is_rolled_back_counted_and_audited(make_tree) -> None:
    tree: TreeOfHosts = make_tree(lambda node: [Notes()])
    await tree.add("nation")
    await tree.add("site", "nation")
    nation, site = tree.node("nation"), tree.node("site")

    def send(turn: Turn) -> None:
        turn.send(nation.id, "note", b"1")
        turn.send(nation.id, "bad", b"2")
        turn.send(nation.id, "strange", b"3")
        turn.send(nation.id, "note", b"4")

    await site.host.turn(send)
    await tree.idle()
    assert notes_of(nation.engine) == [b"1", b"4"]
    assert notes_of(nation.engine, "bad") == []
    assert notes_of(site.engine) == []
    counts = nation.counters.snapshot()
    assert counts["tree_refused.bad.not-liked"] == 1
    assert counts["tree_refused.unknown.topic-unknown"] == 1
    assert nation.audited("message") == [
        (f"node/{site.id}", "message.refuse", f"node/{site.id}", "bad: not-liked: as the test wants it"),
        (f"node/{site.id}", "message.refuse", f"node/{site.id}", "unknown: topic-unknown: strange"),
    ]


@pytest.mark.parametrize("mends", [True, False])
async def test_message_that_fails_is_tried_again_and_blocks_nothing_for_good(make_tree, mends: bool) -> None:
    tree: TreeOfHosts = make_tree(lambda node: [Notes()])
    await tree.add("nation")
    await tree.add("site", "nation")
    nation, site = tree.node("nation"), tree.node("site")
    if mends:
        nation.section(Notes).mends_after = 3

    def send(turn: Turn) -> None:
        turn.send(nation.id, "note", b"before")
        turn.send(nation.id, "broken", b"2")
        turn.send(nation.id, "note", b"after")

    await site.host.turn(send)
    await tree.idle()
    assert notes_of(nation.engine) == [b"before", b"after"]
    assert notes_of(nation.engine, "broken") == ([b"2"] if mends else [])
    refused = [entry[3] for entry in nation.audited("message.refuse")]
    assert refused == ([] if mends else ["broken: internal: ZeroDivisionError"])


async def test_turn_that_raises_is_rolled_back_and_no_other(make_tree) -> None:
    tree: TreeOfHosts = make_tree(lambda node: [Notes()])
    await tree.add("nation")
    await tree.add("site", "nation")
    nation, site = tree.node("nation"), tree.node("site")
    done: list[str] = []

    def good(turn: Turn, name: str) -> str:
        tell(turn, site.id, name, name.encode())
        turn.then(lambda: done.append(name))
        return name

    def bad(turn: Turn) -> None:
        good(turn, "bad")
        raise LookupError("x")

    results = await asyncio.gather(
        nation.host.turn(lambda t: good(t, "a")),
        nation.host.turn(bad),
        nation.host.turn(lambda t: t.send("nobody", "note", b"")),
        nation.host.turn(lambda t: good(t, "b")),
        return_exceptions=True,
    )
    assert results[0] == "a"
    assert results[3] == "b"
    assert isinstance(results[1], LookupError)
    assert isinstance(results[2], KeyError)
    await tree.idle()
    assert notes_of(site.engine) == [b"a", b"b"]
    assert done == ["a", "b"]


async def test_a_host_that_stops_takes_no_turns_but_finishes_those_that_wait(make_tree) -> None:
    tree: TreeOfHosts = make_tree(lambda node: [Notes()])
    await tree.add("nation")
    host = tree.node("nation").host
    ran: list[int] = []
    for i in range(20):
        host.submit(lambda turn, i=i: ran.append(i))
    await tree.stop("nation")
    assert ran == list(range(20))
    with pytest.raises(Problem, match="stopping"):
        await host.turn(lambda turn: None)


async def test_restarted_node_goes_on_where_it_was(make_tree) -> None:
    tree: TreeOfHosts = make_tree(lambda node: [Notes()])
    await tree.add("nation")
    await tree.add("site", "nation")
    await tree.idle()
    nation = tree.node("nation")
    await tree.kill("site")
    await until(lambda: not nation.host.links()[0].up, "the link is down")
    site = tree.node("site")
    sent = [str(i).encode() for i in range(50)]

    def send(turn: Turn) -> None:
        for body in sent:
            turn.send(site.id, "note", body)

    await nation.host.turn(send)
    view = nation.host.links()[0]
    assert view.waiting == 50
    assert 0 < view.oldest <= view.changed + 60_000_000_000
    await tree.start("site")
    await tree.idle()
    assert notes_of(site.engine) == sent
    # What was said at the beginning of the link is not said again.
    assert site.section(Notes).restated == []
    assert nation.section(Notes).restated == [site.id]


async def test_message_that_ends_the_link_is_acknowledged(make_tree) -> None:
    tree: TreeOfHosts = make_tree(lambda node: [Notes()])
    await tree.add("nation")
    await tree.add("site", "nation")
    await tree.idle()
    nation, site = tree.node("nation"), tree.node("site")
    site.section(Notes).hook = lambda turn, topic, body: site.host.close_link(turn, nation.id)
    await nation.host.turn(lambda turn: turn.send(site.id, "note", b"you are retired"))
    await until(lambda: nation.host.links()[0].waiting == 0, "it is acknowledged")
    assert site.host.links() == []
    assert notes_of(site.engine) == [b"you are retired"]


async def test_metrics_say_what_waits_and_how_far_the_clock_is_off(make_tree) -> None:
    tree: TreeOfHosts = make_tree(lambda node: [Notes()])
    await tree.add("nation")
    await tree.add("site", "nation", clock=100 * 1_000_000_000)
    await tree.idle()
    nation, site = tree.node("nation"), tree.node("site")
    await until(lambda: site.host.links()[0].offset is not None, "pings")
    await tree.cut("nation", "site")
    await site.host.turn(lambda turn: [turn.send(nation.id, "note", b"") for _ in range(7)] and None)
    gauges = site.host.metrics()
    assert gauges["tree_links"] == 1
    assert gauges["tree_links_up"] in (0, 1)
    assert gauges["tree_outbox_waiting"] == 7
    assert 0 <= gauges["tree_lag_seconds"] < 60
    assert abs(gauges["tree_clock_offset_seconds"] + 100) < 1
    assert gauges["tree_links_skewed"] == 1
    await until(lambda: site.host.metrics()["tree_links_up"] == 0, "the cut is noticed")
