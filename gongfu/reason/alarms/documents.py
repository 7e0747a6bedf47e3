"""The API's form of an alarm."""

from collections.abc import Mapping, Sequence
from typing import Any

from gongfu.kernel.times import format_rfc3339
from gongfu.reason.alarms.types import Alarm, JournalEntry


def _time(nanoseconds: int | None) -> str | None:
    return None if nanoseconds is None else format_rfc3339(nanoseconds)


def document(row: Mapping[str, Any], journal: Sequence[Any] | None = None) -> Alarm:
    """Return the API's form of a row of ``alarm``, with its journal when it is given."""
    return Alarm(
        id=row["id"],
        rule_id=row["rule_id"],
        rule_name=row["rule_name"],
        series=row["series"],
        asset_path=row["asset_path"],
        point=row["point"],
        priority=row["priority"],
        state=row["state"],
        message=row["message"],
        value=row["value"],
        limit=row["limit_value"],
        unit=row["unit"],
        raised_at=format_rfc3339(row["raised_at"]),
        acknowledged_at=_time(row["acknowledged_at"]),
        acknowledged_by=row["acknowledged_by"],
        returned_at=_time(row["returned_at"]),
        closed_at=_time(row["closed_at"]),
        source=row.get("source", ""),
        source_key=row.get("source_key", ""),
        message_zh=row.get("message_zh", ""),
        latching=bool(row.get("latching", False)),
        annunciated_at=_time(row.get("annunciated_at")),
        suppressed_by=row.get("suppressed_by"),
        journal=None if journal is None else entries(journal),
    )


def entries(journal: Sequence[Any]) -> list[JournalEntry]:
    """Return the API's form of rows of the journal."""
    return [
        JournalEntry(format_rfc3339(row.time), row.change, row.by_user, row.comment, row.value, row.state)
        for row in journal
    ]
