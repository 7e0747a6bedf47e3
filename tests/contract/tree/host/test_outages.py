"""Records that cannot be written for a while; and the same hosts on PostgreSQL."""

import asyncio
import random
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from gongfu.kernel.errors import Problem
from gongfu.tree.host.section import Turn
from gongfu.tree.link.limits import Limits
from tests.contract.tree.host.notes import Notes, notes_of, tell
from tests.fixtures.postgres import PostgresServer
from tests.fixtures.tree import TreeOfHosts, until

QUICK = Limits(renew_every=10_000_000)


async def test_full_disk_loses_nothing_that_was_accepted(make_tree) -> None:
    tree: TreeOfHosts = make_tree(lambda node: [Notes()])
    await tree.add("nation")
    await tree.add("site", "nation")
    await tree.idle()
    nation, site = tree.node("nation"), tree.node("site")
    full = True
    assert nation.engine is not None

    @event.listens_for(nation.engine, "checkout")
    def limit(connection: Any, *_: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages if full else 1_000_000}")

    body = b"x" * 500_000
    with pytest.raises(Problem, match="cannot be written"):
        await nation.host.turn(lambda turn: turn.send(site.id, "note", body))
    nation.host.submit(lambda turn: turn.send(site.id, "note", body))
    await site.host.turn(lambda turn: [turn.send(nation.id, "note", body) for _ in range(3)] and None)
    await until(lambda: nation.counters.snapshot()["tree_transactions_failed.records-away"] >= 2, "it is noticed")
    assert notes_of(nation.engine) == []
    full = False
    await tree.idle()
    assert notes_of(nation.engine) == [body] * 3
    assert notes_of(site.engine) == [body]
    assert nation.audited("message") == []


@pytest.mark.parametrize("restored", [False, True])
async def test_commit_that_was_done_though_it_seemed_to_fail(
    make_tree, tmp_path: Path, restored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gongfu.tree.host.writer._OUTAGE_S", 0.01)
    tree: TreeOfHosts = make_tree(lambda node: [Notes()], limits=QUICK)
    await tree.add("nation")
    await tree.add("site", "nation")
    nation, site = tree.node("nation"), tree.node("site")
    await nation.host.turn(lambda turn: tell(turn, site.id, "n1", b"n1"))
    await tree.idle()
    await tree.stop("site")
    tree.copy("site", tmp_path / "backup")
    await tree.start("site")
    await nation.host.turn(lambda turn: tell(turn, site.id, "n2", b"n2"))
    await tree.idle()
    await tree.kill("site")
    if restored:
        tree.restore("site", tmp_path / "backup")
    rng, doubt = random.Random(1), [0.3]
    for node in (nation, site):
        if node is site:
            await tree.start("site")
        assert node.engine is not None
        doubtful(node.engine, rng, doubt)
    own: list[bytes] = []
    failed = "tree_transactions_failed.records-away"
    while min(node.counters.snapshot().get(failed, 0) for node in (nation, site)) < 5:
        own.append(b"%d" % len(own))
        for node, peer in ((nation, site), (site, nation)):
            node.host.submit(lambda turn, p=peer.id, body=own[-1]: turn.send(p, "note", body))
        await asyncio.sleep(0.01)
        assert len(own) < 2000
    doubt[0] = 0.0
    await tree.idle()
    # Turns that are submitted may run twice then; what a neighbour sent is taken once.
    for node in (nation, site):
        taken = notes_of(node.engine)
        assert [body for i, body in enumerate(taken) if body in own and body not in taken[:i]] == own
    assert len(nation.audited("link.renew")) == int(restored)


def doubtful(engine: Engine, rng: random.Random, doubt: list[float]) -> None:
    """Let some commits be done and then say that they failed, as a connection does that breaks at that moment."""
    commit = engine.dialect.do_commit

    def commit_and_fail(connection: Any) -> None:
        commit(connection)
        if rng.random() < doubt[0]:
            error = sqlite3.OperationalError("test: the connection broke")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error

    engine.dialect.do_commit = commit_and_fail


@pytest.fixture
def databases(postgres_server: PostgresServer, postgres_template: str) -> Iterator[Callable[[str], str]]:
    """Makes a migrated PostgreSQL database a node."""
    made: list[str] = []

    def make(_: str) -> str:
        made.append(f"test_{uuid.uuid4().hex}")
        postgres_server.execute(f'CREATE DATABASE "{made[-1]}" TEMPLATE "{postgres_template}"')
        return postgres_server.url(made[-1])

    yield make
    for name in made:
        postgres_server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


async def test_hosts_on_postgresql(databases, make_tree, postgres_server: PostgresServer) -> None:
    tree: TreeOfHosts = make_tree(lambda node: [Notes()], urls=databases, limits=QUICK)
    await tree.add("nation")
    await tree.add("site", "nation")
    nation, site = tree.node("nation"), tree.node("site")
    down = [b"%03d" % i for i in range(400)]

    def send(turn: Turn) -> None:
        for body in down:
            tell(turn, site.id, body.decode(), body)
        turn.send(site.id, "bad", b"")
        turn.send(site.id, "broken", b"")
        turn.send(site.id, "echo", b"hello")

    await nation.host.turn(send)
    await tree.idle()
    assert notes_of(site.engine) == down
    assert notes_of(nation.engine) == [b"echo of hello"]
    assert [entry[3].split(":")[0] for entry in site.audited("message.refuse")] == ["bad", "broken"]
    # All connections end: what was not committed comes again.
    postgres_server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test_%'")
    site.host.submit(lambda turn: turn.send(nation.id, "note", b"later"))
    nation.host.submit(lambda turn: tell(turn, site.id, "x", b"later"))
    await until(lambda: notes_of(nation.engine)[-1:] == [b"later"], "up")
    await until(lambda: notes_of(site.engine)[-1:] == [b"later"], "down")
    # A new epoch numbers the outbox anew: as if the site had been restored to nothing.
    await tree.kill("site")
    await nation.host.turn(lambda turn: tell(turn, site.id, "y", b"waits"))
    site.url = databases("site")
    await tree.start("site")
    await tree.enrol("nation", "site")
    await tree.idle()
    assert notes_of(site.engine) == [*down, b"later", b"waits", b"waits"]
    assert [entry[3].partition(":")[0] for entry in nation.audited("link.renew")] == ["peer-rewound"]
