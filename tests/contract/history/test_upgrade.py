"""Tables of an earlier release get the settings of this one when the history starts, and keep what they hold."""

import re
from pathlib import Path

import numpy as np

from gongfu.kernel.block import Columns
from gongfu.kernel.points import ValueType
from gongfu.store.history.client import ClickHouseHistory
from gongfu.store.history.types import Batch
from tests.contract.history.served import ServedHistory

NEW = "vertical_merge_algorithm_min_columns_to_activate"
FORMER = ("merge_max_block_size = 8192", "min_parts_to_merge_at_once = 0")


def _settings(store: ClickHouseHistory) -> dict[str, str]:
    sql = "SELECT engine_full FROM system.tables WHERE database = 'gongfu' AND name = 'point_double'"
    text = store.call(lambda client: client.raw_query(sql, fmt="TSVRaw")).decode().partition("SETTINGS ")[2]
    return dict(re.findall(r"(\w+) = (\S+?)(?:,|\s|\Z)", text))


async def test_settings_of_an_earlier_release_are_altered_and_points_stay(tmp_path: Path) -> None:
    served = ServedHistory(tmp_path / "history")
    served.start()
    try:
        store = served.store()
        wanted = _settings(store)
        assert wanted[NEW] == "1"
        times = np.arange(1, 1001, dtype="<i8") * 1_000_000_000
        columns = Columns(np.full(1000, 5, "<u4"), times, np.zeros(1000, "u1"), np.arange(1000.0))
        await store.insert([Batch(ValueType.DOUBLE, columns, times)])
        store.call(lambda client: client.command(f"ALTER TABLE gongfu.point_double RESET SETTING {NEW}"))
        store.call(lambda client: client.command(f"ALTER TABLE gongfu.point_double MODIFY SETTING {', '.join(FORMER)}"))
        former = _settings(store)
        assert NEW not in former
        assert former != wanted
        await store.close()
        served.stop()
        served.start()
        store = served.store()
        assert _settings(store) == wanted
        found = await store.query(ValueType.DOUBLE, [5], 0, 10**18)
        assert np.asarray(found.columns.values).tolist() == list(range(1000))
        await store.close()
    finally:
        if served.process is not None:
            served.kill()
