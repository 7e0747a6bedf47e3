"""Which days of which series are rolled up for good; see ``rollup_tables``. Pure."""

# ruff: noqa: S608 -- every value that enters the text is an integer or a name from this package

from collections.abc import Sequence

from gongfu.store.history.native import decode_native
from gongfu.store.history.rollup_tables import ALL_SERIES, CHANGED, DAYS
from gongfu.store.history.sql_tables import DATABASE
from gongfu.store.history.types import RollupLevel

DAY_NS = 86_400_000_000_000


def rolled_days(level: RollupLevel, series: Sequence[int], time_from: int, time_to: int) -> str:
    """Return the statement for the days that touch ``[time_from, time_to)``, by series and day."""
    ids = ", ".join(str(int(one)) for one in series)
    where = f"series IN ({ids}) AND day >= {int(time_from) // DAY_NS} AND day <= {(int(time_to) - 1) // DAY_NS}"
    least = 1 if level is RollupLevel.HOUR else 2
    floor = f"(SELECT max(day) FROM {DATABASE}.{DAYS} WHERE series = {ALL_SERIES})"
    done = f"SELECT series, day, levels, built FROM {DATABASE}.{DAYS} FINAL WHERE {where}"
    return (
        f"SELECT series, day FROM ({done}) AS done "
        f"LEFT JOIN (SELECT series, day, max(marked) AS marked FROM {DATABASE}.{CHANGED} WHERE {where} "
        "GROUP BY series, day) AS changed ON done.series = changed.series AND done.day = changed.day "
        f"WHERE levels >= {least} AND (changed.marked < built OR done.day < {floor}) ORDER BY series, day"
    )


def read_rolled(raw: bytes) -> dict[int, list[tuple[int, int]]]:
    """Return the ranges by series: neighbouring days are one."""
    columns = decode_native(raw)
    ranges: dict[int, list[tuple[int, int]]] = {}
    if not columns:
        return ranges
    for one, day in zip(list(columns["series"]), list(columns["day"]), strict=True):
        own = ranges.setdefault(int(one), [])
        begin = int(day) * DAY_NS
        if own and own[-1][1] == begin:
            own[-1] = (own[-1][0], begin + DAY_NS)
        else:
            own.append((begin, begin + DAY_NS))
    return ranges
