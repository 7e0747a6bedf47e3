"""The lease on a role among simulated processes that are slow, are stopped, die and come back; and what enforces it."""

import threading
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gongfu.bus.leases import LeaseRecord, LeaseView, Standing, standing
from gongfu.bus.partition_leases import EXPIRE_S, OWN_S, OWNER_S
from gongfu.node.notify_host import SendGate, StoodDownError
from gongfu.node.role_lease import MARGIN_S, Watchdog
from gongfu.reason.notify.channels.sending import Message, Receipt
from gongfu.reason.notify.types import Webhook

NAMES = ("east", "west")


def make_view(name: str) -> LeaseView:
    return LeaseView(name, 1, EXPIRE_S, OWN_S)


@dataclass
class Process:
    """A process of a machine. A stopped one does nothing while the clock goes on."""

    view: LeaseView
    revision: int = 0
    until: float = -1.0
    stopped: bool = False
    pending: dict[int, int] = field(default_factory=dict)

    def standing(self, now: float) -> Standing:
        return standing(now, self.until, MARGIN_S)


class RoleMachine(RuleBasedStateMachine):
    """Between a look and an action others may act, and time may pass; nobody knows a roster."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.revision = 0
        self.record: LeaseRecord | None = None
        self.processes: dict[str, Process] = {}

    def _write(self, owner: str, expected: int) -> int:
        if (self.record.revision if self.record else 0) != expected:
            return 0
        self.revision += 1
        self.record = LeaseRecord(owner, self.revision)
        return self.revision

    def _awake(self, name: str) -> Process | None:
        process = self.processes.get(name)
        return None if process is None or process.stopped else process

    @initialize()
    def begin(self) -> None:
        for name in NAMES:
            self.start(name)
            self.turn(name, 0.0)

    @rule(name=st.sampled_from(NAMES))
    def start(self, name: str) -> None:
        if name not in self.processes:
            self.processes[name] = Process(make_view(name))

    @rule(name=st.sampled_from(NAMES))
    def kill(self, name: str) -> None:
        self.processes.pop(name, None)

    @rule(name=st.sampled_from(NAMES), stop=st.booleans())
    def signal(self, name: str, stop: bool) -> None:
        if name in self.processes:
            self.processes[name].stopped = stop

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.5, 6.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=st.sampled_from(NAMES), delay=st.sampled_from([0.0, 0.5, 3.0]))
    def renew(self, name: str, delay: float) -> None:
        """Renew; the answer takes a while, but what is trusted counts from the question."""
        if (process := self._awake(name)) is None or not process.revision:
            return
        began = self.now
        revision = self._write(name, process.revision)
        self.now += delay
        process.revision, process.until = revision, began + OWNER_S if revision else -1.0

    @rule(name=st.sampled_from(NAMES))
    def look(self, name: str) -> None:
        if (process := self._awake(name)) is None or process.revision:
            return
        process.view.observe(self.now, {0: self.record} if self.record else {}, {})
        process.pending = process.view.decide(self.now, frozenset()).take

    @rule(name=st.sampled_from(NAMES))
    def take(self, name: str) -> None:
        """Do what was decided, perhaps long ago."""
        if (process := self._awake(name)) is None or process.revision:
            return
        for expected in process.pending.values():
            if revision := self._write(name, expected):
                process.revision, process.until = revision, self.now + OWNER_S
        process.pending = {}

    @rule(name=st.sampled_from(NAMES), after=st.sampled_from([0.5, 1.0, 3.5]))
    def turn(self, name: str, after: float) -> None:
        """One turn of a stand-by that is well, a while later."""
        self.now += after
        self.look(name)
        self.take(name)

    @rule(name=st.sampled_from(NAMES))
    def release(self, name: str) -> None:
        process = self._awake(name)
        if process is not None and process.revision:
            self._write("", process.revision)
            process.revision, process.until = 0, -1.0

    @invariant()
    def one_process_at_most_may_act(self) -> None:
        able = [name for name, process in self.processes.items() if process.standing(self.now) is not Standing.OVER]
        assert len(able) <= 1, able

    def teardown(self) -> None:
        """Whatever happened: once all act again, one gets the role in the time of a silence."""
        if not self.processes:
            return
        for process in self.processes.values():
            process.stopped = False
        for _ in range(15):
            for name in list(self.processes):
                self.renew(name, 0.0)
                self.look(name)
                self.take(name)
                self.one_process_at_most_may_act()
            self.now += 0.5
        assert [p.standing(self.now) for p in self.processes.values()].count(Standing.SURE) == 1


RoleMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestRoleLease = RoleMachine.TestCase


def test_a_stand_by_that_looks_all_the_time_begins_after_the_holder_has_ended() -> None:
    until, view = OWNER_S, make_view("west")
    record, now = LeaseRecord("east", 1), 0.0
    view.observe(now, {0: record}, {})
    while not view.decide(now, frozenset()).take:
        now += 0.125
        view.observe(now, {0: record}, {})
    assert standing(now, until, MARGIN_S) is Standing.OVER
    assert until + 0.5 <= now <= 6.0, "there is time between, and it is no longer than needed"


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (0.0, Standing.SURE),
        (2.9, Standing.SURE),
        (3.0, Standing.DOUBTFUL),
        (3.9, Standing.DOUBTFUL),
        (4.0, Standing.OVER),
        (9.0, Standing.OVER),
    ],
)
def test_what_goes_on_is_ended_before_the_lease_is(now: float, expected: Standing) -> None:
    assert standing(now, 4.0, 1.0) is expected


def test_the_process_ends_when_its_lease_is_over_and_it_still_acts() -> None:
    state, acting, ended = [Standing.DOUBTFUL], [True], threading.Event()
    watchdog = Watchdog(lambda: state[0], lambda: acting[0], ended.set)
    watchdog.start()
    assert not ended.wait(0.3)
    state[0] = Standing.OVER
    assert ended.wait(30.0)
    watchdog.stop()


def test_a_process_that_has_ended_what_it_did_stays() -> None:
    ended, asked = threading.Event(), threading.Event()

    def acting() -> bool:
        asked.set()
        return False

    watchdog = Watchdog(lambda: Standing.OVER, acting, ended.set)
    watchdog.start()
    assert asked.wait(30.0)
    watchdog.stop()
    assert not ended.is_set()


@pytest.mark.parametrize("state", [Standing.DOUBTFUL, Standing.OVER])
def test_no_message_goes_out_without_a_certain_lease(state: Standing) -> None:
    present, sent, busy = [Standing.SURE], list[bool](), list[bool]()

    def send(*_: Any) -> Receipt:
        busy.append(gate.busy)
        sent.append(True)
        return Receipt(reached=True)

    gate = SendGate(send, lambda: present[0])
    message = Message(id="1", recipient="r", subject="s", text="t", document={})
    given = (Webhook(url="https://example.org/"), "", message, 1)
    assert gate.send(*given).reached
    present[0] = state
    with pytest.raises(StoodDownError):
        gate.send(*given)
    assert sent == busy == [True]
    assert not gate.busy
