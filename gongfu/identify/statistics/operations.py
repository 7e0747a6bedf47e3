"""The service at a glance, and how it runs."""

import asyncio
import os
import resource
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from gongfu.identify.management.applications import Applications
from gongfu.identify.namespace.types import PrefixState
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.statistics.daily import Daily
from gongfu.identify.statistics.documents import OperationsView, OverviewView
from gongfu.kernel.counters import Counters
from gongfu.kernel.times import format_rfc3339

_ANSWERS = {"handle": "handle_answers.", "http": "http_answers.", "dns": "dns_answers."}
# Answers that were kept from the same request before: whose they are, and the code where it is counted nowhere else.
_KEPT = {
    "handle_answers.fast": ("handle", "success"),
    "dns_answers.fast": ("dns", "kept"),
    "http_answers_kept": ("http", ""),
}
_DROPPED = ("_dropped.", "_refused", "_shed.")

_NOT_REPORTING: Mapping[str, str | float | None] = {"state": "none", "lag_seconds": None, "waiting": 0}
Gauges = Callable[[], Mapping[str, float]]


class Operations:
    """Answers both, on the event loop."""

    def __init__(
        self,
        identifiers: Identifiers,
        applications: Applications,
        daily: Daily,
        counters: Counters,
        *,
        root: str,
        store: Path,
        faces: Callable[[], Mapping[str, str]],
        gauges: Gauges = dict,
        latency: Callable[[], Mapping[str, float | None]] = lambda: {"p50": None, "p99": None},
        reporting: Callable[[], Mapping[str, str | float | None]] = lambda: _NOT_REPORTING,
    ) -> None:
        """Make it.

        Args:
            identifiers: the store.
            applications: of enterprises.
            daily: figures by day.
            counters: of the process.
            root: prefix of the service.
            store: directory whose size is told.
            faces: where each listens.
            gauges: ``negative`` and ``entries`` of caches, as far as known.
            latency: ``p50`` and ``p99`` of answers, milliseconds; None while there is none.
            reporting: ``state``, ``lag_seconds`` and ``waiting`` of reports to the parent.
        """
        self._identifiers = identifiers
        self._applications = applications
        self._daily = daily
        self._counters = counters
        self._root = root
        self._store = store
        self._faces = faces
        self._gauges = gauges
        self._latency = latency
        self._reporting = reporting
        self._since = time.time_ns()
        self._last: tuple[float, int, int] = (time.monotonic(), 0, 0)

    async def overview(self) -> OverviewView:
        """Return the service at a glance."""
        space = self._identifiers.namespace
        counts = self._identifiers.counts()
        explicit, ranged, overrides = (
            sum(values)
            for values in zip(*((one.explicit, one.ranged, one.overridden) for one in counts.values()), strict=True)
        )
        return OverviewView(
            self._root,
            sum(one.state is not PrefixState.REVOKED for one in space.prefixes.values()),
            sum(one.state is not PrefixState.REVOKED for one in space.delegations.values()),
            len(space.templates),
            len(space.classes),
            self._identifiers.range_count,
            {"total": explicit + ranged, "explicit": explicit, "ranged": ranged, "overrides": overrides},
            await self._daily.today(),
            await asyncio.to_thread(self._applications.states),
            self._faces(),
        )

    async def operations(self) -> OperationsView:
        """Return how the service runs."""
        counted = self._counters.snapshot()
        answers = {
            face: {
                name.removeprefix(start): count
                for name, count in counted.items()
                if name.startswith(start) and name not in _KEPT
            }
            for face, start in _ANSWERS.items()
        }
        for name, (face, code) in _KEPT.items():
            if code and name in counted:
                answers[face][code] = answers[face].get(code, 0) + counted[name]
        resolutions = sum(sum(codes.values()) for codes in answers.values())
        written = counted.get("identifier_writes", 0)
        now, (before, resolved, wrote) = time.monotonic(), self._last
        passed = max(now - before, 1e-3)
        self._last = (now, resolutions, written)
        gauges = dict(self._gauges())
        hits = float(sum(counted.get(name, 0) for name in _KEPT))
        misses = max(resolutions - hits, 0.0)
        counts = self._identifiers.counts().values()
        size, files = await asyncio.to_thread(_size, self._store)
        return OperationsView(
            format_rfc3339(self._since),
            resolutions,
            round(max(resolutions - resolved, 0) / passed, 3),
            self._latency(),
            answers,
            {
                "hits": hits,
                "misses": misses,
                "negative": gauges.get("negative", 0.0),
                "hit_ratio": round(hits / (hits + misses), 4) if hits + misses else 0.0,
                "entries": gauges.get("entries", 0.0),
            },
            {
                "records": sum(one.explicit for one in counts),
                "bytes": size,
                "files": files,
                "ranges": self._identifiers.range_count,
            },
            {
                "queued": float(self._identifiers.waiting),
                "written": float(written),
                "per_second": round(max(written - wrote, 0) / passed, 3),
            },
            self._reporting(),
            {name: count for name, count in counted.items() if any(part in name for part in _DROPPED)},
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        )


def _size(directory: Path) -> tuple[int, int]:
    """Return bytes and number of files below a directory."""
    size = files = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                size += (Path(folder) / name).stat().st_size
                files += 1
            except OSError:
                continue
    return size, files
