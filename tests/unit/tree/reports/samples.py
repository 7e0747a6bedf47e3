"""Kinds and cells for the tests of reports."""

from collections.abc import Mapping

from gongfu.tree.reports.cells import Cell, Cells, columns_of, contributor
from gongfu.tree.reports.kinds import Form, Leaving, Measure, ReportKind
from gongfu.tree.reports.measures import State, merge
from gongfu.tree.reports.sketches import sketch_distinct

MEASURES = (
    Measure(name="devices", form=Form.COUNT, unit="{device}"),
    Measure(name="machines", form=Form.DISTINCT, size=7),
    Measure(name="energy", form=Form.SUM, unit="kW.h", decimals=3),
    Measure(name="coldest", form=Form.MIN, unit="Cel", decimals=1),
    Measure(name="hottest", form=Form.MAX, unit="Cel", decimals=1),
)
KIND = ReportKind(
    name="devices.state",
    keys=("region", "state"),
    measures=MEASURES,
    leaving=(
        Leaving(
            tier="province",
            keys=("region",),
            measures=("devices", "energy", "hottest", "machines"),
            lengths={"region": 2},
        ),
        Leaving(tier="site", keys=("region", "state"), measures=tuple(m.name for m in MEASURES)),
    ),
)
MINUTE = 60_000_000_000
PERIODIC = ReportKind(name="devices.minute", period=60, keys=KIND.keys, measures=MEASURES)

# (period, keys) → (number that all measures follow from, contributors)
Facts = Mapping[tuple[int, tuple[str, ...]], tuple[int, frozenset[str]]]


def states_of(number: int) -> dict[str, State]:
    return {
        "devices": number,
        "machines": sketch_distinct(MEASURES[1], [f"m{i}" for i in range(number % 5)]),
        "energy": number * 1000 - 5000,
        "coldest": -number,
        "hottest": number % 17,
    }


def cells_of(kind: ReportKind, facts: Facts) -> Cells:
    return columns_of(
        kind,
        [
            Cell(
                kind=kind.name,
                period=period,
                keys=keys,
                measures={m.name: states_of(number)[m.name] for m in kind.measures},
                contributors=tuple(contributor(kind.name, who) for who in whose),
            )
            for (period, keys), (number, whose) in sorted(facts.items())
        ],
    )


def content(cells: Cells) -> dict[tuple[int, tuple[str, ...]], tuple[object, ...]]:
    """Return what present cells say, by period and keys."""
    out: dict[tuple[int, tuple[str, ...]], tuple[object, ...]] = {}
    for i in range(len(cells)):
        cell = cells.cell(i)
        if cell.present:
            out[cell.period, cell.keys] = (dict(cell.measures), cell.contributors, cell.nodes, cell.silent)
    return out


def recount(kind: ReportKind, parts: list[Facts]) -> dict[tuple[int, tuple[str, ...]], tuple[object, ...]]:
    """Return what a ledger over these facts must say: merged one by one, without any of its columns."""
    out: dict[tuple[int, tuple[str, ...]], tuple[object, ...]] = {}
    for name in sorted({name for facts in parts for name in facts}):
        held = [facts[name] for facts in parts if name in facts]
        measures = {
            m.name: merged
            for m in kind.measures
            if (merged := merge(m, [states_of(number)[m.name] for number, _ in held])) != b""
        }
        hashes = sorted({contributor(kind.name, who) for _, whose in held for who in whose})
        out[name] = (measures, tuple(hashes[: kind.least_contributors]), len(held), 0)
    return out
