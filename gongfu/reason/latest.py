"""Latest values as the worker serves them (``svc.latest``)."""

import numpy as np

from gongfu.kernel.errors import invalid
from gongfu.reason.status import MAX_LATEST, LatestAnswer, LatestItem, LatestRequest
from gongfu.store.twins.latest import Twins


def answer_latest(twins: Twins, request: LatestRequest) -> LatestAnswer:
    """Return the latest values of some series.

    Raises:
        Problem: 400 when more than ``MAX_LATEST`` are asked for.
    """
    if len(request.series) > MAX_LATEST:
        raise invalid(f"at most {MAX_LATEST} series")
    found = twins.gather(np.array(request.series, dtype=np.int64))
    columns = (found.series, found.qualities, found.times, found.ingested)
    series, qualities, times, ingested = (column.tolist() for column in columns)
    return LatestAnswer(list(map(LatestItem, series, found.values(), qualities, times, ingested)))
