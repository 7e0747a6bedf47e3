"""Which assets sent something lately, from the latest values: what ``svc.seen`` answers."""

from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, select

from gongfu.kernel.idset import pack_flags
from gongfu.registry.tables import point
from gongfu.store.records.engine import reading
from gongfu.store.twins.latest import Twins

_PAGE = 100_000
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
    """Asset of every series: ``int32`` by series id, 40 MB for ten million. Methods block on the records."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._assets: NDArray[np.int32] = np.zeros(0, dtype=np.int32)

    def of(self, size: int) -> NDArray[np.int32]:
        """Return ``int32[size]``: assets by series id; points that have come since are read."""
        while len(self._assets) < size:
            after = len(self._assets) - 1
            query = select(point.c.id, point.c.asset_id).where(point.c.id > after).order_by(point.c.id).limit(_PAGE)
            with reading(self._engine) as connection:
                rows = connection.execute(query).all()
            if not rows:
                # Points of these series are gone.
                self._assets = np.concatenate([self._assets, np.zeros(size - len(self._assets), dtype=np.int32)])
                break
            table = np.array(rows, dtype=np.int64)
            more = np.zeros(int(table[-1, 0]) - after, dtype=np.int32)
            more[table[:, 0] - after - 1] = table[:, 1]
            self._assets = np.concatenate([self._assets, more])
        return self._assets[:size]


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
