"""The app against recorded data: a machine that runs well for 20 s, then badly for 25 s, then well again."""

import contextlib
from pathlib import Path

from gongfu.appkit.testing import Bench

FOLDER = Path(__file__).parents[1]
MACHINE = "machine 1"


def test_bad_vibration_raises_one_alarm_that_returns() -> None:
    """Three windows above the limit raise it; the first one well below returns it."""
    bench = Bench.load(FOLDER)
    bench.replay("data/vibration.csv")
    (alarm,) = bench.alarms
    assert (alarm.key, alarm.asset, alarm.priority) == ("rms", MACHINE, "high")
    begin = bench.written(MACHINE, "vibration").times[0]
    assert 22e9 <= alarm.raised - begin <= 25e9
    assert alarm.returned is not None
    assert 45e9 <= alarm.returned - begin <= 48e9


def test_the_figures_are_written_and_shown() -> None:
    """Each second becomes a sample of both figures, and a row of the chart."""
    bench = Bench.load(FOLDER)
    bench.replay("data/vibration.csv")
    assert len(bench.written(MACHINE, "vibration rms")) == 60
    rows = bench.request("GET", "/trend", query={"limit": "10"}).json()["rows"]
    assert len(rows) == 10
    assert all(1.0 < row["rms"] < 3.6 for row in rows)


def test_a_point_that_was_not_asked_for_is_refused() -> None:
    """What is not in app.toml is refused, in a test as on a node."""
    bench = Bench.load(FOLDER)
    with contextlib.suppress(PermissionError):
        bench.context.latest(MACHINE, "temperature")
    assert len(bench.refused) == 1
    assert "app.toml" in bench.refused[0]
