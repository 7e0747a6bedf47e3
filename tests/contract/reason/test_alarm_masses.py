"""Many alarms at once: what is decided of each costs no statement of its own, and nobody waits for each other."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, event, func, select

from gongfu.kernel.times import SECOND
from gongfu.reason.alarms import records as alarm_records
from gongfu.reason.alarms.records import alarm
from gongfu.reason.alarms.sources.ledger import SourceLedger
from gongfu.reason.alarms.suppression.types import AlarmCause, Design, FirstOut, Pattern, Scope
from gongfu.reason.rules.transitions import Transition
from gongfu.store.records.engine import reading, writing
from tests.contract.reason.plant import START, Plant
from tests.contract.reason.test_alarm_lifecycle import ShelvingDesk
from tests.contract.reason.test_alarm_sources import report

MANY = 1500


class Statements:
    """Counts what is asked of the records."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.count = 0

    def _note(self, *arguments: object) -> None:
        self.count += 1

    def __enter__(self) -> "Statements":
        event.listen(self.engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *arguments: object) -> None:
        event.remove(self.engine, "before_cursor_execute", self._note)


def fill(desk: ShelvingDesk) -> None:
    """Write alarms that stand, one a second."""
    (first,) = desk.apply(desk.told(True, 1))
    with writing(desk.engine) as connection:
        (row,) = alarm_records.by_ids(connection, [first.alarm.id]).values()
        rows = [
            {
                **row._mapping,
                "id": f"{number:032d}",
                "series": 10_000 + number,
                "asset_path": f"plant/{number}",
                "raised_at": START + number * SECOND,
            }
            for number in range(1, MANY)
        ]
        alarm_records.add(connection, rows)


def states(desk: ShelvingDesk) -> dict[str, int]:
    with reading(desk.engine) as connection:
        found = connection.execute(select(alarm.c.state, func.count()).group_by(alarm.c.state))
        return {state: int(number) for state, number in found}


@pytest.mark.parametrize("kind", ["first_out", "alarm"])
def test_a_cause_among_many_alarms_is_looked_for_once(records: Engine, kind: str) -> None:
    desk = ShelvingDesk(records)
    fill(desk)
    cause = FirstOut() if kind == "first_out" else AlarmCause(rule_id=desk.rule.id, asset="plant/kiln")
    desk.suppressions.put_design(
        desk.plant.subject(), 0, Design(name="d", cause=cause, suppresses=[Pattern()], scope=Scope.ANY)
    )
    with Statements(desk.engine) as counted:
        desk.tick(1)
    assert states(desk) == {"suppressed_by_design": MANY - 1, "unacknowledged_active": 1}
    assert desk.state(1) == "unacknowledged_active"
    assert counted.count < 120
    with Statements(desk.engine) as counted:
        desk.tick(1)
    assert states(desk)["suppressed_by_design"] == MANY - 1
    assert counted.count < 40


def test_a_raise_among_many_alarms_costs_no_statement_of_its_own(records: Engine) -> None:
    desk = ShelvingDesk(records)
    series = [desk.plant.point(f"line/{number}", "temp") for number in range(40)]
    desk.suppressions.put_design(
        desk.plant.subject(), 0, Design(name="d", cause=FirstOut(), suppresses=[Pattern()], scope=Scope.ANY)
    )
    with Statements(desk.engine) as counted:
        desk.apply(*(Transition(desk.rule.id, key, True, START, START + key, 1.0) for key in series))
    assert states(desk) == {"suppressed_by_design": 39, "unacknowledged_active": 1}
    assert counted.count < 30


def test_two_batches_of_sources_in_opposite_orders_do_not_wait_for_each_other(records: Engine) -> None:
    if records.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    Plant(records)
    raises = [report(True, 1, key="a"), report(True, 1, key="b")]
    SourceLedger(records).apply(raises, START)
    begun, other_has_locked = threading.Event(), threading.Event()
    locked: dict[int, int] = {}

    def after(*arguments: object) -> None:
        if "FOR UPDATE" not in str(arguments[2]):
            return
        me = threading.get_ident()
        locked[me] = locked.get(me, 0) + 1
        if len(locked) > 1:
            other_has_locked.set()
        elif locked[me] == 1:
            begun.set()
            other_has_locked.wait(1)

    event.listen(records, "after_cursor_execute", after)
    returns = [report(False, 2, key="a"), report(False, 2, key="b")]
    try:
        with ThreadPoolExecutor(2) as threads:
            first = threads.submit(SourceLedger(records).apply, returns, START)
            assert begun.wait(60)
            second = threads.submit(SourceLedger(records).apply, list(reversed(returns)), START)
            told = [state.state for done in (first, second) for state in done.result(60)[0]]
    finally:
        event.remove(records, "after_cursor_execute", after)
    assert told == ["unacknowledged_returned"] * 4
