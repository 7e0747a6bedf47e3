"""Alarms that apps and machines report: one occurrence a raise, whatever is told again."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, select

from gongfu.reason.alarms.records import alarm
from gongfu.reason.alarms.service import AlarmService
from gongfu.reason.alarms.sources.ledger import SourceLedger
from gongfu.reason.alarms.sources.types import SourceAlarm
from gongfu.reason.notify.texts import alarm_message
from gongfu.reason.rules.types import Priority
from tests.contract.reason.plant import START, Plant


def report(active: bool, time: int, **changes: Any) -> SourceAlarm:
    values: dict[str, Any] = {
        "tenant": 1,
        "source": "app:org.example.pump",
        "key": "worn",
        "asset_path": "plant/pump",
        "point": "efficiency",
        "priority": Priority.HIGH,
        "message": "the pump is worn",
        "value": 0.4,
        "active": active,
        "time": START + time,
    }
    return SourceAlarm(**(values | changes))


def test_a_story_told_again_from_anywhere_changes_nothing(records: Engine) -> None:
    plant = Plant(records)
    series = plant.point("plant/pump", "efficiency", unit="1")
    ledger, service = SourceLedger(records), AlarmService(records, plant.clock, lambda event: None)
    story = [report(True, 1), report(True, 2), report(False, 3), report(False, 4), report(True, 5)]
    states, events = ledger.apply(story, START)
    assert [state.changed for state in states] == [True, False, True, False, True]
    assert states[0].id == states[1].id == states[2].id != states[4].id
    assert {event.alarm.state for event in events} == {"closed", "unacknowledged_active"}
    for start in range(len(story)):
        again, nothing = ledger.apply(story[start:], START + 9)
        assert nothing == []
        assert not any(state.changed for state in again)
    ((only,), _) = service.page(plant.subject(), "active", None, None, None, 10)
    assert (only.series, only.source, only.source_key, only.unit) == (series, "app:org.example.pump", "worn", "1")
    told, _ = ledger.apply([report(True, 5, acknowledged=True, by="eva")], START)
    assert (told[0].state, told[0].changed) == ("acknowledged_active", True)
    assert service.get(plant.subject(), only.id).acknowledged_by == "eva"
    assert ledger.apply([report(False, 6)], START)[0][0].state == "closed"
    assert service.page(plant.subject(of=2), "all", None, None, None, 10) == ([], None)


def test_sources_keys_and_tenants_are_apart(records: Engine) -> None:
    Plant(records)
    ledger = SourceLedger(records)
    told = [
        report(True, 1),
        report(True, 1, key="other"),
        report(True, 1, source="connection:plc"),
        report(True, 1, tenant=2),
    ]
    states, _ = ledger.apply(told, START)
    assert len({state.id for state in states}) == 4
    assert ledger.apply([report(True, 1, tenant=77)], START)[0][0].id == ""


def test_an_alarm_may_have_its_text_in_chinese_too(records: Engine) -> None:
    plant = Plant(records)
    ledger, service = SourceLedger(records), AlarmService(records, plant.clock, lambda event: None)
    told = [report(True, 1, message_zh="泵已磨损"), report(True, 2, key="other")]
    (first, second), events = ledger.apply(told, START)
    assert sorted(event.alarm.message_zh for event in events) == ["", "泵已磨损"]
    found = [service.get(plant.subject(), one.id) for one in (first, second)]
    assert [(one.message, one.message_zh) for one in found] == [
        ("the pump is worn", "泵已磨损"),
        ("the pump is worn", ""),
    ]
    with records.connect() as connection:
        rows = {row.id: row for row in connection.execute(select(alarm))}
    row = SimpleNamespace(id="1", recipient="eva", step=0)
    texts = [alarm_message(row, rows[one.id], "").text for one in (first, second)]
    assert texts[0].startswith("泵已磨损\nthe pump is worn\n")
    assert texts[1].startswith("the pump is worn\n")


@pytest.mark.parametrize("changes", [{"source": "rule:1"}, {"source": "app:"}, {"key": ""}, {"priority": "urgent"}])
def test_what_is_no_alarm_is_refused(changes: dict[str, Any]) -> None:
    document = msgspec.to_builtins(report(True, 1)) | changes
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(document, SourceAlarm)
