"""Key figures equal a slow recount of the journal."""

import tracemalloc
from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, insert, select

from gongfu.kernel.errors import Problem
from gongfu.kernel.times import SECOND
from gongfu.reason.alarms import records
from gongfu.reason.alarms.kpi.figures import Window
from gongfu.reason.alarms.kpi.records import annunciations
from gongfu.reason.alarms.kpi.service import KpiService
from gongfu.reason.alarms.kpi.types import Kpi
from gongfu.reason.alarms.load.positions import replace_mapping
from gongfu.reason.alarms.states import Change, State, next_state
from gongfu.store.records.engine import reading, writing
from tests.contract.reason.plant import START, Plant

MINUTE = 60 * SECOND
NOW = START + 4 * 86_400 * SECOND
ASSETS = ("east/a", "east/b", "west/a", "hall")
POSITIONS = [("one", "east/**"), ("two", "**/a"), ("three", "west/*")]
BELONGS = {"east/a": "one", "east/b": "one", "west/a": "three", "hall": ""}

moments = st.one_of(st.integers(0, 3 * 86_400), st.integers(0, 900), st.integers(86_000, 86_700))
changes = st.lists(
    st.tuples(st.sampled_from([c for c in Change if c is not Change.RAISED]), st.integers(1, 4000)), max_size=6
)
occurrence = st.tuples(
    st.integers(0, 3),
    moments,
    st.sampled_from(["critical", "high", "low"]),
    st.sampled_from([None, None, State.SHELVED, State.OUT_OF_SERVICE]),
    changes,
)


def write(engine: Engine, occurrences: list[Any]) -> None:
    """Write occurrences as the ledger would, by the table of states."""
    alarms, journal = [], []
    for number, (instance, second, priority, begin, story) in enumerate(occurrences):
        at = START + second * SECOND
        key = f"{number:032d}"
        state = next_state(begin, Change.RAISED)
        row: dict[str, Any] = {
            "id": key, "tenant_id": 1, "rule_id": 1, "rule_name": "r", "series": instance, "point": "p",
            "asset_path": ASSETS[instance], "priority": priority, "message": "", "value": None, "limit_value": None,
            "unit": "", "raised_at": at, "returned_at": None, "acknowledged_at": None, "acknowledged_by": None,
            "closed_at": None, "recorded_at": at, "raised_suppressed": begin is not None,
            "annunciated_at": None if begin else at, "source": "", "source_key": "",
        }  # fmt: skip
        journal.append(records.journal(key, Change.RAISED, state or State.CLOSED, at, at))
        for change, after in story:
            at += after * SECOND
            further = next_state(state, change)
            if further is None or at >= NOW:
                continue
            state = further
            if change in (Change.RETURNED, Change.LATCHED):
                row["returned_at"] = at
            if change is Change.ACKNOWLEDGED:
                row["acknowledged_at"] = at
            if change in (Change.UNSHELVED, Change.UNSUPPRESSED, Change.IN_SERVICE, Change.REALARMED):
                row |= {"annunciated_at": at, "acknowledged_at": None}
            if state is State.CLOSED:
                row["closed_at"] = at
            journal.append(records.journal(key, change, state, at, at))
        alarms.append(row | {"state": str(state)})
    with writing(engine) as connection:
        connection.execute(delete(records.alarm_journal))
        connection.execute(delete(records.alarm))
        if alarms:
            connection.execute(insert(records.alarm), alarms)
            records.add_journal(connection, journal)


def recount(engine: Engine, window: Window, position: str | None) -> dict[str, Any]:
    """Count by reading the whole journal, entry by entry, alarm by alarm."""
    with reading(engine) as connection:
        alarms = {row.id: row for row in connection.execute(select(records.alarm))}
        entries = list(connection.execute(select(records.alarm_journal).order_by(records.alarm_journal.c.id)))
    before: dict[str, str] = {}
    told: list[tuple[int, Any, bool]] = []
    for entry in entries:
        became = entry.state == "unacknowledged_active" and before.get(entry.alarm_id) != "unacknowledged_active"
        row = alarms[entry.alarm_id]
        mine = position is None or BELONGS[row.asset_path] == position
        if became and window.begin <= entry.recorded_at < window.end and mine:
            told.append((entry.recorded_at, row, entry.change == "raised"))
        before[entry.alarm_id] = entry.state
    periods = [0] * window.periods
    for time, _, _ in told:
        periods[time // (10 * MINUTE) - window.begin // (10 * MINUTE)] += 1
    flood = lasting = 0
    for count in periods:
        lasting = 1 if count > 10 else 0 if count < 5 else lasting
        flood += lasting
    by_alarm: dict[int, list[int]] = defaultdict(list)
    for time, row, _ in told:
        by_alarm[row.series].append(time)
    chattering = {
        key for key, times in by_alarm.items()
        if any(sum(one <= other <= one + MINUTE for other in times) >= 3 for one in times)
    }  # fmt: skip
    waits = sorted(
        row.acknowledged_at - row.annunciated_at for _, row, first in told if first and row.acknowledged_at is not None
    )
    stood = [row.returned_at - row.raised_at for _, row, first in told if first and row.returned_at is not None]
    stale = [
        row for row in alarms.values()
        if row.recorded_at <= window.end - 86_400 * SECOND
        and (row.returned_at is None or row.returned_at > window.end)
        and (row.state in ("unacknowledged_active", "acknowledged_active")
             or (row.closed_at is not None and row.closed_at > window.end))
        and (position is None or BELONGS[row.asset_path] == position)
    ]  # fmt: skip
    tops = sorted((len(times) for times in by_alarm.values()), reverse=True)[:10]
    return {
        "rate": periods,
        "annunciations": len(told),
        "peak": max(periods),
        "over": sum(count > 10 for count in periods),
        "flood": flood,
        "priorities": Counter(row.priority for _, row, _ in told),
        "tops": tops,
        "chattering": len(chattering),
        "fleeting": sum(one < 10 * SECOND for one in stood),
        "stale": sorted(row.id for row in stale),
        "waits": len(waits),
        "median": waits[(len(waits) + 1) // 2 - 1] / SECOND if waits else 0.0,
    }


def flat(kpi: Kpi) -> dict[str, Any]:
    periods = len(kpi.rate)
    return {
        "rate": kpi.rate,
        "annunciations": kpi.total.annunciations,
        "peak": kpi.total.peak,
        "over": round(kpi.total.percent_periods_over_10 * periods / 100),
        "flood": round(kpi.total.percent_in_flood * periods / 100),
        "priorities": Counter({name: count for name, count in kpi.priorities.items() if count}),
        "tops": [item.count for item in kpi.top],
        "chattering": kpi.chattering_alarms,
        "fleeting": kpi.fleeting,
        "stale": sorted(item.id for item in kpi.stale),
        "waits": kpi.acknowledge.count,
        "median": kpi.acknowledge.median_s,
    }


@pytest.fixture
def plant(records: Engine) -> Plant:
    found = Plant(records)
    with writing(records) as connection:
        replace_mapping(connection, 1, POSITIONS)
    return found


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    occurrences=st.lists(occurrence, max_size=40),
    begin=st.integers(0, 2 * 86_400),
    length=st.integers(1, 2 * 86_400),
    position=st.sampled_from([None, "one", "three", "", "nobody"]),
)
def test_figures_are_those_of_a_recount(
    plant: Plant, occurrences: list[Any], begin: int, length: int, position: str | None
) -> None:
    write(plant.engine, occurrences)
    window = Window(START + begin * SECOND, START + (begin + length) * SECOND)
    service = KpiService(plant.engine, plant.clock)
    kpi = service.kpi(plant.subject(), window, position)
    assert flat(kpi) == recount(plant.engine, window, position)
    everything = kpi if position is None else service.kpi(plant.subject(), window)
    assert sum(item.annunciations for item in everything.positions) == everything.total.annunciations
    assert service.kpi(plant.subject(of=2), window).total.annunciations == 0


def test_a_burst_is_a_flood_that_ends_below_five(plant: Plant) -> None:
    burst = [(0, 600 * 3 + at, "low", None, []) for at in range(11)]
    after = [(1, 600 * 4 + at, "low", None, []) for at in range(5)]
    last = [(1, 600 * 5 + at, "low", None, []) for at in range(4)]
    write(plant.engine, burst + after + last)
    service = KpiService(plant.engine, plant.clock)
    begin = START // (600 * SECOND) * 600 * SECOND
    kpi = service.kpi(plant.subject(), Window(begin, begin + 6000 * SECOND))
    assert kpi.total.peak == 11
    assert (kpi.total.percent_periods_over_10, kpi.total.percent_in_flood) == (10.0, 20.0)
    assert kpi.chattering_alarms == 2
    assert kpi.top_percent == 100.0


def test_a_long_window_is_never_held_as_rows(plant: Plant) -> None:
    """The rows of 6,000 alarms as the driver gives them take 4 MB and more."""
    write(plant.engine, [(number % 4, number * 10, "low", None, []) for number in range(6_000)])
    window = Window(START, START + 60_000 * SECOND)
    with reading(plant.engine) as connection:
        tracemalloc.start()
        found = annunciations(connection, 1, window)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (len(found.annunciations.times), len(found.alarms), found.assets) == (6_000, 4, sorted(ASSETS))
    assert peak < 2_000_000, peak


def test_too_many_annunciations_are_refused(plant: Plant) -> None:
    write(plant.engine, [(0, 1, "low", None, []), (1, 2, "low", State.SHELVED, [(Change.UNSHELVED, 5)])])
    window = Window(START, START + 3600 * SECOND)
    with reading(plant.engine) as connection:
        assert len(annunciations(connection, 1, window, 2).annunciations.times) == 2
        with pytest.raises(Problem, match="more than 1 annunciations"):
            annunciations(connection, 1, window, 1)


@pytest.mark.parametrize(("begin", "end"), [("x", None), (None, "y"), ("2024-01-01T00:00:00Z", "2023-01-01T00:00:00Z")])
def test_windows_that_make_no_sense_are_refused(plant: Plant, begin: str | None, end: str | None) -> None:
    with pytest.raises(Problem) as caught:
        KpiService(plant.engine, plant.clock).window(begin, end)
    assert caught.value.status == 400
