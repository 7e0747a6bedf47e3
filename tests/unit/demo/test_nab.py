"""The recording that ships with the demo, and what its rules do on it, by the node's own rule engine."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from demo.nab.rules import FALL, LOW_LIMIT, RULES
from demo.nab.series import after, read_recording, read_windows
from tests.unit.demo.evaluation import raises

SHARED = Path("/work/shared/data/nab")
MS = 1_000_000
HEALTHY_S = 7 * 86_400
LOW, COLLAPSE = RULES


def moment(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1e9)


def evaluate(document: dict[str, object]) -> list[int]:
    samples = read_recording()
    return raises(document, [sample.time_ms * MS for sample in samples], [sample.value for sample in samples])


def inside(time: int) -> list[bool]:
    return [moment(w.start[:-1]) <= time <= moment(w.end[:-1]) for w in read_windows()]


def test_recording() -> None:
    samples = read_recording()
    assert len(samples) == 22_695
    assert len({sample.time_ms for sample in samples}) == 22_683
    assert samples[0].time_ms * MS == moment("2013-12-02 21:15:00")
    assert samples[0].value == 73.96732207
    assert samples[-1].time_ms * MS == moment("2014-02-19 15:25:00")


@pytest.mark.skipif(not SHARED.exists(), reason="shared data of the project is not on this machine")
def test_shipped_files_are_those_of_the_source() -> None:
    name = "machine_temperature_system_failure.csv"
    data = Path("demo/nab/data")
    assert (data / name).read_bytes() == (SHARED / name).read_bytes()
    assert (data / "LICENSE.txt").read_bytes() == (SHARED / "LICENSE.txt").read_bytes()
    labels = json.loads((SHARED / "combined_windows.json").read_text())[f"realKnownCause/{name}"]
    assert [[moment(a[:-7]), moment(b[:-7])] for a, b in labels] == [
        [moment(w.start[:-1]), moment(w.end[:-1])] for w in read_windows()
    ]


def test_resume_sends_what_is_newer() -> None:
    samples = read_recording()
    assert after(samples, None) is samples
    newest = samples[1000].time_ms
    assert after(samples, newest)[0] == samples[1001]
    assert after(samples, samples[-1].time_ms) == []


def test_limits_come_from_the_healthy_days_only() -> None:
    samples = read_recording()
    start = samples[0].time_ms
    healthy = [sample for sample in samples if sample.time_ms < start + HEALTHY_S * 1000]
    assert len(healthy) == 2016
    assert healthy[-1].time_ms * MS < moment(read_windows()[0].start[:-1])
    assert min(sample.value for sample in healthy) // 1 == LOW_LIMIT
    two_hours = 24
    falls = [a.value - b.value for a, b in zip(healthy, healthy[two_hours:], strict=False)]
    assert max(falls) * 2 == pytest.approx(FALL, abs=0.05)


def test_low_temperature_finds_all_four_failures_with_four_alarms_outside() -> None:
    found = evaluate(LOW)
    hits = [inside(time) for time in found]
    assert [any(row[i] for row in hits) for i in range(4)] == [True] * 4
    assert len(found) == 8
    assert sum(not any(row) for row in hits) == 4


def test_collapse_finds_the_sudden_failure_without_an_alarm_outside() -> None:
    found = evaluate(COLLAPSE)
    assert [inside(time) for time in found] == [[False, True, False, False]]


def test_rules_say_the_same_in_any_message_size() -> None:
    samples = read_recording()
    times, values = [sample.time_ms * MS for sample in samples], [sample.value for sample in samples]
    for rule in RULES:
        assert raises(rule, times, values, block=1000) == raises(rule, times, values, block=7)
