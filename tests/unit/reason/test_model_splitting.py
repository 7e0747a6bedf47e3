"""Calls with long states in parts, the journal, and an FMU that has seen more rows than are kept."""

from pathlib import Path

import numpy as np
import pytest

from gongfu.reason.models.kinds.loading import load
from gongfu.reason.models.sandbox import splitting
from gongfu.reason.models.sandbox.splitting import parts_of, whole_of
from gongfu.reason.models.sandbox.types import Outcome, Rows
from tests.fixtures.fmus import Fmus


def test_parts_are_whole_assets_and_come_together_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "MOST_STATE_BYTES", 10)
    states = [b"x" * 4, None, b"x" * 6, b"x" * 50, b"x", b"x"]
    offsets = np.array([0, 2, 2, 3, 6, 7, 9])
    rows = Rows(np.arange(6), offsets, np.arange(9), {"a": np.arange(9.0)}, np.ones(9), states)
    parts = parts_of(rows)
    assert [part.assets.tolist() for part in parts] == [[0, 1, 2], [3], [4, 5]]
    assert [part.offsets.tolist() for part in parts] == [[0, 2, 2, 3], [0, 3], [0, 1, 3]]
    found = whole_of(
        [Outcome({"b": part.columns["a"] * 2}, part.states, 1.0, {int(part.assets[0]): "x"}, {}) for part in parts]
    )
    assert found.columns["b"].tolist() == (np.arange(9.0) * 2).tolist()
    assert (found.states, found.cpu_s, list(found.failures)) == (states, 3.0, [0, 3, 4])
    monkeypatch.undo()
    assert parts_of(rows) == [rows]


def test_an_fmu_that_gives_no_state_away_remembers_so_much_and_says_so(fmus: Fmus, tmp_path: Path) -> None:
    model = load("fmu", fmus("tank2"), {}, tmp_path)
    most = model._most  # type: ignore[attr-defined]

    def rows(first: int, n: int, state: bytes | None) -> Rows:
        columns = {"inflow": np.full(n, 2.0), "boost": np.zeros(n)}
        times = np.arange(first, first + n) * 10**9
        return Rows(np.array([5]), np.array([0, n]), times, columns, np.ones(n), [state])

    found = model.evaluate(rows(0, 2 * most, None), False)
    assert found.notes == {}
    found = model.evaluate(rows(2 * most, 10, found.states[0]), False)
    assert f"the last {most}" in found.notes[5]
    assert found.columns["steps"][-1] == 2 * most + 10
    model.forget()  # type: ignore[attr-defined]
    again = model.evaluate(rows(2 * most + 10, 1, found.states[0]), False)
    assert again.columns["steps"][-1] == most + 1
    # The tank forgets its beginning, so the answer is the same all the same.
    np.testing.assert_allclose(again.columns["level"], 20.0)
