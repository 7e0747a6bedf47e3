import asyncio
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from nats.aio.client import Client

from gongfu.ingest.admission.account import DEVICE_QUOTA, TENANT_QUOTA
from gongfu.ingest.admission.admission import Admission
from gongfu.ingest.admission.book import QuotaBook
from gongfu.ingest.admission.quota import Defaults, Quota
from gongfu.ingest.types import Writer
from gongfu.kernel.errors import Problem
from gongfu.kernel.subjects import Subjects
from gongfu.registry import quota_records
from gongfu.registry.devices import DevicePatch, NewDevice
from gongfu.registry.quotas import QuotaDocument, QuotaPatch
from gongfu.registry.users import TenantPatch
from gongfu.store.records.engine import reading
from tests.contract.records.conftest import Node


def test_a_quota_changes_without_ending_the_connection(node: Node) -> None:
    device = node.registry.devices.create(node.admin, NewDevice("d1")).device
    assert device.quota is None
    node.changes.clear()
    patch = DevicePatch(quota=QuotaPatch(points_per_second=100.0, policy="shed"))
    changed = node.registry.devices.change(node.admin, device.id, patch)
    assert changed.quota == QuotaDocument(points_per_second=100.0, policy="shed")
    # Front doors close the connections of a device that was "updated"; a quota is told in another way.
    assert [(c.kind, c.id, c.tenant, c.change) for c in node.changes] == [("quota", device.id, 1, "quota")]
    further = node.registry.devices.change(
        node.admin, device.id, DevicePatch(quota=QuotaPatch(points_per_second=None, burst_seconds=3.0))
    )
    assert further.quota == QuotaDocument(burst_seconds=3.0, policy="shed")
    assert node.registry.devices.change(node.admin, device.id, DevicePatch(quota=None)).quota is None


def test_a_quota_goes_with_its_device_and_is_of_its_tenant(node: Node) -> None:
    device = node.registry.devices.create(node.admin, NewDevice("d1")).device
    with pytest.raises(Problem) as caught:
        node.registry.devices.change(node.other, device.id, DevicePatch(quota=QuotaPatch(policy="shed")))
    assert caught.value.status == 404
    node.registry.devices.change(node.admin, device.id, DevicePatch(quota=QuotaPatch(policy="shed")))
    node.registry.devices.delete(node.admin, device.id)
    with reading(node.engine) as connection:
        assert quota_records.every(connection) == []


@pytest.mark.parametrize(
    "patch",
    [
        QuotaPatch(points_per_second=-1.0),
        QuotaPatch(bytes_per_second=float("nan")),
        QuotaPatch(messages_per_second=float("inf")),
        QuotaPatch(messages_per_second=1e-9),
        QuotaPatch(burst_seconds=0.0),
    ],
)
def test_figures_out_of_range_are_refused(node: Node, patch: QuotaPatch) -> None:
    device = node.registry.devices.create(node.admin, NewDevice("d1")).device
    with pytest.raises(Problem) as caught:
        node.registry.devices.change(node.admin, device.id, DevicePatch(enabled=False, quota=patch))
    assert caught.value.status == 400
    assert node.registry.devices.get(node.admin, device.id).enabled


def test_tenants_have_quotas_too(node: Node) -> None:
    node.changes.clear()
    changed = node.registry.users.change_tenant(
        node.admin, node.other.tenant, TenantPatch(quota=QuotaPatch(messages_per_second=5.0))
    )
    assert changed.quota == QuotaDocument(messages_per_second=5.0)
    assert [(c.kind, c.id, c.tenant) for c in node.changes] == [("quota", 0, node.other.tenant)]
    listed = {tenant.id: tenant.quota for tenant in node.registry.users.tenants(None, 10)}
    assert listed == {1: None, node.other.tenant: QuotaDocument(messages_per_second=5.0)}
    with pytest.raises(Problem) as caught:
        node.registry.users.change_tenant(node.admin, 99, TenantPatch())
    assert caught.value.status == 404


async def test_a_door_hears_of_changes(node: Node, bus: Client) -> None:
    """The quotas of the records, and each change that is announced, are in force in a door."""
    subjects = Subjects("test")
    quick = node.registry.devices.create(node.admin, NewDevice("d1")).device
    patch = DevicePatch(quota=QuotaPatch(points_per_second=1.0, burst_seconds=1.0))
    await asyncio.to_thread(node.registry.devices.change, node.admin, quick.id, patch)
    admission = Admission(Defaults(tenant=Quota()), asyncio.get_running_loop().time)
    changed = asyncio.Event()
    with ThreadPoolExecutor(1) as executor:
        book = QuotaBook(bus, subjects, node.engine, executor, admission, changed.set)
        await book.start()
        account = admission.join(Writer(1, quick.id, "d1", 1, "d1"))
        now = admission.now()
        account.take(1000, 1, 1, now)
        assert account.over_quota(now) == DEVICE_QUOTA
        changed.clear()
        patch = DevicePatch(quota=None)
        await asyncio.to_thread(node.registry.devices.change, node.admin, quick.id, patch)
        tenant = TenantPatch(quota=QuotaPatch(points_per_second=1.0, burst_seconds=1.0))
        await asyncio.to_thread(node.registry.users.change_tenant, node.admin, 1, tenant)
        for change in node.changes[-2:]:
            await bus.publish(subjects.event("registry"), msgspec.json.encode(change))
        await asyncio.wait_for(changed.wait(), 20)
        assert account.over_quota(now) == ""
        account.take(1000, 1, 1, now)
        assert account.over_quota(now) == TENANT_QUOTA
        await book.stop()
