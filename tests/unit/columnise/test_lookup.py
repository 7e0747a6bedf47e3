"""What first contact asks of the records is found by indexes, however many assets there are."""

from typing import Any

from sqlalchemy import Connection, Engine, event, insert

from gongfu.ingest.columnise.records import Want, find_or_make
from gongfu.kernel.points import ValueType
from gongfu.registry.tables import asset, tenant
from gongfu.store.records.engine import writing
from tests.fixtures.telemetry import Settings


def test_no_table_is_walked_when_assets_and_points_are_known(sqlite_records: Engine) -> None:
    with writing(sqlite_records) as connection:
        connection.execute(insert(tenant).values(id=1, name="t", created_at=1))
        row = {"tenant_id": 1, "name": "a", "path": "gateway", "created_at": 1}
        own = connection.execute(insert(asset).values(**row)).inserted_primary_key[0]
    wants = [Want(1, own, f"line/m{number}", {"p": ValueType.DOUBLE}, False) for number in range(30)]
    made = find_or_make(sqlite_records, wants, Settings(), 1)
    asked: list[tuple[str, Any]] = []

    def note(_c: Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    event.listen(sqlite_records, "before_cursor_execute", note)
    found = find_or_make(sqlite_records, wants, Settings(), 2)
    event.remove(sqlite_records, "before_cursor_execute", note)
    assert [(one.asset, one.points) for one in found] == [(one.asset, one.points) for one in made]
    assert len(asked) >= 3
    with sqlite_records.connect() as connection:
        for statement, parameters in asked:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            assert not [step[3] for step in plan if step[3].startswith("SCAN")], statement
