"""Tables of the history: one per kind of value, one row per series and source time.

Measured on the NAB and TEP signals (benchmarks/history): times at a regular rate cost 0.01 B a point with Delta + ZSTD;
values cost 1.4 B (TEP, five digits) and 4.6 B (NAB, nine digits) with ALP + ZSTD against 2.4 and 7.1 B with
Delta + ZSTD. ALP (adaptive lossless floating point) stores doubles that were decimals as integers, bit-exact for every
double; engines that do not know it get ZSTD. ClickHouse calls the codec experimental: 28 million doubles of 34 kinds
(random bits, decimals, NaN payloads, denormals) came back exactly before and after merges, benchmarks/history compares
every value, and a backup holds plain Parquet. ``ALTER TABLE ... MODIFY COLUMN value CODEC(...)`` leaves it.
"""

from collections.abc import Mapping

from gongfu.kernel.points import ValueType
from gongfu.store.history import rollup_tables
from gongfu.store.history.sql_tables import DATABASE, SERIES

# Empty for ever: users' SQL runs in it, so a bare name that slips through names nothing.
SANDBOX_DATABASE = "gongfu_sandbox"

TABLES: dict[ValueType, str] = {
    ValueType.DOUBLE: "point_double",
    ValueType.INT64: "point_int64",
    ValueType.BOOLEAN: "point_boolean",
    ValueType.STRING: "point_text",
    ValueType.JSON: "point_text",
}
POINT_TABLES = ("point_double", "point_int64", "point_boolean", "point_text")

TIME_TYPE = "DateTime64(9, 'UTC')"
INGESTED_TYPE = "DateTime64(3, 'UTC')"
VALUE_TYPES: dict[str, str] = {
    "point_double": "Float64",
    "point_int64": "Int64",
    "point_boolean": "UInt8",
    "point_text": "String",
}

_VALUE_CODECS = {
    "point_double": "ALP, ZSTD(3)",
    "point_int64": "Delta, ZSTD(1)",
    "point_boolean": "ZSTD(1)",
    "point_text": "ZSTD(1)",
}
_PLAIN_DOUBLE_CODEC = "ZSTD(3)"

# Text needs to tell the two types apart only for export; a series has one type for ever.
_SETTINGS = {
    # An acknowledged insert survives power loss; the writer moves its position only after it.
    "fsync_after_insert": "1",
    "fsync_part_directory": "1",
    # 128 KiB compressed at a time instead of 1 MiB, about a series: 0.05 B a point less.
    "max_compress_block_size": "131072",
    # Column statistics cost 0.4 B a point and are of no use for key ranges.
    "auto_statistics_types": "''",
    # A quiet year becomes one part, which FINAL reads without merging.
    "min_age_to_force_merge_seconds": "3600",
    "min_age_to_force_merge_on_partition_only": "1",
    # Replaced parts stay until the kernel has surely written the merged one, and no longer.
    "old_parts_lifetime": "120",
    # Merging is most of the cost of an insert: wide merges make few levels.
    "min_parts_to_merge_at_once": "8",
    "merge_max_block_size": "32768",
    # Value and quality are gathered once keys and times are merged, not carried along row by row: a fifth less work.
    "vertical_merge_algorithm_min_columns_to_activate": "1",
    # No background probing when nothing happens.
    "merge_selecting_sleep_ms": "5000",
    "max_merge_selecting_sleep_ms": "60000",
}

# Cannot change once a table exists. A third less CPU for inserts and merges than with 8,192 rows.
_FIXED = {"index_granularity": "32768"}


def statements(*, alp: bool) -> list[str]:
    """Return the statements that create what is missing.

    Partitions are years of source time: a batch that reaches twenty years back makes twenty parts, and the present year
    is not merged with the past. (Months would make 240 parts of such a batch.)

    Args:
        alp: the engine knows the ALP codec.
    """
    settings = ", ".join(f"{name} = {value}" for name, value in {**_SETTINGS, **_FIXED}.items())
    made = [f"CREATE DATABASE IF NOT EXISTS {name} ENGINE = Atomic" for name in (DATABASE, SANDBOX_DATABASE)]
    for table in POINT_TABLES:
        codec = _VALUE_CODECS[table]
        if table == "point_double" and not alp:
            codec = _PLAIN_DOUBLE_CODEC
        columns = (
            "series UInt32 CODEC(Delta, ZSTD(1)), "
            f"time {TIME_TYPE} CODEC(Delta, ZSTD(1)), "
            f"value {VALUE_TYPES[table]} CODEC({codec}), "
            "quality UInt8 CODEC(ZSTD(1)), "
            f"ingested {INGESTED_TYPE} CODEC(Delta, ZSTD(1))"
        )
        made.append(
            f"CREATE TABLE IF NOT EXISTS {DATABASE}.{table} ({columns}) "
            f"ENGINE = ReplacingMergeTree(ingested) PARTITION BY toYear(time) ORDER BY (series, time) "
            f"SETTINGS {settings}"
        )
        made.append(
            f"CREATE TABLE IF NOT EXISTS {DATABASE}.{versions_of(table)} ({columns}, "
            "corrected_by LowCardinality(String), reason LowCardinality(String), manual UInt8) "
            f"ENGINE = ReplacingMergeTree(manual) PARTITION BY toYear(time) ORDER BY (series, time, ingested) "
            f"SETTINGS {settings}"
        )
    return [*made, *rollup_tables.statements(), SERIES.create()]


def versions_of(table: str) -> str:
    """Return the table that keeps the versions of points that have more than one, the present one among them.

    Which is the present one tells ``table`` alone. What arrives in order, or again with the same value, never gets
    here.
    """
    return f"{table}_versions"


# What ``upgrades`` asks for: (table, text) by line.
TABLE_STATE = (
    f"SELECT name, engine_full FROM system.tables WHERE database = '{DATABASE}'",  # noqa: S608
    f"SELECT table, compression_codec FROM system.columns WHERE database = '{DATABASE}' AND name = 'value'",  # noqa: S608
)


def upgrades(settings: Mapping[str, str], codecs: Mapping[str, str], *, alp: bool) -> list[str]:
    """Return the statements that bring the tables of points of an earlier release up to date; they rewrite no data.

    Args:
        settings: ``engine_full`` of ``system.tables`` by table.
        codecs: ``compression_codec`` of column ``value`` by table.
        alp: the engine knows the ALP codec.
    """
    made: list[str] = []
    for table, text in settings.items():
        if table not in POINT_TABLES:
            continue
        plain = text.replace("'", "")
        wanted = {name: value for name, value in _SETTINGS.items() if f"{name} = {value.strip(chr(39))}" not in plain}
        if wanted:
            assignments = ", ".join(f"{name} = {value}" for name, value in wanted.items())
            made.append(f"ALTER TABLE {DATABASE}.{table} MODIFY SETTING {assignments}")
    if alp and codecs.get("point_double", "").replace(" ", "") == "CODEC(ALP,ZSTD(1))":
        made.append(f"ALTER TABLE {DATABASE}.point_double MODIFY COLUMN value CODEC({_VALUE_CODECS['point_double']})")
    return made
