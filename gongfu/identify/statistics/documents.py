"""Documents of figures, as the API and the commands have them."""

from collections.abc import Mapping

import msgspec


class FigureItem(msgspec.Struct, frozen=True, omit_defaults=False):
    """Figures of an enterprise, industry, region, prefix or day."""

    key: str
    explicit: int
    ranged: int
    total: int
    prefixes: int = 0
    added: int = 0
    real: int = 0
    replayed: int = 0


class StatisticsView(msgspec.Struct, frozen=True):
    """Figures, and their sum."""

    by: str
    items: list[FigureItem]
    total: FigureItem
    as_of: str


class StatisticsWish(msgspec.Struct, frozen=True):
    """What figures are asked for."""

    by: str
    days: int = 30
    prefix: str = ""


class DayWish(msgspec.Struct, frozen=True):
    """A day, as ``2026-11-23``."""

    day: str


class DayCell(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the own prefixes of one region and industry.

    Attributes:
        region: GB/T 2260, "" where it is not known.
        industry: GB/T 4754, "" where it is not known.
        registered: identifiers at the end of the day, or now.
        added: how many more than at its beginning; negative where more were deleted.
        real: resolutions but the replayed ones.
        replayed: the same client asked for the same identifier again, see ``resolutions``.
        enterprises: that have them, by credit code or name; each is in one cell of a node.
        prefixes: how many.
    """

    region: str = ""
    industry: str = ""
    registered: int = 0
    added: int = 0
    real: int = 0
    replayed: int = 0
    enterprises: tuple[str, ...] = ()
    prefixes: int = 0


class DayCells(msgspec.Struct, frozen=True):
    """All cells of a day."""

    day: str
    cells: list[DayCell]


class TodayView(msgspec.Struct, frozen=True):
    """Figures of the day so far."""

    day: str
    registered: int
    real: int
    replayed: int


class OverviewView(msgspec.Struct, frozen=True):
    """The service at a glance."""

    root: str
    prefixes: int
    delegations: int
    templates: int
    classes: int
    ranges: int
    registered: Mapping[str, int]
    today: TodayView
    applications: Mapping[str, int]
    faces: Mapping[str, str]


class OperationsView(msgspec.Struct, frozen=True):
    """How the service runs."""

    since: str
    resolutions: int
    per_second: float
    latency_ms: Mapping[str, float | None]
    answers: Mapping[str, Mapping[str, int]]
    cache: Mapping[str, float]
    store: Mapping[str, int]
    writes: Mapping[str, float]
    reporting: Mapping[str, str | float | None]
    dropped: Mapping[str, int]
    memory_bytes: int
