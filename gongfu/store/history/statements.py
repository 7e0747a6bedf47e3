"""SQL of the history's reads. Pure: every value that enters the text is an integer or a name from this package."""

# ruff: noqa: S608 -- for the reason above

from collections.abc import Sequence

from gongfu.kernel.points import ValueType
from gongfu.store.history.schema import DATABASE, TABLES
from gongfu.store.history.types import Aggregate, HistoryError, Order

# The two upper bits of a quality byte are its severity; 0 is good (kernel/quality.py).
GOOD_BELOW = 64
# Up to here a query of several series is a union of queries of one.
MAX_UNION = 8
MAX_UNION_LIMIT = 100_000
_TEXT = frozenset({ValueType.STRING, ValueType.JSON})
TEXT_AGGREGATES = frozenset({Aggregate.COUNT, Aggregate.FIRST, Aggregate.LAST})
_WHOLE = {
    Aggregate.AVERAGE: "avg(toFloat64(value))",
    Aggregate.MINIMUM: "min(value)",
    Aggregate.MAXIMUM: "max(value)",
    Aggregate.COUNT: "toFloat64(count())",
}
# Function that chooses the point of a step, and by what.
_CHOSEN = {Aggregate.FIRST: "argMin", Aggregate.LAST: "argMax"}


def _time(nanoseconds: int) -> str:
    return f"fromUnixTimestamp64Nano({int(nanoseconds)})"


def _chosen(series: Sequence[int]) -> str:
    """Return the condition on series; equality, unlike IN, lets the engine read in the order of the times."""
    if len(series) == 1:
        return f"series = {int(series[0])}"
    return f"series IN ({', '.join(str(int(one)) for one in series)})"


def _where(
    value_type: ValueType,
    series: Sequence[int],
    time_from: int,
    time_to: int,
    *,
    good_only: bool,
    finite: bool,
    final: bool = True,
) -> str:
    terms = [_chosen(series), f"time >= {_time(time_from)}", f"time < {_time(time_to)}"]
    if good_only:
        terms.append(f"quality < {GOOD_BELOW}")
    if finite and value_type is ValueType.DOUBLE:
        terms.append("isFinite(value)")
    # Without FINAL all terms can be looked at before other columns are read; said here, it need not be found out.
    return f"{DATABASE}.{TABLES[value_type]} {'FINAL WHERE' if final else 'PREWHERE'} " + " AND ".join(terms)


def _tail(series: Sequence[int], order: Order, limit: int) -> str:
    """Order, and one point more than the limit, which tells that there are more."""
    if len(series) == 1:
        return f" ORDER BY time {order.upper()} LIMIT {int(limit) + 1}"
    return f" ORDER BY series, time {order.upper()} LIMIT {int(limit) + 1} BY series"


def points(
    value_type: ValueType,
    series: Sequence[int],
    time_from: int,
    time_to: int,
    *,
    order: Order,
    limit: int,
    good_only: bool,
    final: bool = True,
) -> str:
    """Return the statement for the points themselves.

    Few series are read one by one, each in the order of the key, so that a limit ends the reading. FINAL cannot read
    backwards: the newest points are found by their times first, which corrections do not change, 4 times faster.

    Args:
        value_type: type of the series.
        series: series ids.
        time_from: first source time, UTC ns.
        time_to: end, exclusive.
        order: by time.
        limit: points of each series; one more is asked for.
        good_only: leave out points whose quality is not good.
        final: False may give a point more than once, its versions beside each other, and costs half where parts are
            not merged yet: rows of a fresh part are compared one by one otherwise. An answer in which no point is there
            twice is that of FINAL. Not together with ``good_only``, which could show a version that is replaced.
    """
    assert final or not good_only
    if 1 < len(series) <= MAX_UNION and limit <= MAX_UNION_LIMIT:
        single = (
            points(value_type, [one], time_from, time_to, order=order, limit=limit, good_only=good_only, final=final)
            for one in sorted(set(series))
        )
        whole = " UNION ALL ".join(f"SELECT * FROM ({statement})" for statement in single)
        return f"SELECT * FROM ({whole}) ORDER BY series, time {order.upper()}"
    where = _where(value_type, series, time_from, time_to, good_only=good_only, finite=False, final=final)
    tail = _tail(series, order, limit)
    if final and len(series) == 1 and order is Order.DESCENDING and not good_only and limit <= MAX_UNION_LIMIT:
        plain = where.replace(" FINAL ", " ", 1)
        newest = f"SELECT DISTINCT time FROM {plain} ORDER BY time DESC LIMIT {int(limit) + 1}"
        where += f" AND time >= (SELECT min(time) FROM ({newest}))"
    return f"SELECT series, time, value, quality, ingested FROM {where}" + tail


def newest(value_type: ValueType, series: Sequence[int], time_from: int) -> str:
    """Return the statement for the newest point of each series, from a time on. Reads two columns to find them."""
    table = f"{DATABASE}.{TABLES[value_type]}"
    chosen = f"{_chosen(series)} AND time >= {_time(time_from)}"
    return (
        f"SELECT series, time, value, quality, ingested FROM {table} FINAL WHERE {chosen} "
        f"AND (series, time) IN (SELECT series, max(time) FROM {table} WHERE {chosen} GROUP BY series) ORDER BY series"
    )


def aggregates(
    value_type: ValueType,
    series: Sequence[int],
    time_from: int,
    time_to: int,
    *,
    how: Aggregate,
    step: int,
    order: Order,
    limit: int,
    good_only: bool,
) -> str:
    """Return the statement for one value (or two) a step.

    Raises:
        HistoryError: the aggregate is not defined for the type, or the step is not positive.
    """
    if value_type in _TEXT and how not in TEXT_AGGREGATES:
        raise HistoryError(f"{how} is not defined for {value_type.label} points")
    if step < 1:
        raise HistoryError("a step is at least 1 ns")
    where = _where(value_type, series, time_from, time_to, good_only=good_only, finite=how is not Aggregate.COUNT)
    tail = _tail(series, order, limit)
    bucket = f"intDiv(toUnixTimestamp64Nano(time), {int(step)})"
    if how in _WHOLE:
        return (
            f"SELECT series, fromUnixTimestamp64Nano(step * {int(step)}, 'UTC') AS time, result AS value, "
            f"worst AS quality FROM (SELECT series, {bucket} AS step, {_WHOLE[how]} AS result, max(quality) AS worst "
            f"FROM {where} GROUP BY series, step)" + tail
        )
    if how in _CHOSEN:
        choose = _CHOSEN[how]
        return (
            "SELECT series, at AS time, result AS value, its AS quality "
            f"FROM (SELECT series, {bucket} AS step, {choose}(value, time) AS result, {choose}(quality, time) AS its, "
            f"{'min' if how is Aggregate.FIRST else 'max'}(time) AS at FROM {where} GROUP BY series, step)" + tail
        )
    # Two points a step: twice the limit, so that the limit counts values.
    return (
        "SELECT series, point.1 AS time, point.2 AS value, point.3 AS quality FROM ("
        f"SELECT series, {bucket} AS step, min(value) AS low, max(value) AS high, "
        "argMin((time, quality), value) AS low_at, argMax((time, quality), value) AS high_at, "
        "arrayJoin(if(low_at.1 = high_at.1, [(low_at.1, low, low_at.2)], "
        "[(low_at.1, low, low_at.2), (high_at.1, high, high_at.2)])) AS point "
        f"FROM {where} GROUP BY series, step)" + tail
    )


def sizes() -> str:
    """Return the statement for rows, bytes and parts of each table."""
    return (
        "SELECT table, sum(rows) AS rows, sum(bytes_on_disk) AS bytes, count() AS parts FROM system.parts "
        f"WHERE database = '{DATABASE}' AND active GROUP BY table"
    )
