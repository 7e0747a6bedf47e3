"""Conditions become alarms: one of a condition, however many branches wait for their acknowledgement."""

from typing import Any

from gongfu.connect.opcua.conditions import MAX_CONDITIONS, Conditions
from gongfu.kernel.times import format_rfc3339

NOW = 1_800_000_000_000_000_000
SECOND = 1_000_000_000


def event(at: int, *, active: bool, acknowledged: bool, branch: str = "i=0", **more: Any) -> dict[str, Any]:
    return {
        "condition": "ns=2;s=报警", "branch": branch, "active": active, "acknowledged": acknowledged, "retain": True,
        "condition_name": "超压", "message": "压力高", "priority": "high", "source_node": "ns=2;s=压力",
        "event_id": f"{at:04x}", "time": format_rfc3339(NOW + at * SECOND), **more,
    }  # fmt: skip


def conditions() -> Conditions:
    return Conditions(lambda node: ("泵 1", "压力") if node == "ns=2;s=压力" else ("", ""))


def told(found: list[Any]) -> list[tuple[int, bool, bool]]:
    return [((alarm.time - NOW) // SECOND, alarm.active, alarm.acknowledged) for alarm in found]


def test_life_of_an_alarm() -> None:
    all_ = conditions()
    (alarm,) = all_.take(event(1, active=True, acknowledged=False), NOW)
    assert (alarm.key, alarm.asset, alarm.point, alarm.priority, alarm.message) == (
        "ns=2;s=报警", "泵 1", "压力", "high", "压力高",
    )  # fmt: skip
    assert all_.waiting(alarm.key) == [b"\0\1"]
    assert told(all_.take(event(2, active=True, acknowledged=True, user="甲"), NOW)) == [(2, True, True)]
    assert all_.waiting(alarm.key) == []
    assert told(all_.take(event(3, active=False, acknowledged=True, user="甲"), NOW)) == [(3, False, False)]
    all_.take(event(4, active=True, acknowledged=False), NOW)
    all_.take(event(5, active=False, acknowledged=False), NOW)
    (alarm,) = all_.take(event(6, active=False, acknowledged=True, user="甲"), NOW)
    assert (alarm.active, alarm.acknowledged, alarm.by) == (False, True, "甲")
    all_.refresh_begins()
    assert all_.refresh_ends() == []


def test_an_alarm_that_returned_unacknowledged_is_known_after_a_restart() -> None:
    """The first that is heard of it is that it is over: it was raised, and it waits."""
    all_ = conditions()
    all_.refresh_begins()
    assert told(all_.take(event(5, active=False, acknowledged=False), NOW)) == [(5, True, False), (5, False, False)]
    assert all_.refresh_ends() == ["ns=2;s=报警"]
    assert all_.waiting("ns=2;s=报警") == [b"\0\5"]
    assert [one.unheard for one in all_.take(event(5, active=False, acknowledged=False), NOW)] == [False, False]
    assert [one.unheard for one in conditions().take(event(5, active=False, acknowledged=False), NOW)] == [False, True]


def test_branches_wait_with_their_condition() -> None:
    all_ = conditions()
    all_.take(event(1, active=True, acknowledged=False), NOW)
    all_.take(event(2, active=False, acknowledged=False), NOW)
    all_.take(event(3, active=True, acknowledged=False), NOW)
    # The occurrence before becomes a branch; the alarm stands and is told as it is.
    assert told(all_.take(event(4, active=False, acknowledged=False, branch="g=1"), NOW)) == [(4, True, False)]
    assert all_.waiting("ns=2;s=报警") == [b"\0\4", b"\0\3"]
    assert told(all_.take(event(5, active=True, acknowledged=True), NOW)) == [(5, True, False)]
    found = all_.take(event(6, active=False, acknowledged=True, branch="g=1", retain=False), NOW)
    assert told(found) == [(6, True, True)]
    assert told(all_.take(event(7, active=False, acknowledged=True), NOW)) == [(7, False, False)]
    assert all_.waiting("ns=2;s=报警") == []


def test_a_branch_that_comes_first() -> None:
    all_ = conditions()
    found = all_.take(event(1, active=False, acknowledged=False, branch="g=1"), NOW)
    assert told(found) == [(1, True, False), (1, False, False)]
    assert all_.waiting("ns=2;s=报警") == [b"\0\1"]


def test_shelved_suppressed_and_disabled_alarms_are_not_active() -> None:
    for more in ({"suppressed_or_shelved": True}, {"enabled": False}):
        all_ = conditions()
        all_.take(event(1, active=True, acknowledged=True), NOW)
        assert told(all_.take(event(2, active=True, acknowledged=True, **more), NOW)) == [(2, False, False)]


def test_a_condition_at_rest_is_not_an_acknowledgement() -> None:
    """After a restart a server tells that nothing is active; what a person here has not acknowledged still waits."""
    assert told(conditions().take(event(1, active=False, acknowledged=True), NOW)) == [(1, False, False)]


def test_what_a_refresh_does_not_bring_stands_no_more() -> None:
    all_ = conditions()
    all_.take(event(1, active=True, acknowledged=False), NOW)
    all_.refresh_begins()
    all_.take(event(2, active=True, acknowledged=False, condition="ns=2;s=other"), NOW)
    assert all_.refresh_ends() == ["ns=2;s=other"]


def test_broken_events_and_too_many_conditions() -> None:
    all_ = conditions()
    assert all_.take({"message": "no condition"}, NOW) == []
    (alarm,) = all_.take({"condition": "i=1", "active": True, "time": "yesterday", "event_id": "zz"}, NOW)
    assert (alarm.time, alarm.point) == (NOW, "i=1")
    for n in range(MAX_CONDITIONS + 5):
        all_.take({"condition": f"i={n}", "active": True}, NOW)
    assert all_.left_out == 5
