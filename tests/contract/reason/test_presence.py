"""Presence from values, connections and deaths: the test plays the front door, the latest values are real."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest
from nats.aio.client import Client
from sqlalchemy import Engine, insert

from gongfu.bus.requests import serve
from gongfu.kernel.block import Block, Columns
from gongfu.kernel.idset import pack_flags
from gongfu.kernel.points import ValueType
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SECOND
from gongfu.reason.seen import AssetsOfSeries, SeenAnswer, SeenRequest, answer_seen
from gongfu.registry.asset_directory import AssetDirectory
from gongfu.registry.device_directory import DeviceDirectory
from gongfu.registry.tables import asset, device, point, tenant
from gongfu.store.records.engine import writing
from gongfu.store.twins.latest import Twins
from gongfu.web.presence import Presence

SUBJECTS = Subjects("test")
START = 1_700_000_000 * SECOND
# Asset ids by path; each has a point with the same id, and each but "plant" a device with the same id.
PLANT, GATEWAY, MACHINE, PART, OTHER, METER = 1, 2, 3, 4, 5, 6
PATHS = {
    PLANT: "plant",
    GATEWAY: "plant/gateway",
    MACHINE: "plant/gateway/machine",
    PART: "plant/gateway/machine/part",
    OTHER: "plant/gateway/other",
    METER: "plant/gateway/other/meter",
}
PARENTS = {PLANT: None, GATEWAY: PLANT, MACHINE: GATEWAY, PART: MACHINE, OTHER: GATEWAY, METER: OTHER}


@dataclass
class Scene:
    """Clock, latest values, connected devices, and the presence that looks at them."""

    bus: Client
    presence: Presence
    twins: Twins = field(default_factory=Twins)
    connected: set[int] = field(default_factory=set[int])
    now: int = START

    def now_ns(self) -> int:
        return self.now

    def values(self, *series: int) -> None:
        n = len(series)
        times = np.full(n, self.now)
        columns = Columns(np.array(series, np.uint32), times, np.zeros(n, np.uint8), np.zeros(n))
        self.twins.update(Block(1, self.now, {ValueType.DOUBLE: columns}))

    async def connection(self, device_id: int, online: bool) -> None:
        (self.connected.add if online else self.connected.discard)(device_id)
        event = {"door": "door-1", "device": device_id, "tenant": 1, "online": online}
        await self.bus.publish(SUBJECTS.event("device"), msgspec.json.encode(event))

    async def death(self, *paths: str, tenant: int = 1) -> None:
        await self.bus.publish(SUBJECTS.event("death"), msgspec.json.encode({"tenant": tenant, "paths": paths}))

    def assets(self) -> set[int]:
        return set(self.presence.online_assets())

    def devices(self) -> set[int]:
        return set(self.presence.online())


async def until(check: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + 30
    while not check():
        assert asyncio.get_running_loop().time() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


@pytest.fixture
async def scene(bus: Client, sqlite_records: Engine) -> AsyncIterator[Scene]:
    with writing(sqlite_records) as connection:
        connection.execute(insert(tenant).values(id=1, name="t", created_at=1))
        for key, path in PATHS.items():
            connection.execute(
                insert(asset).values(
                    id=key, tenant_id=1, parent_id=PARENTS[key], name=path.rpartition("/")[2], path=path, created_at=1
                )
            )
            connection.execute(
                insert(point).values(
                    id=key, tenant_id=1, asset_id=key, name="p", value_type=1, unit="", description="", created_at=1
                )
            )
            if key != PLANT:
                connection.execute(
                    insert(device).values(
                        id=key, tenant_id=1, name=path, asset_id=key, secret_hash="", enabled=True, created_at=1,
                        publish_filters=[], subscribe_filters=[],
                    )
                )  # fmt: skip
    directory, assets = DeviceDirectory(sqlite_records), AssetDirectory(sqlite_records)
    made = Scene(bus, None)  # type: ignore[arg-type]
    made.presence = Presence(bus, SUBJECTS, lambda: 1, directory, made, assets=assets, online_seconds=60.0)
    of_series = AssetsOfSeries(sqlite_records)

    async def seen(request: SeenRequest) -> SeenAnswer:
        return answer_seen(request, [made.twins], of_series)

    async def online(_: object) -> dict[str, object]:
        flags = np.zeros(2_000_000, dtype=np.bool_)
        flags[list(made.connected)] = True
        return {"door": "door-1", "flags": pack_flags(flags), "highest": max(made.connected, default=0)}

    await serve(bus, SUBJECTS.service("seen"), seen, SeenRequest)
    await serve(bus, SUBJECTS.service("online"), online)
    made.values(MACHINE, PART, OTHER, METER)
    await made.presence.start()
    await until(lambda: made.assets() == {MACHINE, PART, OTHER, METER})
    yield made
    await made.presence.stop()


async def test_a_death_ends_what_is_below_at_once_until_a_newer_value(scene: Scene) -> None:
    scene.now += SECOND
    await scene.death("plant/gateway/machine", "plant/none")
    await scene.death("plant/gateway/other", tenant=2)
    await until(lambda: scene.assets() == {OTHER, METER})
    assert scene.devices() == {OTHER, METER}
    # The values before the death do not bring it back, a newer one does.
    await scene.presence.resync()
    assert scene.assets() == {OTHER, METER}
    scene.now += SECOND
    scene.values(PART)
    await scene.presence.resync()
    assert scene.assets() == {PART, OTHER, METER}
    # A later death of others leaves what has come back.
    scene.now += SECOND
    await scene.death("plant/gateway/other/meter")
    await until(lambda: scene.assets() == {PART, OTHER})
    await scene.presence.resync()
    assert scene.assets() == {PART, OTHER}
    assert scene.presence.offline_assets(1, 10) == [PLANT, GATEWAY, MACHINE, METER]
    assert scene.presence.offline_assets(1, 3) is None


async def test_a_lost_connection_ends_what_is_below_but_not_below_other_connections(scene: Scene) -> None:
    await scene.connection(GATEWAY, True)
    await scene.connection(OTHER, True)
    await until(lambda: GATEWAY in scene.assets())
    scene.now += SECOND
    await scene.connection(GATEWAY, False)
    await until(lambda: scene.assets() == {OTHER, METER})
    assert scene.devices() == {OTHER, METER}
    await scene.presence.resync()
    assert scene.assets() == {OTHER, METER}


async def test_values_count_for_the_window_only(scene: Scene) -> None:
    scene.now += 59 * SECOND
    await scene.presence.resync()
    assert scene.assets() == {MACHINE, PART, OTHER, METER}
    scene.now += 2 * SECOND
    await scene.presence.resync()
    assert scene.assets() == set()


def test_assets_of_series_follow_points_that_come(sqlite_records: Engine) -> None:
    def add(*points: tuple[int, int]) -> None:
        with writing(sqlite_records) as connection:
            for key, of in points:
                connection.execute(
                    insert(point).values(
                        id=key, tenant_id=1, asset_id=of, name=f"p{key}", value_type=1, unit="", description="",
                        created_at=1,
                    )
                )  # fmt: skip

    with writing(sqlite_records) as connection:
        connection.execute(insert(tenant).values(id=1, name="t", created_at=1))
        for key in (1, 2, 3):
            connection.execute(
                insert(asset).values(id=key, tenant_id=1, parent_id=None, name=f"a{key}", path=f"a{key}", created_at=1)
            )
    of_series = AssetsOfSeries(sqlite_records)
    assert of_series.of(3).tolist() == [0, 0, 0]
    add((3, 1), (4, 1), (5, 2), (6, 1))
    assert of_series.of(7).tolist() == [0, 0, 0, 1, 1, 2, 1]
    # Committed later with a lower id, and new ones.
    add((2, 3), (7, 1), (9, 3))
    assert of_series.of(10)[[2, 3, 7, 9]].tolist() == [3, 1, 1, 3]
    assert of_series.of(4).tolist() == [0, 0, 3, 1]
