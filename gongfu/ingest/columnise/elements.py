"""What a payload consists of once it is read, whatever its form."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from gongfu.ingest.columnise.accumulator import Lane, OpenBlock
from gongfu.ingest.columnise.point_names import PointNames
from gongfu.ingest.columnise.reasons import Reason, Reject, shown
from gongfu.kernel.points import Series, ValueType
from gongfu.thing.compiled import Binding


class PointTable:
    """What is known of one asset: its partition, its points, and how to write payloads of known shape.

    A node has a million of these: most have one shape of payload, so the first plan has a place of its own and a
    dictionary is made for further ones only.

    Attributes:
        asset: asset id.
        partition: partition of the block log.
        names: series by point name.
        lane: the open block of its tenant and partition, set when it is first written.
        complete: whether ``names`` holds all points the registry had when it was read.
        expected: shape that the next JSON payload is expected to have (``json_shape``), or None.
        expected_plan: plan of the last JSON payload of doubles only.
        group: group of the batch that has the latest payload of known layout.
        model: thing model of the asset and the names of its points, None without one.
    """

    __slots__ = (
        "_plan", "_plans", "_shape", "asset", "complete", "expected", "expected_plan", "group", "lane", "model",
        "names", "partition", "plan_misses",
    )  # fmt: skip

    def __init__(self, asset: int, partition: int) -> None:
        self.asset = asset
        self.partition = partition
        self.lane: Lane | None = None
        self.names = PointNames()
        self.plan_misses = 0
        self.complete = False
        self.expected: Any = None
        self.expected_plan: Any = None
        self.group: Any = None
        self.model: Binding | None = None
        self._shape: Any = None
        self._plan: Any = None
        self._plans: dict[Any, Any] | None = None

    def plan_of(self, shape: Any) -> Any | None:
        """Return the ready-made way to write a payload of a shape (the tuple of its names or aliases), or None."""
        if shape == self._shape:
            return self._plan
        return None if self._plans is None else self._plans.get(shape)

    def keep_plan(self, shape: Any, plan: Any) -> None:
        """Remember a plan. Devices have few shapes; those with many (reports by exception) do without."""
        if self._shape is None:
            self._shape, self._plan = _share(shape), plan
            return
        if self._plans is None:
            self._plans = {}
        if len(self._plans) + 1 >= MAX_PLANS:
            self.plan_misses += 1
            if self.plan_misses < PLAN_MISSES:
                return
            # The shapes of this asset have changed since the plans were made.
            self._plans.clear()
            self._shape, self._plan = _share(shape), plan
            self.plan_misses = 0
            return
        self._plans[_share(shape)] = plan


# One copy of each shape for all tables; forgotten as a whole when there are too many.
_SHARED: dict[Any, Any] = {}
_MAX_SHARED = 10_000


def _share(shape: Any) -> Any:
    if len(_SHARED) >= _MAX_SHARED:
        _SHARED.clear()
    return _SHARED.setdefault(shape, shape)


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

    def missing(self, names: Mapping[str, Series]) -> dict[str, ValueType]:
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
    what = "not taken into the registry"
    if reason is Reason.POINT_QUOTA:
        what = "too many points below this device"
    elif reason is Reason.MODEL_UNKNOWN_POINT:
        what = "the thing model of the asset has no such property"
    reject(reason, 1, f"{shown(name)}: {what}")
