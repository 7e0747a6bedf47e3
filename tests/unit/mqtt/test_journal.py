"""The journal gives back after a crash what was committed: random histories, and a disk that refuses."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.ingest.mqtt.broker.broker import Broker
from gongfu.ingest.mqtt.broker.limits import Limits
from gongfu.ingest.mqtt.broker.messages import Message
from gongfu.ingest.mqtt.broker.sessions import Received
from gongfu.ingest.mqtt.broker.subscriptions import Subscription
from gongfu.ingest.mqtt.journal.journal import SqliteJournal
from gongfu.ingest.mqtt.journal.loading import load, take_over
from gongfu.ingest.mqtt.journal.schema import VERSION, abandoned, journal_path, open_database
from gongfu.ingest.mqtt.journal.writer import CommitThread
from gongfu.kernel.counters import Counters
from tests.unit.mqtt.workbench import TENANT, Clock, Intake, Link, will_of

TOPICS = ["t", "t/x", "u"]
NAMES = ["a", "b", "c"]

operations = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.sampled_from(NAMES), st.booleans(), st.sampled_from([0, 50, 1000])),
        st.tuples(st.just("close"), st.sampled_from(NAMES), st.booleans()),
        st.tuples(
            st.just("subscribe"),
            st.sampled_from(NAMES),
            st.sampled_from([*TOPICS, "t/#"]),
            st.integers(0, 2),
            st.sampled_from(["", "g"]),
        ),
        st.tuples(st.just("unsubscribe"), st.sampled_from(NAMES), st.sampled_from([*TOPICS, "t/#"])),
        st.tuples(st.just("publish"), st.sampled_from(TOPICS), st.integers(0, 2), st.booleans(), st.binary(max_size=4)),
        st.tuples(st.just("acknowledge"), st.sampled_from(NAMES), st.integers(0, 3)),
        st.tuples(st.just("receive"), st.sampled_from(NAMES), st.integers(1, 4), st.booleans()),
        st.tuples(st.just("wait"), st.sampled_from([1, 60])),
    ),
    max_size=40,
)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for what another thread does."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Node:
    """A broker on a real journal, with links for its clients."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.clock = clock
        self.counters = Counters()
        database = open_database(path)
        kept = load(database)
        database.close()
        self.thread = CommitThread(path, asyncio.get_running_loop(), self.counters)
        self.broker = Broker(SqliteJournal(self.thread, 0), self.counters, Limits(), clock, Intake())
        for record in kept.sessions:
            self.broker.restore_session(record)
        for tenant, message, _ in kept.retained:
            self.broker.restore_retained(tenant, message)
        for will in kept.wills:
            self.broker.restore_will(will)
        self.links: dict[str, Link] = {}

    async def settle(self) -> None:
        done = asyncio.get_running_loop().create_future()
        self.thread.then(lambda: done.set_result(None))
        await done

    def run(self, operation: tuple[Any, ...]) -> None:
        broker = self.broker
        kind, *arguments = operation
        if kind == "wait":
            self.clock.forward(arguments[0])
            broker.tick()
        elif kind == "publish":
            topic, qos, retain, payload = arguments
            broker.router.publish(TENANT, Message(topic, payload, qos, retain), None)
        elif kind == "open":
            name, clean, expiry = arguments
            link = self.links[name] = Link(send_maximum=2)
            session, _ = broker.open((1, name), TENANT, "v1/devices/d1/", clean, expiry, will_of(name, "u", 30), link)
            broker.start(session)
        else:
            session = broker.sessions.get((1, arguments[0]))
            if session is None or session.link is None:
                return
            if kind == "close":
                broker.detach(session, self.links[arguments[0]], arguments[1])
            elif kind == "subscribe":
                _, topic_filter, qos, share = arguments
                broker.subscribe(session, Subscription(topic_filter, share, qos, identifier=qos))
            elif kind == "unsubscribe":
                broker.unsubscribe(session, ("", arguments[1]))
            elif kind == "acknowledge":
                flight = list(session.outbox.flight.values())
                if arguments[1] < len(flight):
                    delivery = flight[arguments[1]]
                    if delivery.qos == 1:
                        session.outbox.acknowledge(delivery.packet_id)
                    elif delivery.released:
                        session.outbox.finish(delivery.packet_id)
                    else:
                        session.outbox.receive(delivery.packet_id, 0)
            elif kind == "receive" and session.durable:
                _, packet_id, finished = arguments
                session.received[packet_id] = Received(7)
                session.received[packet_id].finished = finished
                broker.desk.durability.put_received(session.identifier, packet_id, 0 if finished else 7)

    def durable_state(self) -> dict[str, Any]:
        sessions = {}
        for session in self.broker.sessions.values():
            if session.durable:
                outbox = session.waiting
                deliveries = [] if outbox is None else [d for d in (*outbox.flight.values(), *outbox.queue) if d.qos]
                sessions[session.key] = (
                    session.identifier,
                    session.expiry,
                    {key: (s.qos, s.identifier) for key, s in session.subscriptions.items()},
                    sorted((d.ordinal, d.packet_id, d.released, d.qos, d.message.payload, d.topic) for d in deliveries),
                    {key: item.finished for key, item in session.received.items()},
                )
        return {
            "sessions": sessions,
            "retained": sorted((m.topic, m.payload) for m in self.broker.router.tenant(TENANT).retained.match("#")),
            "wills": sorted(
                [*self.broker.wills, *(s.key for s in self.broker.sessions.values() if s.will is not None)]
            ),
        }


@settings(max_examples=60, deadline=None)
@given(operations, operations)
def test_a_crash_loses_nothing_that_was_committed(before: list[tuple[Any, ...]], after: list[tuple[Any, ...]]) -> None:
    async def live() -> None:
        with TemporaryDirectory() as directory:
            path, clock = Path(directory) / "sessions.db", Clock()
            node = Node(path, clock)
            for part in (before, after):
                for operation in part:
                    node.run(operation)
                await node.settle()
                expected = node.durable_state()
                # A crash: nothing of the old process runs any more, the clients are gone.
                again = Node(path, clock)
                assert again.durable_state() == expected
                await node.thread.close()
                node = again
            await node.thread.close()
            database = sqlite3.connect(path)
            unused = "SELECT count(*) FROM message WHERE id NOT IN (SELECT message FROM delivery)"
            assert database.execute(unused).fetchone() == (0,)
            orphans = "SELECT count(*) FROM delivery WHERE session NOT IN (SELECT id FROM session)"
            assert database.execute(orphans).fetchone() == (0,)
            database.close()

    asyncio.run(live())


async def test_a_crash_counts_as_the_loss_of_every_connection(tmp_path: Path) -> None:
    clock = Clock()
    node = Node(tmp_path / "s.db", clock)
    watcher = Link()
    session, _ = node.broker.open((1, "watcher"), TENANT, "v1/devices/d1/", True, 500, None, watcher)
    node.broker.subscribe(session, Subscription("u", qos=1))
    for name, expiry in (("kept", 100), ("fleeting", 0)):
        will = will_of(name, "u", 30, qos=1)
        will.message.payload = name.encode()
        node.broker.open((1, name), TENANT, "v1/devices/d1/", True, expiry, will, Link())
    await node.settle()
    again = Node(tmp_path / "s.db", clock)
    again.broker.tick()
    link = Link()
    session, _ = again.broker.open((1, "watcher"), TENANT, "v1/devices/d1/", False, 500, None, link)
    again.broker.start(session)
    await again.settle()
    assert [packet.payload for packet in link.published()] == [b"fleeting"]
    clock.forward(30)
    again.broker.tick()
    await again.settle()
    assert [packet.payload for packet in link.published()] == [b"kept"]
    await node.thread.close()
    await again.thread.close()


async def test_acknowledgements_wait_while_the_disk_refuses(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    open_database(path).close()
    counters = Counters()
    thread = CommitThread(path, asyncio.get_running_loop(), counters)
    blocker = sqlite3.connect(path)
    blocker.execute("CREATE TRIGGER full BEFORE INSERT ON retained BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    blocker.commit()
    done: list[str] = []
    journal = SqliteJournal(thread, 0)
    journal.put_retained(1, Message("t", b"x"))
    journal.then(lambda: done.append("done"))
    await until(lambda: counters.snapshot().get("journal_errors", 0) > 0)
    assert done == []
    blocker.execute("DROP TRIGGER full")
    blocker.commit()
    await until(lambda: bool(done))
    assert blocker.execute("SELECT topic FROM retained").fetchall() == [("t",)]
    blocker.close()
    await thread.close()


async def test_callbacks_come_in_order_and_after_the_commit(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    thread = CommitThread(path, asyncio.get_running_loop(), Counters())
    journal = SqliteJournal(thread, 0)
    seen: list[tuple[int, int]] = []
    reader = open_database(path)
    finished = asyncio.get_running_loop().create_future()
    for n in range(50):
        journal.put_retained(1, Message(f"t{n}", b"x"))
        journal.then(lambda n=n: seen.append((n, reader.execute("SELECT count(*) FROM retained").fetchone()[0])))
        if n % 7 == 0:
            await asyncio.sleep(0)
    journal.then(lambda: finished.set_result(None))
    await finished
    assert [n for n, _ in seen] == list(range(50))
    assert all(count > n for n, count in seen)
    reader.close()
    await thread.close()


def test_a_newer_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    database = open_database(path)
    database.execute(f"PRAGMA user_version={VERSION + 1}")
    database.close()
    with pytest.raises(sqlite3.DatabaseError, match="newer"):
        open_database(path)


async def test_sessions_of_doors_that_are_no_longer_started_go_to_the_first(tmp_path: Path) -> None:
    for door in (0, 2):
        thread = CommitThread(journal_path(tmp_path, door), asyncio.get_running_loop(), Counters())
        broker = Broker(SqliteJournal(thread, door), Counters(), Limits(), Clock(), Intake())
        for name, epoch in ((f"only {door}", 5), ("both", 10 - door)):
            link = Link()
            session, _ = broker.open((1, name), TENANT, "v1/devices/d1/", True, 100, None, link, epoch)
            broker.subscribe(session, Subscription(f"工厂/{door}/+", qos=1))
            broker.detach(session, link, True)
        broker.router.publish(TENANT, Message(f"工厂/{door}/x", b"queued", 1), None)
        await thread.close()
    assert list(abandoned(tmp_path, 3)) == []
    [other] = abandoned(tmp_path, 2)
    database = open_database(journal_path(tmp_path, 0))
    take_over(database, other)
    kept = {record.key[1]: record for record in load(database).sessions}
    assert set(kept) == {"only 0", "only 2", "both"}
    for name, topic_filter in (("only 2", "工厂/2/+"), ("both", "工厂/0/+")):  # the later session of a client wins
        assert [item.topic_filter for item in kept[name].subscriptions] == [topic_filter]
        assert [item.message.payload for item in kept[name].deliveries] == [b"queued"]
    assert list(abandoned(tmp_path, 2)) == []
    database.close()


def test_a_journal_of_release_1_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    database = open_database(path)
    for table, columns in (("session", ("epoch", "claim", "claim_ordinal")), ("retained", ("version",))):
        for column in columns:
            database.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    database.execute("PRAGMA user_version=1")
    body = msgspec.msgpack.encode(("t", b"old", 1, True, b"", 0))
    database.execute("INSERT INTO retained (tenant, topic, body) VALUES (1, 't', ?)", (body,))
    database.close()
    database = open_database(path)
    [(_, message, version)] = load(database).retained
    assert (message.topic, message.payload, message.qos, version) == ("t", b"old", 1, 0)
    database.close()
