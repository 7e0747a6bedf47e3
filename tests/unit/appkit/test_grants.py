"""Grants: what was not asked for is refused, and the refusal says what to write into app.toml."""

from typing import Literal

import pytest

from gongfu.appkit.declarations import OnPoints
from gongfu.appkit.grants import Grants, PointPlace, asked_lines, missing
from gongfu.appkit.manifest import AlarmNeed, EventNeed, Needs, PointNeed

NEEDS = Needs(
    points=(
        PointNeed(asset="泵/*", point="振动", history="1d"),
        PointNeed(point="efficiency", type="pump", access="write"),
        PointNeed(point="flow*", type="pump@2"),
    ),
    alarms=AlarmNeed(assets="泵/*"),
    events=EventNeed(publish=("fault.*",)),
    models=("pump.*",),
    records=True,
)
GRANTS = Grants("com.example.pump", NEEDS, frozenset({"own.model"}))
PUMP = PointPlace("泵/1", "振动")


def test_what_was_granted_is_allowed() -> None:
    GRANTS.check_point(PUMP, "read")
    GRANTS.check_history(PUMP, 0, 3600 * 10**9)
    GRANTS.check_point(PointPlace("x", "efficiency", ("pump", "machine")), "write")
    GRANTS.check_point(PointPlace("x", "flow 1", ("pump",)), "read")
    GRANTS.check_alarm("泵/7")
    GRANTS.check_publish("fault.bearing")
    GRANTS.check_invoke("pump.hydraulic")
    GRANTS.check_invoke("own.model")
    GRANTS.check_flag("records")


@pytest.mark.parametrize(
    ("place", "access"),
    [
        (PUMP, "write"),
        (PointPlace("泵/1/轴承", "振动"), "read"),
        (PointPlace("泵/1", "温度"), "read"),
        (PointPlace("x", "efficiency"), "write"),
        (PointPlace("x", "efficiency", ("pump",)), "read"),
        (PointPlace("x", "flow 1", ("fan",)), "read"),
    ],
)
def test_other_points_are_refused_with_what_to_ask_for(place: PointPlace, access: Literal["read", "write"]) -> None:
    with pytest.raises(PermissionError, match=r"app\.toml") as refusal:
        GRANTS.check_point(place, access)
    assert place.asset in str(refusal.value)
    assert place.point in str(refusal.value)


def test_more_history_and_other_doings_are_refused() -> None:
    day = 86_400 * 10**9
    with pytest.raises(PermissionError, match='history = "3d"'):
        GRANTS.check_history(PUMP, 0, 3 * day)
    with pytest.raises(PermissionError, match="no history"):
        GRANTS.check_history(PointPlace("x", "flow", ("pump",)), 0, 1)
    with pytest.raises(PermissionError, match=r"\[needs.alarms\]"):
        GRANTS.check_alarm("fan/1")
    with pytest.raises(PermissionError, match=r"\[needs.events\]"):
        GRANTS.check_publish("other")
    with pytest.raises(PermissionError, match=r"needs\.models"):
        GRANTS.check_invoke("fan.hydraulic")
    with pytest.raises(PermissionError, match="objects = true"):
        GRANTS.check_flag("objects")


def test_an_app_is_not_given_what_it_writes() -> None:
    both = Grants("a.b", Needs(points=(PointNeed(point="*"), PointNeed(point="rms", access="write"))))
    wanted = OnPoints(("*",), "**", "", 10**9, 10**9, 0, by_arrival=False)
    assert both.gives(wanted, PointPlace("m", "vibration"))
    assert not both.gives(wanted, PointPlace("m", "rms"))


def test_what_is_asked_for_in_addition_is_told() -> None:
    assert missing(NEEDS, NEEDS) == []
    assert missing(Needs(), NEEDS) == asked_lines(NEEDS)
    assert missing(NEEDS, Needs(objects=True, records=True)) == ["keep files of its own"]
