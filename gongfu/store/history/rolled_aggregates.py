"""SQL of aggregates that read roll-ups where these are final, and the points elsewhere. Pure.

The result is that of ``statements.aggregates`` for good points of doubles; sums may differ in their last digit.
``count`` is not among them: it counts good points that are not finite too, which roll-ups leave out.
"""

# ruff: noqa: S608 -- every value that enters the text is an integer or a name from this package

from collections.abc import Sequence

from gongfu.kernel.points import ValueType
from gongfu.kernel.times import SECOND
from gongfu.store.history.rollup_tables import HOURS, MINUTES
from gongfu.store.history.schema import TABLES
from gongfu.store.history.sql_tables import DATABASE
from gongfu.store.history.statements import GOOD_BELOW
from gongfu.store.history.types import Aggregate, Order, RollupLevel

# Below this a look for roll-ups costs more than reading the points.
LEAST_RANGE = 3 * 86_400 * SECOND
MAX_SERIES = 16
# Ranges of points between roll-ups; more are read as points altogether.
MAX_HOLES = 40
_TABLE = {RollupLevel.MINUTE: MINUTES, RollupLevel.HOUR: HOURS}
_HOW = frozenset(
    {Aggregate.AVERAGE, Aggregate.MINIMUM, Aggregate.MAXIMUM, Aggregate.FIRST, Aggregate.LAST, Aggregate.MINMAX}
)

Ranges = Sequence[tuple[int, int]]


def level_for(
    value_type: ValueType, series: Sequence[int], time_from: int, time_to: int, how: Aggregate, step: int
) -> RollupLevel | None:
    """Return the coarsest roll-up whose buckets make up whole steps; None where points are to be read."""
    if value_type is not ValueType.DOUBLE or how not in _HOW or len(series) > MAX_SERIES:
        return None
    if time_to - time_from < LEAST_RANGE:
        return None
    fitting = [level for level in RollupLevel if step % (level.seconds * SECOND) == 0]
    return max(fitting, key=lambda level: level.seconds, default=None)


def split(ranges: Ranges, time_from: int, time_to: int, level: RollupLevel) -> tuple[Ranges, Ranges]:
    """Return which parts of ``[time_from, time_to)`` whole buckets of final roll-ups cover, and which they do not."""
    size = level.seconds * SECOND
    covered: list[tuple[int, int]] = []
    holes: list[tuple[int, int]] = []
    at = time_from
    for begin, end in ranges:
        low = max(begin, -(-time_from // size) * size)
        high = min(end, time_to // size * size)
        if high <= low:
            continue
        if low > at:
            holes.append((at, low))
        covered.append((low, high))
        at = high
    if at < time_to:
        holes.append((at, time_to))
    return covered, holes


def aggregates(
    parts: dict[int, tuple[Ranges, Ranges]],
    level: RollupLevel,
    *,
    how: Aggregate,
    step: int,
    order: Order,
    limit: int,
) -> str:
    """Return the statement for series with their covered and uncovered ranges, at most ``limit`` + 1 values each."""
    tail = f"ORDER BY time {order.upper()} LIMIT {int(limit) + 1}"
    each = (f"SELECT * FROM ({_one(one, *parts[one], level, how, step)} {tail})" for one in sorted(parts))
    whole = " UNION ALL ".join(each)
    return f"SELECT * FROM ({whole}) ORDER BY series, time {order.upper()}"


def _one(series: int, covered: Ranges, holes: Ranges, level: RollupLevel, how: Aggregate, step: int) -> str:
    sources = []
    if holes:
        sources.append(_points(series, holes, step))
    if covered:
        sources.append(_buckets(series, covered, level, step))
    merged = (
        "SELECT step, sum(n) AS m_n, sum(s) AS m_s, min(lo) AS m_lo, max(hi) AS m_hi, "
        "min(first_time) AS m_first_time, argMin(first_value, first_time) AS m_first, "
        "max(last_time) AS m_last_time, argMax(last_value, last_time) AS m_last, "
        "argMin(lo_time, (lo, lo_time)) AS m_lo_time, argMin(hi_time, (-hi, hi_time)) AS m_hi_time, "
        f"max(worst) AS m_worst FROM ({' UNION ALL '.join(sources)}) GROUP BY step"
    )
    start = f"fromUnixTimestamp64Nano(toInt64(step * {int(step)}), 'UTC')"
    time, value = {
        Aggregate.AVERAGE: (start, "m_s / m_n"),
        Aggregate.MINIMUM: (start, "m_lo"),
        Aggregate.MAXIMUM: (start, "m_hi"),
        Aggregate.FIRST: ("m_first_time", "m_first"),
        Aggregate.LAST: ("m_last_time", "m_last"),
        Aggregate.MINMAX: ("point.1", "point.2"),
    }[how]
    if how is Aggregate.MINMAX:
        pair = "if(m_lo_time = m_hi_time, [(m_lo_time, m_lo)], [(m_lo_time, m_lo), (m_hi_time, m_hi)])"
        merged = f"SELECT m_worst, arrayJoin({pair}) AS point FROM ({merged})"
    chosen = f"toUInt32({int(series)}) AS series, {time} AS time, {value} AS value, m_worst AS quality"
    return f"SELECT {chosen} FROM ({merged})"


def _points(series: int, ranges: Ranges, step: int) -> str:
    spans = " OR ".join(
        f"(time >= fromUnixTimestamp64Nano({int(a)}) AND time < fromUnixTimestamp64Nano({int(b)}))" for a, b in ranges
    )
    return (
        f"SELECT intDiv(toUnixTimestamp64Nano(time), {int(step)}) AS step, count() AS n, sum(value) AS s, "
        "min(value) AS lo, max(value) AS hi, min(time) AS first_time, argMin(value, time) AS first_value, "
        "max(time) AS last_time, argMax(value, time) AS last_value, argMin(time, (value, time)) AS lo_time, "
        "argMin(time, (-value, time)) AS hi_time, max(quality) AS worst "
        f"FROM {DATABASE}.{TABLES[ValueType.DOUBLE]} FINAL WHERE series = {int(series)} AND quality < {GOOD_BELOW} "
        f"AND isFinite(value) AND ({spans}) GROUP BY step"
    )


def _buckets(series: int, ranges: Ranges, level: RollupLevel, step: int) -> str:
    spans = " OR ".join(
        f"(bucket >= toDateTime({int(a) // SECOND}, 'UTC') AND bucket < toDateTime({int(b) // SECOND}, 'UTC'))"
        for a, b in ranges
    )
    return (
        f"SELECT intDiv(toInt64(toUnixTimestamp(bucket)) * {SECOND}, {int(step)}) AS step, sum(good) AS n, "
        "sum(`sum`) AS s, min(`min`) AS lo, max(`max`) AS hi, min(first_at) AS first_time, "
        "argMin(`first`, first_at) AS first_value, max(last_at) AS last_time, argMax(`last`, last_at) AS last_value, "
        "argMin(min_at, (`min`, min_at)) AS lo_time, argMin(max_at, (-`max`, max_at)) AS hi_time, "
        f"max(r.worst) AS worst FROM {DATABASE}.{_TABLE[level]} AS r FINAL "
        f"WHERE series = {int(series)} AND good > 0 AND ({spans}) GROUP BY step"
    )
