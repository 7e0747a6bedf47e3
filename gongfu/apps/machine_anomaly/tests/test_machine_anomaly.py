"""The app against the recorded temperature of a real machine, whose failures are known."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from gongfu.appkit.testing import Bench

FOLDER = Path(__file__).parents[1]
MACHINE = "machine"
# Begin and end of the labelled failures: data/README.md.
FAILURES = (
    ("2013-12-10T06:25", "2013-12-12T05:35"),
    ("2013-12-15T17:50", "2013-12-17T17:00"),
    ("2014-01-27T14:20", "2014-01-29T13:30"),
    ("2014-02-07T14:55", "2014-02-09T14:05"),
)


def nanoseconds(text: str) -> int:
    """Return a UTC time as nanoseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


@cache
def replayed() -> Bench:
    """Return the app after the whole recording."""
    made = Bench.load(FOLDER)
    made.replay("data/machine_temperature.csv")
    return made


def test_every_failure_raises_an_alarm_and_little_else_does() -> None:
    """Four failures in 79 days: an alarm begins in each, and at most one a month elsewhere."""
    bench = replayed()
    inside = 0
    for begin, end in FAILURES:
        begun = [a for a in bench.alarms if nanoseconds(begin) <= a.raised <= nanoseconds(end)]
        assert begun, f"no alarm in the failure from {begin}"
        inside += len(begun)
    assert len(bench.alarms) - inside <= 2


def test_alarms_tell_why_and_return() -> None:
    """Each says a value and what is usual; none stands for ever."""
    bench = replayed()
    assert all("usually" in alarm.message or "beyond" in alarm.message for alarm in bench.alarms)
    assert all(alarm.returned is not None for alarm in bench.alarms)
    assert {alarm.key for alarm in bench.alarms} == {"temperature low", "temperature high"}


def test_the_score_is_a_point_and_the_page_has_its_figures() -> None:
    """A score each hour; the routes give the page what it draws."""
    bench = replayed()
    hours = len(bench.written(MACHINE, "temperature"))
    assert len(bench.written(MACHINE, "temperature anomaly")) == hours
    (signal,) = bench.request("GET", "/signals").json()["signals"]
    assert (signal["asset"], signal["standing"]) == (MACHINE, 0)
    query = {"asset": MACHINE, "point": "temperature", "hours": "5000"}
    answer = bench.request("GET", "/signal", query=query).json()
    assert len(answer["hours"]) == hours
    assert len(answer["alarms"]) == len(bench.alarms)
    assert bench.request("GET", "/signal", query={"hours": "many"}).status == 400


def test_old_hours_are_removed() -> None:
    """A job keeps the tables small; what is younger than a year stays."""
    bench = replayed()
    bench.advance("2h")
    assert bench.request("GET", "/signals").json()["signals"]
    assert not bench.refused
