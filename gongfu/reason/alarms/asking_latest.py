"""Latest values as numbers, asked of all workers: causes of suppression may be in any partition."""

from collections.abc import Mapping, Sequence

import msgspec
from nats.aio.client import Client

from gongfu.bus.gather import gather
from gongfu.kernel.quality import Quality
from gongfu.kernel.subjects import Subjects
from gongfu.reason.status import MAX_LATEST, LatestAnswer, LatestRequest

_TIMEOUT_S = 1.0


class LatestNumbers:
    """Asks ``svc.latest``; a value that is bad or no number is left out."""

    def __init__(self, bus: Client, subjects: Subjects, workers: int) -> None:
        """Ask over ``bus``; ``workers`` is how many answer at most."""
        self._bus = bus
        self._subject = subjects.service("latest")
        self._workers = workers

    async def __call__(self, series: Sequence[int]) -> Mapping[int, float] | None:
        """Return the latest values of up to 10,000 series by series; None when nobody answers."""
        request = LatestRequest(list(series[:MAX_LATEST]))
        answers = await gather(self._bus, self._subject, request, _TIMEOUT_S, self._workers)
        if not answers:
            return None
        found: dict[int, tuple[int, float]] = {}
        for answer in answers:
            for item in msgspec.convert(answer, LatestAnswer).items:
                newer = item.series not in found or item.time >= found[item.series][0]
                if newer and item.quality < Quality.BAD and isinstance(item.value, (int, float)):
                    found[item.series] = item.time, float(item.value)
        return {key: value for key, (_, value) in found.items()}
