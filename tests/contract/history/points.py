"""Batches of tests."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from gongfu.kernel.block import Columns
from gongfu.kernel.points import ValueType
from gongfu.store.history.types import Batch, Samples

_SERIES = itertools.count(1000, 100)
_DTYPES = {ValueType.DOUBLE: "<f8", ValueType.INT64: "<i8", ValueType.BOOLEAN: "u1"}

T0 = 1_700_000_000_000_000_000


def fresh_series() -> int:
    """Return a series id; the next 99 are unused as well."""
    return next(_SERIES)


def batch(
    value_type: ValueType,
    series: Sequence[int],
    times: Sequence[int],
    values: Sequence[Any],
    *,
    qualities: Sequence[int] | None = None,
    ingested: Sequence[int] | int = T0,
) -> Batch:
    n = len(series)
    held: Any = np.array(values, _DTYPES[value_type]) if value_type in _DTYPES else list(values)
    moments = np.full(n, ingested, "<i8") if isinstance(ingested, int) else np.array(ingested, "<i8")
    columns = Columns(np.array(series, "<u4"), np.array(times, "<i8"), np.array(qualities or [0] * n, "u1"), held)
    return Batch(value_type, columns, moments)


def rows(samples: Samples) -> list[tuple[Any, ...]]:
    """Return (series, time, value, quality) of each point."""
    columns = samples.columns
    values = columns.values.tolist() if isinstance(columns.values, np.ndarray) else list(columns.values)
    return list(zip(columns.series.tolist(), columns.times.tolist(), values, columns.qualities.tolist(), strict=True))
