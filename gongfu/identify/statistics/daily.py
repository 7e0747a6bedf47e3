"""Figures by day, kept in the records: exact counts of identifiers as they are, resolutions as they come."""

import asyncio
import contextlib
import datetime
import logging
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine

from gongfu.identify.namespace.types import Prefix, PrefixState
from gongfu.identify.records.keys import Count
from gongfu.identify.service.figures import By
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.statistics import day_records as rows
from gongfu.identify.statistics.documents import (
    DayCell,
    DayCells,
    FigureItem,
    StatisticsView,
    StatisticsWish,
    TodayView,
)
from gongfu.identify.statistics.resolutions import Asked, Resolutions
from gongfu.kernel.errors import invalid
from gongfu.kernel.times import SECOND, Clock, format_rfc3339
from gongfu.store.records.engine import reading, writing

WRITE_S = 60.0
_DAY = 86_400 * SECOND
_EPOCH = datetime.date(1970, 1, 1)
_MOST_DAYS = 3660
_BY_PREFIX, _BY_DAY = "prefix", "day"

logger = logging.getLogger(__name__)


def day_text(number: int) -> str:
    """Return a day (days since 1970, UTC) as ``2026-11-23``."""
    return (_EPOCH + datetime.timedelta(days=number)).isoformat()


def day_number(text: str) -> int:
    """Return the number of a day.

    Raises:
        Problem: 400.
    """
    try:
        return (datetime.date.fromisoformat(text) - _EPOCH).days
    except ValueError:
        raise invalid(f"a day is written 2026-11-23, not {text[:40]!r}") from None


class Daily:
    """Keeps and answers figures by day, on the event loop."""

    def __init__(self, engine: Engine, clock: Clock, identifiers: Identifiers, resolutions: Resolutions) -> None:
        """Make it."""
        self._engine = engine
        self._clock = clock
        self._identifiers = identifiers
        self._resolutions = resolutions
        self._today = self._now()
        self._asked: dict[str, Asked] = {}
        self._written: dict[str, tuple[Count, Asked]] = {}
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def _now(self) -> int:
        return self._clock.now_ns() // _DAY

    async def start(self) -> None:
        """Go on with the day, and write every minute."""

        def read() -> Any:
            with reading(self._engine) as connection:
                return rows.of_day(connection, self._today)

        self._asked = {row.prefix: Asked(row.real, row.replayed) for row in await asyncio.to_thread(read) if row.prefix}
        self._task = asyncio.create_task(self._run(), name="figures by day")

    async def stop(self) -> None:
        """Write a last time."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self.write()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(WRITE_S)
            try:
                await self.write()
            except Exception:
                logger.exception("figures of the day are not written")

    async def write(self) -> None:
        """Write what has changed since the last time."""
        async with self._turn:
            today = self._now()
            # What was counted until now is of the day that was, a minute at most.
            for key, asked in self._resolutions.take().items():
                if key in self._identifiers.namespace.prefixes:
                    self._asked[key] = self._asked.get(key, Asked()) + asked
            counts = {prefix.key: self._identifiers.count(prefix) for prefix in self._prefixes()}
            changed: list[dict[str, Any]] = []
            for key, count in counts.items():
                now = (count, self._asked.get(key, Asked()))
                if self._written.get(key) != now and (now != (Count(), Asked()) or key in self._written):
                    self._written[key] = now
                    changed.append(_row(key, *now))
            if changed:
                total = sum(self._asked.values(), Asked())
                changed.append(_row("", _sum(counts.values()), total))

            def put(number: int) -> None:
                with writing(self._engine) as connection:
                    rows.put(connection, number, changed)

            if changed:
                await asyncio.to_thread(put, self._today)
            if today != self._today:
                self._today, self._asked = today, {}
                self._written = {key: (count, Asked()) for key, (count, _) in self._written.items()}

    async def today(self) -> TodayView:
        """Return the figures of today so far."""
        await self.write()
        view = await self.by_day(StatisticsWish(_BY_DAY, 1))
        item = view.items[-1]
        return TodayView(item.key, item.added, item.real, item.replayed)

    async def statistics(self, wish: StatisticsWish) -> StatisticsView:
        """Return figures.

        Raises:
            Problem: 400.
        """
        if wish.by == _BY_DAY:
            await self.write()
            return await self.by_day(wish)
        if wish.by != _BY_PREFIX and wish.by not in {by.value for by in By}:
            raise invalid(f"by must be one of {', '.join(By)}, {_BY_PREFIX}, {_BY_DAY}")
        await self.write()
        asked = await self._all_asked()
        sums: dict[str, list[int]] = {}
        for prefix in self._prefixes():
            if prefix.state is PrefixState.REVOKED:
                continue
            count, of = self._identifiers.count(prefix), asked.get(prefix.key, Asked())
            key: str = prefix.name if wish.by == _BY_PREFIX else getattr(prefix, wish.by)
            found = sums.setdefault(key, [0, 0, 0, 0, 0])
            for place, more in enumerate((count.explicit, count.ranged, 1, of.real, of.replayed)):
                found[place] += more
        items = [_item(key, found) for key, found in sorted(sums.items())]
        total = _item("", [sum(column) for column in zip(*sums.values(), strict=True)] if sums else [0] * 5)
        return StatisticsView(wish.by, items, total, format_rfc3339(self._clock.now_ns()))

    async def by_day(self, wish: StatisticsWish) -> StatisticsView:
        """Return figures of the last days, of one prefix or all; a day without a row is as the one before."""
        if not 1 <= wish.days <= _MOST_DAYS:
            raise invalid(f"days must be 1 to {_MOST_DAYS}")
        known = self._identifiers.namespace.find_prefix(wish.prefix) if wish.prefix else None
        key = known.key if known is not None else wish.prefix
        last = self._now()
        first = last - wish.days + 1

        def read() -> Any:
            with reading(self._engine) as connection:
                return rows.of_prefix(connection, key, first)

        found = {row.day: row for row in await asyncio.to_thread(read)}
        earlier = [found[number] for number in sorted(found) if number < first]
        explicit, ranged = (earlier[-1].explicit, earlier[-1].ranged) if earlier else (0, 0)
        items: list[FigureItem] = []
        for number in range(first, last + 1):
            before, row = explicit + ranged, found.get(number)
            if row is not None:
                explicit, ranged = row.explicit, row.ranged
            total = explicit + ranged
            asked = (row.real, row.replayed) if row is not None else (0, 0)
            items.append(FigureItem(day_text(number), explicit, ranged, total, 0, total - before, *asked))
        total = FigureItem(
            "",
            explicit,
            ranged,
            explicit + ranged,
            0,
            sum(item.added for item in items),
            sum(item.real for item in items),
            sum(item.replayed for item in items),
        )
        return StatisticsView(_BY_DAY, items, total, format_rfc3339(self._clock.now_ns()))

    async def day_cells(self, text: str) -> DayCells:
        """Return the figures of a day by region and industry.

        Raises:
            Problem: 400: no day, or one to come.
        """
        number = day_number(text)
        if number > self._now():
            raise invalid(f"{text} is still to come")
        await self.write()

        def read() -> Any:
            with reading(self._engine) as connection:
                return rows.last_until(connection, number), rows.last_until(connection, number - 1)

        then, before = await asyncio.to_thread(read)
        ended = {row.prefix: row for row in then}
        began = {row.prefix: row.explicit + row.ranged for row in before}
        cells: dict[tuple[str, str], list[Any]] = {}
        for prefix in self._prefixes():
            if prefix.state is PrefixState.REVOKED:
                continue
            cell = cells.setdefault((prefix.region, prefix.industry), [set(), 0, 0, 0, 0, 0])
            row = ended.get(prefix.key)
            total = row.explicit + row.ranged if row is not None else 0
            asked = (row.real, row.replayed) if row is not None and row.day == number else (0, 0)
            if prefix.enterprise:
                cell[0].add(prefix.enterprise)
            for place, more in enumerate((1, total, total - began.get(prefix.key, 0), *asked), 1):
                cell[place] += more
        return DayCells(day_text(number), [_day_cell(*key, *cell) for key, cell in sorted(cells.items())])

    def _prefixes(self) -> list[Prefix]:
        return list(self._identifiers.namespace.prefixes.values())

    async def _all_asked(self) -> Mapping[str, Asked]:
        def read() -> Any:
            with reading(self._engine) as connection:
                return rows.sums(connection)

        return {row.prefix: Asked(int(row.real), int(row.replayed)) for row in await asyncio.to_thread(read)}


def _day_cell(
    region: str,
    industry: str,
    enterprises: set[str],
    prefixes: int,
    registered: int,
    added: int,
    real: int,
    replayed: int,
) -> DayCell:
    return DayCell(
        region=region,
        industry=industry,
        registered=registered,
        added=added,
        real=real,
        replayed=replayed,
        enterprises=tuple(sorted(enterprises)),
        prefixes=prefixes,
    )


def _row(key: str, count: Count, asked: Asked) -> dict[str, Any]:
    return {
        "prefix": key,
        "explicit": count.explicit,
        "ranged": count.ranged,
        "real": asked.real,
        "replayed": asked.replayed,
    }


def _sum(counts: Any) -> Count:
    explicit = members = overridden = 0
    for count in counts:
        explicit += count.explicit
        members += count.members
        overridden += count.overridden
    return Count(explicit, members, overridden)


def _item(key: str, sums: list[int]) -> FigureItem:
    explicit, ranged, prefixes, real, replayed = sums
    return FigureItem(key, explicit, ranged, explicit + ranged, prefixes, 0, real, replayed)
