import pytest
from sqlalchemy import insert, select

from gongfu.kernel.errors import Problem
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import SECOND
from gongfu.registry import drop_records, drops
from gongfu.registry.assets import NewAsset
from gongfu.registry.devices import NewDevice
from gongfu.registry.events import EventDocument, EventKey, NewEvent
from gongfu.registry.points import PointDocument, PointPatch
from gongfu.registry.tables import drop_count, point
from gongfu.store.records.engine import reading, writing
from tests.contract.records.conftest import Node


def add_points(node: Node, path: str, *names: str) -> list[int]:
    asset = node.registry.assets.create(node.admin, NewAsset(path=path))
    with writing(node.engine) as connection:
        return [
            connection.execute(
                insert(point)
                .values(
                    tenant_id=node.admin.tenant,
                    asset_id=asset.id,
                    name=name,
                    value_type=ValueType.INT64,
                    unit="",
                    description="",
                    created_at=1,
                )
                .returning(point.c.id)
            ).scalar_one()
            for name in names
        ]


def all_points(node: Node, limit: int, **filters: object) -> list[str]:
    found: list[PointDocument] = []
    key: tuple[str, str] | None = None
    while True:
        items, key = node.registry.points.page(node.admin, key, limit, **filters)  # type: ignore[arg-type]
        found += items
        if key is None:
            return [f"{item.asset_path}:{item.name}" for item in found]


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_points_by_asset_subtree_and_search(node: Node, limit: int) -> None:
    add_points(node, "a/b", "t2", "t1", "p")
    add_points(node, "a/b/c", "t1")
    add_points(node, "a/b0", "t9")
    add_points(node, "z", "温度")
    b = node.registry.assets.page(node.admin, None, 1, path="a/b")[0]
    everything = ["a/b:p", "a/b:t1", "a/b:t2", "a/b/c:t1", "a/b0:t9", "z:温度"]
    assert all_points(node, limit) == everything
    assert all_points(node, limit, asset=b.id) == everything[:3]
    assert all_points(node, limit, asset=b.id, subtree=True) == everything[:4]
    assert all_points(node, limit, search="T1") == ["a/b:t1", "a/b/c:t1"]
    assert all_points(node, limit, search="温") == ["z:温度"]


def test_point_is_described_with_a_ucum_unit(node: Node) -> None:
    (series,) = add_points(node, "a", "t")
    changed = node.registry.points.change(node.admin, series, PointPatch(unit="m3/h", description="流量"))
    assert (changed.unit, changed.description, changed.type) == ("m3/h", "流量", "int64")
    with pytest.raises(Problem) as raised:
        node.registry.points.change(node.admin, series, PointPatch(unit="furlongs per fortnight"))
    assert raised.value.status == 400
    assert node.registry.points.change(node.admin, series, PointPatch(unit="")).unit == ""
    assert node.registry.points.some(node.admin, [series])[0].description == "流量"


def test_points_of_other_tenants(node: Node) -> None:
    (series,) = add_points(node, "a", "t")
    asset = node.registry.assets.page(node.admin, None, 1)[0]
    points = node.registry.points
    assert points.page(node.other, None, 10) == ([], None)
    assert points.some(node.other, [series]) == []
    with pytest.raises(Problem) as raised:
        points.change(node.other, series, PointPatch(unit="m"))
    assert raised.value.status == 404
    with pytest.raises(Problem) as raised:
        points.page(node.other, None, 10, asset=asset.id)
    assert raised.value.status == 404


def all_events(node: Node, limit: int, **filters: object) -> list[str]:
    found: list[EventDocument] = []
    key: EventKey | None = None
    while True:
        items, key = node.registry.events.page(node.admin, key, limit, **filters)  # type: ignore[arg-type]
        found += items
        if key is None:
            return [item.text for item in found]


def test_events_by_asset_and_time(node: Node) -> None:
    events = node.registry.events
    node.registry.assets.create(node.admin, NewAsset(path="a/b"))
    for asset, start, end, text in (
        ("a", "2020-01-01T00:00:00Z", "2020-01-03T00:00:00Z", "long"),
        ("a/b", "2020-01-02T08:00:00+08:00", None, "moment"),
        ("a", "2020-01-02T00:00:00Z", None, "same moment"),
        ("a", "2020-02-01T00:00:00Z", None, "later"),
    ):
        events.create(node.admin, NewEvent(asset, "label", start, end, text, "nab"))
    assert set(all_events(node, 1)) == {"long", "moment", "same moment", "later"}
    assert all_events(node, 10, path="a/b") == ["moment"]
    middle = 1_577_923_200 * SECOND  # 2020-01-02T00:00:00Z
    assert set(all_events(node, 1, path="a", time_from=middle, time_to=middle)) == {"long", "moment", "same moment"}
    assert all_events(node, 10, time_from=middle + 86_400 * SECOND + 1) == ["later"]
    assert events.page(node.other, None, 10) == ([], None)
    with pytest.raises(Problem) as raised:
        events.create(node.other, NewEvent("a", "label", "2020-01-01T00:00:00Z"))
    assert raised.value.status == 404


def test_events_with_bad_times_are_refused(node: Node) -> None:
    node.registry.assets.create(node.admin, NewAsset(path="a"))
    good = "2020-01-02T00:00:00Z"
    for start, end in (("yesterday", None), ("2020-01-02T00:00:00", None), (good, "2020-01-01T00:00:00Z")):
        with pytest.raises(Problem) as raised:
            node.registry.events.create(node.admin, NewEvent("a", "label", start, end))
        assert raised.value.status == 400


def add_drops(node: Node, *rows: tuple[int, int, str, str, int, int]) -> None:
    columns = ("tenant_id", "device_id", "kind", "reason", "count", "last_at")
    with writing(node.engine) as connection:
        connection.execute(
            insert(drop_count), [{**dict(zip(columns, row, strict=True)), "last_detail": "x"} for row in rows]
        )


@pytest.mark.parametrize("limit", [1, 2, 10])
def test_drops_last_first_and_only_of_visible_tenants(node: Node, limit: int) -> None:
    device = node.registry.devices.create(node.admin, NewDevice("d1")).device
    mine, theirs = node.admin.tenant, node.other.tenant
    add_drops(
        node,
        (mine, device.id, "rejected", "type_mismatch", 3, 10),
        (mine, device.id, "shed", "saturated", 4, 20),
        (mine, 999, "rejected", "malformed_json", 1, 20),
        (0, 0, "rejected", "malformed_json", 2, 20),
        (theirs, 5, "shed", "saturated", 7, 30),
    )
    found: list[tuple[str | None, str, int]] = []
    key: drops.DropKey | None = None
    while True:
        items, key = drops.page(node.engine, node.admin, key, limit, None)
        found += [(item.device, item.reason, item.count) for item in items]
        if key is None:
            break
    assert found == [
        (None, "malformed_json", 2),
        ("d1", "saturated", 4),
        (None, "malformed_json", 1),
        ("d1", "type_mismatch", 3),
    ]
    assert [item.count for item in drops.page(node.engine, node.other, None, 10, None)[0]] == [7]
    assert [item.count for item in drops.page(node.engine, node.admin, None, 10, device.id)[0]] == [4, 3]
    shown = node.registry.devices.get(node.admin, device.id)
    assert (shown.rejected, shown.shed) == (3, 4)
    with reading(node.engine) as connection:
        totals = drop_records.totals(connection, drops.visible_tenants(node.admin))
    assert totals == {
        ("rejected", "type_mismatch"): 3,
        ("rejected", "malformed_json"): 3,
        ("shed", "saturated"): 4,
    }


def test_drops_of_a_removed_device_stay_counted(node: Node) -> None:
    device = node.registry.devices.create(node.admin, NewDevice("d1")).device
    add_drops(node, (node.admin.tenant, device.id, "shed", "saturated", 4, 20))
    node.registry.devices.delete(node.admin, device.id)
    with reading(node.engine) as connection:
        assert connection.execute(select(drop_count.c.count)).scalar() == 4
    assert drops.page(node.engine, node.admin, None, 10, None)[0][0].device is None
