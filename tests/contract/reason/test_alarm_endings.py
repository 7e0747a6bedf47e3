"""What hides an alarm ends, and what ended begins again: nothing stays hidden or lost for good."""

import pytest
from sqlalchemy import Engine, event

from gongfu.kernel.times import SECOND
from gongfu.reason.alarms.kpi import records as kpi
from gongfu.reason.alarms.rationalisation.csv_format import read_csv, write_csv
from gongfu.reason.alarms.rationalisation.service import RationalisationService
from gongfu.reason.alarms.rationalisation.types import Record
from gongfu.reason.alarms.service import AlarmService
from gongfu.reason.alarms.sources.ledger import SourceLedger
from gongfu.reason.alarms.suppression import records as suppressions
from gongfu.reason.alarms.suppression.types import Design, Pattern, PointCause, ShelveBody
from gongfu.store.records.engine import reading, writing
from tests.contract.reason.plant import START, Plant
from tests.contract.reason.test_alarm_lifecycle import ShelvingDesk
from tests.contract.reason.test_alarm_sources import report

DAY = 86_400


@pytest.fixture
def desk(records: Engine) -> ShelvingDesk:
    return ShelvingDesk(records)


def test_an_alarm_raised_under_a_shelf_that_was_ending_comes_back(desk: ShelvingDesk) -> None:
    made = desk.suppressions.shelve(desk.plant.subject(), ShelveBody(asset="**", reason="r", seconds=DAY))
    desk.apply(desk.told(True, 1))
    # As if the raise had been decided while the shelf's end was being committed: nobody aligned this alarm.
    with writing(desk.engine) as connection:
        suppressions.end(connection, made.id, START, "anna")
    desk.tick(1)
    assert desk.state(1) == "unacknowledged_active"


def test_a_second_shelf_goes_on_when_the_first_ends(desk: ShelvingDesk) -> None:
    subject = desk.plant.subject()
    first = desk.suppressions.shelve(subject, ShelveBody(asset="**", reason="r", seconds=DAY))
    second = desk.suppressions.shelve(subject, ShelveBody(asset="**", reason="r", seconds=DAY))
    desk.apply(desk.told(True, 1))
    desk.suppressions.end(subject, first.id, "")
    desk.tick(1)
    alarm = desk.service.get(subject, desk.key(1))
    assert (alarm.state, alarm.suppressed_by) == ("shelved", second.id)


def test_a_design_that_is_deleted_holds_nothing_any_more(desk: ShelvingDesk) -> None:
    subject = desk.plant.subject()
    running = desk.plant.point("plant/kiln", "running")
    cause = PointCause(asset="plant/kiln", point="running", operator="==", value=0)
    made = desk.suppressions.put_design(subject, 0, Design(name="off", cause=cause, suppresses=[Pattern()], hold_s=DAY))
    desk.values = {running: 0.0}
    desk.tick(20)
    desk.apply(desk.told(True, 1))
    assert desk.state(1) == "suppressed_by_design"
    desk.values = {running: 1.0}
    desk.tick(1)  # held from now on
    assert desk.state(1) == "suppressed_by_design"
    desk.suppressions.remove_design(subject, made.id)
    desk.tick(1)
    desk.tick(1)
    assert desk.state(1) == "unacknowledged_active"


@pytest.mark.parametrize("time", [5, 60], ids=["told again", "a clock that is behind"])
def test_a_return_that_only_the_node_noticed_keeps_no_alarm_away(records: Engine, time: int) -> None:
    plant = Plant(records)
    ledger, service = SourceLedger(records), AlarmService(records, plant.clock, lambda event: None)
    (first,), _ = ledger.apply([report(True, 5)], START)
    gone = report(False, 900, noticed=True)
    assert ledger.apply([gone], START)[0][0].state == "unacknowledged_returned"
    (again,), _ = ledger.apply([report(True, time)], START)
    assert (again.state, again.changed) == ("unacknowledged_active", True)
    assert again.id != first.id
    for old in ([report(True, time)], [report(True, 4)]):
        assert not ledger.apply(old, START)[0][0].changed
    assert ledger.apply([report(False, time + 1)], START)[0][0].state == "unacknowledged_returned"
    assert not ledger.apply([report(True, time)], START)[0][0].changed
    assert len(service.page(plant.subject(), "all", None, None, None, 10)[0]) == 2


def test_a_shelf_ends_in_time_although_the_clock_was_wrong_when_it_began(desk: ShelvingDesk) -> None:
    desk.apply(desk.told(True, 1))
    subject = desk.plant.subject()
    desk.plant.clock.now += 3650 * DAY * SECOND
    made = desk.suppressions.shelve(subject, ShelveBody(asset="plant/*", reason="noise", seconds=3600))
    assert desk.state(1) == "shelved"
    desk.plant.clock.now -= 3650 * DAY * SECOND
    desk.tick(1)
    (shelf,) = desk.suppressions.list_of(subject, ended=False)
    assert (shelf.id, shelf.until) == (made.id, "2023-11-14T23:13:21Z")
    desk.tick(3590)
    assert desk.state(1) == "shelved"
    desk.tick(20)
    assert desk.state(1) == "unacknowledged_active"
    told = [item.detail for item in desk.suppressions.operations(subject, None, 10)[0]]
    assert told == ["time is over", "the clock was set back; it ends in 3600 s", "noise"]


def test_an_alarm_that_was_acknowledged_in_the_future_comes_again(desk: ShelvingDesk) -> None:
    desk.rationalise(realarm_s=600)
    desk.apply(desk.told(True, 1))
    desk.plant.clock.now += 3650 * DAY * SECOND
    desk.service.acknowledge(desk.plant.subject(), desk.key(1), "")
    desk.plant.clock.now -= 3650 * DAY * SECOND
    desk.tick(1)
    assert desk.state(1) == "unacknowledged_active"


def test_alarms_that_stood_then_are_stale_then_although_they_returned_since(desk: ShelvingDesk) -> None:
    desk.apply(desk.told(True, 1))
    desk.apply(desk.told(False, 3 * DAY * SECOND, 1))
    with reading(desk.engine) as connection:
        assert len(kpi.stale(connection, 1, START + 2 * DAY * SECOND)) == 1
        assert kpi.stale(connection, 1, START + 4 * DAY * SECOND) == []


def test_a_large_import_costs_a_few_statements(desk: ShelvingDesk) -> None:
    subject = desk.plant.subject()
    service = RationalisationService(desk.engine, desk.plant.clock)
    items = [Record(source="app:x", asset=f"plant/{number}", cause="c") for number in range(300)]
    service.put(subject, items[7])
    content = write_csv([*items, items[9]], str).encode()
    statements: list[str] = []

    def note(*arguments: object) -> None:
        statements.append(str(arguments[2]))

    event.listen(desk.engine, "before_cursor_execute", note)
    try:
        assert service.take(subject, content) == 301
    finally:
        event.remove(desk.engine, "before_cursor_execute", note)
    assert len(statements) < 40
    listed = service.list_of(subject)
    assert sorted(item.record.asset for item in listed) == sorted(item.asset for item in items)
    written = [item for item in desk.suppressions.operations(subject, None, 400)[0] if item.operation == "rationalised"]
    assert {item.resource for item in written} == {f"rationalisation/{item.id}" for item in listed}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "'=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    record = Record(source="app:x", cause=text)
    content = write_csv([record], str)
    assert f"'{text}" in content
    assert read_csv(content.encode(), lambda name: None) == [record]
