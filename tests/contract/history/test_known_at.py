"""Corrections through the API: what was known before stays readable, in points, aggregates and files."""

import asyncio
import csv
import io
import time
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Action, Role, Subject
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import format_rfc3339, parse_rfc3339
from gongfu.rest.routing import Call
from gongfu.store.history.stepping import stepped_values
from gongfu.store.history.surroundings import run_of
from gongfu.store.history.types import Aggregate
from tests.contract.history.points import T0, batch, fresh_series, rows
from tests.contract.history.served import ServedHistory
from tests.contract.history.test_export import whole
from tests.contract.history.test_processed_query import START, Api, ms


@pytest.fixture
async def api(served: ServedHistory) -> Any:
    made = Api(served)
    yield made
    await made.store.close()


async def call(api: Api, path: str, document: Any = None, *, series: int = 0, **query: str) -> Any:
    route = api.routes[path]
    body = None if document is None else msgspec.convert(document, route.request)
    subject = Subject(1, "工程师", 1, Role.ENGINEER)
    answer = await route.answer(Call(subject, {"series": str(series)}, query, body))
    return msgspec.json.decode(msgspec.json.encode(answer))


async def test_a_correction_keeps_what_it_replaces(api: Api) -> None:
    assert api.routes["/series:correct"].action is Action.POINT_WRITE
    series = await api.add(ValueType.DOUBLE, START + np.arange(10) * 10**9, np.arange(10.0))
    before = time.time_ns()
    # Whole milliseconds count: what is learned within the same one is known at it.
    await asyncio.sleep(0.002)
    point = {"time": ms(3), "value": 30}
    correction = {"series": series, "points": [point, {"time": ms(4), "value": 4.0}], "reason": "单位错误"}
    assert await call(api, "/series:correct", correction) == {"changed": 1}
    assert await call(api, "/series:correct", correction) == {"changed": 0}
    span: dict[str, Any] = {"series": [series], "from": ms(0), "to": ms(10)}
    then = {**span, "as_of": format_rfc3339(before)}
    assert (await api.one(**span))["values"][3] == 30.0
    assert (await api.one(**then))["values"] == [float(n) for n in range(10)]
    for how in ("max", "Maximum", "last", "avg", "count", "minmax", "Average"):
        asked = {"aggregate": how, "step": 5}
        old, new = (await api.one(**then, **asked))["values"], (await api.one(**span, **asked))["values"]
        assert (old == new) is (how in ("last", "count")), how
    assert (await api.one(**then, aggregate="max", step=5))["values"] == [4.0, 9.0]
    assert (await api.one(**then, aggregate="max", step=5, order="desc", limit=1))["values"] == [9.0]
    assert (await api.one(series=[series], at=[ms(3)], as_of=format_rfc3339(before)))["values"] == [3.0]
    raw = await whole(api, **then, format="csv")
    assert [row["value"] for row in csv.DictReader(io.StringIO(raw.decode()))] == [str(n) for n in range(10)]
    found = await call(api, "/series/{series}/versions", series=series, time=str(ms(3)))
    first, second = found["versions"]
    assert (first["value"], first["corrected_by"], first["reason"]) == (3.0, "", "")
    assert (second["value"], second["corrected_by"], second["reason"]) == (30.0, "工程师", "单位错误")
    assert parse_rfc3339(second["known_since"]) >= before // 10**6 * 10**6
    with pytest.raises(Problem) as caught:
        await call(api, "/series/{series}/versions", series=series, time=str(ms(3.5)))
    assert caught.value.status == 404


@pytest.mark.parametrize(
    ("value_type", "change", "words"),
    [
        (ValueType.DOUBLE, {"reason": " "}, "reason is missing"),
        (ValueType.DOUBLE, {"points": []}, "1 to 10000"),
        (ValueType.DOUBLE, {"points": [{"time": 1, "value": 1}, {"time": 1, "value": 2}]}, "named twice"),
        (ValueType.DOUBLE, {"points": [{"time": 1, "value": "hot"}]}, "not a value of a double"),
        (ValueType.DOUBLE, {"points": [{"time": 1, "value": True}]}, "not a value of a double"),
        (ValueType.INT64, {"points": [{"time": 1, "value": 1.5}]}, "not a value of a int64"),
        (ValueType.INT64, {"points": [{"time": 1, "value": str(2**63)}]}, "not a value of a int64"),
        (ValueType.BOOLEAN, {"points": [{"time": 1, "value": 1}]}, "not a value of a boolean"),
        (ValueType.STRING, {"points": [{"time": 1, "value": 1}]}, "not a value of a string"),
        (ValueType.STRING, {"points": [{"time": 1, "value": "x", "quality": "fine"}]}, "quality must be"),
    ],
)
async def test_what_is_no_correction_is_refused(api: Api, value_type: ValueType, change: Any, words: str) -> None:
    series = api.directory.add(value_type)
    with pytest.raises(Problem, match=words) as caught:
        await call(api, "/series:correct", {"series": series, "points": [], "reason": "r", **change})
    assert caught.value.status == 400


async def test_values_of_every_type_can_be_corrected(api: Api) -> None:
    for value_type, value, shown in (
        (ValueType.INT64, str(2**62), str(2**62)),
        (ValueType.BOOLEAN, True, True),
        (ValueType.STRING, "开", "开"),
    ):
        series = api.directory.add(value_type)
        point = {"time": ms(0), "value": value, "quality": "uncertain"}
        assert (await call(api, "/series:correct", {"series": series, "points": [point], "reason": "r"}))[
            "changed"
        ] == 1
        one = await api.one(series=[series], **{"from": ms(0)})
        assert (one["values"], one["qualities"]) == ([shown], ["uncertain"])


VALUES = st.one_of(st.integers(-3, 3).map(float), st.just(float("nan")))


@settings(
    max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(
    st.lists(
        st.tuples(st.integers(0, 60), VALUES, st.sampled_from([0, 0, 65, 128])),
        min_size=1, max_size=30, unique_by=lambda one: one[0],
    ),
    st.integers(1, 20),
)  # fmt: skip
def test_steps_in_memory_are_those_of_the_engine(
    served: ServedHistory, points: list[tuple[int, float, int]], step: int
) -> None:
    async def compare() -> None:
        store = served.store()
        series = fresh_series()
        times, values, qualities = zip(*sorted(points), strict=True)
        moments = [T0 + one * 10**9 for one in times]
        await store.insert([batch(ValueType.DOUBLE, [series] * len(times), moments, values, qualities=qualities)])
        run = run_of(await store.query(ValueType.DOUBLE, [series], 0, 2**62))
        for how in Aggregate:
            for good_only in (True, False):
                wanted = await store.aggregate(
                    ValueType.DOUBLE, [series], 0, 2**62, how=how, step=step * 10**9, good_only=good_only
                )
                found = stepped_values(run, how, step * 10**9, good_only=good_only)
                given = list(zip(found.times.tolist(), list(found.values), found.qualities.tolist(), strict=True))
                assert [row[1:] for row in rows(wanted)] == given, how
        await store.close()

    asyncio.run(compare())
