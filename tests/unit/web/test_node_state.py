from typing import Any

import pytest

from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SECOND
from gongfu.web.metrics_text import metrics_text
from gongfu.web.node_state import HISTORY_SECONDS, NodeState


class SetClock:
    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND

    def now_ns(self) -> int:
        return self.now


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def state(clock: SetClock) -> NodeState:
    return NodeState(Subjects("n"), clock)


def take(state: NodeState, clock: SetClock, role: str = "door-1", pid: int = 1, **figures: Any) -> None:
    state.take({"role": role, "pid": pid, "time": clock.now, **figures})


def test_rates_are_differences_over_the_time_between_messages(state: NodeState, clock: SetClock) -> None:
    take(state, clock, counters={"points_accepted": 100})
    assert state.rate("points_accepted") == 0, "what was counted before is no rate"
    clock.now += 2 * SECOND
    take(state, clock, counters={"points_accepted": 400, "points_shed.saturated": 10, "points_shed.stopping": 4})
    assert state.rate("points_accepted") == 150
    assert state.rate("points_shed.") == 7


def test_roles_are_summed_up(state: NodeState, clock: SetClock) -> None:
    gauges = {"connections": 3, "commit_ms_p99": 2.0}
    for _ in range(2):
        clock.now += SECOND
        for role in ("door-1", "door-2"):
            take(state, clock, role, counters={"messages_received": clock.now // SECOND}, gauges=gauges)
    assert state.rate("messages_received") == 2
    assert state.gauge("connections") == 6
    assert state.gauge("commit_ms_p99", greatest=True) == 2.0
    assert state.gauge("unknown", 7.0) == 7.0
    assert state.doors() == 2


def test_restart_neither_loses_totals_nor_makes_negative_rates(state: NodeState, clock: SetClock) -> None:
    take(state, clock, counters={"points_accepted": 100})
    clock.now += SECOND
    take(state, clock, pid=2, counters={"points_accepted": 5})
    assert state.total("points_accepted") == 105
    assert state.rate("points_accepted") == 0
    clock.now += SECOND
    take(state, clock, pid=2, counters={"points_accepted": 9})
    assert state.total("points_accepted") == 109
    assert state.rate("points_accepted") == 4


def test_silent_role_has_no_rates_and_gauges_but_keeps_its_totals(state: NodeState, clock: SetClock) -> None:
    for _ in range(2):
        clock.now += SECOND
        take(state, clock, counters={"points_accepted": clock.now // SECOND}, gauges={"connections": 3})
    clock.now += 10 * SECOND
    assert state.rate("points_accepted") == 0
    assert state.gauge("connections") == 0
    assert state.doors() == 0
    assert state.total("points_accepted") > 0


def test_history_is_bounded_and_on_whole_seconds(state: NodeState, clock: SetClock) -> None:
    for _ in range(HISTORY_SECONDS + 10):
        clock.now += SECOND + 1
        take(state, clock, counters={"points_accepted": clock.now // SECOND})
        state.sample()
    assert len(state.history) == HISTORY_SECONDS
    assert all(sample.time % SECOND == 0 for sample in state.history)
    assert state.history[-1].points == pytest.approx(1, abs=0.01)


def test_supervisor_brings_the_table_of_processes(state: NodeState, clock: SetClock) -> None:
    take(state, clock, "supervisor", roles=[{"role": "door-1"}])
    take(state, clock, "door-1")
    assert state.processes() == [{"role": "door-1"}]


def test_metrics_text(state: NodeState, clock: SetClock) -> None:
    take(state, clock, 'od"d\n', counters={"points_shed.satu\\rated": 2, "a-b": 1}, gauges={"x": 1.5})
    assert metrics_text(state.roles()) == (
        "# TYPE gongfu_a_b_total counter\n"
        'gongfu_a_b_total{role="od\\"d\\n"} 1\n'
        "# TYPE gongfu_points_shed_total counter\n"
        'gongfu_points_shed_total{role="od\\"d\\n",reason="satu\\\\rated"} 2\n'
        "# TYPE gongfu_x gauge\n"
        'gongfu_x{role="od\\"d\\n"} 1.5\n'
    )
