"""Alarm queries that run with every alarm, or at every start: they must not walk all alarms that ever were."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, insert

from gongfu.reason.alarms import records as alarm_records
from gongfu.reason.alarms.states import STANDING, State
from gongfu.registry.tables import tenant
from gongfu.store.records.engine import open_records, writing
from gongfu.store.records.migrations import migrate

_STATES = tuple(State)


def _row(number: int) -> dict[str, Any]:
    text = {"rule_name": "r", "asset_path": "a", "point": "p", "priority": "high", "message": "", "unit": ""}
    return {
        **text,
        "id": f"{number:032d}",
        "tenant_id": 1 + number % 2,
        "rule_id": number % 3,
        "series": number % 10,
        "state": str(_STATES[number % len(_STATES)]),
        "raised_at": number,
        "recorded_at": 0,
    }


@pytest.fixture
def filled(records: Engine) -> Engine:
    return _fill(records)


def _fill(records: Engine) -> Engine:
    with writing(records) as connection:
        connection.execute(insert(tenant), [{"id": key, "name": f"t{key}", "created_at": 0} for key in (1, 2)])
        alarm_records.add(connection, [_row(number) for number in range(200)])
    return records


def _steps(engine: Engine, call: Callable[[Connection], object]) -> list[str]:
    """Return SQLite's plan of the statements of a call."""
    seen: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, ___: Any, ____: Any) -> None:
        seen.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    with writing(engine) as connection:
        call(connection)
        event.remove(engine, "before_cursor_execute", note)
        selects = [item for item in seen if item[0].startswith("SELECT")]
        assert selects
        return [
            row[3]
            for statement, parameters in selects
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]


def test_open_alarms_of_instances_are_those_of_a_slow_scan(filled: Engine) -> None:
    wanted = [(rule, series) for rule in range(3) for series in range(0, 10, 2)] + [(7, 1)]
    with writing(filled) as connection:
        found = sorted(alarm_records.open_of(connection, wanted))
        active = sorted(row.id for row in alarm_records.active(connection))
    rows = [_row(number) for number in range(200)]
    open_rows = [row for row in rows if row["state"] != State.CLOSED]
    assert found == [row["id"] for row in open_rows if (row["rule_id"], row["series"]) in wanted]
    assert active == [row["id"] for row in rows if row["state"] in STANDING]


def test_sqlite_takes_open_alarms_from_an_index(tmp_path: Path) -> None:
    engine = open_records(f"sqlite:///{tmp_path / 'records.sqlite'}")
    migrate(engine)
    filled = _fill(engine)
    for wanted in ([(1, 3)], [(rule, series) for rule in range(60) for series in (1, 2)]):
        steps = _steps(filled, lambda connection, wanted=wanted: alarm_records.open_of(connection, wanted))
        assert not [step for step in steps if step.startswith("SCAN")], steps
    steps = _steps(filled, alarm_records.active)
    assert not [step for step in steps if step.startswith("SCAN alarm")], steps
    engine.dispose()
