"""Latest values as the worker serves them (``svc.latest``)."""

import math

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
    items: list[LatestItem] = []
    for series in request.series:
        latest = twins.get(series)
        if latest is not None:
            value = latest.value
            if isinstance(value, float) and not math.isfinite(value):
                value = None
            items.append(LatestItem(series, value, latest.quality, latest.time, latest.ingested))
    return LatestAnswer(items)
