"""Leases among simulated workers that are slow, are stopped, die and come back, over registers that compare and set."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gongfu.bus.leases import LeaseRecord, LeaseView

PARTITIONS = 5
EXPIRE_S, OWNER_S, OWN_S = 5.0, 4.0, 2.0
NAMES = ("a", "b", "c")


@dataclass
class Held:
    """A lease as its owner knows it: valid until a moment of its own clock."""

    revision: int
    until: float


@dataclass
class Simulated:
    """A worker process. A stopped one does nothing while the clock goes on."""

    name: str
    view: LeaseView
    held: dict[int, Held] = field(default_factory=dict)
    stopped: bool = False


def make_view(name: str) -> LeaseView:
    return LeaseView(name, PARTITIONS, EXPIRE_S, OWN_S)


class LeaseMachine(RuleBasedStateMachine):
    """Workers act one after another; between a look and an action others may act, and time may pass."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.revision = 0
        self.records: dict[int, LeaseRecord] = {}
        self.members: dict[str, int] = {}
        self.workers: dict[str, Simulated] = {}
        # What a worker has decided and not yet done.
        self.pending: dict[str, dict[int, int]] = {}

    def _write(self, partition: int, owner: str, expected: int) -> int | None:
        present = self.records.get(partition)
        if (present.revision if present else 0) != expected:
            return None
        self.revision += 1
        self.records[partition] = LeaseRecord(owner, self.revision)
        return self.revision

    def _awake(self, name: str) -> Simulated | None:
        worker = self.workers.get(name)
        return None if worker is None or worker.stopped else worker

    @rule(name=st.sampled_from(NAMES))
    def start(self, name: str) -> None:
        # A supervisor starts a process again only after the earlier one has ended.
        if name not in self.workers:
            self.workers[name] = Simulated(name, make_view(name))

    @rule(name=st.sampled_from(NAMES))
    def kill(self, name: str) -> None:
        self.workers.pop(name, None)
        self.pending.pop(name, None)

    @rule(name=st.sampled_from(NAMES), stop=st.booleans())
    def signal(self, name: str, stop: bool) -> None:
        if name in self.workers:
            self.workers[name].stopped = stop

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 2.5, 6.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=st.sampled_from(NAMES))
    def renew(self, name: str) -> None:
        if (worker := self._awake(name)) is None:
            return
        for partition, held in list(worker.held.items()):
            revision = self._write(partition, name, held.revision)
            if revision is None:
                del worker.held[partition]
            else:
                worker.held[partition] = Held(revision, self.now + OWNER_S)

    @rule(name=st.sampled_from(NAMES))
    def look(self, name: str) -> None:
        if (worker := self._awake(name)) is None:
            return
        self.revision += 1
        self.members[name] = self.revision
        worker.view.observe(self.now, self.records, self.members)
        decision = worker.view.decide(self.now, frozenset(worker.held))
        for partition in decision.release:
            self._write(partition, "", worker.held.pop(partition).revision)
        self.pending[name] = decision.take

    @precondition(lambda self: self.pending)
    @rule(name=st.sampled_from(NAMES))
    def take(self, name: str) -> None:
        """Do what was decided, perhaps long ago."""
        if (worker := self._awake(name)) is None:
            return
        for partition, expected in self.pending.pop(name, {}).items():
            if partition in worker.held:
                continue
            revision = self._write(partition, name, expected)
            if revision is not None:
                worker.held[partition] = Held(revision, self.now + OWNER_S)

    @rule(name=st.sampled_from(NAMES), renews=st.booleans())
    def turn(self, name: str, renews: bool) -> None:
        """One turn of a worker that is well."""
        if renews:
            self.renew(name)
        self.look(name)
        self.take(name)

    @invariant()
    def one_owner_at_most_trusts_its_lease(self) -> None:
        for partition in range(PARTITIONS):
            owners = [w.name for w in self.workers.values() if p_valid(w, partition, self.now)]
            assert len(owners) <= 1, (partition, owners)

    @invariant()
    def one_owner_at_most_can_commit(self) -> None:
        for partition, record in self.records.items():
            able = [w.name for w in self.workers.values() if able_to_commit(w, partition, record.revision)]
            assert len(able) <= 1, (partition, able)

    def teardown(self) -> None:
        """Whatever happened: once all act again, every partition gets an owner, in even shares."""
        if not self.workers:
            return
        for worker in self.workers.values():
            worker.stopped = False
        for _ in range(20):
            for name in list(self.workers):
                self.renew(name)
                self.look(name)
                self.take(name)
                self.one_owner_at_most_trusts_its_lease()
            self.now += 1.0
        shares = [len(worker.held) for worker in self.workers.values()]
        assert sum(shares) == PARTITIONS
        assert max(shares) - min(shares) <= 1


def p_valid(worker: Simulated, partition: int, now: float) -> bool:
    return partition in worker.held and now < worker.held[partition].until


def able_to_commit(worker: Simulated, partition: int, revision: int) -> bool:
    return partition in worker.held and worker.held[partition].revision == revision


LeaseMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestLeases = LeaseMachine.TestCase


def test_shares_move_as_little_as_possible() -> None:
    view = make_view("a")
    records = {n: LeaseRecord("a" if n < 3 else "b", n + 1) for n in range(PARTITIONS)}
    view.observe(0.0, records, {"a": 10, "b": 11})
    assert view.decide(0.0, frozenset({0, 1, 2})).release == []
    view.observe(1.0, records, {"a": 12, "b": 13, "c": 14})
    assert view.decide(1.0, frozenset({0, 1, 2})).release == [2]


def test_silence_does_not_count_while_nobody_could_write() -> None:
    view = make_view("b")
    records = {n: LeaseRecord("a", 1) for n in range(PARTITIONS)}
    view.observe(0.0, records, {"a": 2, "b": 3})
    view.excuse(4.9)
    view.observe(9.0, records, {"a": 2, "b": 3})
    assert view.decide(9.0, frozenset()).take == {}
    view.observe(9.95, records, {"a": 2, "b": 3})
    assert sorted(view.decide(9.95, frozenset()).take) == list(range(PARTITIONS))
