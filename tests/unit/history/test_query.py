"""What a series query asks of the store, and what becomes of the answer."""

import math
from collections.abc import Collection, Iterable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.kernel.block import Columns
from gongfu.kernel.errors import Problem
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import MAX_NS, format_rfc3339
from gongfu.store.history.directory import PointInfo
from gongfu.store.history.documents import SeriesQuery, json_qualities, json_times, json_values
from gongfu.store.history.query import HistoryQueries, plain_message, problem_of
from gongfu.store.history.types import HistoryError, HistoryUnavailable, Samples

POINTS = {
    1: PointInfo(1, "a", "x", ValueType.DOUBLE, "K"),
    2: PointInfo(2, "a", "y", ValueType.DOUBLE, ""),
    3: PointInfo(3, "a/b", "n", ValueType.INT64, ""),
}


class Directory:
    """Tenant 1 has all points."""

    def by_series(self, tenant: int, series: Collection[int]) -> dict[int, PointInfo]:
        return {one: POINTS[one] for one in series if tenant == 1 and one in POINTS}

    def by_name(self, tenant: int, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], PointInfo]:
        return {(p.asset_path, p.name): p for p in POINTS.values() if tenant == 1 and (p.asset_path, p.name) in names}

    def revision(self, tenant: int) -> str:
        return ""

    def all_points(self, tenant: int) -> Iterable[PointInfo]:
        return POINTS.values()


class Recorder:
    """Remembers what it was asked; series 2 is empty, the others have two points."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any, Any, dict[str, Any]]] = []

    def _answer(self, value_type: ValueType, series: Collection[int]) -> Samples:
        full = [one for one in sorted(series) if one != 2]
        ids = np.repeat(np.array(full, "<u4"), 2)
        values: Any = ids.astype("<i8") if value_type is ValueType.INT64 else ids * 1.5
        columns = Columns(ids, np.tile(np.array([10, 20], "<i8"), len(full)), np.zeros(len(ids), "u1"), values)
        return Samples(columns, np.empty(0, "<i8"), truncated=value_type is ValueType.INT64)

    async def query(self, value_type: ValueType, series: Any, *span: int, **options: Any) -> Samples:
        self.asked.append(("query", sorted(series), span, options))
        return self._answer(value_type, series)

    async def aggregate(self, value_type: ValueType, series: Any, *span: int, **options: Any) -> Samples:
        self.asked.append(("aggregate", sorted(series), span, options))
        return self._answer(value_type, series)


async def _ask(document: dict[str, Any], tenant: int = 1) -> tuple[Any, Recorder]:
    recorder = Recorder()
    request = msgspec.convert(document, SeriesQuery)
    store: Any = recorder
    return await HistoryQueries(store, Directory()).series(tenant, request), recorder


async def test_series_come_in_the_order_of_the_request() -> None:
    (found, truncated), recorder = await _ask(
        {"series": [3, 2, 1], "points": [{"asset": "a", "point": "x"}], "from": "1970-01-01T00:00:00Z"}
    )
    assert [one.point.series for one in found] == [3, 2, 1]
    assert [one.columns.times.tolist() for one in found] == [[10, 20], [], [10, 20]]
    assert truncated
    assert [asked[1] for asked in recorder.asked] == [[3], [1, 2]]
    assert recorder.asked[0][2] == (0, MAX_NS)
    assert recorder.asked[0][3]["good_only"] is False


async def test_aggregates_leave_bad_values_out_unless_asked() -> None:
    document = {"series": [1], "from": 0, "to": 5000, "aggregate": "avg", "step": 1.5}
    _, recorder = await _ask(document)
    kind, _, span, options = recorder.asked[0]
    assert (kind, span) == ("aggregate", (0, 5_000_000_000))
    assert (options["good_only"], options["step"], options["how"]) == (True, 1_500_000_000, "avg")
    _, recorder = await _ask({**document, "quality": "all"})
    assert recorder.asked[0][3]["good_only"] is False


@pytest.mark.parametrize(
    "wrong",
    [
        {"series": []},
        {"series": list(range(1, 1002))},
        {"series": [1], "from": "yesterday"},
        {"series": [1], "from": "2024-01-01T00:00:00"},
        {"series": [1], "from": -1},
        {"series": [1], "from": 10**18},
        {"series": [1], "to": "1969-12-31T23:59:59Z"},
        {"series": [1], "from": 5, "to": 4},
        {"series": [1], "limit": 0},
        {"series": [1], "limit": 1_000_001},
        {"series": [1], "aggregate": "avg"},
        {"series": [1], "step": 1},
        {"series": [1], "aggregate": "avg", "step": 0},
        {"series": [1], "aggregate": "avg", "step": math.inf},
        {"series": [1], "aggregate": "avg", "step": math.nan},
        {"series": [1], "aggregate": "avg", "step": 1e300},
    ],
)
async def test_what_is_not_documented_is_a_400(wrong: dict[str, Any]) -> None:
    with pytest.raises(Problem) as caught:
        await _ask({"from": 0, **wrong})
    assert caught.value.status == 400


async def test_series_of_another_tenant_are_not_there() -> None:
    for document in ({"series": [1], "from": 0}, {"points": [{"asset": "a", "point": "x"}], "from": 0}):
        with pytest.raises(Problem) as caught:
            await _ask(document, tenant=2)
        assert caught.value.status == 404


async def test_many_series_share_the_bound_of_points() -> None:
    _, recorder = await _ask({"series": [1, 2], "from": 0, "limit": 1_000_000})
    assert recorder.asked[0][3]["limit"] == 1_000_000
    _, recorder = await _ask({"series": [1, 2, 3], "from": 0, "limit": 1_000_000})
    assert recorder.asked[0][3]["limit"] == 666_666


def test_values_in_json() -> None:
    limit = 2**53
    doubles = np.array([1.5, np.nan, np.inf, -np.inf, -0.0])
    assert json_values(ValueType.DOUBLE, doubles) == [1.5, None, None, None, -0.0]
    integers = np.array([limit - 1, limit, -limit + 1, -limit, 2**63 - 1, -(2**63)])
    assert json_values(ValueType.INT64, integers) == [
        limit - 1, str(limit), -limit + 1, str(-limit), str(2**63 - 1), str(-(2**63)),
    ]  # fmt: skip
    assert json_values(ValueType.BOOLEAN, np.array([0, 1], "u1")) == [False, True]
    assert json_values(ValueType.STRING, ["中"]) == ["中"]
    assert json_times(np.array([1_700_000_000_123_456_789]), milliseconds=True) == [1_700_000_000_123]
    assert json_times(np.array([1_700_000_000_123_456_789]), milliseconds=False) == ["2023-11-14T22:13:20.123456789Z"]
    assert json_qualities(np.array([0, 0x41, 0x81], "u1")) == ["good", "uncertain", "bad"]


@given(
    st.lists(st.integers(0, MAX_NS // 10**9).flatmap(lambda n: st.sampled_from([n * 10**9, n * 10**6, n * 1000, n])))
)
def test_times_in_json_are_those_of_the_slow_way(times: list[int]) -> None:
    assert json_times(np.array(times, np.int64), milliseconds=False) == [format_rfc3339(time) for time in times]


def test_failures_as_problems() -> None:
    assert problem_of(HistoryUnavailable("connection to 10.0.0.1 refused")).detail == "the history does not answer"
    assert problem_of(HistoryUnavailable("x", 241)).status == 422
    assert problem_of(HistoryError("x", 159)).code == "query-limit"
    text = (
        "Received ClickHouse exception, code: 47, server response: Code: 47. DB::Exception: Unknown identifier `x`: "
        "While executing Y. (UNKNOWN_IDENTIFIER) (version 26) (for url http://127.0.0.1:1)"
    )
    assert plain_message(text) == "Unknown identifier `x`"
