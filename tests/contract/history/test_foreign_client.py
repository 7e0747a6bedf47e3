"""clickhouse-connect, as anybody uses it, against the history process."""

import asyncio
import datetime as dt
import http.client
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import clickhouse_connect
import numpy as np
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from gongfu.kernel.points import ValueType
from tests.contract.history.points import T0, batch, fresh_series
from tests.contract.history.served import PASSWORD, USER, ServedHistory

COLUMNS = ["series", "time", "value", "quality", "ingested"]
WHEN = dt.datetime(2024, 5, 6, 7, 8, 9, 123000, tzinfo=dt.UTC)


@pytest.fixture(params=[False, True, "lz4", "zstd", "gzip"], ids=str)
def client(request: pytest.FixtureRequest, served: ServedHistory) -> Iterator[Client]:
    made = clickhouse_connect.get_client(
        host="127.0.0.1", port=served.port, username=USER, password=PASSWORD, database="gongfu",
        compress=request.param, autogenerate_session_id=False,
    )  # fmt: skip
    yield made
    made.close()


def test_insert_and_query(client: Client) -> None:
    series = fresh_series()
    data = [[series, WHEN, 1.25, 0, WHEN], [series, WHEN + dt.timedelta(seconds=1), float("inf"), 129, WHEN]]
    summary = client.insert("point_double", data, column_names=COLUMNS)
    assert summary.written_rows == 2
    result = client.query(
        "SELECT time, value, quality FROM point_double FINAL WHERE series = {series:UInt32} ORDER BY time",
        parameters={"series": series},
    )
    assert result.column_names == ("time", "value", "quality")
    assert result.result_rows == [
        (WHEN.replace(tzinfo=None), 1.25, 0),
        (WHEN.replace(tzinfo=None) + dt.timedelta(seconds=1), float("inf"), 129),
    ]
    assert client.query("SELECT * FROM point_double WHERE series = 0").result_rows == []
    assert client.query("SELECT series, value FROM point_double LIMIT 0").column_names == ("series", "value")


def test_arrow_both_ways(client: Client) -> None:
    series = fresh_series()
    n = 100_000
    table = pa.table({
        "series": pa.array(np.full(n, series), pa.uint32()),
        "time": pa.array(np.arange(n) + T0).cast(pa.timestamp("ns", "UTC")),
        "value": pa.array(np.arange(n) * 0.1),
        "quality": pa.array(np.zeros(n), pa.uint8()),
        "ingested": pa.array(np.full(n, T0 // 10**6)).cast(pa.timestamp("ms", "UTC")),
    })  # fmt: skip
    client.insert_arrow("point_double", table)
    found = client.query_arrow(
        "SELECT time, value FROM point_double WHERE series = {s:UInt32} ORDER BY time", parameters={"s": series}
    )
    assert found.column("value").to_pylist() == table.column("value").to_pylist()
    assert found.column("time").cast(pa.int64()).to_pylist() == (np.arange(n) + T0).tolist()


def test_text_statements(client: Client) -> None:
    assert client.ping()
    assert client.command("SELECT '中文', 1") == ["中文", "1"]
    assert client.command("SELECT 7") == 7
    series = fresh_series()
    client.command(
        f"INSERT INTO point_text (series, time, value, quality, ingested) "
        f"VALUES ({series}, '2024-01-01 00:00:00', '开; \n\n关', 0, '2024-01-01 00:00:00')"
    )
    assert client.query(f"SELECT value FROM point_text WHERE series = {series}").first_item == {"value": "开; \n\n关"}
    rows = (f"{series + 1}\t2024-01-01 00:00:0{i}\t{i}\t0\t2024-01-01 00:00:00\n".encode() for i in range(9))
    client.raw_insert("point_int64", COLUMNS, rows, fmt="TabSeparated")
    assert client.command(f"SELECT sum(value) FROM point_int64 WHERE series = {series + 1}") == 36
    names = {row[0] for row in client.query("SHOW TABLES").result_rows}
    assert {"point_double", "point_int64", "point_boolean", "point_text"} <= names


def test_errors_are_the_engines(client: Client) -> None:
    for statement, code in [("SELECT * FROM nix", 60), ("SELEC 1", 62), ("SELECT nix()", 46), ("SELECT (1", 62)]:
        with pytest.raises(DatabaseError) as caught:
            client.query(statement)
        assert caught.value.code == code
    with pytest.raises(DatabaseError) as caught:
        client.query("SELECT count() FROM numbers(10000000000000)", settings={"max_execution_time": 1})
    assert caught.value.code == 159
    with pytest.raises(DatabaseError) as caught:
        client.query("SELECT groupArray(number) FROM numbers(1000000000)", settings={"max_memory_usage": 10_000_000})
    assert caught.value.code == 241
    with pytest.raises(DatabaseError) as caught:
        client.insert("point_double", [[1, WHEN, 1.0]], column_names=["series", "time", "no_such"])
    assert caught.value.code is not None or "no_such" in str(caught.value)
    # A block that is not one is refused as a whole.
    with pytest.raises(DatabaseError):
        client.raw_insert("point_double", COLUMNS, b"\x05\xff\xff\xff\x0fgarbage", fmt="Native")
    assert client.command("SELECT 1") == 1


def test_settings_do_not_stay(client: Client) -> None:
    assert client.command("SELECT getSetting('max_block_size')", settings={"max_block_size": 123}) == 123
    assert client.command("SELECT getSetting('max_block_size')") != 123
    with pytest.raises(DatabaseError) as caught:
        client.command("CREATE TABLE default.x (a Int8) ENGINE = Memory", settings={"readonly": 1})
    assert caught.value.code == 164


def test_wrong_password(served: ServedHistory) -> None:
    for user, password in [(USER, "wrong"), ("root", PASSWORD), ("default", "")]:
        with pytest.raises(DatabaseError) as caught:
            clickhouse_connect.get_client(host="127.0.0.1", port=served.port, username=user, password=password)
        assert caught.value.code == 516
        assert PASSWORD not in str(caught.value)


def _raw(served: ServedHistory, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, names)
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


def test_http_details(served: ServedHistory) -> None:
    signed = {"X_ClickHouse_User": USER, "X_ClickHouse_Key": PASSWORD}
    assert _raw(served, "GET", "/ping") == (200, b"Ok.\n")
    assert _raw(served, "GET", "/?query=SELECT%201", **signed) == (200, b"1\n")
    assert _raw(served, "POST", "/", b"SELECT 1 FORMAT JSONEachRow", **signed) == (200, b'{"1":1}\n')
    assert _raw(served, "GET", "/?query=SELECT%201")[0] == 401
    assert _raw(served, "POST", "/?query=" + "x" * 100, b"y" * 3_000_000)[0] == 401
    # GET only reads.
    status, said = _raw(served, "GET", "/?query=CREATE%20TABLE%20default.y%20(a%20Int8)%20ENGINE=Memory", **signed)
    assert (status, b"readonly" in said) == (403, True)
    assert _raw(served, "POST", "/", b"", **signed)[0] == 400
    assert _raw(served, "POST", "/?session_id=1", b"SELECT 1", **signed)[0] == 400
    assert _raw(served, "POST", "/?a%20b=1", b"SELECT 1", **signed)[0] == 400
    assert _raw(served, "POST", "/?nix=1", b"SELECT 1", **signed)[0] in (400, 404, 500)
    assert _raw(served, "POST", "/", zlib.compress(b"SELECT 3"), Content_Encoding="deflate", **signed) == (200, b"3\n")
    assert _raw(served, "POST", "/", b"not gzip", Content_Encoding="gzip", **signed)[0] == 400
    assert _raw(served, "POST", "/", b"SELECT 1", Content_Encoding="br", **signed)[0] == 415
    # A bomb: 1 GB of zeros in 1 MB.
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(b"\0" * 10_000_000) for _ in range(40)) + packer.flush()
    assert _raw(served, "POST", "/", bomb, Content_Encoding="deflate", **signed)[0] == 413
    assert _raw(served, "POST", "/", b"", Content_Length="99999999999", **signed)[0] == 413


async def test_slow_queries_do_not_hold_up_inserts(served: ServedHistory) -> None:
    store, series = served.store(), fresh_series()
    # Connecting asks the server for its settings, which is a query and waits for its turn.
    await store.insert([batch(ValueType.DOUBLE, [series], [T0], [0.0])])
    slow = threading.Event()
    connected = threading.Barrier(6, action=slow.set)

    def wait_long() -> None:
        client = clickhouse_connect.get_client(
            host="127.0.0.1", port=served.port, username=USER, password=PASSWORD, compress=False,
            autogenerate_session_id=False,
        )  # fmt: skip
        connected.wait(60)
        client.query("SELECT sum(sleepEachRow(0.5)) FROM numbers(5) SETTINGS max_block_size = 1")
        client.close()

    pool, loop = ThreadPoolExecutor(7), asyncio.get_running_loop()
    running = [loop.run_in_executor(pool, wait_long) for _ in range(6)]
    assert await loop.run_in_executor(pool, slow.wait, 20)
    await asyncio.sleep(0.3)  # all slots of queries are taken
    # The same time again: the insert reads first what is stored.
    await store.insert([batch(ValueType.DOUBLE, [series], [T0], [1.0])])
    assert not any(task.done() for task in running)
    await asyncio.gather(*running)
    await store.close()
