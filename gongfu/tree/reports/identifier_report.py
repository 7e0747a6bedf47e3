"""The built-in kind ``identifiers-daily``: what each node has registered and resolved, by day, region and industry.

A day is of UTC. A day's cells are stated again whenever they have changed, so a total is exact whatever was late,
repeated or restored in between; real and replayed resolutions (刷量) are told apart where they are counted.
"""

from collections.abc import Sequence

from gongfu.identify.statistics.documents import DayCell
from gongfu.tree.reports.cells import Cell, Cells, columns_of, contributor
from gongfu.tree.reports.kinds import ANY_TIER, DAY_SECONDS, Form, Leaving, Measure, ReportKind

_KEYS = ("region", "industry")
_MEASURES = (
    Measure(name="registered", form=Form.COUNT, unit="{identifier}"),
    Measure(name="added", form=Form.SUM, unit="{identifier}"),
    Measure(name="real", form=Form.COUNT, unit="{resolution}"),
    Measure(name="replayed", form=Form.COUNT, unit="{resolution}"),
    Measure(name="enterprises", form=Form.COUNT, unit="{enterprise}"),
    Measure(name="prefixes", form=Form.COUNT, unit="{prefix}"),
)
IDENTIFIERS_DAILY = ReportKind(
    name="identifiers-daily",
    period=DAY_SECONDS,
    keys=_KEYS,
    measures=_MEASURES,
    leaving=(Leaving(tier=ANY_TIER, keys=_KEYS, measures=tuple(measure.name for measure in _MEASURES)),),
)


def day_cells(period: int, cells: Sequence[DayCell], node: str) -> Cells:
    """Return the cells of a day.

    Args:
        period: begin of the day, UTC ns.
        cells: one of each region and industry.
        node: that has them: an enterprise whose name is not known counts as the node itself.

    Raises:
        CellError: two of the same region and industry, or a text or number is out of range.
    """
    kind = IDENTIFIERS_DAILY
    return columns_of(
        kind,
        [
            Cell(
                kind=kind.name,
                period=period,
                keys=(cell.region, cell.industry),
                measures={
                    "registered": cell.registered,
                    "added": cell.added,
                    "real": cell.real,
                    "replayed": cell.replayed,
                    "enterprises": len(cell.enterprises),
                    "prefixes": cell.prefixes,
                },
                contributors=tuple(
                    sorted({contributor(kind.name, name) for name in cell.enterprises or (node,)})[
                        : kind.least_contributors
                    ]
                ),
            )
            for cell in sorted(cells, key=lambda cell: (cell.region, cell.industry))
        ],
    )
