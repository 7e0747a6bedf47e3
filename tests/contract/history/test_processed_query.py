"""OPC UA aggregates, values at given times and gaps through the API, against the real store."""

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from gongfu.kernel.aggregates.process import process, values_at
from gongfu.kernel.aggregates.types import FOR_TEXT, AggregateConfiguration, AggregateFunction, Grid, Points
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Role, Subject
from gongfu.kernel.points import ValueType
from gongfu.rest.routing import Call, Raw
from gongfu.store.history import budget, gaps, processed, surroundings
from gongfu.store.history import query as query_module
from gongfu.store.history.api import ARROW, HistoryService, routes
from gongfu.store.history.directory import PointInfo
from gongfu.store.history.documents import json_values
from gongfu.store.history.query import HistoryQueries
from gongfu.store.history.sql_tables import PointSource, SqlTables
from tests.contract.history.points import T0, batch, fresh_series
from tests.contract.history.served import ServedHistory

SECOND = 1_000_000_000
START = T0 // SECOND * SECOND


class OneTenant:
    """A directory whose points a test names."""

    def __init__(self) -> None:
        self.points: dict[int, PointInfo] = {}

    def add(self, value_type: ValueType) -> int:
        series = fresh_series()
        self.points[series] = PointInfo(series, "厂/泵", f"p{series}", value_type, "K")
        return series

    def by_series(self, tenant: int, series: Any) -> dict[int, PointInfo]:
        return {one: self.points[one] for one in series if one in self.points}

    def by_name(self, tenant: int, names: Any) -> dict[tuple[str, str], PointInfo]:
        return {(p.asset_path, p.name): p for p in self.points.values() if (p.asset_path, p.name) in names}

    def revision(self, tenant: int) -> str:
        return str(len(self.points))

    def all_points(self, tenant: int) -> Any:
        return list(self.points.values())


class Clock:
    now = START + 1000 * SECOND

    def now_ns(self) -> int:
        return self.now


class Api:
    def __init__(self, served: ServedHistory) -> None:
        self.store = served.store()
        self.directory = OneTenant()
        queries = HistoryQueries(self.store, self.directory, Clock())
        service = HistoryService(queries, SqlTables(self.store, [PointSource(self.directory)]))
        self.routes = {route.path: route for route in routes(service)}

    async def add(self, value_type: ValueType, times: Any, values: Any, qualities: Any = None) -> int:
        series = self.directory.add(value_type)
        n = len(times)
        whole = [int(time) for time in times]
        await self.store.insert([batch(value_type, [series] * n, whole, values, qualities=qualities)])
        return series

    async def ask(self, accept: str = "*/*", **document: Any) -> Any:
        route = self.routes["/series:query"]
        body = msgspec.convert(document, route.request)
        call = Call(Subject(1, "u", 1, Role.VIEWER), {}, {"times_format": "ms"}, body, accept)
        answer = await route.answer(call)
        return answer if isinstance(answer, Raw) else msgspec.json.decode(msgspec.json.encode(answer))

    async def one(self, **document: Any) -> Any:
        (one,) = (await self.ask(**document))["series"]
        return one


@pytest.fixture
async def api(served: ServedHistory) -> Any:
    made = Api(served)
    yield made
    await made.store.close()


def ms(second: float) -> int:
    return (START + round(second * SECOND)) // 1_000_000


async def noisy(api: Api, n: int = 400) -> tuple[int, Points]:
    random = np.random.default_rng(5)
    times = START + np.sort(random.choice(np.arange(1, 900), n, replace=False)) * SECOND
    values = np.round(random.normal(50, 5, n), 2)
    qualities = random.choice(np.array([0, 0, 0, 0x41, 0x83], "u1"), n)
    qualities[100:130] = 0x80
    series = await api.add(ValueType.DOUBLE, times, values, qualities.tolist())
    return series, Points(times.astype(np.int64), values, qualities, ends=True)


@pytest.mark.parametrize("small", [False, True], ids=["whole", "piecewise"])
async def test_every_aggregate_is_that_of_the_stored_values(
    api: Api, monkeypatch: pytest.MonkeyPatch, small: bool
) -> None:
    """In pieces of 90 values, and with searches that see two values at first, nothing changes."""
    if small:
        for module in (processed, query_module, gaps, budget):
            monkeypatch.setattr(module, "PIECE", 90, raising=False)
        monkeypatch.setattr(surroundings, "SEARCH", (2, 512))
    series, points = await noisy(api)
    start, end = START + 120 * SECOND, START + 700 * SECOND
    inside = points.times >= end
    known = Points(points.times, points.values, points.qualities, ends=not inside.any())
    functions = list(AggregateFunction)[:: 3 if small else 1]
    for i, function in enumerate(functions):
        stepped = i % 2 == 0
        configuration = AggregateConfiguration(stepped=stepped, treat_uncertain_as_bad=stepped)
        expected = process(function, known, Grid(start, end, 7 * SECOND), configuration)
        answer = await api.one(
            series=[series], **{"from": start // 10**6}, to=end // 10**6, step=7, aggregate=function.value,
            stepped=stepped, treat_uncertain_as_bad=stepped,
        )  # fmt: skip
        assert answer["bits"] == expected.bits.tolist(), function
        assert answer["times"] == (expected.times // 10**6).tolist()
        given = np.array([np.nan if value is None else value for value in answer["values"]], float)
        np.testing.assert_allclose(given, expected.values, rtol=1e-12)
        assert [quality == "bad" for quality in answer["qualities"]] == (expected.qualities >= 0x80).tolist()


async def test_values_keep_their_types(api: Api) -> None:
    big = 2**60 + 1
    at = START + np.arange(4) * 10 * SECOND
    whole = await api.add(ValueType.INT64, at, [big, big + 2, 5, 7])
    flag = await api.add(ValueType.BOOLEAN, at, [1, 0, 0, 1], [0, 0, 0x80, 0])
    text = await api.add(ValueType.STRING, at, ["停", "开", "开", "停"])
    span: dict[str, Any] = {"from": ms(0), "to": ms(40), "step": 20}
    answer = await api.one(series=[whole], aggregate="Maximum", **span)
    assert (answer["type"], answer["values"]) == ("int64", [str(big + 2), 7])
    answer = await api.one(series=[whole], aggregate="Average", **{**span, "from": ms(20)})
    assert (answer["type"], answer["values"]) == ("double", [6.0])
    answer = await api.one(series=[flag], aggregate="Interpolative", **{**span, "step": 10})
    assert (answer["type"], answer["values"]) == ("boolean", [True, False, False, True])
    assert answer["qualities"] == ["good", "good", "uncertain", "good"]
    answer = await api.one(series=[flag], aggregate="DurationInStateZero", **span)
    assert answer["values"] == [10_000.0, 0.0]
    answer = await api.one(series=[text], aggregate="Start", **span)
    assert (answer["type"], answer["values"]) == ("string", ["停", "开"])
    assert (await api.one(series=[text], aggregate="NumberOfTransitions", **span))["values"] == [2.0, 1.0]
    answer = await api.one(series=[text], at=[ms(-5), ms(15), ms(30)])
    assert (answer["values"], answer["bits"]) == ([None, "开", "停"], [0, 2, 0])
    for function in set(AggregateFunction) - FOR_TEXT:
        with pytest.raises(Problem, match="not defined for string"):
            await api.one(series=[text], aggregate=function.value, **span)
    with pytest.raises(Problem, match="lie on no line"):
        await api.one(series=[flag], aggregate="Start", stepped=False, **span)


async def test_arrow_has_nulls_where_there_is_no_value(api: Api) -> None:
    series = await api.add(ValueType.DOUBLE, [START], [1.5])
    document = {"series": [series], "from": ms(-10), "to": ms(10), "step": 10, "aggregate": "Minimum"}
    answer = await api.ask(accept=ARROW, **document)
    assert pa.ipc.open_stream(answer.content).read_all().column("value").to_pylist() == [None, 1.5]


@pytest.mark.parametrize("piece", [300_000, 25])
async def test_values_at_times(api: Api, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(processed, "PIECE", piece)
    series, points = await noisy(api)
    random = np.random.default_rng(6)
    seconds = [*random.integers(-10, 990, 40).tolist(), 0.5, 989.25, 3.0, 3.0]
    at = [ms(second) for second in seconds]
    for stepped in (True, False):
        configuration = AggregateConfiguration(stepped=stepped)
        expected = values_at(points, np.array(at, np.int64) * 10**6, configuration)
        answer = await api.one(series=[series], at=at, stepped=stepped)
        assert answer["times"] == at
        assert answer["values"] == json_values(ValueType.DOUBLE, expected.values)
        assert answer["bits"] == expected.bits.tolist()
        for one in (0, 7):
            single = await api.one(series=[series], at=at[one : one + 1], stepped=stepped)
            assert single["values"] == answer["values"][one : one + 1]


@pytest.mark.parametrize("piece", [300_000, 10])
async def test_gaps(api: Api, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(gaps, "PIECE", piece)
    seconds = [*range(50), *range(80, 100), *range(103, 200)]
    qualities = [0x80 if 120 <= second < 140 else 0 for second in seconds]
    times = [START + second * SECOND for second in seconds]
    series = await api.add(ValueType.DOUBLE, times, [1.0] * len(times), qualities)
    span: dict[str, Any] = {"series": [series], "from": ms(0), "to": ms(2000)}
    answer = await api.one(**span, gaps={"times_usual": 5})
    assert answer["usual_interval"] == 1.0
    silence = {"from": ms(49), "to": ms(80), "seconds": 31.0}
    # The clock of the test stands at 1000 s: the last silence goes on.
    going_on = {"from": ms(199), "to": None, "seconds": 801.0}
    assert answer["gaps"] == [silence, going_on]
    assert len((await api.one(**span, gaps={"longer_than": 3.5}))["gaps"]) == 3
    bad = {"from": ms(119), "to": ms(140), "seconds": 21.0}
    answer = await api.one(**span, quality="good", gaps={"longer_than": 5})
    assert answer["gaps"] == [silence, bad, going_on]
    # A silence that begins before the range and ends behind it is told whole.
    answer = await api.one(**{**span, "from": ms(60), "to": ms(70)}, gaps={"longer_than": 5})
    assert (answer["gaps"], answer["values"]) == ([silence], [])
    answer = await api.one(**{**span, "to": ms(100)}, step=1, aggregate="avg", gaps={"longer_than": 5})
    assert answer["gaps"] == [silence]


async def test_too_much_is_refused_with_figures(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    series, _ = await noisy(api)
    for module in (processed, query_module, gaps):
        monkeypatch.setattr(module, "PIECE", 50, raising=False)
    document = {"series": [series], "from": ms(0), "to": ms(900), "step": 300, "aggregate": "Average"}
    with pytest.raises(Problem, match="more than 50 values") as caught:
        await api.one(**document)
    assert caught.value.status == 422
    monkeypatch.setattr(budget.Budget.__init__, "__defaults__", (100,))
    with pytest.raises(Problem, match="more than 100 values") as caught:
        await api.one(**{**document, "step": 9})
    assert caught.value.status == 422
