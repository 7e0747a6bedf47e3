"""The built-in kind ``node-live``: what each node has now, and the document that the console shows of any subtree."""

from collections.abc import Collection
from typing import Protocol

import msgspec

from gongfu.kernel.times import format_rfc3339
from gongfu.tree.membership.types import Attributes
from gongfu.tree.reports.cells import Cell, Cells, columns_of, contributor
from gongfu.tree.reports.kinds import ANY_TIER, Form, Leaving, Measure, ReportKind
from gongfu.tree.reports.ledger import Ledger
from gongfu.tree.reports.measures import ABSENT

_MEASURES = (
    Measure(name="devices", form=Form.COUNT, unit="{device}"),
    Measure(name="online", form=Form.COUNT, unit="{device}"),
    Measure(name="points_per_second", form=Form.SUM, unit="{point}/s", decimals=1),
    Measure(name="alarms", form=Form.COUNT, unit="{alarm}"),
    Measure(name="apps", form=Form.COUNT, unit="{app}"),
    Measure(name="identifiers", form=Form.COUNT, unit="{identifier}"),
)
# Keys that stay let the number of nodes add up exactly: every node is in one cell.
NODE_LIVE = ReportKind(
    name="node-live",
    keys=("region", "industry", "size"),
    measures=_MEASURES,
    leaving=(
        Leaving(
            tier=ANY_TIER,
            keys=("region", "industry", "size"),
            measures=tuple(measure.name for measure in _MEASURES),
        ),
    ),
)
# A prefecture, and a division of GB/T 4754: with finer ones each node would be a cell of its own.
_REGION, _INDUSTRY = 4, 3


class LiveFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a node itself has now; ``alarms`` are those that are not closed."""

    devices: int = 0
    online: int = 0
    points_per_second: float = 0.0
    alarms: int = 0
    apps: int = 0
    identifiers: int = 0


class LiveSource(Protocol):
    """Where a node's own live figures come from. Asked a few times a second: answer from memory."""

    async def start(self) -> None:
        """Begin; the section starts it."""
        ...

    async def stop(self) -> None:
        """End."""
        ...

    async def figures(self, elsewhere: Collection[int]) -> LiveFigures | None:
        """Return the figures without the devices (ids of the registry) that count at another node.

        None while they are not known yet.
        """
        ...


class LiveDoc(msgspec.Struct, frozen=True, kw_only=True):
    """Live figures of a subtree.

    Attributes:
        as_of: RFC 3339; the figures are as fresh as that, but for the silent nodes.
        known: nodes there are; ``reported``: those of them whose figures are in it and fresh; ``silent``: those whose
            figures are in it but old.
    """

    devices: int
    online: int
    points_per_second: float
    alarms: int
    apps: int
    identifiers: int
    as_of: str | None
    known: int
    reported: int
    silent: int


def own_cells(figures: LiveFigures, attributes: Attributes, enterprise: str) -> Cells:
    """Return the one cell of a node."""
    states = {
        "devices": figures.devices,
        "online": figures.online,
        "points_per_second": round(figures.points_per_second * 10),
        "alarms": figures.alarms,
        "apps": figures.apps,
        "identifiers": figures.identifiers,
    }
    cell = Cell(
        kind=NODE_LIVE.name,
        keys=(attributes.region[:_REGION], attributes.industry[:_INDUSTRY], attributes.size),
        measures=dict(states),
        contributors=(contributor(NODE_LIVE.name, enterprise),),
    )
    return columns_of(NODE_LIVE, [cell])


def _sums(cells: Cells) -> dict[str, int]:
    out = dict.fromkeys((measure.name for measure in NODE_LIVE.measures), 0)
    for row, measure in enumerate(NODE_LIVE.exact):
        values = cells.exact[row][cells.present]
        out[measure.name] = int(values[values != ABSENT].sum())
    return out


def _document(cells: Cells, silent: int, as_of: int, reported: int, known: int) -> LiveDoc:
    sums = _sums(cells)
    return LiveDoc(
        devices=sums["devices"],
        online=sums["online"],
        points_per_second=sums["points_per_second"] / 10,
        alarms=sums["alarms"],
        apps=sums["apps"],
        identifiers=sums["identifiers"],
        as_of=format_rfc3339(as_of // 1_000_000 * 1_000_000) if as_of else None,
        known=known,
        reported=reported,
        silent=silent,
    )


def live_of(ledger: Ledger, node: str, now: int) -> LiveDoc | None:
    """Return the figures of the subtree of the node itself or of one of its children; None for others.

    A child that was never heard has none either: no visibility is not zero.
    """
    if node == ledger.node:
        cells = ledger.read(0)
        coverage = ledger.coverage(0)
        silent = int(cells.silent[cells.present].sum())
        as_of = ledger.as_of() if ledger.children else now
        return _document(cells, silent, as_of, coverage.reported, max(coverage.known, 1))
    position = ledger.position(node)
    if position is None or not position.member or not position.newest:
        return None
    _, parts = ledger.stored(node)
    _, reported, known = position.coverage.get(0, (0, 0, position.known))
    if not parts:
        return LiveDoc(
            devices=0,
            online=0,
            points_per_second=0.0,
            alarms=0,
            apps=0,
            identifiers=0,
            as_of=format_rfc3339(position.as_of // 1_000_000 * 1_000_000),
            known=known,
            reported=reported,
            silent=0,
        )
    cells = parts[0][0]
    present = cells.present
    silent = int((cells.nodes if position.silent else cells.silent)[present].sum())
    return _document(cells, silent, position.as_of, 0 if position.silent else reported, known)
