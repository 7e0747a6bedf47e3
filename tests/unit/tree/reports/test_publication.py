import random
from collections.abc import Iterable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog

from gongfu.tree.reports.cells import NO_CONTRIBUTOR, Cell, Cells, columns_of, contributor
from gongfu.tree.reports.kinds import Form, Measure, ReportKind
from gongfu.tree.reports.publication import (
    EMPTY,
    CellName,
    Publication,
    PublicationError,
    PublicationReason,
    Rule,
    Table,
    bounds,
    publish,
    tabulate,
)

KIND = ReportKind(
    name="faults",
    keys=("region", "industry", "size"),
    measures=(
        Measure(name="faults", form=Form.COUNT),
        Measure(name="loss", form=Form.SUM, decimals=2),
        Measure(name="worst", form=Form.MAX),
    ),
    least_contributors=3,
)


def cells_of(contributions: Iterable[tuple[str, str, str, str, int]]) -> Cells:
    """Make cells from (enterprise, region, industry, size, faults)."""
    found: dict[tuple[str, ...], list[tuple[str, int]]] = {}
    for who, *keys, number in contributions:
        found.setdefault(tuple(keys), []).append((who, number))
    return columns_of(
        KIND,
        [
            Cell(
                kind=KIND.name,
                keys=keys,
                measures={"faults": sum(n for _, n in some), "loss": sum(n for _, n in some) * 7, "worst": 1},
                contributors=tuple(contributor(KIND.name, who) for who, _ in some),
            )
            for keys, some in found.items()
        ],
    )


def hidden(publication: Publication) -> list[tuple[int, int]]:
    return [(i, j) for i, row in enumerate(publication.values) for j, value in enumerate(row) if value is None]


def joint_bounds(tables: list[tuple[Table, Publication]]) -> dict[CellName, tuple[float, float | None]]:
    """Compute bounds from several tables: linear programs over all sums of all of them."""
    shown: dict[CellName, int] = {}
    unknown: dict[CellName, int] = {}
    sums: list[list[tuple[CellName, int]]] = []
    for table, publication in tables:
        height, width = table.values.shape
        rows, columns = range(height), range(width)
        sums += [[(table.name(i, j), 1 if j < width - 1 else -1) for j in columns] for i in rows]
        sums += [[(table.name(i, j), 1 if i < height - 1 else -1) for i in rows] for j in columns]
        for i, row in enumerate(publication.values):
            for j, value in enumerate(row):
                if value is not None:
                    shown[table.name(i, j)] = value
    for line in sums:
        for name, _ in line:
            if name not in shown:
                unknown.setdefault(name, len(unknown))
    a, b = np.zeros((len(sums), len(unknown))), np.zeros(len(sums))
    for k, line in enumerate(sums):
        for name, sign in line:
            if name in shown:
                b[k] -= sign * shown[name]
            else:
                a[k, unknown[name]] += sign
    out: dict[CellName, tuple[float, float | None]] = {}
    for name, k in unknown.items():
        aim = np.zeros(len(unknown))
        aim[k] = 1
        low, high = linprog(aim, A_eq=a, b_eq=b), linprog(-aim, A_eq=a, b_eq=b)
        assert low.status == 0
        out[name] = (low.fun, None if high.status == 3 else -high.fun)
    return out


def linear_bounds(publication: Publication) -> dict[tuple[int, int], tuple[float, float | None]]:
    """Compute bounds as somebody would who has only what is shown: linear programs over all sums."""
    unknown = hidden(publication)
    number = {cell: k for k, cell in enumerate(unknown)}
    height, width = len(publication.values), len(publication.values[0])
    if publication.column_key is None:
        lines = [[(i, 0, 1 if i < height - 1 else -1) for i in range(height)]]
    else:
        lines = [[(i, j, 1 if j < width - 1 else -1) for j in range(width)] for i in range(height)]
        lines += [[(i, j, 1 if i < height - 1 else -1) for i in range(height)] for j in range(width)]
    a, b = np.zeros((len(lines), len(unknown))), np.zeros(len(lines))
    for row, line in enumerate(lines):
        for i, j, sign in line:
            value = publication.values[i][j]
            if value is None:
                a[row, number[i, j]] = sign
            else:
                b[row] -= sign * value
    out: dict[tuple[int, int], tuple[float, float | None]] = {}
    for cell, k in number.items():
        aim = np.zeros(len(unknown))
        aim[k] = 1
        low = linprog(aim, A_eq=a, b_eq=b)
        high = linprog(-aim, A_eq=a, b_eq=b)
        assert low.status == 0
        out[cell] = (low.fun, None if high.status == 3 else -high.fun)
    return out


def test_a_table_adds_up_and_counts_an_enterprise_once_in_a_margin() -> None:
    table = tabulate(
        cells_of([("a", "11", "C1", "big", 3), ("a", "11", "C2", "big", 4), ("b", "44", "C1", "small", 5)]),
        "faults",
        "region",
        "industry",
    )
    assert (table.rows, table.columns) == (["11", "44"], ["C1", "C2"])
    assert table.values.tolist() == [[3, 4, 7], [5, 0, 5], [8, 4, 12]]
    count = (table.contributors != NO_CONTRIBUTOR).sum(axis=2)
    assert count.tolist() == [[1, 1, 1], [1, 0, 1], [2, 1, 2]]
    assert table.name(0, 1) == (("industry", "C2"), ("region", "11"))
    assert table.name(2, 2) == ()
    one = tabulate(cells_of([("a", "11", "C1", "big", 3), ("b", "44", "C1", "big", 5)]), "faults", "region")
    assert one.values.tolist() == [[3], [5], [8]]


def test_one_small_cell_takes_three_others_with_it() -> None:
    many = [
        (f"{r}{c}{k}", r, c, "big", 10 + k) for r in ("11", "33", "44") for c in ("C1", "C2", "C3") for k in range(4)
    ]
    small = [row for row in many if not (row[1:3] == ("33", "C2") and row[0].endswith(("1", "2", "3")))]
    publication, _ = publish(tabulate(cells_of(small), "faults", "region", "industry"), Rule())
    assert publication.why[1][1] == "primary"
    flat = [why for row in publication.why for why in row]
    assert flat.count("primary") == 1
    assert flat.count("complementary") == 3
    # Without the complementary cells the margins tell it.
    table = tabulate(cells_of(small), "faults", "region", "industry")
    assert bounds(table, [(1, 1)]) == {(1, 1): (10, 10)}


def test_one_of_two_in_a_sum_cannot_subtract_itself() -> None:
    rows = [("a", "11", "C1", "big", 9), ("b", "11", "C2", "big", 9)]
    rows += [(f"x{k}", "11", "C3", "big", 50) for k in range(5)]
    publication, _ = publish(tabulate(cells_of(rows), "faults", "industry"), Rule())
    # Two cells of one enterprise each protect each other from all but these two.
    assert [why for (why,) in publication.why] == ["primary", "primary", "complementary", ""]


def test_a_small_neighbour_is_no_protection_for_a_large_cell() -> None:
    rows = [("a", "11", "C1", "big", 1000)]
    rows += [(f"x{k}", "11", "C2", "big", 1) for k in range(3)]
    rows += [(f"y{k}", "11", "C3", "big", 500) for k in range(3)]
    table = tabulate(cells_of(rows), "faults", "industry")
    publication, _ = publish(table, Rule(width=0.2))
    low, high = bounds(table, hidden(publication))[0, 0]
    assert high is not None
    assert high - low >= 200
    assert publication.values[2] == (None,)


def test_a_dominated_cell_is_suppressed() -> None:
    rows = [
        (f"{c}{k}", "11", c, "big", 900 if (k, c) == (0, "C1") else 10) for c in ("C1", "C2", "C3") for k in range(4)
    ]
    table = tabulate(cells_of(rows), "faults", "industry")
    largest = np.array([[900], [10], [10], [900]])
    publication, _ = publish(table, Rule(largest_share=0.95), largest=largest)
    assert publication.why[0] == ("primary",)
    publication, _ = publish(table, Rule(), largest=largest)
    assert hidden(publication) == []


def test_a_frozen_pattern_keeps_cells_hidden_when_they_grow() -> None:
    def month(extra: int) -> Table:
        rows = [(f"{r}{c}{k}", r, c, "big", 10) for r in ("11", "33") for c in ("C1", "C2") for k in range(4)]
        rows = [row for row in rows if row[1:3] != ("11", "C1")]
        rows += [(f"s{k}", "11", "C1", "big", 10) for k in range(2 + extra)]
        return tabulate(cells_of(rows), "faults", "region", "industry")

    first, pattern = publish(month(0), Rule())
    fresh, _ = publish(month(1), Rule())
    assert hidden(fresh) == []
    second, _ = publish(month(1), Rule(), pattern.next_period())
    # Otherwise the third enterprise is the difference of the two tables.
    assert hidden(second) == hidden(first)
    assert second.why[0][0] == "frozen"


def test_another_table_of_the_period_does_not_show_a_hidden_margin() -> None:
    rows = [(f"{r}{c}{k}", r, c, "big", 10) for r in ("11", "33", "44") for c in ("C1", "C2", "C3") for k in range(4)]
    rows = [row for row in rows if row[1] != "11"] + [("solo", "11", "C1", "small", 8)]
    cells = cells_of(rows)
    first, pattern = publish(tabulate(cells, "faults", "region", "industry"), Rule())
    assert first.values[0][-1] is None
    second, _ = publish(tabulate(cells, "faults", "region"), Rule(), pattern)
    margins = [row[-1] is None for row in first.values]
    assert [value is None for (value,) in second.values] == margins


def test_what_was_shown_cannot_protect_and_the_table_is_withheld() -> None:
    rows = [(f"{r}{k}", r, "C1", "big", 10) for r in ("11", "33", "44") for k in range(4)]
    _, pattern = publish(tabulate(cells_of(rows), "faults", "region"), Rule())
    fewer = [row for row in rows if row[1] != "11" or row[0] == "110"]
    shown = msgspec.structs.replace(pattern, shown=frozenset(n for n in pattern.shown if n[1] != (("region", "11"),)))
    with pytest.raises(PublicationError) as caught:
        publish(tabulate(cells_of(fewer), "faults", "region"), Rule(), shown)
    assert caught.value.reason is PublicationReason.UNPROTECTABLE


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (("worst", "region", None), PublicationReason.MEASURE),
        (("nothing", "region", None), PublicationReason.MEASURE),
        (("faults", "country", None), PublicationReason.KEY),
        (("faults", "region", "region"), PublicationReason.KEY),
    ],
)
def test_a_wrong_table_is_refused(what: tuple[str, str, str | None], reason: PublicationReason) -> None:
    with pytest.raises(PublicationError) as caught:
        tabulate(cells_of([("a", "11", "C1", "big", 3)]), *what)
    assert caught.value.reason is reason


def test_wrong_rules_and_negative_values_are_refused() -> None:
    table = tabulate(cells_of([("a", "11", "C1", "big", 3)]), "faults", "region")
    with pytest.raises(PublicationError) as caught:
        publish(table, Rule(least=4))
    assert caught.value.reason is PublicationReason.RULE
    table.values[0, 0] = -1
    with pytest.raises(PublicationError) as caught:
        publish(table, Rule())
    assert caught.value.reason is PublicationReason.NEGATIVE


facts = st.lists(
    st.tuples(
        st.sampled_from("abcdefghij"),
        st.sampled_from(["11", "33", "44", "51"]),
        st.sampled_from(["C1", "C2", "C3"]),
        st.sampled_from(["big", "small"]),
        st.integers(0, 60),
    ),
    min_size=1,
    max_size=40,
)


def _check(table: Table, publication: Publication, rule: Rule) -> None:
    width: NDArray[np.int64] = np.maximum(1, np.ceil(rule.width * table.values)).astype(np.int64)
    found = bounds(table, hidden(publication))
    by_programs = linear_bounds(publication)
    count = (table.contributors != NO_CONTRIBUTOR).sum(axis=2)
    for (i, j), (low, high) in found.items():
        least, most = by_programs[i, j]
        assert low == pytest.approx(least, abs=1e-6)
        assert (high is None) == (most is None)
        if high is not None and most is not None:
            assert high == pytest.approx(most, abs=1e-6)
            assert high - low >= (width[i, j] if publication.why[i][j] == "primary" else 1)
        assert low <= table.values[i, j]
    for i, row in enumerate(publication.values):
        for j, value in enumerate(row):
            if value is not None:
                assert value == table.values[i, j]
                assert count[i, j] == 0 or count[i, j] >= rule.least


@given(facts, st.sampled_from(["industry", "size", None]), st.sampled_from([2, 3]), st.sampled_from([0.0, 0.1, 0.5]))
@settings(max_examples=120, deadline=None)
def test_no_suppressed_cell_can_be_computed(
    some: list[tuple[str, str, str, str, int]], columns: str | None, least: int, share: float
) -> None:
    table = tabulate(cells_of(some), "faults", "region", columns)
    rule = Rule(least=least, width=share)
    publication, pattern = publish(table, rule)
    _check(table, publication, rule)
    assert publish(table, rule)[0] == publication
    again, _ = publish(table, rule, pattern)
    assert hidden(again) == hidden(publication)


@given(st.integers(0, 2**32), st.sampled_from([20, 60, 120]))
@settings(max_examples=60, deadline=None)
def test_two_tables_of_a_period_give_away_no_more_together(seed: int, n: int) -> None:
    rnd = random.Random(seed)
    sizes = ("big", "small", "tiny")
    some = [
        (f"e{rnd.randrange(40)}", rnd.choice("123"), rnd.choice("ABC"), rnd.choice(sizes), rnd.randrange(60))
        for _ in range(n)
    ]
    # A region with one enterprise, so that margins are hidden that both tables have.
    some += [("lone", "4", "A", "big", 5), ("lone", "4", "B", "small", 7)]
    cells, rule = cells_of(some), Rule(width=0.0)
    tables: list[tuple[Table, Publication]] = []
    pattern = EMPTY
    for column in ("industry", "size"):
        table = tabulate(cells, "faults", "region", column)
        try:
            publication, pattern = publish(table, rule, pattern)
        except PublicationError:
            # Withheld: nothing of it is shown. The first one never is.
            assert tables
            return
        tables.append((table, publication))
    together = joint_bounds(tables)
    for table, publication in tables:
        for i, j in hidden(publication):
            low, high = together[table.name(i, j)]
            assert high is None or high - low > 0.5
    alone = joint_bounds(tables[:1])
    for name, (low, high) in alone.items():
        assert together[name][0] == pytest.approx(low, abs=1e-6)
        assert together[name][1] == (None if high is None else pytest.approx(high, abs=1e-6))


@given(facts, facts, st.sampled_from(["industry", None]))
@settings(max_examples=80, deadline=None)
def test_what_was_hidden_stays_hidden_over_periods(
    first: list[tuple[str, str, str, str, int]], second: list[tuple[str, str, str, str, int]], columns: str | None
) -> None:
    rule = Rule()
    table = tabulate(cells_of(first), "faults", "region", columns)
    publication, pattern = publish(table, rule)
    names = {table.name(i, j) for i, j in hidden(publication)}
    after = tabulate(cells_of(second), "faults", "region", columns)
    later, both = publish(after, rule, pattern.next_period())
    _check(after, later, rule)
    shown = {after.name(i, j) for i, row in enumerate(later.values) for j, value in enumerate(row) if value is not None}
    assert not names & shown
    assert names <= both.suppressed
    assert EMPTY.next_period() == EMPTY
