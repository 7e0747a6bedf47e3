from pathlib import Path

import pytest
from sqlalchemy import insert, text

from gongfu.kernel.errors import Problem
from gongfu.registry import asset_records
from gongfu.registry.assets import AssetPatch
from gongfu.registry.credentials import Credentials
from gongfu.registry.devices import DevicePatch, NewDevice
from gongfu.registry.tables import device as device_table
from gongfu.store.records.engine import reading, writing
from tests.contract.records.conftest import DEVICE_KEY, Node

FINGERPRINT = "ab" * 32


def credentials(node: Node) -> Credentials:
    return Credentials(node.engine, DEVICE_KEY)


def test_secret_signs_in_and_is_not_stored(node: Node) -> None:
    made = node.registry.devices.create(
        node.admin, NewDevice("泵 1", asset="hall/pump", publish_filters=["a/+"], subscribe_filters=["b/#"])
    )
    grant = credentials(node).check("泵 1", made.secret)
    assert grant is not None
    assert (grant.tenant, grant.device, grant.name) == (node.admin.tenant, made.device.id, "泵 1")
    assert (grant.asset, grant.asset_path) == (made.device.asset_id, "hall/pump")
    assert (grant.publish_filters, grant.subscribe_filters) == (("a/+",), ("b/#",))
    with reading(node.engine) as connection:
        stored = connection.execute(text("SELECT * FROM device")).one()
        audits = connection.execute(text("SELECT detail FROM audit")).scalars().all()
    assert all(made.secret not in str(value) for value in [*stored, *audits])


def test_wrong_secret_and_unknown_name_are_refused(node: Node) -> None:
    node.registry.devices.create(node.admin, NewDevice("d1"))
    for secret in ("", "x", "wrong secret of any length", "\ud800"):
        for name in ("d1", "d2", "", "d1\0"):
            assert credentials(node).check(name, secret) is None


def test_key_of_another_node_does_not_open(node: Node) -> None:
    made = node.registry.devices.create(node.admin, NewDevice("d1"))
    assert Credentials(node.engine, bytes(32)).check("d1", made.secret) is None


def test_default_asset_has_the_name_of_the_device(node: Node) -> None:
    assert node.registry.devices.create(node.admin, NewDevice("d1")).device.asset_path == "d1"


def test_attributes_go_to_the_asset_and_are_merged(node: Node) -> None:
    node.registry.devices.create(node.admin, NewDevice("d1", asset="a", attributes={"x": 1, "y": 1}))
    made = node.registry.devices.create(node.admin, NewDevice("d2", asset="a", attributes={"y": 2}))
    assert node.registry.assets.get(node.admin, made.device.asset_id).attributes == {"x": 1, "y": 2}


def test_imported_secret(node: Node) -> None:
    node.registry.devices.create(node.admin, NewDevice("d1", secret="factory-secret-0001"))
    assert credentials(node).check("d1", "factory-secret-0001") is not None
    for secret in ("", "short", "with\nnewline------------"):
        with pytest.raises(Problem) as raised:
            node.registry.devices.create(node.admin, NewDevice("d2", secret=secret))
        assert raised.value.status == 400


def test_bad_names_and_filters_are_refused(node: Node) -> None:
    for request in (NewDevice("a/b"), NewDevice("d1", publish_filters=["a/#/b"]), NewDevice("d1", asset="a//b")):
        with pytest.raises(Problem) as raised:
            node.registry.devices.create(node.admin, request)
        assert raised.value.status == 400
    assert node.registry.devices.page(node.admin, None, 10) == ([], None)


def test_certificate_signs_in_until_taken_away(node: Node) -> None:
    written = ":".join(FINGERPRINT[i : i + 2] for i in range(0, 64, 2)).upper()
    made = node.registry.devices.create(node.admin, NewDevice("d1", certificate_sha256=written))
    grant = credentials(node).check_fingerprint(FINGERPRINT.upper())
    assert grant is not None
    assert grant.device == made.device.id
    with pytest.raises(Problem) as raised:
        node.registry.devices.create(node.other, NewDevice("d2", certificate_sha256=FINGERPRINT))
    assert raised.value.status == 409
    node.registry.devices.change(node.admin, made.device.id, DevicePatch(certificate_sha256=None))
    assert credentials(node).check_fingerprint(FINGERPRINT) is None
    assert credentials(node).check_fingerprint("") is None
    with pytest.raises(Problem):
        node.registry.devices.change(node.admin, made.device.id, DevicePatch(certificate_sha256="xyz"))


def test_rotated_disabled_and_deleted_devices_are_out(node: Node) -> None:
    devices = node.registry.devices
    made = devices.create(node.admin, NewDevice("d1", certificate_sha256=FINGERPRINT))
    node.changes.clear()
    secret = devices.rotate_secret(node.admin, made.device.id)
    assert credentials(node).check("d1", made.secret) is None
    assert credentials(node).check("d1", secret) is not None
    devices.change(node.admin, made.device.id, DevicePatch(enabled=False))
    assert credentials(node).check("d1", secret) is None
    assert credentials(node).check_fingerprint(FINGERPRINT) is None
    devices.change(node.admin, made.device.id, DevicePatch(enabled=True))
    assert credentials(node).check("d1", secret) is not None
    devices.delete(node.admin, made.device.id)
    assert credentials(node).check("d1", secret) is None
    assert [change.change for change in node.changes] == ["secret", "updated", "updated", "deleted"]
    assert {change.id for change in node.changes} == {made.device.id}


def test_renamed_device_is_announced_under_both_names(node: Node) -> None:
    made = node.registry.devices.create(node.admin, NewDevice("d1"))
    node.changes.clear()
    node.registry.devices.change(node.admin, made.device.id, DevicePatch(name="d2", asset="elsewhere/x"))
    assert [(change.name, change.change) for change in node.changes] == [("d1", "deleted"), ("d2", "updated")]
    grant = credentials(node).check("d2", made.secret)
    assert grant is not None
    assert grant.asset_path == "elsewhere/x"


def test_failed_write_announces_nothing(node: Node) -> None:
    node.registry.devices.create(node.admin, NewDevice("d1"))
    node.changes.clear()
    with pytest.raises(Problem) as raised:
        node.registry.devices.create(node.other, NewDevice("d1"))
    assert raised.value.status == 409
    assert node.changes == []
    # The asset of the failed one is not left behind either.
    assert node.registry.assets.page(node.other, None, 10) == []


def test_other_tenants_see_and_change_nothing(node: Node) -> None:
    devices = node.registry.devices
    made = devices.create(node.admin, NewDevice("d1"))
    assert devices.page(node.other, None, 10) == ([], None)
    for attempt in (
        lambda: devices.get(node.other, made.device.id),
        lambda: devices.change(node.other, made.device.id, DevicePatch(enabled=False)),
        lambda: devices.rotate_secret(node.other, made.device.id),
        lambda: devices.delete(node.other, made.device.id),
    ):
        with pytest.raises(Problem) as raised:
            attempt()
        assert raised.value.status == 404
    assert credentials(node).check("d1", made.secret) is not None


def test_pages_hold_every_device_once(node: Node) -> None:
    names = [f"d{number:02d}" for number in range(23)]
    for name in names:
        node.registry.devices.create(node.admin, NewDevice(name, asset="a"))
    found: list[str] = []
    key: str | None = None
    while True:
        items, key = node.registry.devices.page(node.admin, key, 5)
        found += [item.name for item in items]
        if key is None:
            break
    assert found == names


@pytest.mark.parametrize("online", [True, False])
def test_pages_of_online_and_offline_devices(node: Node, online: bool) -> None:
    made = [node.registry.devices.create(node.admin, NewDevice(f"d{n:02d}", asset="a")).device for n in range(12)]
    theirs = node.registry.devices.create(node.other, NewDevice("theirs")).device
    connected = {made[1].id, made[5].id, made[6].id, theirs.id}
    found: list[int] = []
    key: str | None = None
    while True:
        items, key = node.registry.devices.page(node.admin, key, 2, online=online, connected=connected)
        found += [item.id for item in items]
        if key is None:
            break
    assert found == [item.id for item in made if (item.id in connected) == online]


def test_search_and_online_with_many_connected(node: Node) -> None:
    """More connected devices than go into a query: pages of names are filtered instead."""
    base = node.registry.devices.create(node.admin, NewDevice("pump-0", asset="a")).device
    with writing(node.engine) as connection:
        connection.execute(
            insert(device_table),
            [
                {
                    "tenant_id": node.admin.tenant,
                    "name": f"pump-{number:05d}",
                    "asset_id": base.asset_id,
                    "secret_hash": "0" * 64,
                    "enabled": True,
                    "publish_filters": [],
                    "subscribe_filters": [],
                    "created_at": 1,
                }
                for number in range(1, 5001)
            ],
        )
        last = connection.execute(text("SELECT max(id) FROM device")).scalar_one()
    connected = {last, *range(1_000_000, 1_030_000)}
    items, key = node.registry.devices.page(node.admin, None, 10, search="pump", online=True, connected=connected)
    assert ([item.id for item in items], key) == ([last], None)


def test_moved_asset_is_seen_by_the_next_sign_in(node: Node) -> None:
    made = node.registry.devices.create(node.admin, NewDevice("d1", asset="a/b"))
    a = node.registry.assets.page(node.admin, None, 1, path="a")[0]
    node.registry.assets.change(node.admin, a.id, AssetPatch(name="z"))
    grant = credentials(node).check("d1", made.secret)
    assert grant is not None
    assert grant.asset_path == "z/b"


def test_device_key_is_made_once(tmp_path: Path) -> None:
    from gongfu.registry.device_secrets import load_device_key

    key = load_device_key(tmp_path)
    path = tmp_path / "secrets" / "device-key"
    assert (len(key), path.stat().st_mode & 0o777) == (32, 0o600)
    assert load_device_key(tmp_path) == key
    path.write_text("damaged")
    with pytest.raises(RuntimeError, match="damaged"):
        load_device_key(tmp_path)


def test_points_of_a_device_are_those_at_and_below_its_asset(node: Node) -> None:
    paths = {"d1": "a/b", "d2": "a", "d3": "z"}
    made = {name: node.registry.devices.create(node.admin, NewDevice(name, asset=path)) for name, path in paths.items()}
    with writing(node.engine) as connection:
        for path in ("a/b", "a/b", "a/b/c", "a/b0", "a/b-"):
            asset, _ = asset_records.ensure(connection, node.admin.tenant, path.split("/"), 1)
            name = f"p{connection.execute(text('SELECT count(*) FROM point')).scalar_one()}"
            connection.execute(
                text(
                    "INSERT INTO point (tenant_id, asset_id, name, value_type, unit, description, created_at) "
                    "VALUES (:tenant, :asset, :name, 1, '', '', 1)"
                ),
                {"tenant": node.admin.tenant, "asset": asset, "name": name},
            )
    shown = {item.name: item.points for item in node.registry.devices.page(node.admin, None, 10)[0]}
    assert shown == {"d1": 3, "d2": 5, "d3": 0}
    assert node.registry.devices.get(node.admin, made["d1"].device.id).points == 3
