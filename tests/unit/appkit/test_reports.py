"""Reports of an app: which periods are asked for, what is returned, and what is refused."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.appkit.contract import App, Cell
from gongfu.appkit.grants import asked_lines
from gongfu.appkit.host.reporting import periods
from gongfu.appkit.manifest import parse_manifest
from gongfu.appkit.order_declarations import OrderDeclarationError
from gongfu.appkit.testing import START_NS, Bench

S = 10**9
H = 3600 * S
MANIFEST = """\
[app]
id = "test.pumps"
version = "1.0.0"
title = { zh = "泵", en = "Pumps" }
[needs]
reports = ["pumps.health"]
[[needs.points]]
point = "efficiency"
history = "1d"
"""
CODE = """\
from gongfu.appkit.contract import App, Cell, Context, Period

app = App()


@app.report("pumps.health")
def health(context: Context, period: Period) -> list[Cell]:
    cells = []
    for info in context.points(point="efficiency"):
        values = context.history(info.asset, "efficiency", period.start, period.end).values
        cells.append(Cell({"pump": info.asset}, {"samples": len(values), "efficiency": values}))
    return cells


@app.report("pumps.secret")
def secret(context: Context, period: Period) -> list[Cell]:
    return {}
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "app.toml").write_text(MANIFEST)
    (tmp_path / "app.py").write_text(CODE)
    return Bench.load(tmp_path)


def test_a_period_of_recorded_data_becomes_cells(bench: Bench) -> None:
    bench.feed("pump 1", {"efficiency": [0.7, 0.75, 0.5]}, [START_NS + S, START_NS + 2 * S, START_NS + H])
    cells = bench.reports.ask("pumps.health", START_NS, START_NS + H)
    assert cells == [Cell({"pump": "pump 1"}, {"samples": 2, "efficiency": [0.7, 0.75]})]


def test_a_report_that_was_not_granted_is_refused_and_a_wrong_one_told(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(PermissionError, match=r'\[needs\] reports = \["pumps.secret"\]'):
        bench.reports.ask("pumps.secret", 0, 1)
    asking = MANIFEST.replace('reports = ["pumps.health"]', 'reports = ["pumps.health", "pumps.secret"]')
    (tmp_path / "app.toml").write_text(asking)
    with pytest.raises(AssertionError, match="returns a list of Cell, not dict"):
        Bench.load(tmp_path).reports.ask("pumps.secret", 0, 1)


def test_what_is_asked_for_is_shown() -> None:
    assert "report 'pumps.health' to nodes above" in asked_lines(parse_manifest(MANIFEST.encode()).needs)


@pytest.mark.parametrize(
    ("now", "last", "late", "expected"),
    [
        (5 * H + S, -1, 0, [5]),
        (5 * H + S, 5 * H, 0, [5]),
        (5 * H + S, 4 * H, 0, [4, 5]),
        (5 * H + S, 2 * H, 0, [2, 3, 4, 5]),
        (5 * H + S, 5 * H, 2 * S, [4, 5]),
        (5 * H + 3 * S, 5 * H, 2 * S, [5]),
        (5 * H + S, 9 * H, 0, [5]),
    ],
)
def test_periods_that_are_stated(now: int, last: int, late: int, expected: list[int]) -> None:
    assert [start // H for start in periods(H, now, last, late)] == expected


@given(st.integers(0, 10**12), st.integers(-1, 10**12), st.integers(0, 10**12), st.integers(1, 10**6))
def test_periods_are_in_a_row_bounded_and_end_with_the_present_one(now: int, last: int, late: int, length: int) -> None:
    found = periods(length, now, last, late)
    assert 1 <= len(found) <= 100
    assert found[-1] <= now < found[-1] + length
    assert all(later - earlier == length for earlier, later in itertools.pairwise(found))
    assert found[0] % length == 0


def test_a_wrong_declaration_fails_at_import() -> None:
    with pytest.raises(OrderDeclarationError, match="dotted small letters"):
        App().report("Pumps!")
    with pytest.raises(OrderDeclarationError, match="once a second"):
        App().report("pumps", every="10ms")
