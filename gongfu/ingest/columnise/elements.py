"""What a payload consists of once it is read, whatever its form."""

from collections.abc import Callable
from typing import Any, Protocol

from gongfu.ingest.columnise.accumulator import Lane, OpenBlock
from gongfu.ingest.columnise.reasons import Reason, Reject, shown
from gongfu.kernel.points import Series, ValueType


class PointTable:
    """What is known of one asset: its partition, its points, and how to write payloads of known shape.

    Attributes:
        asset: asset id.
        partition: partition of the block log.
        names: series by point name.
        lane: the open block of its tenant and partition, set when it is first written.
        plans: ready-made ways to write a payload, by its shape (the tuple of its names or aliases).
        complete: whether ``names`` holds all points the registry had when it was read.
    """

    __slots__ = ("asset", "complete", "lane", "names", "partition", "plan_misses", "plans")

    def __init__(self, asset: int, partition: int) -> None:
        self.asset = asset
        self.partition = partition
        self.lane: Lane | None = None
        self.names: dict[str, Series] = {}
        self.plans: dict[Any, Any] = {}
        self.plan_misses = 0
        self.complete = False

    def keep_plan(self, shape: Any, plan: Any) -> None:
        """Remember a plan. Devices have few shapes; those with many (reports by exception) do without."""
        if len(self.plans) >= MAX_PLANS:
            self.plan_misses += 1
            if self.plan_misses < PLAN_MISSES:
                return
            # The shapes of this asset have changed since the plans were made.
            self.plans.clear()
            self.plan_misses = 0
        self.plans[shape] = plan


MAX_PLANS = 8
PLAN_MISSES = 1000
MAX_PLAN_POINTS = 4096


# Says why new points of a child asset were refused, or None.
Refusals = Callable[[str], Reason | None]


class Element(Protocol):
    """Points of one asset out of one payload.

    Attributes:
        child: path of the asset below the writer's own, empty for its own.
        points: number of points in it.
    """

    @property
    def child(self) -> str:
        """Path of the asset below the writer's own, empty for its own."""
        ...

    @property
    def points(self) -> int:
        """Number of points."""
        ...

    def missing(self, names: dict[str, Series]) -> dict[str, ValueType]:
        """Return valid names without a series, with the type each gets."""
        ...

    def write_planned(self, table: PointTable, block: OpenBlock) -> bool:
        """Append the points in a ready-made way; return False, with nothing appended, when there is none."""
        ...

    def write(self, table: PointTable, block: OpenBlock, reject: Reject, refused: Refusals) -> None:
        """Append the points to the block; report those that cannot be."""
        ...


def refuse_unknown(name: str, child: str, problem: str, refused: Refusals, reject: Reject) -> None:
    """Report a point whose name has no series: it is invalid, or the registry refused it."""
    if problem:
        reject(Reason.NAME_INVALID, 1, f"{shown(name)}: {problem}")
        return
    reason = refused(child) or Reason.POINT_QUOTA
    what = "too many points below this device" if reason is Reason.POINT_QUOTA else "not taken into the registry"
    reject(reason, 1, f"{shown(name)}: {what}")
