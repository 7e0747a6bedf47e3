"""Alarms in the records: idempotent, safe against people who act at the same time, closed to other tenants."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from gongfu.kernel.errors import Problem
from gongfu.kernel.times import parse_rfc3339
from gongfu.reason.alarms.ledger import AlarmLedger
from gongfu.reason.alarms.service import AlarmService
from gongfu.reason.alarms.types import AlarmEvent, alarm_id
from gongfu.reason.rules.records import add
from gongfu.reason.rules.transitions import Transition
from gongfu.reason.rules.types import Rule
from gongfu.store.records.engine import writing
from tests.contract.reason.plant import START, Plant, body


class Desk:
    """Everything that touches alarms."""

    def __init__(self, engine: Engine) -> None:
        self.plant = Plant(engine)
        self.series = self.plant.point("plant/kiln", "temp", unit="Cel")
        with writing(engine) as connection:
            self.rule: Rule = add(connection, 1, body(message="{asset} {point} {value}{unit} > {limit} {x}"), 1)
        self.events: list[AlarmEvent] = []
        self.service = AlarmService(engine, self.plant.clock, self.events.append)
        self.ledger = AlarmLedger(engine)

    def told(self, raised: bool, time: int, raised_at: int | None = None, removed: bool = False) -> Transition:
        at = START + (time if raised_at is None else raised_at)
        return Transition(self.rule.id, self.series, raised, START + time, at, 12.5, removed)

    def apply(self, *transitions: Transition) -> list[AlarmEvent]:
        return self.ledger.apply(transitions, {self.rule.id: self.rule}, self.plant.clock.now)

    def key(self, raised_at: int) -> str:
        return alarm_id(self.rule.id, self.series, START + raised_at)

    def state(self, raised_at: int) -> str:
        return self.service.get(self.plant.subject(), self.key(raised_at)).state


@pytest.fixture
def desk(records: Engine) -> Desk:
    return Desk(records)


def test_life_of_an_alarm(desk: Desk) -> None:
    (event,) = desk.apply(desk.told(True, 5))
    alarm = event.alarm
    assert (event.tenant, alarm.state, alarm.asset_path, alarm.point) == (
        1, "unacknowledged_active", "plant/kiln", "temp",
    )  # fmt: skip
    assert alarm.message == "plant/kiln temp 12.5Cel > 10 {x}"
    assert (alarm.value, alarm.limit, alarm.unit) == (12.5, 10.0, "Cel")
    assert alarm.raised_at == "2023-11-14T22:13:20.000000005Z"
    acknowledged = desk.service.acknowledge(desk.plant.subject(), alarm.id, "seen")
    assert (acknowledged.state, acknowledged.acknowledged_by) == ("acknowledged_active", "anna")
    assert [item.alarm.state for item in desk.apply(desk.told(False, 9, 5))] == ["closed"]
    journal = desk.service.get(desk.plant.subject(), alarm.id).journal
    assert journal is not None
    assert [(item.change, item.by, item.comment) for item in journal] == [
        ("raised", "", ""),
        ("acknowledged", "anna", "seen"),
        ("returned", "", ""),
    ]
    assert [item.alarm.state for item in desk.events] == ["acknowledged_active"]


def test_replay_changes_nothing(desk: Desk) -> None:
    story = [desk.told(True, 1), desk.told(False, 2, 1), desk.told(True, 3), desk.told(False, 4, 3), desk.told(True, 5)]
    desk.apply(*story)
    desk.service.acknowledge(desk.plant.subject(), desk.key(5), "")
    before = [desk.service.get(desk.plant.subject(), desk.key(at)) for at in (1, 3, 5)]
    assert [alarm.state for alarm in before] == ["closed", "closed", "acknowledged_active"]
    assert desk.apply(*story) == []
    for item in story:
        assert desk.apply(item) == []
    assert [desk.service.get(desk.plant.subject(), desk.key(at)) for at in (1, 3, 5)] == before


def test_a_new_occurrence_supersedes_one_that_nobody_acknowledged(desk: Desk) -> None:
    desk.apply(desk.told(True, 1), desk.told(False, 2, 1), desk.told(True, 3))
    assert (desk.state(1), desk.state(3)) == ("closed", "unacknowledged_active")
    assert desk.service.totals(1) == {"unacknowledged": 1, "acknowledged": 0, "returned": 0}
    assert desk.service.totals(2) == {"unacknowledged": 0, "acknowledged": 0, "returned": 0}


def test_acknowledge_twice_or_after_the_end_is_a_conflict_that_says_who(desk: Desk) -> None:
    desk.apply(desk.told(True, 1))
    desk.service.acknowledge(desk.plant.subject(), desk.key(1), "")
    with pytest.raises(Problem, match="anna acknowledged it") as caught:
        desk.service.acknowledge(desk.plant.subject(), desk.key(1), "")
    assert caught.value.status == 409
    desk.service.clear(desk.plant.subject(), desk.key(1), "sensor is being replaced")
    assert desk.state(1) == "closed"
    with pytest.raises(Problem):
        desk.service.clear(desk.plant.subject(), desk.key(1), "")
    assert desk.apply(desk.told(False, 9, 1)) == []


def test_other_tenants_see_nothing(desk: Desk) -> None:
    desk.apply(desk.told(True, 1))
    stranger = desk.plant.subject(of=2)
    for act in (
        lambda: desk.service.get(stranger, desk.key(1)),
        lambda: desk.service.acknowledge(stranger, desk.key(1), ""),
        lambda: desk.service.clear(stranger, desk.key(1), ""),
    ):
        with pytest.raises(Problem) as caught:
            act()
        assert caught.value.status == 404
    assert desk.service.page(stranger, "all", None, None, None, 10) == ([], None)


def test_many_acknowledge_at_once_and_one_succeeds_while_the_worker_returns_it(desk: Desk) -> None:
    desk.apply(desk.told(True, 1))
    barrier = threading.Barrier(6)

    def acknowledge(_: int) -> int:
        barrier.wait(60)
        try:
            desk.service.acknowledge(desk.plant.subject(), desk.key(1), "")
        except Problem as problem:
            return problem.status
        return 200

    def give_back() -> None:
        barrier.wait(60)
        desk.apply(desk.told(False, 9, 1))

    with ThreadPoolExecutor(6) as pool:
        returned = pool.submit(give_back)
        results = sorted(pool.map(acknowledge, range(5)))
        returned.result()
    assert results == [200, 409, 409, 409, 409]
    assert desk.state(1) == "closed"
    journal = desk.service.get(desk.plant.subject(), desk.key(1)).journal
    assert journal is not None
    assert sorted(item.change for item in journal) == ["acknowledged", "raised", "returned"]


def test_pages_and_filters(desk: Desk) -> None:
    other = desk.plant.point("plant/kiln 2/motor", "temp")
    first = desk.series
    for at in range(10):
        desk.series = other if at == 4 else first
        desk.apply(desk.told(True, at), desk.told(False, at, at))
    subject = desk.plant.subject()
    seen, after = [], None
    while True:
        items, after = desk.service.page(subject, "all", None, None, after, 3)
        seen += [parse_rfc3339(item.raised_at) for item in items]
        if after is None:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == 10
    of_asset = [item.asset_path for item in desk.service.page(subject, "all", None, "plant/kiln 2", None, 50)[0]]
    assert of_asset == ["plant/kiln 2/motor"]
    assert len(desk.service.page(subject, "all", None, "plant/kiln", None, 50)[0]) == 9
    assert len(desk.service.page(subject, "unacknowledged", None, None, None, 50)[0]) == 2
    assert desk.service.page(subject, "all", "critical", None, None, 50)[0] == []


def test_an_alarm_whose_state_was_lost_returns(desk: Desk) -> None:
    desk.apply(desk.told(True, 1))
    assert desk.ledger.return_stale({(desk.rule.id, desk.series)}, START + 50) == []
    assert [item.alarm.state for item in desk.ledger.return_stale(set(), START + 50)] == ["unacknowledged_returned"]


def test_raise_of_a_rule_or_point_that_is_gone_is_no_alarm(desk: Desk) -> None:
    assert desk.ledger.apply([desk.told(True, 1)], {}, START) == []
    desk.plant.delete_point(desk.series)
    assert desk.apply(desk.told(True, 1)) == []
    assert desk.apply(desk.told(False, 2, 1)) == []
