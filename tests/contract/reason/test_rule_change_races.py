"""A change of rules while points go, and while the worker stops: nothing stays that has gone, no alarm is lost."""

import asyncio
import threading
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, insert
from sqlalchemy.exc import OperationalError

from gongfu.reason.alarms.ledger import AlarmLedger
from gongfu.reason.alarms.types import AlarmEvent
from gongfu.registry.tables import audit
from gongfu.store.records.engine import writing
from tests.contract.reason.plant import Plant
from tests.contract.reason.test_rule_changes import Node, change, fresh, put


def delete(plant: Plant, series: int) -> None:
    """Delete a point as the API does: the audit has it."""
    plant.delete_point(series)
    row = {"time": 1, "tenant_id": 1, "user_name": "a", "action": "point.delete", "resource": "", "detail": ""}
    with writing(plant.engine) as connection:
        connection.execute(insert(audit).values(row))


def test_a_point_that_comes_and_goes_before_the_records_are_read(tmp_path: Path) -> None:
    plant = fresh(tmp_path)
    plant.point("plant/kiln", "temp")
    key = put(plant)

    async def run() -> None:
        node = Node(plant, tmp_path)
        await node.pipeline.start()
        await node.take(1, s1=1.0)

        async def meanwhile() -> None:
            assert plant.point("plant/mill", "temp") == 2
            await node.take(2, s1=1.0, s2=11.0)
            assert len(node.alarms()) == 1
            delete(plant, 2)

        limit = {"direction": "above", "limit": 9.0}
        await node.changing(lambda: change(plant, key, condition=limit), meanwhile, beside=True)
        # As the watch does every few seconds.
        while await node.pipeline.points_were_deleted():
            await node.pipeline.reload_rules()
        assert node.pipeline.rule_states()[str(key)].series == 1
        assert [row[3] is None for row in node.alarms()] == [False]

    asyncio.run(run())
    plant.engine.dispose()


class Away(AlarmLedger):
    """A ledger whose records do not answer while ``away`` is set."""

    away = False

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.asked = threading.Event()

    def apply(self, *given: Any, **named: Any) -> list[AlarmEvent]:
        if self.away:
            self.asked.set()
            raise OperationalError("", {}, Exception("away"))
        return super().apply(*given, **named)


def test_alarms_of_a_change_that_a_stop_cuts_off(tmp_path: Path) -> None:
    """The worker stops while the records are away: a checkpoint must not say that the alarms are told."""
    plant = fresh(tmp_path)
    plant.point("plant/kiln", "temp")
    key = put(plant, condition={"direction": "above", "limit": 99.0})

    async def run() -> None:
        node = Node(plant, tmp_path)
        ledger = node.pipeline._ledger = Away(plant.engine)
        await node.pipeline.start()
        await node.take(1, s1=11.0)
        assert await node.pipeline.checkpoint()
        change(plant, key, condition={"direction": "above", "limit": 10.0})
        ledger.away = True
        task = asyncio.create_task(node.pipeline.reload_rules())
        assert await asyncio.to_thread(ledger.asked.wait, 60)
        block = asyncio.create_task(node.take(2, s1=11.0))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await node.pipeline.close()
        await block
        again = Node(plant, tmp_path)
        await again.pipeline.start()
        await again.take(2, s1=11.0)
        assert [row[0] for row in again.alarms()] == [key]

    asyncio.run(run())
    plant.engine.dispose()


def test_a_block_that_waits_does_not_keep_the_last_checkpoint_from_being_written(tmp_path: Path) -> None:
    plant = fresh(tmp_path)
    plant.point("plant/kiln", "temp")
    put(plant)

    async def run() -> None:
        node = Node(plant, tmp_path)
        await node.pipeline.start()
        await node.take(1, s1=1.0)
        async with node.pipeline._lock:
            closing = asyncio.create_task(node.pipeline.close())
            await asyncio.sleep(0)
            feeding = asyncio.create_task(node.take(2, s1=1.0))
            await asyncio.sleep(0)
        async with asyncio.timeout(30):
            await closing
        assert node.file.exists()
        assert not feeding.done()
        feeding.cancel()

    asyncio.run(run())
    plant.engine.dispose()
