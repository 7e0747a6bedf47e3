"""History for a back-test: pages of columns in the order of the key, over a connection of its own, with low priority.

Blocking; runs in the process of the back-test. A page is read while the one before it is evaluated.
"""

# ruff: noqa: S608 -- every value that enters the text is an integer or a name from this package

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import SEVERITY_MASK, Quality
from gongfu.store.history.native import decode_native
from gongfu.store.history.schema import DATABASE, TABLES
from gongfu.store.history.statement_http import ServerAway, StatementConnections, StatementRefused

# 32 MB of times and values; three pages are in memory at a time.
PAGE = 2_000_000
# Series of one statement.
TOGETHER = 500
SECONDS = 600.0
# Code of an unknown table: nothing was ever stored there.
_NO_TABLE = 60
_SETTINGS: dict[str, Any] = {
    "max_execution_time": SECONDS,
    # Those who look at a trend come first, and keep a core.
    "max_threads": 1,
    "priority": 10,
    "max_memory_usage": 800_000_000,
}
_USABLE = f"bitAnd(quality, {int(SEVERITY_MASK)}) != {int(Quality.BAD)}"


class Page(NamedTuple):
    """Samples: series (``uint32[n]``), source times (UTC ns) and values."""

    series: NDArray[np.uint32]
    times: NDArray[np.int64]
    values: NDArray[Any]


class HistoryAway(Exception):
    """The history does not answer, or refuses; the message is for people."""


class Reader:
    """Reads series of one value type from one node of the history."""

    def __init__(self, url: str, user: str, password: str, value_type: ValueType, page: int = PAGE) -> None:
        self._connections = StatementConnections(urlsplit(url), user, password, SECONDS)
        self._table = f"{DATABASE}.{TABLES[value_type]}"
        self._page = page

    def close(self) -> None:
        """Close the connection."""
        self._connections.close()

    def _read(self, statement: str) -> dict[str, Any]:
        try:
            return decode_native(self._connections.read(statement, _SETTINGS, "Native"))
        except StatementRefused as error:
            if error.code == _NO_TABLE:
                return {}
            raise HistoryAway(f"the history refuses: {str(error)[:300]}") from None
        except ServerAway as error:
            raise HistoryAway(f"the history does not answer: {error}") from None

    def counts(self, series: Sequence[int], time_from: int, time_to: int) -> dict[int, int]:
        """Return rows by series, perhaps a few more than there are samples: replaced ones may count."""
        found: dict[int, int] = {}
        for begin in range(0, len(series), 10_000):
            some = series[begin : begin + 10_000]
            statement = (
                f"SELECT series, count() AS n FROM {self._table} {_where(some, time_from, time_to)} GROUP BY series"
            )
            answer = self._read(statement)
            if len(answer.get("n", ())):
                found.update(zip(answer["series"].tolist(), answer["n"].tolist(), strict=True))
        return found

    def bad(self, series: Sequence[int], time_from: int, time_to: int) -> int:
        """Return how many samples are of bad quality."""
        total = 0
        for begin in range(0, len(series), 10_000):
            where, number = _where(series[begin : begin + 10_000], time_from, time_to), 0
            # Rare: what is replaced is looked at only where there is anything. Without FINAL one column is read.
            for final in ("", "FINAL"):
                answer = self._read(f"SELECT count() AS n FROM {self._table} {final} {where} AND NOT ({_USABLE})")
                number = int(answer["n"][0]) if len(answer.get("n", ())) else 0
                if not number:
                    break
            total += number
        return total

    def by_series(self, counts: dict[int, int], time_from: int, time_to: int) -> Iterator[Page]:
        """Yield all samples, series after series, each in order of time."""
        batch: list[int] = []
        size = 0
        for series, number in sorted(counts.items()):
            if number > self._page:
                yield from self._long(series, time_from, time_to)
                continue
            if batch and (size + number > self._page or len(batch) >= TOGETHER):
                yield self._whole(batch, time_from, time_to)
                batch, size = [], 0
            batch.append(series)
            size += number
        if batch:
            yield self._whole(batch, time_from, time_to)

    def slice(self, series: Sequence[int], time_from: int, time_to: int) -> Page:
        """Return all samples of a short time, in order of series and time."""
        return self._whole(series, time_from, time_to)

    def _whole(self, series: Sequence[int], time_from: int, time_to: int) -> Page:
        statement = (
            f"SELECT series, time, value FROM {self._table} FINAL {_where(series, time_from, time_to)} AND {_USABLE} "
            "ORDER BY series, time"
        )
        answer = self._read(statement)
        if not len(answer.get("time", ())):
            return _EMPTY
        return Page(answer["series"], answer["time"], answer["value"])

    def _long(self, series: int, time_from: int, time_to: int) -> Iterator[Page]:
        """Yield pages of one series; the next begins behind the last."""
        while True:
            statement = (
                f"SELECT time, value FROM {self._table} FINAL {_where([series], time_from, time_to)} AND {_USABLE} "
                f"ORDER BY time LIMIT {self._page}"
            )
            answer = self._read(statement)
            times: NDArray[np.int64] = answer.get("time", np.zeros(0, dtype=np.int64))
            if len(times):
                yield Page(np.full(len(times), series, dtype=np.uint32), times, answer["value"])
            if len(times) < self._page:
                return
            time_from = int(times[-1]) + 1


_EMPTY = Page(np.zeros(0, dtype=np.uint32), np.zeros(0, dtype=np.int64), np.zeros(0))


def ahead(pages: Iterator[Page]) -> Iterator[Page]:
    """Yield pages; the next one is read in a thread meanwhile."""
    with ThreadPoolExecutor(1, "backtest-read") as threads:
        coming = threads.submit(next, pages, None)
        while (page := coming.result()) is not None:
            coming = threads.submit(next, pages, None)
            yield page


def _where(series: Sequence[int], time_from: int, time_to: int) -> str:
    chosen = (
        f"series = {int(series[0])}" if len(series) == 1 else f"series IN ({', '.join(map(str, map(int, series)))})"
    )
    return (
        f"WHERE {chosen} AND time >= fromUnixTimestamp64Nano({int(time_from)}) "
        f"AND time < fromUnixTimestamp64Nano({int(time_to)})"
    )
