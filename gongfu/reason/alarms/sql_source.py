"""Alarms as a table of users' SQL; implements ``gongfu.store.history.sql_tables.RecordSource``."""

from collections.abc import Iterable, Sequence
from math import nan
from typing import Any

from sqlalchemy import Engine

from gongfu.reason.alarms import records
from gongfu.store.history.sql_tables import SqlTable
from gongfu.store.records.engine import reading

_PAGE = 5000
_TIME = "DateTime64(9, 'UTC')"


class AlarmSource:
    """``alarms``: one row an alarm. A time that is not yet is 1970, a value or limit that is not there NaN."""

    table = SqlTable(
        "alarms",
        (
            ("alarm", "String"),
            ("rule", "String"),
            ("series", "UInt32"),
            ("asset", "String"),
            ("point", "String"),
            ("priority", "String"),
            ("state", "String"),
            ("message", "String"),
            ("value", "Float64"),
            ("limit_value", "Float64"),
            ("unit", "String"),
            ("raised", _TIME),
            ("returned", _TIME),
            ("acknowledged", _TIME),
            ("acknowledged_by", "String"),
            ("closed", _TIME),
        ),
    )

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def revision(self, tenant: int) -> str:
        """Return a text that changes whenever an alarm of the tenant does."""
        with reading(self._engine) as connection:
            return records.revision(connection, tenant)

    def rows(self, tenant: int) -> Iterable[Sequence[Any]]:
        """Return all alarms of the tenant in the order of the columns."""
        after: tuple[int, str] | None = None
        while True:
            with reading(self._engine) as connection:
                rows = records.plain_page(connection, tenant, after, _PAGE)
            for row in rows:
                yield (
                    row.id,
                    row.rule_name,
                    row.series,
                    row.asset_path,
                    row.point,
                    row.priority,
                    row.state,
                    row.message,
                    nan if row.value is None else row.value,
                    nan if row.limit_value is None else row.limit_value,
                    row.unit,
                    row.raised_at,
                    row.returned_at or 0,
                    row.acknowledged_at or 0,
                    row.acknowledged_by or "",
                    row.closed_at or 0,
                )
            if len(rows) < _PAGE:
                return
            after = (rows[-1].raised_at, rows[-1].id)
