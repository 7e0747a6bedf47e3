"""``POST /v1/series:query`` against the real store, in JSON and Arrow."""

import math
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Action, Role, Subject
from gongfu.kernel.points import ValueType
from gongfu.rest.routing import Call, Raw
from gongfu.store.history.api import ARROW, HistoryService, routes
from gongfu.store.history.documents import SeriesQuery
from gongfu.store.history.query import HistoryQueries
from gongfu.store.history.sql_tables import PointSource, SqlTables
from tests.contract.history.points import T0, batch
from tests.contract.history.served import ServedHistory
from tests.contract.history.test_sql import MINE, OTHER, Directory


class Api:
    def __init__(self, served: ServedHistory) -> None:
        self.store = served.store()
        directory = Directory()
        service = HistoryService(HistoryQueries(self.store, directory), SqlTables(self.store, [PointSource(directory)]))
        self.route = next(route for route in routes(service) if route.path == "/series:query")

    async def ask(self, document: dict[str, Any], *, accept: str = "*/*", tenant: int = MINE, **query: str) -> Any:
        body = msgspec.convert(document, self.route.request)
        answer = await self.route.answer(Call(Subject(1, "u", tenant, Role.VIEWER), {}, query, body, accept))
        return answer if isinstance(answer, Raw) else msgspec.json.decode(msgspec.json.encode(answer))


@pytest.fixture
async def api(served: ServedHistory) -> Any:
    made = Api(served)
    await made.store.insert([
        batch(ValueType.DOUBLE, [11] * 4, [T0 + i * 500_000_000 for i in range(4)], [1.0, math.nan, 3.5, math.inf],
              qualities=[0, 0x81, 0x40, 0x81]),
        batch(ValueType.INT64, [31] * 2, [T0, T0 + 1], [2**53, -5]),
        batch(ValueType.BOOLEAN, [32], [T0], [1]),
        batch(ValueType.STRING, [33], [T0], ["开"]),
        batch(ValueType.DOUBLE, [21], [T0], [666.0]),
    ])  # fmt: skip
    yield made
    await made.store.close()


async def test_json(api: Api) -> None:
    assert api.route.action is Action.READ
    assert api.route.request is SeriesQuery
    document = {"series": [33, 11, 31, 32], "from": "2023-11-14T22:13:20Z", "to": "2023-11-14T22:13:21.6Z"}
    answer = await api.ask(document)
    assert answer["truncated"] is False
    assert answer["series"][1] == {
        "series": 11, "asset_path": "厂/泵", "name": "温度", "type": "double", "unit": "Cel",
        "times": [f"2023-11-14T22:13:{seconds}Z" for seconds in ("20", "20.500", "21", "21.500")],
        "values": [1.0, None, 3.5, None],
        "qualities": ["good", "bad", "uncertain", "bad"],
    }  # fmt: skip
    assert [one["values"] for one in answer["series"]] == [["开"], [1.0, None, 3.5, None], [str(2**53), -5], [True]]
    assert [one["type"] for one in answer["series"]] == ["string", "double", "int64", "boolean"]
    answer = await api.ask({**document, "order": "desc", "limit": 1, "series": [11]}, times_format="ms")
    assert answer["truncated"] is True
    assert answer["series"][0]["times"] == [T0 // 10**6 + 1500]


async def test_aggregates_by_name(api: Api) -> None:
    document = {"points": [{"asset": "厂/泵", "point": "温度"}], "from": 0, "step": 3600, "aggregate": "max"}
    answer = await api.ask(document)
    (one,) = answer["series"]
    # Of good quality there is one point; of all that are finite, two.
    assert (one["times"], one["values"], one["qualities"]) == (["2023-11-14T22:00:00Z"], [1.0], ["good"])
    (one,) = (await api.ask({**document, "quality": "all"}))["series"]
    assert (one["values"], one["qualities"]) == ([3.5], ["uncertain"])
    (one,) = (await api.ask({"series": [31], "from": 0, "step": 3600, "aggregate": "count"}))["series"]
    assert (one["type"], one["values"]) == ("double", [2.0])
    with pytest.raises(Problem, match="not defined for string"):
        await api.ask({"series": [33], "from": 0, "step": 3600, "aggregate": "avg"})


async def test_arrow(api: Api) -> None:
    answer = await api.ask({"series": [11], "from": 0}, accept=ARROW)
    assert answer.media_type == ARROW
    table = pa.ipc.open_stream(answer.content).read_all()
    assert table.schema.names == ["series", "time", "value", "quality"]
    assert table.schema.field("time").type == pa.timestamp("ns", "UTC")
    values = table.column("value").to_pylist()
    assert (values[0], math.isnan(values[1]), values[3]) == (1.0, True, math.inf)
    assert table.column("quality").to_pylist() == [0, 0x81, 0x40, 0x81]
    for series, expected in ((31, [2**53, -5]), (32, [True]), (33, ["开"])):
        one = await api.ask({"series": [series], "from": 0}, accept=ARROW)
        assert pa.ipc.open_stream(one.content).read_all().column("value").to_pylist() == expected
    with pytest.raises(Problem, match="one value type"):
        await api.ask({"series": [11, 31], "from": 0}, accept=ARROW)


async def test_other_tenants_see_nothing(api: Api) -> None:
    for document in ({"series": [21], "from": 0}, {"points": [{"asset": "geheim", "point": "p"}], "from": 0}):
        with pytest.raises(Problem) as caught:
            await api.ask(document)
        assert caught.value.status == 404
        assert (await api.ask(document, tenant=OTHER))["series"][0]["values"] == [666.0]


async def test_a_history_that_is_away_is_a_503(served: ServedHistory, tmp_path: Any) -> None:
    away = ServedHistory(tmp_path)
    away.port = 1
    made = Api(away)
    with pytest.raises(Problem) as caught:
        await made.ask({"series": [11], "from": 0})
    assert (caught.value.status, caught.value.code) == (503, "unavailable")
    await made.store.close()
