"""Which assets sent something lately, from the latest values: what ``svc.seen`` answers."""

from collections.abc import Iterable
from itertools import chain
from threading import Lock

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, func, select

from gongfu.kernel.idset import pack_flags
from gongfu.registry.tables import point
from gongfu.store.records.engine import reading
from gongfu.store.twins.latest import Twins

_PAGE = 500_000
# Read again: transactions that ran side by side commit in any order of ids.
_OVERLAP = 10_000
# Assets of one answer: their flags fit into one message.
RANGE = 2_000_000


class SeenRequest(msgspec.Struct, frozen=True):
    """Request of ``svc.seen``: assets from ``low`` on, with a value that arrived at ``since`` (UTC ns) or later."""

    since: int
    low: int = 0


class SeenAnswer(msgspec.Struct, frozen=True):
    """Flags of ``RANGE`` assets from ``low`` on (``kernel.idset.pack_flags``), and the greatest asset id."""

    flags: str
    highest: int


class AssetsOfSeries:
    """Asset of every series: ``int32`` by series id, 40 MB for ten million. Methods block on the records.

    Points of an asset mostly have ids that follow each other, so the database gives only where another asset begins,
    and lets other threads run meanwhile.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._assets: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        # Requests of two web hosts come in two threads.
        self._lock = Lock()

    def of(self, size: int) -> NDArray[np.int32]:
        """Return ``int32[size]``: assets by series id; only points that have come since are read."""
        with self._lock:
            known = len(self._assets)
            if known < size:
                grown = np.zeros(size, dtype=np.int32)
                grown[:known] = self._assets
                for low in range(max(known - _OVERLAP, 0), size, _PAGE):
                    self._read(grown[low : low + _PAGE], low)
                self._assets = grown
            return self._assets[:size]

    def _read(self, assets: NDArray[np.int32], low: int) -> None:
        inside = (point.c.id >= low) & (point.c.id < low + len(assets))
        before = func.lag(point.c.asset_id).over(order_by=point.c.id).label("before")
        page = select(point.c.id, point.c.asset_id, before).where(inside).subquery()
        query = select(page.c.id, page.c.asset_id).where(page.c.before.is_(None) | (page.c.before != page.c.asset_id))
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(page.c.id)).all()
        if rows:
            table = np.fromiter(chain.from_iterable(rows), np.int64, 2 * len(rows)).reshape(-1, 2)
            begins = table[:, 0] - low
            # A series that is gone gets the asset of the one before it: it has no new values.
            assets[begins[0] :] = np.repeat(table[:, 1], np.diff(begins, append=len(assets)))


def answer_seen(request: SeenRequest, twins: Iterable[Twins], assets: AssetsOfSeries) -> SeenAnswer:
    """Return which assets were seen; blocks on the records when there are new points."""
    flags = np.zeros(RANGE, dtype=np.bool_)
    highest = 0
    for one in twins:
        live = one.seen_since(request.since)
        of = assets.of(len(live))[live]
        highest = max(highest, int(of.max(initial=0)))
        inside = of[(of >= max(request.low, 1)) & (of < request.low + RANGE)]
        flags[inside - request.low] = True
    return SeenAnswer(pack_flags(flags), highest)
