"""Notifications: routes, escalation, receipts, floods, links; no annunciation is lost, whenever the process stops."""

import asyncio
import contextlib
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from sqlalchemy import Engine, event, func, select, update

from gongfu.connect.connections.secrets import ConnectionSecrets
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem
from gongfu.kernel.times import SECOND
from gongfu.reason.alarms.load.tables import flood
from gongfu.reason.notify import outbox
from gongfu.reason.notify.channels.sending import Message, MissedError, Receipt, RefusedError
from gongfu.reason.notify.dispatch import Dispatcher
from gongfu.reason.notify.feed import JournalFeed
from gongfu.reason.notify.service import NotificationService
from gongfu.reason.notify.tables import outbox as table
from gongfu.reason.notify.types import ChannelBody, RouteBody, Settings, Stage, Webhook
from gongfu.reason.rules.transitions import Transition
from gongfu.store.records.engine import open_records, reading, writing
from tests.contract.reason.plant import START
from tests.contract.reason.test_alarm_lifecycle import ShelvingDesk
from tests.contract.reason.test_alarms import Desk

KEY = b"k" * 32


class KilledError(BaseException):
    """The process ends here."""


class Exchange:
    """A desk, and somebody who gets notifications."""

    def __init__(self, engine: Engine, directory: Path, most: int = outbox.MAX_QUEUED) -> None:
        self.desk = ShelvingDesk(engine)
        self.engine = engine
        self.secrets = ConnectionSecrets(directory / "notify")
        self.service = NotificationService(engine, self.desk.plant.clock, self.secrets, self.desk.service, lambda: None)
        self.got: list[Message] = []
        self.mood: list[type[MissedError | RefusedError]] = []
        self.killed_after_sending = False
        self.counters = Counters()
        self.most = most
        self.start()
        body = ChannelBody(name="hook", settings=Webhook(url="https://example.org/x"), link_base="https://me")
        self.channel = self.service.put_channel(self.desk.plant.subject(), 0, body).id

    def start(self) -> None:
        feed = JournalFeed(self.engine, self.counters, self.most)
        clock = self.desk.plant.clock
        self.dispatcher = Dispatcher(
            self.engine, clock, self.counters, self.send, lambda key: "s", KEY, lambda: 0.5, feed
        )

    def send(self, settings: Settings, secret: str, message: Message, now: int) -> Receipt:
        if self.mood:
            raise self.mood.pop()("no")
        self.got.append(message)
        if self.killed_after_sending:
            self.killed_after_sending = False
            raise KilledError
        return Receipt(reached=False, reference="r")

    def route(self, **members: object) -> None:
        stages = members.pop("stages", None) or [Stage(channel_id=self.channel, recipients=["anna"])]
        body = RouteBody(name=f"r{len(self.service.routes(self.desk.plant.subject()))}", stages=stages, **members)  # pyright: ignore[reportArgumentType]
        self.service.put_route(self.desk.plant.subject(), 0, body)

    def turn(self, seconds: float = 2.0) -> None:
        self.desk.plant.clock.now += round(seconds * SECOND)
        asyncio.run(self.dispatcher.turn())

    def states(self) -> list[str]:
        found, _ = self.service.receipts(self.desk.plant.subject(), None, 1000, None, None)
        return sorted(item.state for item in found)


@pytest.fixture
def exchange(records: Engine, tmp_path: Path) -> Exchange:
    return Exchange(records, tmp_path)


def test_an_alarm_is_told_once_and_escalates_until_somebody_acknowledges(exchange: Exchange) -> None:
    stages = [
        Stage(channel_id=exchange.channel, recipients=["anna", "ben"]),
        Stage(channel_id=exchange.channel, recipients=["chief"], after_s=300),
        Stage(channel_id=exchange.channel, recipients=["director"], after_s=600),
    ]
    exchange.route(stages=stages)
    exchange.route(stages=stages[:1])  # the same people by another route
    exchange.desk.apply(exchange.desk.told(True, 1))
    exchange.turn(0.5)
    assert exchange.got == []  # a suppression by design may still come
    exchange.turn()
    exchange.turn()
    assert sorted(message.recipient for message in exchange.got) == ["anna", "ben"]
    exchange.turn(300)
    assert exchange.got[-1].recipient == "chief"
    exchange.desk.service.acknowledge(exchange.desk.plant.subject(), exchange.desk.key(1), "")
    exchange.turn(400)
    assert len(exchange.got) == 3
    assert exchange.states() == ["cancelled", "sent", "sent", "sent"]


def test_a_link_acknowledges_once(exchange: Exchange) -> None:
    exchange.route()
    exchange.desk.apply(exchange.desk.told(True, 1))
    exchange.turn()
    link = exchange.got[0].document["link"]
    token = link.rpartition("/")[2]
    assert link.startswith("https://me/v1/notifications/acknowledge/")
    for wrong in (token[:-2] + "AA", "", "x" * 50, token + "A" * 4):
        with pytest.raises(Problem) as caught:
            exchange.service.confirm(KEY, wrong)
        assert caught.value.status == 404
    assert "temp" in exchange.service.confirm(KEY, token)
    alarm = exchange.desk.service.get(exchange.desk.plant.subject(), exchange.desk.key(1))
    assert (alarm.state, alarm.acknowledged_by) == ("acknowledged_active", "link to anna")
    with pytest.raises(Problem, match="used already"):
        exchange.service.confirm(KEY, token)
    assert exchange.states() == ["acknowledged"]
    with reading(exchange.engine) as connection:
        kept = connection.execute(select(table.c.text)).scalar_one()
    assert token not in kept
    exchange.desk.plant.clock.now += 8 * 86_400 * SECOND
    with pytest.raises(Problem, match="not valid any more"):
        exchange.service.confirm(KEY, token)


def link_of(exchange: Exchange, at: int = 0) -> str:
    return str(exchange.got[at].document["link"]).rpartition("/")[2]


def test_a_link_is_used_and_the_alarm_acknowledged_or_neither(exchange: Exchange) -> None:
    exchange.route()
    exchange.desk.apply(exchange.desk.told(True, 1))
    exchange.turn()

    def dies(*arguments: object) -> None:
        if "INSERT INTO alarm_journal" in str(arguments[2]):
            raise KilledError

    event.listen(exchange.engine, "before_cursor_execute", dies)
    with pytest.raises(KilledError):
        exchange.service.confirm(KEY, link_of(exchange))
    event.remove(exchange.engine, "before_cursor_execute", dies)
    assert (exchange.states(), exchange.desk.state(1)) == (["sent"], "unacknowledged_active")
    exchange.service.confirm(KEY, link_of(exchange))
    assert (exchange.states(), exchange.desk.state(1)) == (["acknowledged"], "acknowledged_active")


def test_of_two_that_use_a_link_at_the_same_time_one_does(exchange: Exchange) -> None:
    exchange.route()
    exchange.desk.apply(exchange.desk.told(True, 1))
    exchange.turn()
    token, together = link_of(exchange), threading.Barrier(4)

    def use() -> str:
        together.wait()
        try:
            return exchange.service.confirm(KEY, token)
        except Problem as problem:
            return str(problem.status)

    with ThreadPoolExecutor(4) as threads:
        told = sorted(future.result() for future in [threads.submit(use) for _ in range(4)])
    assert told[:3] == ["409"] * 3
    alarm = exchange.desk.service.get(exchange.desk.plant.subject(), exchange.desk.key(1))
    assert [entry.change for entry in alarm.journal or ()] == ["raised", "acknowledged"]


def test_a_link_does_not_acknowledge_what_was_told_again_since(exchange: Exchange) -> None:
    exchange.route()
    exchange.desk.rationalise(realarm_s=60)
    exchange.desk.apply(exchange.desk.told(True, 1))
    exchange.turn()
    exchange.desk.service.acknowledge(exchange.desk.plant.subject(), exchange.desk.key(1), "")
    exchange.desk.tick(61)
    assert exchange.desk.state(1) == "unacknowledged_active"
    with pytest.raises(Problem, match="again since"):
        exchange.service.confirm(KEY, link_of(exchange))
    exchange.turn()
    exchange.service.confirm(KEY, link_of(exchange, 1))
    assert exchange.desk.state(1) == "acknowledged_active"


def test_a_channel_that_is_away_is_tried_again_and_one_that_refuses_is_not(exchange: Exchange) -> None:
    exchange.route()
    exchange.desk.apply(exchange.desk.told(True, 1))
    exchange.mood = [MissedError, MissedError]
    exchange.turn()
    exchange.turn(1)
    assert (exchange.got, exchange.states()) == ([], ["queued"])
    exchange.turn(4)
    exchange.turn(10)
    assert (len(exchange.got), exchange.states()) == (1, ["sent"])
    exchange.desk.apply(exchange.desk.told(False, 2, 1), exchange.desk.told(True, 3))
    exchange.mood = [RefusedError]
    exchange.turn()
    exchange.turn(4000)
    assert exchange.states() == ["failed", "sent"]
    exchange.desk.apply(exchange.desk.told(False, 4, 3), exchange.desk.told(True, 5))
    exchange.mood = [MissedError] * 50
    for _ in range(20):
        exchange.turn(900)
    assert exchange.states() == ["failed", "failed", "sent"]
    assert len(exchange.mood) == 40


def test_what_is_shelved_is_not_told(exchange: Exchange) -> None:
    exchange.route()
    from gongfu.reason.alarms.suppression.types import ShelveBody

    wish = ShelveBody(asset="plant/*", reason="r", seconds=60)
    exchange.desk.suppressions.shelve(exchange.desk.plant.subject(), wish)
    exchange.desk.apply(exchange.desk.told(True, 1))
    exchange.turn()
    assert (exchange.got, exchange.states()) == ([], [])
    exchange.desk.tick(61)
    exchange.turn()
    assert len(exchange.got) == 1
    # Shelved between its annunciation and the message.
    exchange.desk.apply(exchange.desk.told(False, 2, 1), exchange.desk.told(True, 3))
    exchange.turn(0.1)
    exchange.desk.suppressions.shelve(exchange.desk.plant.subject(), wish)
    exchange.turn()
    assert exchange.states() == ["cancelled", "sent"]


def test_a_flood_is_told_in_digests_and_critical_alarms_by_themselves(exchange: Exchange) -> None:
    exchange.route()
    desk = exchange.desk
    series = [desk.plant.point(f"plant/{number}", "temp") for number in range(30)]
    desk.apply(*(Transition(desk.rule.id, key, True, START, START, 1.0) for key in series[:12]))
    desk.tick(1)
    exchange.turn()
    # The ten with which it began are told one by one, although the flood was seen first.
    first = [message.document["alarm"]["asset_path"] for message in exchange.got]
    assert len(set(first)) == 10
    assert exchange.states().count("collapsed") == 2
    exchange.got.clear()
    desk.apply(*(Transition(desk.rule.id, key, True, START, START, 1.0) for key in series[12:]))
    exchange.turn()
    exchange.turn(300)
    assert [message.document["kind"] for message in exchange.got] == ["digest"]
    assert exchange.got[0].document["count"] == 20
    assert "最早 First: 2023-11-14T22:13:20Z plant/" in exchange.got[0].text
    with reading(exchange.engine) as connection:
        assert connection.execute(select(flood.c.collapsed)).scalar_one() == 20
    exchange.turn(300)
    assert len(exchange.got) == 1


def test_what_is_read_after_its_digest_was_sent_goes_into_the_next(exchange: Exchange) -> None:
    """The transaction of an alarm took a while, or the journal is long: its five minutes have been told of already."""
    exchange.route()
    desk, clock = exchange.desk, exchange.desk.plant.clock
    series = [desk.plant.point(f"plant/{number}", "temp") for number in range(20)]
    desk.apply(*(Transition(desk.rule.id, key, True, START, START, 1.0) for key in series[:12]))
    desk.tick(1)
    exchange.turn()
    exchange.turn(300)
    began, exchange.got = clock.now, []
    clock.now -= 300 * SECOND
    desk.apply(*(Transition(desk.rule.id, key, True, START, START, 1.0) for key in series[12:]))
    clock.now = began
    exchange.turn(0)
    exchange.turn(300)
    assert [(message.document["kind"], message.document["count"]) for message in exchange.got] == [("digest", 8)]


def test_alarms_without_end_keep_nothing_from_being_sent(exchange: Exchange) -> None:
    desk, series, read = exchange.desk, iter(range(1000)), 0

    class Endless(JournalFeed):
        def read(self, now: int) -> int:
            nonlocal read
            read += 1
            assert read < 100
            key = desk.plant.point(f"plant/{next(series)}", "temp")
            desk.apply(Transition(desk.rule.id, key, True, START, START, 1.0))
            return super().read(now)

    exchange.route(digest=False)
    desk.apply(desk.told(True, 1))
    JournalFeed(exchange.engine, Counters()).read(desk.plant.clock.now)
    exchange.dispatcher = Dispatcher(
        exchange.engine, desk.plant.clock, Counters(), exchange.send, lambda key: "s", KEY, lambda: 0.5,
        Endless(exchange.engine, Counters()),
    )  # fmt: skip
    exchange.turn()
    assert [message.recipient for message in exchange.got] == ["anna"]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_clock_that_is_set_back_delays_no_notification(exchange: Exchange, restarted: bool) -> None:
    stages = [Stage(channel_id=exchange.channel, recipients=["anna"])]
    exchange.route(stages=[*stages, Stage(channel_id=exchange.channel, recipients=["chief"], after_s=300)])
    exchange.desk.plant.clock.now += 365 * 86_400 * SECOND
    exchange.desk.apply(exchange.desk.told(True, 1))
    exchange.turn(0.5)
    assert exchange.got == []
    exchange.desk.plant.clock.now -= 365 * 86_400 * SECOND
    if restarted:
        exchange.start()
    exchange.turn(0)
    exchange.turn(2)
    assert [message.recipient for message in exchange.got] == ["anna"]
    exchange.turn(300)
    assert [message.recipient for message in exchange.got] == ["anna", "chief"]


def test_in_a_flood_escalation_is_still_by_alarm(exchange: Exchange) -> None:
    first = Stage(channel_id=exchange.channel, recipients=["anna"])
    exchange.route(stages=[first, Stage(channel_id=exchange.channel, recipients=["chief"], after_s=60)])
    desk = exchange.desk
    series = [desk.plant.point(f"plant/{number}", "temp") for number in range(12)]
    desk.apply(*(Transition(desk.rule.id, key, True, START, START, 1.0) for key in series))
    desk.tick(1)
    exchange.turn(100)
    told = [message.document["kind"] for message in exchange.got if message.recipient == "chief"]
    assert told == ["alarm"] * 12


def test_receipts_are_kept_for_a_while(exchange: Exchange) -> None:
    exchange.route()
    exchange.desk.apply(exchange.desk.told(True, 1))
    exchange.turn()
    exchange.turn(80 * 86_400)
    assert exchange.states() == ["sent"]
    exchange.turn(11 * 86_400)
    assert exchange.states() == []


def test_a_full_outbox_counts_what_it_cannot_keep(records: Engine, tmp_path: Path) -> None:
    exchange = Exchange(records, tmp_path, most=3)
    exchange.route(digest=False)
    desk = exchange.desk
    series = [desk.plant.point(f"plant/{number}", "temp") for number in range(5)]
    desk.apply(*(Transition(desk.rule.id, key, True, START, START, 1.0) for key in series))
    exchange.turn(0)
    found = exchange.service.state(desk.plant.subject())
    assert (found.states["queued"], found.overflowed) == (3, 2)
    exchange.turn()
    assert len(exchange.got) == 3


def test_tenants_and_secrets_are_apart(exchange: Exchange) -> None:
    subject, stranger = exchange.desk.plant.subject(), exchange.desk.plant.subject(of=2)
    body = ChannelBody(name="hook", settings=Webhook(url="https://example.org/x"), secret="s3cret-word")
    with pytest.raises(Problem) as caught:
        exchange.service.put_channel(stranger, exchange.channel, body)
    assert caught.value.status == 404
    exchange.service.put_channel(subject, exchange.channel, body)
    elsewhere = ChannelBody(name="hook", settings=Webhook(url="https://example.com/mine"))
    with pytest.raises(Problem, match="give the secret again"):
        exchange.service.put_channel(subject, exchange.channel, elsewhere)
    assert exchange.service.put_channel(
        subject, exchange.channel, ChannelBody(name="renamed", settings=body.settings)
    ).has_secret
    exchange.service.put_channel(subject, exchange.channel, body)
    (item,) = exchange.service.channels(subject)
    assert (item.has_secret, item.channel.secret) == (True, None)
    with reading(exchange.engine) as connection:
        for name in ("notify_channel", "audit"):
            assert "s3cret-word" not in str(connection.exec_driver_sql(f"SELECT * FROM {name}").all())
    assert (exchange.secrets.directory(exchange.channel) / "options.json").stat().st_mode & 0o777 == 0o600
    with pytest.raises(Problem, match="no channel"):
        exchange.service.put_route(stranger, 0, RouteBody(name="r", stages=[
            Stage(channel_id=exchange.channel, recipients=["x"])]))  # fmt: skip
    with pytest.raises(Problem):
        exchange.service.test(stranger, exchange.channel, "x")
    assert exchange.service.test(subject, exchange.channel, "x").state == "queued"
    exchange.turn()
    assert [message.document["kind"] for message in exchange.got] == ["test"]
    exchange.service.remove_channel(subject, exchange.channel)
    assert not exchange.secrets.directory(exchange.channel).exists()


class OutboxMachine(RuleBasedStateMachine):
    """Alarms, a channel with moods, and a process that is killed after it sent and before it could note that."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp()
        path = shutil.copyfile(self.template, Path(self.directory) / "records.db")
        self.engine = open_records(f"sqlite:///{path}")
        self.exchange = Exchange(self.engine, Path(self.directory))
        self.exchange.route(digest=False)
        self.time = 0
        self.standing = 0
        self.told: set[str] = set()
        self.acknowledged: set[str] = set()

    def teardown(self) -> None:
        self.exchange.mood = []
        self.exchange.killed_after_sending = False
        for _ in range(15):
            self.exchange.turn(1000)
        found, _ = self.exchange.service.receipts(self.exchange.desk.plant.subject(), None, 1000, None, None)
        # Each annunciation has one notification, which came, or of which is known why not.
        assert {item.alarm_id for item in found} == self.told
        got = {message.id for message in self.exchange.got}
        for item in found:
            assert item.state in ("sent", "failed", "cancelled")
            assert item.state != "sent" or item.id in got
            assert item.state != "cancelled" or item.alarm_id in self.acknowledged
        self.engine.dispose()
        shutil.rmtree(self.directory)

    @precondition(lambda self: not self.standing)
    @rule()
    def raises(self) -> None:
        self.time += 1
        self.standing = self.time
        desk: Desk = self.exchange.desk
        desk.apply(desk.told(True, self.time))
        self.told.add(desk.key(self.time))

    @precondition(lambda self: self.standing)
    @rule()
    def returns(self) -> None:
        self.time += 1
        desk: Desk = self.exchange.desk
        desk.apply(desk.told(False, self.time, self.standing))
        # The next raise supersedes it; nobody has to be told then.
        self.acknowledged.add(desk.key(self.standing))
        self.standing = 0

    @precondition(lambda self: self.standing)
    @rule()
    def is_acknowledged(self) -> None:
        desk: Desk = self.exchange.desk
        key = desk.key(self.standing)
        if key not in self.acknowledged:
            desk.service.acknowledge(desk.plant.subject(), key, "")
            self.acknowledged.add(key)

    @rule(seconds=st.sampled_from([0, 2, 30]), misses=st.integers(0, 3), refuses=st.booleans())
    def time_passes(self, seconds: int, misses: int, refuses: bool) -> None:
        self.exchange.mood = [MissedError] * misses + [RefusedError] * (refuses and misses == 3)
        self.exchange.turn(seconds)

    @rule()
    def is_killed_after_sending(self) -> None:
        self.exchange.mood = []
        self.exchange.killed_after_sending = True
        with contextlib.suppress(KilledError):
            self.exchange.turn(2)
        self.exchange.killed_after_sending = False
        self.exchange.start()


@pytest.mark.usefixtures("sqlite_template")
def test_no_notification_is_lost_whatever_happens(sqlite_template: Path) -> None:
    OutboxMachine.template = sqlite_template
    run_state_machine_as_test(OutboxMachine, settings=settings(max_examples=8, stateful_step_count=12, deadline=None))


def test_messages_that_became_visible_late_are_still_told(exchange: Exchange) -> None:
    """PostgreSQL numbers journal entries before their commit: reading goes back a little."""
    exchange.route()
    if exchange.engine.dialect.name == "sqlite":
        return
    from gongfu.reason.notify.tables import feed

    exchange.desk.apply(exchange.desk.told(True, 1))
    with writing(exchange.engine) as connection:
        connection.execute(update(feed).values(journal_id=feed.c.journal_id + 1))
    exchange.desk.apply(exchange.desk.told(False, 2, 1))
    exchange.turn()
    with reading(exchange.engine) as connection:
        assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 1
