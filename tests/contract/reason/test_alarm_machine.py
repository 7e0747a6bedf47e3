"""The life cycle as a state machine: any order of raises, returns, replays and acts of people."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from gongfu.kernel.errors import Problem
from gongfu.reason.alarms.states import NEXT, Change, State, next_state
from gongfu.reason.rules.transitions import Transition
from gongfu.store.records.engine import open_records
from tests.contract.reason.test_alarms import Desk


class AlarmMachine(RuleBasedStateMachine):
    """One rule on one series; the model keeps the state of each occurrence by the words of ISA-18.2."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp()
        path = shutil.copyfile(self.template, Path(self.directory) / "records.db")
        self.engine = open_records(f"sqlite:///{path}")
        self.desk = Desk(self.engine)
        self.time = 0
        self.active: int | None = None
        self.occurrences: dict[int, tuple[bool, bool]] = {}  # raised at -> (active, asks for acknowledgement)
        self.closed: set[int] = set()
        self.story: list[Transition] = []

    def teardown(self) -> None:
        self.engine.dispose()
        shutil.rmtree(self.directory)

    def tell(self, transition: Transition) -> None:
        self.story.append(transition)
        self.desk.apply(transition)

    @precondition(lambda self: self.active is None)
    @rule()
    def raises(self) -> None:
        self.time += 1
        for earlier in set(self.occurrences) - self.closed:
            self.closed.add(earlier)
        self.active = self.time
        self.occurrences[self.time] = (True, True)
        self.tell(self.desk.told(True, self.time))

    @precondition(lambda self: self.active is not None)
    @rule()
    def returns(self) -> None:
        assert self.active is not None
        self.time += 1
        _, asks = self.occurrences[self.active]
        self.occurrences[self.active] = (False, asks)
        if not asks:
            self.closed.add(self.active)
        self.tell(self.desk.told(False, self.time, self.active))
        self.active = None

    @precondition(lambda self: self.occurrences)
    @rule(data=st.data(), clear=st.booleans())
    def a_person_acts(self, data: st.DataObject, clear: bool) -> None:
        at = data.draw(st.sampled_from(sorted(self.occurrences)))
        active, asks = self.occurrences[at]
        possible = at not in self.closed and (clear or asks)
        act = self.desk.service.clear if clear else self.desk.service.acknowledge
        if not possible:
            with pytest.raises(Problem, match="the alarm is"):
                act(self.desk.plant.subject(), self.desk.key(at), "")
            return
        act(self.desk.plant.subject(), self.desk.key(at), "")
        self.occurrences[at] = (active, False)
        if clear or not active:
            self.closed.add(at)

    @precondition(lambda self: self.story)
    @rule(data=st.data())
    def the_worker_restarts_and_tells_again(self, data: st.DataObject) -> None:
        start = data.draw(st.integers(0, len(self.story) - 1))
        assert self.desk.apply(*self.story[start:]) == []

    @invariant()
    def states_are_those_of_the_model(self) -> None:
        names = {
            (True, True): "unacknowledged_active",
            (True, False): "acknowledged_active",
            (False, True): "unacknowledged_returned",
        }
        for at, (active, asks) in self.occurrences.items():
            expected = "closed" if at in self.closed else names[active, asks]
            assert self.desk.state(at) == expected

    @invariant()
    def at_most_one_is_open(self) -> None:
        assert sum(self.desk.service.totals(1).values()) == len(set(self.occurrences) - self.closed) <= 1


@pytest.mark.usefixtures("sqlite_template")
def test_any_order_of_events(sqlite_template: Path) -> None:
    AlarmMachine.template = sqlite_template
    run_state_machine_as_test(AlarmMachine, settings=settings(max_examples=25, stateful_step_count=15, deadline=None))


def test_every_state_is_reached_and_closed_is_the_end() -> None:
    assert set(NEXT.values()) == set(State)
    assert all(next_state(State.CLOSED, change) is None for change in Change)
    for state in set(State) - {State.CLOSED}:
        assert any(next_state(state, change) for change in Change)
