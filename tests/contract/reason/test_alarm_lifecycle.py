"""Suppression, latching and re-alarm: any order of what happens, against a reference that knows no table."""

import asyncio
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine

from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Role
from gongfu.kernel.times import SECOND
from gongfu.reason.alarms.caretaker import Caretaker
from gongfu.reason.alarms.operations.service import SuppressionService
from gongfu.reason.alarms.rationalisation import records as rationalisations
from gongfu.reason.alarms.rationalisation.types import Record
from gongfu.reason.alarms.states import NEXT, SUPPRESSED, TABLE, Change, State, next_state
from gongfu.reason.alarms.suppression.types import (
    AlarmCause,
    Design,
    FirstOut,
    Pattern,
    PointCause,
    Scope,
    ServiceBody,
    ShelveBody,
)
from gongfu.reason.alarms.types import AlarmEvent, alarm_id
from gongfu.reason.rules.records import add
from gongfu.reason.rules.transitions import Transition
from gongfu.store.records.engine import open_records, writing
from tests.contract.reason.plant import START, body
from tests.contract.reason.test_alarms import Desk

REALARM_S = 600


class ShelvingDesk(Desk):
    """Everything that touches alarms, with suppression and its clock."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.engine = engine
        self.suppressions = SuppressionService(engine, self.plant.clock, self.events.append)
        self.values: dict[int, float] | None = {}
        self.caretaker = Caretaker(engine, self.plant.clock, self._latest, self._announce, Counters())

    async def _latest(self, series: Sequence[int]) -> Mapping[int, float] | None:
        return self.values

    async def _announce(self, events: Sequence[AlarmEvent]) -> None:
        self.events += events

    def tick(self, seconds: float = 0.0) -> None:
        self.plant.clock.now += round(seconds * SECOND)
        asyncio.run(self.caretaker.tick())

    def rationalise(self, **members: object) -> None:
        record = Record(rule_id=self.rule.id, **members)  # pyright: ignore[reportArgumentType]
        with writing(self.engine) as connection:
            rationalisations.put(connection, 1, [record], START, "eva")


@dataclass
class Occurrence:
    """What is known of one occurrence, in the words of the standard's text."""

    standing: bool = True
    asks: bool = True
    latched: bool = False
    over: bool = False
    acknowledged: int = 0


@dataclass
class Reference:
    """One alarm by the text of ISA-18.2 §5.4: no table, no states, only facts."""

    latching: bool
    realarm: bool
    shelved: bool = False
    out: bool = False
    occurrences: dict[int, Occurrence] = field(default_factory=dict)

    def state(self, one: Occurrence) -> str:
        if one.over:
            return "closed"
        if one.standing and self.out:
            return "out_of_service"
        if one.standing and self.shelved:
            return "shelved"
        if one.standing:
            return "unacknowledged_active" if one.asks else "acknowledged_active"
        if one.latched:
            return "latched_unacknowledged" if one.asks else "latched_acknowledged"
        return "unacknowledged_returned"

    def suppress(self) -> None:
        for one in self.occurrences.values():
            if not one.over and not one.standing and not one.latched:
                one.over = True

    def release(self) -> None:
        for one in self.occurrences.values():
            if not one.over and one.standing and not (self.shelved or self.out):
                one.asks = True


class LifecycleMachine(RuleBasedStateMachine):
    """One rule on one series, with everything that can happen to its alarm."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp()
        path = shutil.copyfile(self.template, Path(self.directory) / "records.db")
        self.engine = open_records(f"sqlite:///{path}")
        self.desk = ShelvingDesk(self.engine)
        self.time = 0
        self.story: list[Transition] = []
        self.shelf = self.service = 0

    def teardown(self) -> None:
        self.engine.dispose()
        shutil.rmtree(self.directory)

    @initialize(latching=st.booleans(), realarm=st.booleans())
    def rationalise(self, latching: bool, realarm: bool) -> None:
        self.reference = Reference(latching, realarm)
        self.desk.rationalise(latching=latching, realarm_s=REALARM_S if realarm else 0)

    def tell(self, transition: Transition) -> None:
        self.story.append(transition)
        self.desk.apply(transition)

    def standing(self) -> int | None:
        """The raise whose condition holds, whatever people did about its alarm."""
        told = [item for item in self.story if item.raised or item.raised_at]
        return told[-1].raised_at - START if told and told[-1].raised else None

    @precondition(lambda self: self.standing() is None)
    @rule()
    def raises(self) -> None:
        self.time += 1
        for one in self.reference.occurrences.values():
            one.over = True
        self.reference.occurrences[self.time] = Occurrence()
        self.tell(self.desk.told(True, self.time))

    @precondition(lambda self: self.standing() is not None)
    @rule()
    def returns(self) -> None:
        raised = self.standing()
        assert raised is not None
        self.time += 1
        one = self.reference.occurrences[raised]
        if not one.over:
            hidden = self.reference.shelved or self.reference.out
            one.latched = self.reference.latching and not hidden
            one.over = hidden or not (one.asks or one.latched)
        one.standing = False
        self.tell(self.desk.told(False, self.time, raised))

    @precondition(lambda self: self.reference.occurrences)
    @rule(data=st.data(), act=st.sampled_from(["acknowledge", "reset", "clear"]))
    def a_person_acts(self, data: st.DataObject, act: str) -> None:
        at = data.draw(st.sampled_from(sorted(self.reference.occurrences)))
        one = self.reference.occurrences[at]
        state = self.reference.state(one)
        possible = {
            "acknowledge": "unacknowledged" in state,
            "reset": "latched" in state,
            "clear": not one.over,
        }[act]
        call = getattr(self.desk.service, act)
        if not possible:
            with pytest.raises(Problem, match="the alarm is"):
                call(self.desk.plant.subject(), self.desk.key(at), "")
            return
        call(self.desk.plant.subject(), self.desk.key(at), "")
        if act == "acknowledge":
            one.asks, one.acknowledged = False, self.desk.plant.clock.now
        elif act == "reset":
            one.latched = False
        one.over = act == "clear" or not (one.standing or one.asks or one.latched)

    @precondition(lambda self: not self.reference.shelved)
    @rule(wide=st.booleans())
    def is_shelved(self, wide: bool) -> None:
        wish = ShelveBody(asset="plant/*" if wide else "plant/kiln", reason="noise", seconds=3600)
        self.shelf = self.desk.suppressions.shelve(self.desk.plant.subject(), wish).id
        self.reference.shelved = True
        self.reference.suppress()

    @precondition(lambda self: self.reference.shelved)
    @rule(by_time=st.booleans())
    def is_unshelved(self, by_time: bool) -> None:
        if by_time:
            self.desk.tick(3601)
            self.realarms()
        else:
            self.desk.suppressions.end(self.desk.plant.subject(), self.shelf, "done")
        self.reference.shelved = False
        self.reference.release()

    @precondition(lambda self: not self.reference.out)
    @rule()
    def is_taken_out_of_service(self) -> None:
        wish = ServiceBody(asset="**", reason="replaced", work_order="WO-7", rule_id=self.desk.rule.id)
        self.service = self.desk.suppressions.take_out_of_service(self.desk.plant.subject(), wish).id
        self.reference.out = True
        self.reference.suppress()

    @precondition(lambda self: self.reference.out)
    @rule()
    def is_put_back(self) -> None:
        self.desk.suppressions.end(self.desk.plant.subject(), self.service, "")
        self.reference.out = False
        self.reference.release()

    def realarms(self) -> None:
        for one in self.reference.occurrences.values():
            since = self.desk.plant.clock.now - one.acknowledged
            told = self.reference.state(one) == "acknowledged_active"
            if self.reference.realarm and told and since >= REALARM_S * SECOND:
                one.asks = True

    @rule(seconds=st.sampled_from([1, 100, 601]))
    def time_passes(self, seconds: int) -> None:
        if self.reference.shelved:
            seconds = 1
        self.desk.tick(seconds)
        self.realarms()

    @precondition(lambda self: self.story)
    @rule(data=st.data())
    def the_worker_restarts_and_tells_again(self, data: st.DataObject) -> None:
        start = data.draw(st.integers(0, len(self.story) - 1))
        assert self.desk.apply(*self.story[start:]) == []

    @invariant()
    def states_are_those_of_the_reference(self) -> None:
        for at, one in getattr(self, "reference", Reference(False, False)).occurrences.items():
            alarm = self.desk.service.get(self.desk.plant.subject(), self.desk.key(at))
            assert alarm.state == self.reference.state(one)
            assert alarm.journal is not None
            state: State | None = next((one for one in SUPPRESSED if alarm.journal[0].state == one), None)
            for entry in alarm.journal:
                state = next_state(state, Change(entry.change))
                assert state is not None
                assert entry.state == state
            assert state == alarm.state


@pytest.mark.usefixtures("sqlite_template")
def test_any_order_of_what_happens(sqlite_template: Path) -> None:
    LifecycleMachine.template = sqlite_template
    run_state_machine_as_test(
        LifecycleMachine, settings=settings(max_examples=12, stateful_step_count=20, deadline=None)
    )


def test_the_table_says_each_change_once_and_reaches_all_states() -> None:
    assert len(TABLE) == len(NEXT)
    assert {row.next for row in TABLE} == set(State)
    assert all(len(change) <= 16 for change in Change)


# What is known in each state: whether the condition stands, an acknowledgement is asked for, the alarm is latched, and
# what suppresses it.
FACTS: dict[str, tuple[bool, bool, bool, str]] = {
    "unacknowledged_active": (True, True, False, ""),
    "acknowledged_active": (True, False, False, ""),
    "unacknowledged_returned": (False, True, False, ""),
    "latched_unacknowledged": (False, True, True, ""),
    "latched_acknowledged": (False, False, True, ""),
    "shelved": (True, False, False, "shelved"),
    "suppressed_by_design": (True, False, False, "suppressed"),
    "out_of_service": (True, False, False, "out_of_service"),
}
ENDS = {"unshelved": "shelved", "unsuppressed": "suppressed", "in_service": "out_of_service"}


def by_facts(state: str, change: str) -> str | None:
    """Return the state after a change by what is known of it; None when the change makes no sense."""
    stands, asks, latched, hidden = FACTS[state]
    if change == "cleared":
        return "closed"
    if change == "raised":
        return state if hidden else None
    if change == "superseded":
        return None if stands else "closed"
    if change == "acknowledged" and asks:
        asks = False
    elif change == "returned" and stands:
        stands, asks, hidden = False, asks and not hidden, ""
    elif change == "latched" and stands and not hidden:
        stands, latched = False, True
    elif change == "reset" and latched:
        latched = False
    elif change == "realarmed" and stands and not asks and not hidden:
        asks = True
    elif change in ENDS.values() and hidden != change and not latched:
        asks, hidden = False, change
    elif hidden and ENDS.get(change) == hidden:
        asks, hidden = True, ""
    else:
        return None
    found = [name for name, facts in FACTS.items() if facts == (stands, asks, latched, hidden if stands else "")]
    return found[0] if found else "closed"


@pytest.mark.parametrize("state", list(FACTS))
def test_every_cell_of_the_table_follows_from_what_is_known(state: str) -> None:
    for change in Change:
        assert next_state(State(state), change) == by_facts(state, change), change


@pytest.fixture
def desk(records: Engine) -> ShelvingDesk:
    return ShelvingDesk(records)


def test_a_pump_that_stands_still_needs_no_alarm_of_low_flow(desk: ShelvingDesk) -> None:
    running = desk.plant.point("plant/kiln", "running")
    design = Design(
        name="stopped",
        cause=PointCause(asset="plant/*", point="running", operator="==", value=0),
        suppresses=[Pattern(point="temp")],
        hold_s=30,
    )
    desk.suppressions.put_design(desk.plant.subject(), 0, design)
    # At the moment of the raise, before any caretaker looked: the worker has the latest value.
    desk.ledger.look_at({running: 0.0}.get)
    desk.apply(desk.told(True, 1))
    assert desk.state(1) == "suppressed_by_design"
    desk.values = {running: 0.0}
    desk.tick(1)
    desk.tick(1)
    assert desk.state(1) == "suppressed_by_design"
    desk.values = {running: 1.0}
    desk.tick(10)
    desk.tick(10)
    assert desk.state(1) == "suppressed_by_design"  # for 30 s
    desk.tick(25)
    assert desk.state(1) == "unacknowledged_active"
    words = [entry.operation for entry in desk.suppressions.operations(desk.plant.subject(), None, 9)[0]]
    assert words == ["unsuppressed", "suppressed", "design"]
    desk.values = {running: 0.0}
    desk.tick(1)
    assert desk.state(1) == "suppressed_by_design"
    (row,) = desk.suppressions.list_of(desk.plant.subject(), ended=False)
    with pytest.raises(Problem, match="ends with its cause"):
        desk.suppressions.end(desk.plant.subject(), row.id, "")
    desk.suppressions.remove_design(desk.plant.subject(), row.design_id)
    desk.tick(20)
    desk.tick(1)
    assert desk.state(1) == "unacknowledged_active"


def test_of_cause_and_consequence_the_cause_is_told(desk: ShelvingDesk) -> None:
    with writing(desk.engine) as connection:
        other = add(connection, 1, body(name="consequence"), 1)
    design = Design(
        name="trip",
        cause=AlarmCause(rule_id=desk.rule.id),
        suppresses=[Pattern(rule_id=other.id)],
        scope=Scope.BESIDE,
    )
    desk.suppressions.put_design(desk.plant.subject(), 0, design)
    rules = {desk.rule.id: desk.rule, other.id: other}
    beside = desk.plant.point("plant/fan", "temp")
    cause = desk.told(True, 1)
    follows = Transition(other.id, beside, True, START + 2, START + 2, 1.0)
    desk.ledger.apply([cause, follows], rules, START)
    key = alarm_id(other.id, beside, START + 2)
    assert desk.service.get(desk.plant.subject(), key).state == "suppressed_by_design"
    desk.tick(1)
    assert desk.service.get(desk.plant.subject(), key).state == "suppressed_by_design"
    assert desk.state(1) == "unacknowledged_active"
    desk.apply(desk.told(False, 9, 1))
    desk.tick(1)
    assert desk.service.get(desk.plant.subject(), key).state == "unacknowledged_active"


def test_first_out_tells_the_first_of_a_group(desk: ShelvingDesk) -> None:
    design = Design(name="trip", cause=FirstOut(), suppresses=[Pattern(asset="plant/*")], scope=Scope.ANY)
    desk.suppressions.put_design(desk.plant.subject(), 0, design)
    series = [desk.plant.point(f"plant/{name}", "temp") for name in ("a", "b", "c")]
    raised = [Transition(desk.rule.id, key, True, START + at, START + at, 1.0) for at, key in enumerate(series)]
    desk.apply(*raised[:2])
    desk.apply(raised[2])

    def states() -> list[str]:
        keys = [alarm_id(desk.rule.id, key, START + at) for at, key in enumerate(series)]
        return [desk.service.get(desk.plant.subject(), key).state for key in keys]

    hidden = "suppressed_by_design"
    assert states() == ["unacknowledged_active", hidden, hidden]
    desk.tick(1)
    assert states() == ["unacknowledged_active", hidden, hidden]
    desk.apply(Transition(desk.rule.id, series[0], False, START + 9, START, 1.0))
    desk.tick(1)
    desk.tick(1)
    assert states() == ["unacknowledged_returned", "unacknowledged_active", hidden]


def test_shelves_are_closed_to_other_tenants_and_end_once(desk: ShelvingDesk) -> None:
    wish = ShelveBody(asset="plant/kiln", reason="r", seconds=60)
    made = desk.suppressions.shelve(desk.plant.subject(), wish)
    stranger = desk.plant.subject(of=2)
    assert desk.suppressions.list_of(stranger, ended=False) == []
    with pytest.raises(Problem, match="suppression"):
        desk.suppressions.end(stranger, made.id, "")
    desk.suppressions.end(desk.plant.subject(), made.id, "")
    with pytest.raises(Problem, match="it ended at") as caught:
        desk.suppressions.end(desk.plant.subject(), made.id, "")
    assert caught.value.status == 409
    assert [item.ended_by for item in desk.suppressions.list_of(desk.plant.subject(), ended=True)] == ["anna"]
    # A shelf of another tenant hides nothing here.
    desk.suppressions.shelve(stranger, ShelveBody(asset="**", reason="r", seconds=60))
    desk.apply(desk.told(True, 1))
    assert desk.state(1) == "unacknowledged_active"


def test_an_operator_unshelves_and_an_engineer_puts_back(desk: ShelvingDesk) -> None:
    engineer, operator = desk.plant.subject(), desk.plant.subject(Role.OPERATOR)
    shelf = desk.suppressions.shelve(operator, ShelveBody(asset="**", reason="r", seconds=60))
    assert desk.suppressions.end(operator, shelf.id, "").ended_by == "anna"
    out = desk.suppressions.take_out_of_service(engineer, ServiceBody(asset="**", reason="r", work_order="W"))
    with pytest.raises(Problem, match="engineer") as caught:
        desk.suppressions.end(operator, out.id, "")
    assert caught.value.status == 403
    desk.suppressions.end(engineer, out.id, "")


def test_floods_begin_and_end_and_count_what_was_raised(desk: ShelvingDesk) -> None:
    for at in range(1, 25, 2):
        desk.apply(desk.told(True, at), desk.told(False, at + 1, at))
    desk.tick(1)
    desk.tick(400)
    desk.tick(300)
    found = [
        (entry.operation, entry.resource, entry.detail)
        for entry in desk.suppressions.operations(desk.plant.subject(), None, 9)[0]
    ]
    assert found == [
        ("flood_ended", "position/", "12 alarms, 12 at most in 10 minutes, 0 notifications collapsed"),
        ("flood_began", "position/", "12 alarms in 10 minutes"),
    ]
