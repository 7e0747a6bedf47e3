"""What the history holds: counted through the API like any user would, sizes from the store itself."""

import json
import time
from pathlib import Path
from typing import Any

import httpx

from demo.api import Api

POLL_S = 0.1
QUERY_S = 900


def count_points(api: Api, where: str = "") -> int:
    """Return the number of numeric points in the history, counted by SQL."""
    answer = api.post("/sql", {"query": f"SELECT count() FROM points {where}"})
    return int(answer["rows"][0][0])


def wait_until_stored(api: Api, expected: int, timeout: float) -> int:
    """Wait until the history holds ``expected`` points; return the number of points there."""
    deadline = time.monotonic() + timeout
    while (count := count_points(api)) < expected and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return count


def wait_until_queryable(api: Api, last_ms: dict[str, int], timeout: float) -> int:
    """Wait until the last points of some devices can be queried; return the UTC ns at which they could.

    Cheap enough not to disturb what is measured, unlike counting all points.

    Args:
        api: client of the node.
        last_ms: source time of the last message by path of the device's asset.
        timeout: seconds.
    """
    deadline = time.monotonic() + timeout
    query = {
        "points": [{"asset": path, "point": "p00"} for path in last_ms],
        "from": min(last_ms.values()),
    }
    while time.monotonic() < deadline:
        answer = api.post("/series:query?times_format=ms", query)
        newest = {columns["asset_path"]: max(columns["times"], default=0) for columns in answer["series"]}
        if newest == last_ms:
            break
        time.sleep(POLL_S)
    return time.time_ns()


def query_store(data_dir: Path, query: str) -> list[dict[str, Any]]:
    """Run a query as the node's own user on the embedded history and return rows."""
    runtime = json.loads((data_dir / "run" / "runtime.json").read_text(encoding="utf-8"))
    response = httpx.post(
        runtime["history_url"],
        content=f"{query} FORMAT JSONEachRow",
        # Counting a thousand million rows takes a minute.
        params={"max_execution_time": QUERY_S},
        headers={"X-ClickHouse-User": runtime["history_user"], "X-ClickHouse-Key": runtime["history_password"]},
        timeout=QUERY_S + 10.0,
        trust_env=False,
    )
    response.raise_for_status()
    return [json.loads(line) for line in response.text.splitlines() if line]


def disk_usage(data_dir: Path) -> tuple[int, int, dict[str, int]]:
    """Return rows, bytes and bytes by column of the active parts of the point tables."""
    tables = "database NOT IN ('system', 'INFORMATION_SCHEMA', 'information_schema') AND table LIKE 'point_%'"
    total = query_store(
        data_dir,
        f"SELECT sum(rows) AS rows, sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND {tables}",
    )[0]
    columns = query_store(
        data_dir,
        "SELECT column, sum(column_data_compressed_bytes) AS bytes FROM system.parts_columns "
        f"WHERE active AND {tables} GROUP BY column ORDER BY bytes DESC",
    )
    return int(total["rows"]), int(total["bytes"]), {row["column"]: int(row["bytes"]) for row in columns}
