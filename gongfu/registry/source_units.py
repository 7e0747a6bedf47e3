"""Units as the machines say them: taken over where a point has none, and told when they change.

A value is never converted because a machine now says another unit: the unit of a point stays what it is until a person
changes it, and what the machine says stands beside it.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Engine

from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock, format_rfc3339
from gongfu.kernel.unit_texts import clean_text, ucum_of_text
from gongfu.registry import event_records, point_records, source_unit_records
from gongfu.registry.changes import Announce, RegistryChange, silent
from gongfu.store.records.engine import reading, writing

MAX_STATED = 20_000
"""Points in one statement; what is beyond is counted as left out."""

# As long as the unit of a point may be; a code beyond is text.
_UNIT_LIMIT = 40
_NAMED = 20
_TEXT_LIMIT = 4000

CHANGED, UNKNOWN, DIFFERS = "unit.changed", "unit.unknown", "unit.differs"
"""Kinds of events: another unit than before; one without a UCUM code; another one than that of the point."""

State = Literal["", "changed", "unknown", "differs"]
STATES: dict[str, State] = {"": "", "changed": "changed", "unknown": "unknown", "differs": "differs"}


class StatedUnit(msgspec.Struct, frozen=True, kw_only=True):
    """What a source says of the unit of one point.

    Attributes:
        asset: path of its asset.
        point: its name.
        text: the unit as the source writes it.
        unit: UCUM code, when the source has said it in a code that has one; "" takes it from the text.
        low, high: range of the values, in that unit; None for none.
        scaled: the values are stored in another unit than the source's, so that it says nothing of the point's.
    """

    asset: str
    point: str
    text: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    scaled: bool = False


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What a source says of the units of its points.

    Attributes:
        tenant: tenant id.
        source: who says it, in words for events.
        units: what it says.
    """

    tenant: int
    source: str
    units: list[StatedUnit]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a statement, in numbers of points.

    Attributes:
        taken: got their unit from it.
        changed: the source says another unit than before.
        unknown: the unit has no UCUM code; its text is kept. Counted when it is said for the first time.
        differs: the point has another unit. Counted when it is said for the first time.
        missing: there are no such points (yet).
        left_out: beyond ``MAX_STATED``, or with a name that no point can have.
    """

    taken: int = 0
    changed: int = 0
    unknown: int = 0
    differs: int = 0
    missing: int = 0
    left_out: int = 0


class SourceUnitDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The unit that a machine says for a point.

    Attributes:
        series, asset_path, name, unit: the point; ``unit`` is its own, which values are stored in.
        text: what the machine says.
        ucum: the UCUM code of that, "" when it has none.
        low, high: range, in the machine's unit.
        changes: how often it said another unit than before.
        changed_at: when it last said something new, RFC 3339.
    """

    series: int
    asset_path: str
    name: str
    unit: str
    text: str
    ucum: str
    low: float | None
    high: float | None
    changes: int
    changed_at: str


class SourceUnits:
    """Units of sources; every method blocks on the records."""

    def __init__(self, engine: Engine, clock: Clock, announce: Announce = silent) -> None:
        self._engine = engine
        self._clock = clock
        self._announce = announce

    def state(self, statement: Statement) -> Outcome:
        """Take what a source says: the same again changes nothing and costs one query."""
        # No point has NUL in its name, and PostgreSQL takes no such text: the others must not suffer for it.
        named = [item for item in statement.units if "\0" not in item.asset and "\0" not in item.point]
        told = {(item.asset, item.point): item for item in named[:MAX_STATED] if clean_text(item.text)}
        left_out = len(statement.units) - min(len(named), MAX_STATED)
        if not told:
            return Outcome(left_out=left_out)
        with reading(self._engine) as connection:
            rows = source_unit_records.stated(connection, statement.tenant, told.keys())
        missing = len(told) - len(rows)
        if all(_same(row, told[row.asset_path, row.name]) for row in rows):
            return Outcome(missing=missing, left_out=left_out)
        now = self._clock.now_ns()
        taken: list[Any] = []
        notes: dict[tuple[int, str], list[dict[str, Any]]] = {}
        with writing(self._engine) as connection:
            new: list[dict[str, Any]] = []
            # Read anew: another process may have been quicker.
            for row in source_unit_records.stated(connection, statement.tenant, told.keys()):
                item = told[row.asset_path, row.name]
                if _same(row, item):
                    continue
                text, unit = clean_text(item.text), item.unit or ucum_of_text(item.text)
                unit = unit if len(unit) <= _UNIT_LIMIT else ""
                values = {"text": text, "unit": unit, "low": item.low, "high": item.high, "changed_at": now}
                said = {"point": row.name, "says": text, "unit": row.point_unit}
                if row.text is not None:
                    other = unit != row.unit or (not unit and text != row.text)
                    source_unit_records.change(connection, row.id, values, counted=other)
                    if other:
                        notes.setdefault((row.asset_id, CHANGED), []).append({**said, "before": row.text})
                    continue
                new.append({"point_id": row.id, "tenant_id": statement.tenant, "changes": 0, **values})
                if not unit:
                    notes.setdefault((row.asset_id, UNKNOWN), []).append(said)
                elif not row.point_unit and not item.scaled:
                    point_records.change(connection, row.id, {"unit": unit})
                    taken.append(row)
                elif row.point_unit != unit and not item.scaled:
                    notes.setdefault((row.asset_id, DIFFERS), []).append(said)
            source_unit_records.add(connection, new)
            for (asset_id, kind), items in notes.items():
                _note(connection, statement, asset_id, kind, items, now)
        for row in taken:
            self._announce(
                RegistryChange(kind="point", id=row.id, name=row.name, tenant=statement.tenant, change="updated")
            )
        counts: dict[str, int] = dict.fromkeys((CHANGED, UNKNOWN, DIFFERS), 0)
        for (_, kind), items in notes.items():
            counts[kind] += len(items)
        return Outcome(
            taken=len(taken),
            changed=counts[CHANGED],
            unknown=counts[UNKNOWN],
            differs=counts[DIFFERS],
            missing=missing,
            left_out=left_out,
        )

    def page(
        self, subject: Subject, after: tuple[str, str] | None, limit: int, *, path: str | None = None, state: State = ""
    ) -> tuple[list[SourceUnitDocument], tuple[str, str] | None]:
        """Return points with a unit of their source in order of asset path and name, and the key of the next page."""
        with reading(self._engine) as connection:
            rows = source_unit_records.page(connection, subject.tenant, after, limit + 1, path, state)
        items = [
            SourceUnitDocument(
                series=row.point_id,
                asset_path=row.asset_path,
                name=row.name,
                unit=row.point_unit,
                text=row.text,
                ucum=row.unit,
                low=row.low,
                high=row.high,
                changes=row.changes,
                changed_at=format_rfc3339(row.changed_at),
            )
            for row in rows[:limit]
        ]
        return items, (items[-1].asset_path, items[-1].name) if len(rows) > limit else None


def figures(outcome: Outcome) -> Mapping[str, int]:
    """Return what is counted of an outcome, by the name of the counter."""
    counts = {
        "taken": outcome.taken,
        "changed": outcome.changed,
        "unknown": outcome.unknown,
        "differs": outcome.differs,
        "left_out": outcome.left_out,
    }
    return {f"units.{name}": count for name, count in counts.items() if count}


def _same(row: Any, item: StatedUnit) -> bool:
    unit = (item.unit if len(item.unit) <= _UNIT_LIMIT else "") or row.unit
    return (row.text, row.unit, row.low, row.high) == (clean_text(item.text), unit, item.low, item.high)


def _note(
    connection: Connection, statement: Statement, asset_id: int, kind: str, items: Sequence[Mapping[str, Any]], now: int
) -> None:
    """Note one event for all points of an asset: a machine may change its language, and with it all units."""
    text = json.dumps({"points": len(items), "first": list(items[:_NAMED])}, ensure_ascii=False)
    event_records.add(
        connection,
        id=str(uuid.uuid4()),
        tenant_id=statement.tenant,
        asset_id=asset_id,
        kind=kind,
        time_from=now,
        time_to=now,
        text=text if len(text) <= _TEXT_LIMIT else json.dumps({"points": len(items)}),
        source=statement.source[:120],
        created_at=now,
    )
