"""Sessions of edge nodes: order, births, deaths; with loss, reorder and duplicates made up by hypothesis."""

from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gongfu.ingest.sparkplug.arrivals import Arrival, birth_sequence_of, sequence_of
from gongfu.ingest.sparkplug.sessions import Bounds, EdgeSession, EdgeSessions, Phase, Why, tail_of
from gongfu.ingest.types import Writer
from tests.contract.telemetry.sparkplug_bytes import M, payload

SECOND = 1_000_000_000
WRITER = Writer(1, 7, "d7", 1, "a1")
EDGE = "工厂/边缘"
WINDOW = 2 * SECOND


class World:
    """Sessions, and what they asked, counted and dropped."""

    def __init__(self, **bounds: int) -> None:
        self.asked: list[Why] = []
        self.counts: dict[str, int] = {}
        self.dropped: list[Arrival] = []
        self.now = SECOND
        self.sessions = EdgeSessions(
            Bounds(**{"window": WINDOW, **bounds}), self._ask, self._count, self.dropped.append
        )

    def _ask(self, _session: EdgeSession, why: Why) -> None:
        self.asked.append(why)

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def make(
        self, kind: str, seq: int | None = None, bd: int | None = None, device: str = "", tag: str = ""
    ) -> Arrival:
        child = f"{EDGE}/{device}" if device else EDGE
        return Arrival(kind, EDGE, child, seq, bd, WRITER, tag.encode() or b"x", self.now, None, "t")

    def send(self, kind: str, seq: int | None = None, bd: int | None = None, device: str = "") -> list[str]:
        taken = self.sessions.arrive(self.make(kind, seq, bd, device), self.now)
        return [f"{one.kind}{'' if one.sequence is None else one.sequence}" for one in taken]

    def wait(self, seconds: float) -> list[str]:
        self.now += int(seconds * SECOND)
        return [f"{one.kind}{one.sequence}" for one in self.sessions.due(self.now)]

    @property
    def session(self) -> EdgeSession:
        found = self.sessions.find((7, EDGE))
        assert found is not None
        return found


@pytest.mark.parametrize("start", [0, 1, 57, 255])
def test_a_session_begins_at_any_sequence_number(start: int) -> None:
    world = World()
    assert world.send("NBIRTH", start, 3) == [f"NBIRTH{start}"]
    for step in range(1, 600):
        seq = (start + step) % 256
        assert world.send("NDATA", seq) == [f"NDATA{seq}"]
    assert world.asked == []
    assert world.session.gaps == 0


def test_what_comes_too_early_waits_for_what_is_missing() -> None:
    world = World()
    world.send("NBIRTH", 0, 0)
    world.send("DBIRTH", 1, device="泵")
    assert world.send("DDATA", 4, device="泵") == []
    assert world.send("NDATA", 3) == []
    assert world.send("DDATA", 2, device="泵") == ["DDATA2", "NDATA3", "DDATA4"]
    assert world.wait(10) == []
    assert (world.asked, world.counts["reordered"]) == ([], 1)


def test_a_gap_that_stays_ends_in_a_rebirth_request_after_the_window() -> None:
    world = World()
    world.send("NBIRTH", 0, 0)
    assert world.send("NDATA", 2) == []
    assert world.send("NDATA", 4) == []
    assert world.wait(1.9) == []
    assert world.asked == []
    assert world.wait(0.2) == ["NDATA2", "NDATA4"]
    assert world.asked == [Why.GAP]
    assert world.send("NDATA", 5) == ["NDATA5"]
    assert world.send("NDATA", 3) == ["NDATA3"]  # late, but its points are points
    assert world.session.gaps == 1


def test_late_births_and_deaths_are_not_taken() -> None:
    world = World()
    world.send("NBIRTH", 0, 0)
    for seq in range(1, 5):
        world.send("NDATA", seq)
    assert world.send("DDEATH", 4, device="d") == []
    assert world.send("DBIRTH", 2, device="d") == []
    assert len(world.dropped) == 2
    assert world.asked == [Why.RESTARTED]


def test_only_the_death_of_this_session_ends_it() -> None:
    world = World()
    world.send("NBIRTH", 0, 8)
    world.send("NBIRTH", 0, 9)
    assert world.send("NDEATH", bd=8) == []
    assert world.session.alive
    assert world.send("NDEATH", bd=9) == ["NDEATH"]
    assert world.session.phase is Phase.DEAD
    assert world.send("NDEATH", bd=9) == []
    assert world.counts["deaths_ignored"] == 2
    assert world.send("NDATA", 1) == ["NDATA1"]
    assert world.asked == [Why.UNKNOWN]


def test_a_death_says_that_all_devices_are_dead_and_a_birth_that_none_is_known() -> None:
    world = World()
    world.send("NBIRTH", 0, 0)
    world.send("DBIRTH", 1, device="a")
    world.send("DBIRTH", 2, device="b")
    world.send("DDEATH", 3, device="a")
    assert world.session.devices == {f"{EDGE}/a": False, f"{EDGE}/b": True}
    world.send("NDEATH", bd=0)
    assert world.session.devices == {f"{EDGE}/a": False, f"{EDGE}/b": False}
    world.send("NBIRTH", 0, 1)
    assert world.session.devices == {}
    world.send("DDATA", 1, device="b")
    assert world.asked == [Why.DEVICE]


def test_data_of_an_unknown_node_waits_for_its_birth_and_then_asks_for_it() -> None:
    world = World()
    assert world.send("NDATA", 1) == []
    assert world.send("NBIRTH", 0, 0) == ["NBIRTH0", "NDATA1"]
    assert world.asked == []
    world = World()
    assert world.send("NDATA", 77) == []
    assert world.wait(2.1) == ["NDATA77"]
    assert world.asked == [Why.UNKNOWN]
    assert world.send("NDATA", 78) == ["NDATA78"]


def test_a_birth_at_another_front_door_makes_deaths_here_void() -> None:
    world = World()
    world.send("NBIRTH", 0, 4)
    world.send("NDATA", 2)
    world.sessions.elsewhere((7, EDGE), 5)
    assert len(world.dropped) == 1
    assert world.send("NDEATH", bd=4) == []
    assert world.send("NBIRTH", 0, 6) == ["NBIRTH0"]
    assert world.send("NDEATH", bd=6) == ["NDEATH"]


def test_memory_is_bounded() -> None:
    world = World(held=8, sessions=3)
    world.send("NBIRTH", 0, 0)
    for seq in range(2, 9):
        assert world.send("NDATA", seq) == []
    assert world.send("NDATA", 9) == [f"NDATA{seq}" for seq in range(2, 10)]
    world.send("NDATA", 20)
    for n in range(5):
        other = Arrival("NBIRTH", f"g/{n}", f"g/{n}", 0, 0, WRITER, b"", 0, None, "t")
        world.sessions.arrive(other, world.now)
    assert len(world.sessions) == 3
    assert (len(world.dropped), world.sessions.held_bytes) == (1, 0)
    world = World(held_bytes=10)
    world.send("NBIRTH", 0, 0)
    assert world.sessions.arrive(world.make("NDATA", 5, tag="x" * 11), world.now) != []


def test_a_sender_without_sequence_numbers_is_taken_as_it_comes() -> None:
    world = World()
    world.send("NBIRTH", None, 0)
    assert world.send("NDATA") == ["NDATA"]
    assert world.send("NDATA", 0) == ["NDATA0"]  # always 0: the repetition of the last one
    assert world.send("NDATA", 0) == ["NDATA0"]
    assert world.asked == []


@given(st.integers(0, 255), st.lists(st.integers(0, 9), max_size=5), st.integers(0, 2**40))
def test_the_tail_of_a_payload_tells_its_sequence_number(seq: int, aliases: list[int], time: int) -> None:
    data = payload([M(10, 1.0, alias=alias) for alias in aliases], timestamp=time, seq=seq)
    assert sequence_of(data) == seq
    assert [other for other in range(256) if data.endswith(tail_of(other))] == [seq]


def test_numbers_of_births_in_32_and_64_bits() -> None:
    assert birth_sequence_of(payload([M(4, 5, "bdSeq")])) == 5
    assert birth_sequence_of(payload([M(7, 6, "bdSeq")])) == 6
    assert birth_sequence_of(payload([M(10, 6.0, "bdSeq")])) is None
    assert birth_sequence_of(b"\xff") is None
    assert sequence_of(b"\xff") is None


@given(st.lists(st.integers(0, 40), max_size=60), st.data())
@settings(max_examples=60)
def test_any_order_within_the_window_comes_out_in_order(delays: list[int], data: st.DataObject) -> None:
    """Messages are delayed by up to 40 places: all come out, in order, and nothing is asked."""
    world = World()
    world.send("NBIRTH", 0, 0)
    places = sorted(range(len(delays)), key=lambda n: (n + delays[n], n))
    taken: list[str] = []
    for place in places:
        repeated = data.draw(st.booleans())
        taken += world.send("NDATA", place + 1)
        if repeated and place + 1 in world.session.held:
            taken += world.send("NDATA", place + 1)
    assert taken == [f"NDATA{n + 1}" for n in range(len(delays))]
    assert world.asked == []


class LossyLink(RuleBasedStateMachine):
    """An edge node behind a link that loses, repeats and reorders; it answers rebirth requests."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.seq = 0
        self.bd = 0
        self.flight: list[Arrival] = []
        self.sent: set[bytes] = set()
        self.lost: set[bytes] = set()
        self.got: list[bytes] = []
        self.n = 0
        self._emit("NBIRTH", self.bd)

    def _emit(self, kind: str, bd: int | None = None) -> None:
        if kind == "NBIRTH":
            self.seq = 0
        tag = f"{kind}-{self.n}"
        self.n += 1
        self.flight.append(self.world.make(kind, None if kind == "NDEATH" else self.seq, bd, tag=tag))
        self.sent.add(tag.encode())
        self.seq = (self.seq + 1) % 256

    def _take(self, taken: list[Arrival]) -> None:
        self.got += [one.payload for one in taken]

    @rule()
    def data(self) -> None:
        self._emit("NDATA")

    @precondition(lambda self: self.flight)
    @rule(at=st.integers(0, 5))
    def deliver(self, at: int) -> None:
        item = self.flight.pop(at % len(self.flight))
        self._take(self.world.sessions.arrive(item, self.world.now))

    @precondition(lambda self: self.flight)
    @rule()
    def lose(self) -> None:
        self.lost.add(self.flight.pop(0).payload)

    @precondition(lambda self: self.flight)
    @rule()
    def repeat(self) -> None:
        self.flight.append(self.flight[0])

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0]))
    def time(self, seconds: float) -> None:
        self.world.now += int(seconds * SECOND)
        self._take(self.world.sessions.due(self.world.now))

    @rule()
    def reconnect(self) -> None:
        self._emit("NDEATH", self.bd)
        self.bd += 1
        self._emit("NBIRTH", self.bd)

    @invariant()
    def bounded_and_consistent(self) -> None:
        sessions = self.world.sessions
        held = sum(len(item.payload) for session in sessions for item in session.held.values())
        assert held == sessions.held_bytes
        for session in sessions:
            assert len(session.held) < 64
            assert bool(session.held) == bool(session.deadline)
            assert session.expected not in session.held
            assert not (session.tail.startswith(b"\x18") and len(session.tail) < 4) or session.alive

    def teardown(self) -> None:
        """After the link is well again, every datum that was not lost has been taken, and the node is in order."""
        while self.flight:
            self._take(self.world.sessions.arrive(self.flight.pop(0), self.world.now))
        self.world.now += 10 * SECOND
        self._take(self.world.sessions.due(self.world.now))
        data = {tag for tag in self.sent - self.lost if tag.startswith(b"NDATA")}
        assert data <= set(self.got) | {item.payload for item in self.world.dropped}
        assert not any(item.payload in data - set(self.got) for item in self.world.dropped)
        self.bd += 1
        self._emit("NBIRTH", self.bd)
        for _ in range(3):
            self._emit("NDATA")
        asked = len(self.world.asked)
        before = len(self.got)
        while self.flight:
            self._take(self.world.sessions.arrive(self.flight.pop(0), self.world.now))
        assert [tag.split(b"-")[0] for tag in self.got[before:]] == [b"NBIRTH", b"NDATA", b"NDATA", b"NDATA"]
        assert len(self.world.asked) == asked


LossyLink.TestCase.settings = settings(max_examples=40, stateful_step_count=40)
TestLossyLink = LossyLink.TestCase


def test_deadlines_are_met_in_order() -> None:
    """Many nodes wait; each is released when its own time has come."""
    world = World()
    released: list[tuple[int, str]] = []
    for n in range(50):
        edge = f"g/{n}"
        for kind, seq in (("NBIRTH", 0), ("NDATA", 5)):
            world.sessions.arrive(Arrival(kind, edge, edge, seq, 0, WRITER, b"x", world.now, None, "t"), world.now)
        world.now += SECOND // 10
        released += [(world.now, one.edge) for one in world.sessions.due(world.now)]
    while world.sessions.next_deadline:
        world.now = max(world.now, world.sessions.next_deadline)
        released += [(world.now, one.edge) for one in world.sessions.due(world.now)]
    assert [edge for _, edge in released] == [f"g/{n}" for n in range(50)]
    assert all(before[0] <= after[0] for before, after in pairwise(released))
