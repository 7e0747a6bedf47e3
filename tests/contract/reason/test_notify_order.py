"""Notifications that wait hold up no others, and an entry that becomes visible late is told of."""

import socket
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from gongfu.reason.alarms.records import alarm_journal, journal
from gongfu.reason.alarms.states import Change, State
from gongfu.reason.notify import outbox
from gongfu.reason.notify.channels.destinations import Destinations, is_public
from gongfu.reason.notify.channels.posting import post
from gongfu.reason.notify.channels.sending import MissedError
from gongfu.reason.notify.tables import outbox as table
from gongfu.reason.notify.types import ChannelBody, Webhook
from gongfu.store.records.engine import reading
from tests.contract.reason.test_notify import Exchange


@pytest.fixture
def exchange(records: Engine, tmp_path: Path) -> Exchange:
    return Exchange(records, tmp_path)


def test_many_that_wait_for_one_channel_hold_up_no_other(exchange: Exchange) -> None:
    subject = exchange.desk.plant.subject()
    other = exchange.service.put_channel(
        subject, 0, ChannelBody(name="other", settings=Webhook(url="https://example.org/y"))
    ).id
    for number in range(100):
        exchange.service.test(subject, exchange.channel, f"a{number}")
    exchange.desk.plant.clock.now += 1
    exchange.service.test(subject, other, "zoe")
    with reading(exchange.engine) as connection:
        found = outbox.due(connection, exchange.desk.plant.clock.now, 64)
    assert len(found) == 64
    assert "zoe" in [row.recipient for row in found[:2]]


def test_a_channel_that_is_away_is_not_waited_for_by_all_that_is_due(exchange: Exchange) -> None:
    for number in range(50):
        exchange.service.test(exchange.desk.plant.subject(), exchange.channel, f"a{number}")
    exchange.mood = [MissedError] * 50
    exchange.turn(1)
    assert 1 <= exchange.counters.snapshot()["notifications_missed"] < 50
    exchange.mood = []
    for _ in range(4):
        exchange.turn(60)
    assert len(exchange.got) == 50


def test_an_entry_that_became_visible_late_is_told_of(exchange: Exchange) -> None:
    """PostgreSQL: a transaction that numbered its entry first may commit last, with nothing after it."""
    if exchange.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    exchange.route()
    exchange.desk.apply(exchange.desk.told(True, 1))
    exchange.desk.apply(exchange.desk.told(False, 2, 1), exchange.desk.told(True, 3))
    with exchange.engine.connect() as slow:
        now = exchange.desk.plant.clock.now
        entry = journal(exchange.desk.key(1), Change.RAISED, State.UNACKNOWLEDGED_ACTIVE, now, now + 1)
        slow.execute(alarm_journal.insert(), [entry])
        exchange.desk.apply(exchange.desk.told(False, 4, 3))
        exchange.turn()
        slow.commit()
    exchange.turn(0)
    with reading(exchange.engine) as connection:
        times = set(connection.execute(select(table.c.annunciated_at).where(table.c.alarm_id != "")).scalars())
    assert now + 1 in times


def test_a_receiver_that_drips_is_cut_off() -> None:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(65_536)
                peer.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                try:
                    while not over.wait(0.05):
                        peer.sendall(b"x")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        try:
            with pytest.raises(MissedError):
                post(url, b"{}", {}, timeout_s=0.5, destinations=Destinations.of(["127.0.0.1"]))
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("64:ff9b::5db8:d70e", True),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("fec0::1", False),
        ("224.0.0.1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_no_address_leads_into_the_own_network_by_a_detour(address: str, public: bool) -> None:
    assert is_public(address) is public
