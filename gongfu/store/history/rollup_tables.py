"""Tables of roll-ups: doubles by minute and by hour, and which days of which series are rolled up.

``rollup_double_1m`` and ``rollup_double_1h`` have one row per series and bucket (UTC) that has points. ``points``
counts all of them; everything else is of the *good* ones: quality good and value finite, ``good`` of them. ``first_at``
… are source times; with ``good = 0`` values and times are zero. A day is built again when its points change, so read
FINAL (the newest ``built`` counts), and only the ranges that ``HistoryStore.rolled`` gives.

A series is rolled up by hour when one of its days has at least ``HOUR_POINTS`` points, and by minute with
``MINUTE_POINTS``: below that a roll-up costs as much as it saves. A row takes about 40 B.

``rollup_day``: ``levels`` 1 (hours) or 2 (minutes as well) of a series and day (UTC, since 1970), good as long as
nothing is newer in ``rollup_changed``, which is written before a point of a day that may be rolled up. Series 0 stands
for all series: every day up to the last of its rows is done. Series ``ALL_SERIES`` tells up to which day (not included)
retention has removed points: roll-ups before it are final.
"""

from gongfu.store.history.sql_tables import DATABASE

CHANGED = "rollup_changed"
DAYS = "rollup_day"
MINUTES = "rollup_double_1m"
HOURS = "rollup_double_1h"
ROLLUP_TABLES = (MINUTES, HOURS)
HOUR_POINTS = 2_880
MINUTE_POINTS = 86_400
DONE_SERIES = 0
ALL_SERIES = 4_294_967_295

BUCKET_COLUMNS = (
    ("points", "UInt32", "T64, ZSTD(1)"),
    ("good", "UInt32", "T64, ZSTD(1)"),
    ("sum", "Float64", "ZSTD(1)"),
    ("min", "Float64", "ZSTD(1)"),
    ("max", "Float64", "ZSTD(1)"),
    ("first", "Float64", "ZSTD(1)"),
    ("last", "Float64", "ZSTD(1)"),
    ("first_at", "DateTime64(9, 'UTC')", "Delta, ZSTD(1)"),
    ("last_at", "DateTime64(9, 'UTC')", "Delta, ZSTD(1)"),
    ("min_at", "DateTime64(9, 'UTC')", "Delta, ZSTD(1)"),
    ("max_at", "DateTime64(9, 'UTC')", "Delta, ZSTD(1)"),
    ("worst", "UInt8", "ZSTD(1)"),
    ("built", "DateTime64(3, 'UTC')", "Delta, ZSTD(1)"),
)
_SETTINGS = "SETTINGS auto_statistics_types = '', old_parts_lifetime = 120, max_merge_selecting_sleep_ms = 60000"


def statements() -> list[str]:
    """Return the statements that create what is missing."""
    columns = ", ".join(f"`{name}` {type_name} CODEC({codec})" for name, type_name, codec in BUCKET_COLUMNS)
    made = [
        f"CREATE TABLE IF NOT EXISTS {DATABASE}.{table} (series UInt32 CODEC(Delta, ZSTD(1)), "
        f"bucket DateTime('UTC') CODEC(Delta, ZSTD(1)), {columns}) "
        f"ENGINE = ReplacingMergeTree(built) PARTITION BY toYear(bucket) ORDER BY (series, bucket) {_SETTINGS}"
        for table in ROLLUP_TABLES
    ]
    made.append(
        f"CREATE TABLE IF NOT EXISTS {DATABASE}.{DAYS} (series UInt32, day UInt16, levels UInt8, "
        f"built DateTime64(3, 'UTC')) ENGINE = ReplacingMergeTree(built) ORDER BY (series, day) {_SETTINGS}"
    )
    # On disk before the points are: they may not be in the history without this.
    made.append(
        f"CREATE TABLE IF NOT EXISTS {DATABASE}.{CHANGED} (series UInt32, day UInt16, "
        f"marked DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')) ENGINE = ReplacingMergeTree(marked) "
        f"ORDER BY (series, day) {_SETTINGS}, fsync_after_insert = 1, fsync_part_directory = 1"
    )
    return made
