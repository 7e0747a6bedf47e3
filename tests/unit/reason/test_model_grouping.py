"""Stream, history and service give equal answers: for every kind of model, rows in any groups of calls, with restarts
anywhere between, come to the same outputs as all rows in one call."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gongfu.reason.models.kinds.loading import load
from gongfu.reason.models.sandbox.types import HELD, Rows
from tests.fixtures.fmus import Fmus

SECOND = 10**9
STATELESS = """
from gongfu.appkit.contract import Port, model
@model(id="t.sum", version="1.0.0", inputs=[Port("a", "1"), Port("b", "1")], outputs=[Port("c", "1")])
def f(columns, dt):
    return {"c": columns["a"] * 2 + columns["b"]}
"""
STATEFUL = """
import numpy as np
from gongfu.appkit.contract import Port, model
@model(id="t.filter", version="1.0.0", inputs=[Port("a", "1"), Port("b", "1")], outputs=[Port("c", "1")])
def f(columns, dt, state):
    last, seen = (0.0, np.zeros(2)) if state is None else (state["last"], state["seen"])
    out = np.empty(len(dt))
    for i, (a, b, step) in enumerate(zip(columns["a"], columns["b"], dt)):
        if np.isfinite(a) and np.isfinite(b):
            last += (a + b - last) * min(1.0, 0.1 * (0.0 if np.isnan(step) else step))
            seen = seen + np.array([1.0, a])
        out[i] = last + seen[1]
    return {"c": out}, {"last": last, "seen": seen}
"""
TABLE = """
{"inputs": [{"name": "a"}, {"name": "b"}], "outputs": [{"name": "c"}],
 "tables": [{"table": "lookup", "gives": "c", "outside": "hold",
             "axes": [{"input": "a", "at": [-2, 0, 3]}, {"input": "b", "at": [-1, 1]}],
             "values": [[1, 2], [3, 5], [-4, 0.5]]}]}
"""
TEXTS = {"stateless": ("python", STATELESS), "stateful": ("python", STATEFUL), "table": ("table", TABLE)}
FMUS = ["tank2", "tank2-serialised", "tank2-fixed", "tank2-once", "tank3", "tank3-serialised", "ball3"]

Loaded = Callable[[str], Any]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Loaded:
    found: dict[str, Any] = {}

    def find(name: str) -> Any:
        if name not in found:
            folder = tmp_path_factory.mktemp("kind")
            if name in TEXTS:
                kind, text = TEXTS[name]
                artifact = folder / "artifact"
                artifact.write_text(text)
            else:
                fmus: Fmus = request.getfixturevalue("fmus")
                kind, artifact = "fmu", fmus(name)
            found[name] = load(kind, artifact, {}, Path(folder))
        return found[name]

    return find


def rows_of(evaluator: Any, per_asset: list[list[tuple[float, float, float]]], parts: list[slice], states: Any) -> Rows:
    """Rows of assets 10, 11, …; of each, the part; ``per_asset`` holds (seconds since the row before, two inputs)."""
    names = [port.name for port in evaluator.description.inputs]
    times, steps, values, offsets = [], [], [], [0]
    for rows, part in zip(per_asset, parts, strict=True):
        at = np.cumsum([max(gap, 0.001) for gap, _, _ in rows])
        gaps = np.diff(at, prepend=np.nan)
        times += (at[part] * SECOND).astype(np.int64).tolist()
        steps += gaps[part].tolist()
        values += [(a, b) for _, a, b in rows[part]]
        offsets.append(len(times))
    columns = {name: np.array([row[index % 2] for row in values], dtype=float) for index, name in enumerate(names)}
    assets = np.arange(10, 10 + len(per_asset))
    return Rows(assets, np.array(offsets), np.array(times, dtype=np.int64), columns, np.array(steps), states)


number = st.one_of(st.floats(-3, 3, allow_subnormal=False), st.just(float("nan")))
row = st.tuples(st.sampled_from([0.05, 0.25, 0.5, 1.0, 1.3]), number, number)
cut = st.tuples(st.integers(1, 5), st.sampled_from(["give", "hold", "restart", "fetch"]))


@pytest.mark.parametrize("name", [*TEXTS, *FMUS])
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(row, min_size=1, max_size=10), min_size=1, max_size=3), st.lists(cut, min_size=1, max_size=6))
def test_any_grouping_and_any_restart_gives_equal_outputs(
    loaded: Loaded, name: str, per_asset: list[list[tuple[float, float, float]]], cuts: list[tuple[int, str]]
) -> None:
    evaluator = loaded(name)
    whole = evaluator.evaluate(
        rows_of(evaluator, per_asset, [slice(None)] * len(per_asset), [None] * len(per_asset)), False
    )
    found: list[list[dict[str, float]]] = [[] for _ in per_asset]
    states: list[bytes | None] = [None] * len(per_asset)
    begin, turn = 0, 0
    while begin < max(map(len, per_asset)):
        length, how = cuts[turn % len(cuts)]
        parts = [slice(begin, begin + length) for _ in per_asset]
        asked = rows_of(evaluator, per_asset, parts, states)
        keep = how in ("hold", "fetch") and evaluator.description.has_state
        computed = evaluator.evaluate(asked, keep)
        assert computed.failures == {}
        for index in range(len(per_asset)):
            for at in range(asked.offsets[index], asked.offsets[index + 1]):
                found[index].append({port: column[at] for port, column in computed.columns.items()})
        states = computed.states
        if how == "fetch" and keep:
            states = evaluator.states(asked.assets.tolist())
        if how == "restart" and hasattr(evaluator, "forget"):
            evaluator.forget()
        begin, turn = begin + length, turn + 1
    at = 0
    for rows in found:
        for values in rows:
            for port, value in values.items():
                expected = whole.columns[port][at]
                assert value == expected or (np.isnan(value) and np.isnan(expected)), (port, at)
            at += 1
    assert at == len(next(iter(whole.columns.values())))


def test_a_held_state_that_is_gone_is_asked_for_and_not_made_up(loaded: Loaded) -> None:
    evaluator = loaded("stateful")
    evaluator.forget()
    rows = rows_of(evaluator, [[(1.0, 1.0, 1.0)]], [slice(None)], [HELD])
    with pytest.raises(Exception, match="no state of asset 10 is held") as caught:
        evaluator.evaluate(rows, True)
    assert caught.value.reason == "state"  # type: ignore[attr-defined]
