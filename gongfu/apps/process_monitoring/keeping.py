"""The app's tables: monitors, their variables, samples and alarms. The only place with SQL."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gongfu.appkit.contract import AppError, PointInfo, Records

from .alarm_run import AlarmRun

# Half a kilobyte each.
MOST_SAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Kept:
    """A monitor as it is stored; see the migration for its members."""

    id: int
    name: str
    asset: str
    point: str
    period: int
    state: str
    detail: str
    asked_from: int | None
    asked_to: int | None
    trained: bytes | None
    summary: str
    position: int | None
    carried: bytes | None
    run: str

    @property
    def alarm_run(self) -> AlarmRun:
        """State of the alarm."""
        return AlarmRun(**json.loads(self.run))


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a monitor.

    ``used`` is its place among those that are used, or -1 with the ``reason``; ``interval`` is the usual time between
    its samples, ns.
    """

    place: int
    asset: str
    point: str
    unit: str
    interval: int
    used: int
    reason: str

    @property
    def name(self) -> str:
        """Asset and point, for people."""
        return f"{self.asset}/{self.point}"


@dataclass(frozen=True, slots=True)
class Judged:
    """A sample as the page shows it; ``parts`` are [place, contribution, departure], the greatest first."""

    time: int
    t2: float
    q: float
    index: float
    parts: list[tuple[int, float, float]]


def monitors(records: Records) -> list[Kept]:
    """Return all monitors by name."""
    return [Kept(**row) for row in records.query("SELECT * FROM monitor ORDER BY name")]


def monitor(records: Records, name: str) -> Kept:
    """Return a monitor.

    Raises:
        AppError: there is none of this name (404).
    """
    rows = records.query("SELECT * FROM monitor WHERE name = ?", name)
    if not rows:
        raise AppError(404, f"there is no monitor {name!r}")
    return Kept(**rows[0])


def variables(records: Records, number: int) -> list[Variable]:
    """Return the variables of a monitor by place."""
    rows = records.query(
        "SELECT place, asset, point, unit, interval, used, reason FROM variable WHERE monitor = ? ORDER BY place",
        number,
    )
    return [Variable(**row) for row in rows]


def add(records: Records, name: str, asset: str, point: str, period: int, asked: tuple[int, int] | None) -> None:
    """Make a monitor; with a period to learn from, it learns when that is over."""
    records.execute(
        "INSERT INTO monitor (name, asset, point, period, state, asked_from, asked_to) VALUES (?, ?, ?, ?, ?, ?, ?)",
        *(name, asset, point, period, "asked" if asked else "new", *(asked or (None, None))),
    )


def remove(records: Records, number: int) -> None:
    """Remove a monitor and all that belongs to it."""
    with records.transaction():
        records.execute("DELETE FROM sample WHERE monitor = ?", number)
        records.execute("DELETE FROM alarm WHERE monitor = ?", number)
        records.execute("DELETE FROM variable WHERE monitor = ?", number)
        records.execute("DELETE FROM monitor WHERE id = ?", number)


def ask(records: Records, number: int, start: int, end: int) -> None:
    """Ask a monitor to learn from ``[start, end)``, UTC ns; what it learnt before is used until it has."""
    records.execute(
        "UPDATE monitor SET state = 'asked', detail = '', asked_from = ?, asked_to = ? WHERE id = ?",
        *(start, end, number),
    )


def learnt(
    records: Records,
    kept: Kept,
    found: Sequence[PointInfo],
    intervals: Sequence[int],
    reasons: Sequence[str],
    trained: bytes,
    carried: bytes,
    summary: dict[str, Any],
) -> None:
    """Store what was learnt; judging begins at the end of the period."""
    places = iter(range(len(found)))
    rows = [
        (kept.id, place, info.asset, info.point, info.unit, interval, -1 if reason else next(places), reason)
        for place, (info, interval, reason) in enumerate(zip(found, intervals, reasons, strict=True))
    ]
    with records.transaction():
        records.execute("DELETE FROM variable WHERE monitor = ?", kept.id)
        records.execute_many(
            "INSERT INTO variable (monitor, place, asset, point, unit, interval, used, reason) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        records.execute("DELETE FROM sample WHERE monitor = ?", kept.id)
        records.execute(
            "UPDATE monitor SET state = 'watching', detail = '', trained = ?, carried = ?, summary = ?, position = ? "
            "WHERE id = ?",
            *(trained, carried, json.dumps(summary), kept.asked_to, kept.id),
        )


def failed(records: Records, number: int, detail: str) -> None:
    """Note why a monitor could not learn."""
    records.execute("UPDATE monitor SET state = 'failed', detail = ? WHERE id = ?", detail[:500], number)


def note(records: Records, number: int, detail: str) -> None:
    """Note what goes wrong while a monitor works; it is gone when the monitor works again."""
    records.execute("UPDATE monitor SET detail = ? WHERE id = ?", detail[:500], number)


def judged(
    records: Records, number: int, samples: Sequence[Judged], carried: bytes, run: AlarmRun, position: int
) -> None:
    """Store judged samples together with the state after them; only the newest ``MOST_SAMPLES`` stay."""
    with records.transaction():
        records.execute_many(
            "INSERT OR REPLACE INTO sample (monitor, time, t2, q, score, parts) VALUES (?, ?, ?, ?, ?, ?)",
            [(number, one.time, one.t2, one.q, one.index, json.dumps(one.parts)) for one in samples],
        )
        records.execute(
            "UPDATE monitor SET carried = ?, run = ?, position = ?, "
            "detail = CASE state WHEN 'failed' THEN detail ELSE '' END WHERE id = ?",
            *(carried, json.dumps(asdict(run)), position, number),
        )
        records.execute(
            "DELETE FROM sample WHERE monitor = ? AND time < (SELECT time FROM sample WHERE monitor = ? "
            "ORDER BY time DESC LIMIT 1 OFFSET ?)",
            *(number, number, MOST_SAMPLES),
        )


def alarm_began(records: Records, number: int, began: int, text: str) -> None:
    """Note an alarm."""
    records.execute(
        "INSERT INTO alarm (monitor, began, text) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", number, began, text
    )


def alarm_ended(records: Records, number: int, ended: int) -> None:
    """Note that the alarms of a monitor are over."""
    records.execute("UPDATE alarm SET ended = ? WHERE monitor = ? AND ended IS NULL", ended, number)


def trend(records: Records, number: int, count: int) -> list[dict[str, Any]]:
    """Return the newest samples in ascending time."""
    rows = records.query(
        "SELECT time / 1000000 AS ms, t2, q, score FROM sample WHERE monitor = ? ORDER BY time DESC LIMIT ?",
        *(number, count),
    )
    return rows[::-1]


def alarms(records: Records, number: int) -> list[dict[str, Any]]:
    """Return the newest alarms, the newest first."""
    return records.query(
        "SELECT began / 1000000 AS began_ms, ended / 1000000 AS ended_ms, text FROM alarm WHERE monitor = ? "
        "ORDER BY began DESC LIMIT 100",
        number,
    )


def parts(records: Records, number: int, ms: int | None) -> dict[str, Any]:
    """Return the contributions of the last sample until a time, or of the newest one."""
    until = 2**62 if ms is None else ms * 10**6 + 999_999
    rows = records.query(
        "SELECT time / 1000000 AS ms, score, parts FROM sample WHERE monitor = ? AND time <= ? "
        "ORDER BY time DESC LIMIT 1",
        *(number, until),
    )
    if not rows:
        return {"ms": None, "score": None, "parts": []}
    by_place = {one.used: one for one in variables(records, number)}
    found = [
        {
            "variable": by_place[place].name,
            "unit": by_place[place].unit,
            "contribution": fall,
            "departure": departure,
        }
        for place, fall, departure in json.loads(rows[0]["parts"])
    ]
    return {"ms": rows[0]["ms"], "score": rows[0]["score"], "parts": found}
