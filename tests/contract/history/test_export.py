"""Files of points against what is stored: Parquet, Arrow and CSV, read by readers that are not ours."""

import csv
import io
import math
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Action, Role, Subject
from gongfu.kernel.points import ValueType
from gongfu.rest.routing import Call, Streamed
from gongfu.store.history import export
from gongfu.store.history.directory import PointInfo
from gongfu.store.history.export_formats import CsvWriter
from gongfu.store.history.surroundings import Run
from tests.contract.history.served import ServedHistory
from tests.contract.history.test_processed_query import START, Api, ms

MS = 1_000_000


@pytest.fixture
async def api(served: ServedHistory, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(export, "PAGE", 100)
    made = Api(served)
    yield made
    await made.store.close()


async def started(api: Api, **document: Any) -> Streamed:
    route = api.routes["/series:export"]
    assert route.action is Action.READ
    body = msgspec.convert(document, route.request)
    answer = await route.answer(Call(Subject(1, "u", 1, Role.VIEWER), {}, {}, body))
    assert isinstance(answer, Streamed)
    return answer


async def whole(api: Api, **document: Any) -> bytes:
    return b"".join([chunk async for chunk in (await started(api, **document)).chunks])


async def filled(api: Api) -> tuple[dict[str, int], Any]:
    n = 350
    times = START + np.arange(n) * 250 * MS
    values = np.round(np.sin(np.arange(n)), 6)
    values[[3, 4]] = [math.nan, math.inf]
    qualities = [0x81 if not math.isfinite(v) else 0x40 if i % 50 == 0 else 0 for i, v in enumerate(values)]
    named = {
        "double": await api.add(ValueType.DOUBLE, times, values, qualities),
        "int64": await api.add(ValueType.INT64, times[:3], [2**60 + 1, -5, 0]),
        "boolean": await api.add(ValueType.BOOLEAN, times[:2], [1, 0]),
        "string": await api.add(ValueType.STRING, times[:3], ['say "开", 停', "=SUM(A1)", "line\nbreak"]),
        "empty": api.directory.add(ValueType.DOUBLE),
    }
    return named, (times, values, qualities)


@pytest.mark.parametrize("form", ["parquet", "arrow"])
async def test_columns_come_back_exactly(api: Api, form: str) -> None:
    named, (times, values, qualities) = await filled(api)
    raw = await whole(api, series=[named["double"], named["empty"]], **{"from": ms(0)}, format=form)
    table = pq.read_table(io.BytesIO(raw)) if form == "parquet" else pa.ipc.open_stream(raw).read_all()
    assert table.schema.field("time").type == pa.timestamp("ns", "UTC")
    assert table.column("time").cast(pa.int64()).to_pylist() == times.tolist()
    np.testing.assert_array_equal(np.array(table.column("value").to_pylist()), values)
    assert table.column("quality").to_pylist() == qualities
    assert set(table.column("asset").to_pylist()) == {"厂/泵"}
    assert set(table.column("series").to_pylist()) == {named["double"]}
    for kind, expected in (("int64", [2**60 + 1, -5, 0]), ("boolean", [True, False]), ("string", ['say "开", 停'])):
        raw = await whole(api, series=[named[kind]], **{"from": ms(0)}, format=form)
        table = pq.read_table(io.BytesIO(raw)) if form == "parquet" else pa.ipc.open_stream(raw).read_all()
        assert table.column("value").to_pylist()[: len(expected)] == expected
    raw = await whole(api, series=[named["empty"]], **{"from": ms(0)}, format=form)
    table = pq.read_table(io.BytesIO(raw)) if form == "parquet" else pa.ipc.open_stream(raw).read_all()
    assert table.num_rows == 0


async def test_series_of_several_types_share_a_file_without_loss(api: Api) -> None:
    named, _ = await filled(api)
    kinds = ["int64", "boolean", "string", "double"]
    raw = await whole(api, series=[named[kind] for kind in kinds], **{"from": ms(0), "to": ms(0.6)}, format="parquet")
    rows = pq.read_table(io.BytesIO(raw)).to_pylist()
    assert [row["value_int64"] for row in rows[:3]] == [2**60 + 1, -5, 0]
    assert [row["value"] for row in rows[3:5]] == [1.0, 0.0]
    assert [row["value_text"] for row in rows[5:8]] == ['say "开", 停', "=SUM(A1)", "line\nbreak"]
    assert [row["value"] for row in rows[8:]] == [0.0, 0.841471, 0.909297]


async def test_csv(api: Api) -> None:
    named, (times, values, _) = await filled(api)
    raw = await whole(api, series=list(named.values()), **{"from": ms(0)}, format="csv")
    rows = list(csv.DictReader(io.StringIO(raw.decode())))
    assert len(rows) == 350 + 3 + 2 + 3
    doubles = rows[:350]
    given = [datetime.fromisoformat(row["time"]).timestamp() for row in doubles]
    assert given == [time / 10**9 for time in times.tolist()]
    assert [float(row["value"]) if row["value"] else math.nan for row in doubles] == pytest.approx(
        [v if math.isfinite(v) else math.nan for v in values.tolist()], nan_ok=True, abs=0
    )
    assert [row["quality"] for row in doubles[:5]] == ["uncertain", "good", "good", "bad", "bad"]
    assert [row["value"] for row in rows[350:]] == [
        str(2**60 + 1), "-5", "0", "true", "false", 'say "开", 停', "=SUM(A1)", "line\nbreak",
    ]  # fmt: skip
    good = await whole(api, series=[named["double"]], **{"from": ms(0)}, format="csv", quality="good")
    assert {row["quality"] for row in csv.DictReader(io.StringIO(good.decode()))} == {"good"}


async def test_csv_for_a_spreadsheet(api: Api) -> None:
    named, _ = await filled(api)
    raw = await whole(
        api, series=[named["string"]], **{"from": ms(0)}, format="csv", times="spreadsheet", zone="+08:00", bom=True
    )
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"))))
    assert [row["time"] for row in rows] == [f"2023-11-15 06:13:20.{ms:03d}" for ms in (0, 250, 500)]
    assert [row["asset"] for row in rows] == ["厂/泵"] * 3
    assert [row["value"] for row in rows] == ['say "开", 停', "'=SUM(A1)", "line\nbreak"]
    raw = await whole(api, series=[named["empty"]], **{"from": ms(0)}, format="csv", times="ms", zone="-03:30")
    assert raw == b"time,asset,point,unit,value,quality\n"


@settings(max_examples=40)
@given(
    times=st.lists(st.integers(0, 2**62), min_size=1, max_size=5, unique=True).map(sorted),
    minutes=st.integers(-720, 840),
)
def test_times_of_csv_are_exact(times: list[int], minutes: int) -> None:
    point = PointInfo(1, "a", "p", ValueType.DOUBLE, "")
    writer = CsvWriter("rfc3339", minutes * 60 * 10**9, bom=False)
    raw = writer.write(point, Run(np.array(times, np.int64), np.zeros(len(times)), np.zeros(len(times), np.uint8)))
    for time, row in zip(times, csv.DictReader(io.StringIO(raw.decode())), strict=True):
        head, _, rest = row["time"].partition(".")
        digits = rest.rstrip("Z").split("+")[0].split("-")[0] if rest else ""
        zone = row["time"][19 + (len(digits) + 1 if digits else 0) :]
        seconds = int(datetime.fromisoformat(head[:19] + zone.replace("Z", "+00:00")).timestamp())
        assert seconds * 10**9 + int(digits.ljust(9, "0") or 0) == time


def test_names_that_need_quotes_get_them() -> None:
    point = PointInfo(1, 'a,"b"', "p\n", ValueType.DOUBLE, "")
    one = Run(np.array([0], np.int64), np.array([-1.5]), np.array([0], np.uint8))
    raw = CsvWriter("rfc3339", 0, bom=False).write(point, one).decode()
    assert list(csv.reader(io.StringIO(raw)))[1] == ["1970-01-01T00:00:00Z", 'a,"b"', "p\n", "", "-1.5", "good"]
    plain = CsvWriter("rfc3339", 0, bom=False).write(PointInfo(1, "厂/泵", "p", ValueType.DOUBLE, "K"), one).decode()
    assert plain.splitlines()[1] == "1970-01-01T00:00:00Z,厂/泵,p,K,-1.5,good"


async def test_links(api: Api) -> None:
    named, _ = await filled(api)
    query = {"series": str(named["int64"]), "from": str(ms(0)), "format": "csv", "bom": "1"}
    request = export.request_of(query)
    assert (request.series, request.format, request.bom) == ([named["int64"]], "csv", True)
    for wrong, words in (
        ({"series": "a"}, "ids with commas"),
        ({"format": "xlsx"}, "xlsx"),
        ({"from": "noon"}, "from"),
        ({"to": "0"}, "swap them"),
        ({"zone": "Asia/Shanghai"}, "zone must be"),
        ({"when": "now"}, "when"),
    ):
        with pytest.raises(Problem, match=words) as caught:
            await export.Exports(api_queries(api)).start(1, export.request_of({**query, **wrong}))
        assert caught.value.status == 400


def api_queries(api: Api) -> Any:
    from gongfu.store.history.query import HistoryQueries

    return HistoryQueries(api.store, api.directory)


async def test_a_reader_that_goes_away_frees_its_place(api: Api) -> None:
    named, _ = await filled(api)
    exports = export.Exports(api_queries(api))
    request = msgspec.convert({"series": [named["double"]], "from": ms(0), "format": "csv"}, export.SeriesExport)
    running = [await exports.start(1, request) for _ in range(export.MAX_EXPORTS)]
    for one in running:
        await anext(one.chunks)
    with pytest.raises(Problem) as caught:
        await exports.start(1, request)
    assert caught.value.status == 503
    chunks: Any = running[0].chunks
    await chunks.aclose()
    await exports.start(1, request)
