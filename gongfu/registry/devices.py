"""Devices: what may connect to the front door, with its secret, its asset and its topics."""

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from gongfu.kernel.errors import conflict, invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock, format_rfc3339
from gongfu.registry import asset_records, audit, device_records, device_secrets, drop_records, quota_records
from gongfu.registry.assets import check_attributes
from gongfu.registry.changes import Announce, Change, RegistryChange
from gongfu.registry.live import IDS_IN_QUERY, SCAN
from gongfu.registry.names import check_device_name, check_filter, check_path
from gongfu.registry.quotas import QuotaDocument, QuotaPatch, change_quota, check_quota, quota_document
from gongfu.store.records.engine import reading, writing

_MAX_FILTERS = 100


class DeviceDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A device. ``points`` counts those at and below its asset; ``rejected`` and ``shed`` since it was created.

    ``last_seen`` is when it last connected or last sent a value, as far as the node knows.
    """

    id: int
    name: str
    asset_id: int
    asset_path: str
    enabled: bool
    online: bool = False
    connected_at: str | None = None
    address: str | None = None
    client_id: str | None = None
    protocol: str | None = None
    last_seen: str | None = None
    points: int = 0
    rejected: int = 0
    shed: int = 0
    publish_filters: list[str]
    subscribe_filters: list[str]
    certificate_sha256: str | None
    quota: QuotaDocument | None = None
    created_at: str


class NewDevice(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Request to add a device. ``asset`` is a path, added when missing; without it the asset has the device's name."""

    name: str
    asset: str | None = None
    attributes: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    secret: str | None = None
    publish_filters: list[str] = msgspec.field(default_factory=list[str])
    subscribe_filters: list[str] = msgspec.field(default_factory=list[str])
    certificate_sha256: str | None = None


class DevicePatch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Request to change a device; any change but of the quota ends its connection, so that it takes effect at once."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    asset: str | msgspec.UnsetType = msgspec.UNSET
    enabled: bool | msgspec.UnsetType = msgspec.UNSET
    publish_filters: list[str] | msgspec.UnsetType = msgspec.UNSET
    subscribe_filters: list[str] | msgspec.UnsetType = msgspec.UNSET
    certificate_sha256: str | msgspec.UnsetType | None = msgspec.UNSET
    quota: QuotaPatch | msgspec.UnsetType | None = msgspec.UNSET


class DeviceWithSecret(msgspec.Struct, frozen=True):
    """A new device and its secret, which is shown this once and not stored."""

    device: DeviceDocument
    secret: str


class Devices:
    """Devices of tenants; every method blocks on the records."""

    def __init__(self, engine: Engine, clock: Clock, announce: Announce, device_key: bytes) -> None:
        self._engine = engine
        self._clock = clock
        self._announce = announce
        self._key = device_key

    def page(
        self,
        subject: Subject,
        after: str | None,
        limit: int,
        *,
        search: str = "",
        online: bool | None = None,
        connected: Collection[int] = (),
        offline: Collection[int] | None = None,
    ) -> tuple[list[DeviceDocument], str | None]:
        """Return devices after a name, in order of name, and the name after which the next page starts.

        Args:
            subject: who asks.
            after: last name of the page before.
            limit: greatest number.
            search: text in the name, see ``text_search``.
            online: True for connected ones only, False for the others only.
            connected: ids of all devices that are online.
            offline: ids of all others, if they are few.
        """
        ids = connected if online and len(connected) <= IDS_IN_QUERY else None
        if online is False and offline is not None:
            ids = offline
        found: list[Any] = []
        with reading(self._engine) as connection:
            while len(found) <= limit:
                step = limit + 1 if online is None or ids is not None else SCAN
                rows = device_records.page(connection, subject.tenant, after, step, search=search, ids=ids)
                found += [row for row in rows if online is None or (row.id in connected) == online]
                if len(rows) < step:
                    break
                after = rows[-1].name
            last = found[limit - 1].name if len(found) > limit else None
            return self._documents(connection, subject, found[:limit]), last

    def get(self, subject: Subject, key: int) -> DeviceDocument:
        """Return a device.

        Raises:
            Problem: 404.
        """
        with reading(self._engine) as connection:
            return self._documents(connection, subject, [_find(connection, subject, key)])[0]

    def create(self, subject: Subject, request: NewDevice) -> DeviceWithSecret:
        """Add a device, and its asset when there is none.

        Raises:
            Problem: 400 for names, filters, secret; 409 when the name or the certificate is taken.
        """
        name = check_device_name(request.name)
        names = check_path(request.asset if request.asset is not None else name)
        attributes = check_attributes(request.attributes)
        secret = device_secrets.new_secret()
        if request.secret is not None:
            secret = device_secrets.check_imported(request.secret)
        values = {
            "publish_filters": _check_filters(request.publish_filters),
            "subscribe_filters": _check_filters(request.subscribe_filters),
            "certificate_sha256": _check_fingerprint(request.certificate_sha256),
        }
        now = self._clock.now_ns()
        try:
            with writing(self._engine) as connection:
                asset_records.lock_tree(connection, subject.tenant)
                asset, added = asset_records.ensure(connection, subject.tenant, names, now, attributes=attributes)
                if attributes and not added:
                    row = asset_records.by_id(connection, subject.tenant, asset)
                    assert row is not None  # the tree is locked
                    merged = check_attributes({**row.attributes, **attributes})
                    asset_records.change(connection, asset, {"attributes": merged})
                key = device_records.add(
                    connection,
                    tenant_id=subject.tenant,
                    name=name,
                    asset_id=asset,
                    secret_hash=device_secrets.hash_secret(self._key, secret),
                    enabled=True,
                    created_at=now,
                    **values,
                )
                audit.record(connection, subject, "device.create", f"device/{name}", now, f"asset {'/'.join(names)}")
                document = self._documents(connection, subject, [_find(connection, subject, key)])[0]
        except IntegrityError:
            raise _taken(name) from None
        self._tell(subject, key, name, "created")
        return DeviceWithSecret(document, secret)

    def change(self, subject: Subject, key: int, patch: DevicePatch) -> DeviceDocument:
        """Change a device.

        Raises:
            Problem: 400 for names and filters, 404, 409 when the name or the certificate is taken.
        """
        now = self._clock.now_ns()
        values: dict[str, Any] = {}
        if patch.name is not msgspec.UNSET:
            values["name"] = check_device_name(patch.name)
        if patch.enabled is not msgspec.UNSET:
            values["enabled"] = patch.enabled
        if patch.publish_filters is not msgspec.UNSET:
            values["publish_filters"] = _check_filters(patch.publish_filters)
        if patch.subscribe_filters is not msgspec.UNSET:
            values["subscribe_filters"] = _check_filters(patch.subscribe_filters)
        if patch.certificate_sha256 is not msgspec.UNSET:
            values["certificate_sha256"] = _check_fingerprint(patch.certificate_sha256)
        names = [] if patch.asset is msgspec.UNSET else check_path(patch.asset)
        if patch.quota is not msgspec.UNSET:
            check_quota(patch.quota)
        quota = ""
        try:
            with writing(self._engine) as connection:
                row = _find(connection, subject, key)
                if patch.quota is not msgspec.UNSET:
                    quota = change_quota(connection, subject.tenant, key, patch.quota)
                if names:
                    asset_records.lock_tree(connection, subject.tenant)
                    values["asset_id"], _ = asset_records.ensure(connection, subject.tenant, names, now)
                device_records.change(connection, key, values)
                changes = [f"{column}={value}" for column, value in sorted(values.items())]
                detail = ", ".join([*changes, quota] if quota else changes)
                audit.record(connection, subject, "device.update", f"device/{row.name}", now, detail)
                document = self._documents(connection, subject, [_find(connection, subject, key)])[0]
        except IntegrityError:
            raise _taken(values.get("name", "")) from None
        if quota:
            change = RegistryChange(kind="quota", id=key, name=document.name, tenant=subject.tenant, change="quota")
            self._announce(change)
        if document.name != row.name:
            self._tell(subject, key, row.name, "deleted")
        if values or not quota:
            self._tell(subject, key, document.name, "updated")
        return document

    def rotate_secret(self, subject: Subject, key: int) -> str:
        """Give a device a new secret and return it; the old one ends at once.

        Raises:
            Problem: 404.
        """
        secret = device_secrets.new_secret()
        with writing(self._engine) as connection:
            row = _find(connection, subject, key)
            hashed = device_secrets.hash_secret(self._key, secret)
            device_records.change(connection, key, {"secret_hash": hashed})
            audit.record(connection, subject, "device.secret", f"device/{row.name}", self._clock.now_ns())
        self._tell(subject, key, row.name, "secret")
        return secret

    def delete(self, subject: Subject, key: int) -> None:
        """Remove a device; its asset, points and history stay.

        Raises:
            Problem: 404.
        """
        with writing(self._engine) as connection:
            row = _find(connection, subject, key)
            device_records.remove(connection, key)
            quota_records.remove(connection, subject.tenant, key)
            audit.record(connection, subject, "device.delete", f"device/{row.name}", self._clock.now_ns())
        self._tell(subject, key, row.name, "deleted")

    def series_of_assets(self, assets: Collection[int], limit: int) -> dict[int, list[int]]:
        """Return up to ``limit`` series of the points directly at some assets, by asset."""
        series: dict[int, list[int]] = {}
        with reading(self._engine) as connection:
            for row in device_records.series_of_assets(connection, assets, limit):
                series.setdefault(row.asset_id, []).append(row.id)
        return series

    def _tell(self, subject: Subject, key: int, name: str, change: Change) -> None:
        self._announce(RegistryChange(kind="device", id=key, name=name, tenant=subject.tenant, change=change))

    @staticmethod
    def _documents(connection: Connection, subject: Subject, rows: list[Any]) -> list[DeviceDocument]:
        if not rows:
            return []
        ids = [row.id for row in rows]
        sums = drop_records.sums_of_devices(connection, subject.tenant, ids)
        points = device_records.points_below(connection, ids)
        quotas = quota_records.of_devices(connection, subject.tenant, ids)
        return [
            DeviceDocument(
                id=row.id,
                name=row.name,
                asset_id=row.asset_id,
                asset_path=row.asset_path,
                enabled=row.enabled,
                points=points.get(row.id, 0),
                rejected=sums.get((row.id, "rejected"), 0),
                shed=sums.get((row.id, "shed"), 0),
                publish_filters=row.publish_filters,
                subscribe_filters=row.subscribe_filters,
                certificate_sha256=row.certificate_sha256,
                quota=quota_document(quotas.get(row.id)),
                created_at=format_rfc3339(row.created_at),
            )
            for row in rows
        ]


def _find(connection: Connection, subject: Subject, key: int) -> Any:
    row = device_records.by_id(connection, subject.tenant, key)
    if row is None:
        raise not_found(f"device {key}")
    return row


def _taken(name: str) -> Exception:
    return conflict(f"the device name {name!r} or the certificate is taken on this node")


def _check_filters(filters: list[str]) -> list[str]:
    if len(filters) > _MAX_FILTERS:
        raise invalid(f"a device has at most {_MAX_FILTERS} topic filters of a kind")
    return [check_filter(text) for text in filters]


def _check_fingerprint(text: str | None) -> str | None:
    if text is None:
        return None
    digits = text.replace(":", "").lower()
    if len(digits) != 64 or any(character not in "0123456789abcdef" for character in digits):
        raise invalid("certificate_sha256 must be 64 hexadecimal digits")
    return digits
