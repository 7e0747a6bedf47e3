"""Many small inserts over years of source time: none is refused, and the number of parts stays bounded."""

import asyncio
from pathlib import Path

from gongfu.kernel.points import ValueType
from gongfu.kernel.times import MAX_NS, SECOND
from tests.contract.history.points import T0, batch
from tests.contract.history.served import ServedHistory, wait_for

YEAR = 366 * 86_400 * SECOND
YEARS = 6
INSERTS = 48


async def test_small_inserts_over_years_are_merged(tmp_path: Path) -> None:
    served = ServedHistory(tmp_path / "h")
    served.start()
    try:
        store = served.store()
        for k in range(INSERTS):
            times = [T0 - year * YEAR + k * SECOND for year in range(YEARS)]
            await store.insert([batch(ValueType.DOUBLE, [1] * YEARS, times, [float(k)] * YEARS)])

        def parts() -> int:
            statement = (
                "SELECT max(n) FROM (SELECT count() AS n FROM system.parts WHERE database = 'gongfu' "
                "AND table = 'point_double' AND active GROUP BY partition)"
            )
            return int(str(store.call(lambda client: client.command(statement))))

        # Without merges there would be one for each insert.
        await asyncio.to_thread(wait_for, lambda: parts() <= INSERTS // 2, "small parts are merged", 60.0)
        found = await store.query(ValueType.DOUBLE, [1], 0, MAX_NS)
        assert len(found.columns) == INSERTS * YEARS
        await store.close()
    finally:
        served.kill()
