"""Rules that are functions: deadband and delays as in rules as data, alarms once, nothing kept by the function."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.appkit.contract import App, AppError, Window
from gongfu.appkit.declarations import DeclarationError
from gongfu.appkit.ruling import AppRule, Standing, judge
from gongfu.appkit.testing import Bench, Failed
from gongfu.kernel.block import Block, Columns
from gongfu.kernel.points import ValueType
from gongfu.reason.rules.conditions import Kind, ThresholdCondition
from gongfu.reason.rules.engine import RuleEngine
from gongfu.reason.rules.instances import Assignment
from gongfu.reason.rules.types import Priority, Rule
from gongfu.store.twins.latest import Twins

S = 10**9


def rule(**changes: Any) -> AppRule:
    values: dict[str, Any] = {
        "name": "hot", "priority": "high", "direction": "above", "limit": 5.0, "deadband": 1.0,
        "on_delay": 0, "off_delay": 0, "point": "hot", "message": "",
    }  # fmt: skip
    return AppRule(**(values | changes))


def alarms_of(one: AppRule, verdicts: list[Any]) -> list[tuple[int, bool]]:
    """Return (seconds, raised) of changes, of verdicts on windows of a second."""
    state, found = Standing(), list[tuple[int, bool]]()
    for second, verdict in enumerate(verdicts):
        state, turns = judge(one, Standing.of(state.plain()), verdict, second * S)
        found += [(turn.time // S, turn.raised) for turn in turns]
    return found


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from([2.0, 4.0, 4.5, 5.0, 5.5, 9.0]), min_size=1, max_size=30),
    st.sampled_from(["above", "below"]),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_verdicts_are_judged_as_rules_as_data_judge_values(
    values: list[float], direction: Any, deadband: float, on: int, off: int
) -> None:
    """Against the rule engine of the worker, fed with one sample a second."""
    own = alarms_of(rule(direction=direction, deadband=deadband, on_delay=on * S, off_delay=off * S), [*values])
    condition = ThresholdCondition(
        direction=direction, limit=5.0, deadband=deadband, delay_s=float(on), off_delay_s=float(off)
    )
    data = Rule(
        id=1, tenant=1, name="hot", kind=Kind.THRESHOLD, asset="**", point="t", condition=condition,
        priority=Priority.HIGH, message="", enabled=True,
    )  # fmt: skip
    engine = RuleEngine(1 << 60)
    engine.assign([Assignment(data, np.array([1], np.uint32))], Twins(), 0)
    found: list[tuple[int, bool]] = []
    for second, value in enumerate(values):
        columns = Columns(np.array([1], np.uint32), np.array([second * S]), np.zeros(1, np.uint8), np.array([value]))
        found += [(t.time // S, t.raised) for t in engine.evaluate(Block(1, second * S, {ValueType.DOUBLE: columns}))]
    assert own == found


def test_what_is_not_known_changes_nothing() -> None:
    assert alarms_of(rule(on_delay=2 * S), [6.0, None, float("nan"), 1.0]) == [(2, True), (3, False)]
    assert alarms_of(rule(limit=None, deadband=0.0), [True, None, np.bool_(False), False]) == [(0, True), (2, False)]
    assert alarms_of(rule(), [np.float64(6.0), np.int64(0), True]) == [(0, True), (1, False)]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"priority": "urgent"}, "priority is one of"),
        ({"direction": "over"}, "direction is"),
        ({"limit": float("nan")}, "finite"),
        ({"deadband": -1.0}, "deadband is"),
        ({"limit": None}, "belongs to a limit"),
    ],
)
def test_wrong_rules_are_refused_where_they_stand(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(DeclarationError, match=says):
        rule(**changes)


def test_two_rules_of_one_name_are_refused() -> None:
    app = App()

    def hot(window: Window) -> bool:
        return True

    app.rule("t", window="1s")(hot)
    with pytest.raises(DeclarationError, match="two functions are called hot"):
        app.rule("t", window="2s")(hot)


TOML = """\
[app]
id = "test.rules"
version = "1.0.0"
title = { zh = "规", en = "Rules" }
[[needs.points]]
point = "temperature"
[needs.alarms]
"""
CODE = """\
from gongfu.appkit.contract import App, Verdict, Window

app = App()


@app.rule("temperature", window="10s", limit=80.0, deadband=5.0, on_delay="15s", off_delay="15s", priority="high",
          point="temperature", message="{asset}: {value} above {limit}")
def hot(window: Window) -> Verdict:
    window.state["calls"] = window.state.get("calls", 0) + 1
    assert window.state["calls"] == 1, "it keeps nothing"
    samples = window["temperature"].good
    return float(samples.values.mean()) if len(samples) else None


@app.rule("temperature", window="10s")
def lost(window: Window) -> Verdict:
    return not len(window["temperature"].good)
"""


def replayed(folder: Path, means: list[float | None], code: str = CODE) -> Bench:
    (folder / "app.toml").write_text(TOML)
    (folder / "app.py").write_text(code)
    bench = Bench.load(folder)
    start = bench.now
    for index, mean in enumerate(means):
        bench.feed("oven 1", {"temperature": [mean, mean]}, [start + (10 * index + n) * S for n in (1, 6)])
    bench.settle()
    return bench


def test_a_rule_of_an_app_raises_and_returns_on_recorded_data(tmp_path: Path) -> None:
    bench = replayed(tmp_path, [70.0, 90.0, 70.0, 85.0, 82.0, 78.0, None, 70.0, 70.0, 70.0])
    start = bench.alarms[0].raised - 55 * S
    told = [(a.key, a.point, a.priority, a.message, a.value, a.raised - start, a.returned and a.returned - start)
            for a in bench.alarms]  # fmt: skip
    # 90 alone is too short; 78 is within the deadband; the bad window changes nothing.
    assert told == [
        ("hot", "temperature", "high", "oven 1: 85 above 80", 85.0, 55 * S, 95 * S),
        ("lost", "lost", "medium", "lost", None, 70 * S, 80 * S),
    ]


def test_a_rule_has_its_text_in_chinese_and_english(tmp_path: Path) -> None:
    both = """message={"zh": "{asset} 高于 {limit}", "en": "{asset} is above {limit}"})"""
    bench = replayed(tmp_path, [90.0, 90.0, 90.0], CODE.replace('message="{asset}: {value} above {limit}")', both))
    assert [(a.message, a.message_zh) for a in bench.alarms] == [("oven 1 is above 80", "oven 1 高于 80")]
    with pytest.raises(AppError, match="with both"):
        bench.context.raise_alarm("key", "oven 1", {"zh": "热"}, time=1)
    with pytest.raises(DeclarationError, match="with both"):
        rule(message={"en": "hot", "de": "heiß"})


def test_a_verdict_of_another_type_fails_visibly(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="hot returns str: with limit it returns a number or None"):
        replayed(tmp_path, [70.0], CODE.replace("return float(samples.values.mean())", 'return "no"'))
