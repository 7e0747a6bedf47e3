"""What people do with connections: make, show, change, remove."""

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Connection as Transaction
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from gongfu.connect.connections import records
from gongfu.connect.connections.checking import check_addresses, check_driver_options, check_url
from gongfu.connect.connections.secrets import ConnectionSecrets
from gongfu.connect.connections.types import (
    Connection,
    ConnectionChange,
    ConnectionDetail,
    ConnectionDocument,
    ConnectionPatch,
    NewConnection,
)
from gongfu.connect.kit.loading import Available
from gongfu.connect.kit.manifest import secret_names
from gongfu.connect.kit.types import Address
from gongfu.kernel.errors import conflict, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock, format_rfc3339
from gongfu.registry import asset_records, audit
from gongfu.registry.devices import Devices, NewDevice
from gongfu.registry.names import check_device_name
from gongfu.store.records.engine import reading, writing

# Called on the thread that made the change, after its commit; must not raise and not block.
Announce = Callable[[ConnectionChange], None]


class ConnectionService:
    """Connections of the caller's tenant. Methods block on the records: call them in a thread."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        devices: Devices,
        secrets: ConnectionSecrets,
        announce: Announce,
        instance: str = "",
    ) -> None:
        """Set up.

        Args:
            engine: the records.
            clock: present time.
            devices: where the device of a connection is made.
            secrets: where passwords and keys are kept.
            announce: tells the role that runs connections.
            instance: machine of a cluster that runs what is made here.
        """
        self._engine = engine
        self._clock = clock
        self._devices = devices
        self._secrets = secrets
        self._announce = announce
        self._instance = instance

    def page(self, subject: Subject, after: str | None, limit: int) -> tuple[list[ConnectionDocument], str | None]:
        """Return connections in order of name, and the name after which the next page starts."""
        with reading(self._engine) as transaction:
            rows = records.page(transaction, subject.tenant, after, limit + 1)
        items = [
            ConnectionDocument(
                id=row.id,
                name=row.name,
                protocol=row.protocol,
                url=row.url,
                asset_path=row.asset_path or "",
                device=row.device_id,
                points=row.points,
                paused=row.paused,
                created_at=format_rfc3339(row.created_at),
            )
            for row in rows[:limit]
        ]
        return items, items[-1].name if len(rows) > limit else None

    def get(self, subject: Subject, key: int) -> ConnectionDetail:
        """Return a connection.

        Raises:
            Problem: 404.
        """
        with reading(self._engine) as transaction:
            return _detail(self._find(transaction, subject, key))

    def connection(self, subject: Subject, key: int) -> Connection:
        """Return a connection as it is stored.

        Raises:
            Problem: 404.
        """
        with reading(self._engine) as transaction:
            return records.connection_of(self._find(transaction, subject, key))

    def check(self, subject: Subject, request: NewConnection) -> None:
        """See whether a connection could be made.

        Raises:
            Problem: as of ``create``.
        """
        name = check_device_name(request.name)
        _, credentials, driver = check_url(request.url, request.protocol)
        check_driver_options(driver, request.options, credentials)
        check_addresses(request.addresses)
        with reading(self._engine) as transaction:
            if records.names_of(transaction, subject.tenant, [name]):
                raise conflict(f"there is a connection {name!r} already")

    def create(self, subject: Subject, request: NewConnection) -> ConnectionDetail:
        """Make a connection with its device, its assets and its points.

        Raises:
            Problem: 400 for name, URL, options and addresses; 409 when the name is taken.
        """
        self.check(subject, request)
        name = request.name
        url, credentials, driver = check_url(request.url, request.protocol)
        options, secrets = check_driver_options(driver, request.options, credentials)
        asset = request.asset or name
        made = self._devices.create(subject, NewDevice(name=name, asset=asset)).device
        now = self._clock.now_ns()
        try:
            with writing(self._engine) as transaction:
                key = records.add(
                    transaction,
                    tenant_id=subject.tenant,
                    name=name,
                    device_id=made.id,
                    protocol=driver.manifest.protocol,
                    url=url,
                    options=options,
                    secrets=sorted(secrets),
                    addresses=records.stored(request.addresses),
                    points=len(request.addresses),
                    paused=request.paused,
                    instance=self._instance,
                    created_at=now,
                    changed_at=now,
                )
                self._add_points(transaction, subject.tenant, made.asset_path, request.addresses, now)
                detail = f"{driver.manifest.protocol} {url}, {len(request.addresses)} addresses"
                audit.record(transaction, subject, "connection.create", f"connection/{name}", now, detail)
                # Before the commit: a connection without its password would be tried and locked out.
                self._secrets.write(key, secrets)
        except IntegrityError:
            self._devices.delete(subject, made.id)
            raise conflict(f"there is a connection {name!r} already") from None
        self._announce(ConnectionChange(key, subject.tenant, "created"))
        return self.get(subject, key)

    def change(self, subject: Subject, key: int, patch: ConnectionPatch) -> ConnectionDetail:
        """Change a connection; it is opened anew unless nothing but ``paused`` changes.

        Raises:
            Problem: 400 for what is not valid, 404.
        """
        now = self._clock.now_ns()
        secrets: dict[str, Any] | None = None
        with writing(self._engine) as transaction:
            row = self._find(transaction, subject, key)
            values: dict[str, Any] = {"changed_at": now}
            url, credentials, driver = check_url(row.url if patch.url is msgspec.UNSET else patch.url, row.protocol)
            if patch.url is not msgspec.UNSET:
                values["url"] = url
            if patch.options is not msgspec.UNSET or credentials:
                kept = self._kept(driver, key)
                given = row.options if patch.options is msgspec.UNSET else patch.options
                values["options"], secrets = check_driver_options(driver, {**kept, **given}, credentials)
                values["secrets"] = sorted(secrets)
            if patch.addresses is not msgspec.UNSET:
                check_addresses(patch.addresses)
                values["addresses"] = records.stored(patch.addresses)
                values["points"] = len(patch.addresses)
                if row.asset_path:
                    self._add_points(transaction, subject.tenant, row.asset_path, patch.addresses, now)
            if patch.paused is not msgspec.UNSET:
                values["paused"] = patch.paused
            records.change(transaction, key, values)
            changed = ", ".join(sorted(name for name in values if name != "changed_at"))
            audit.record(transaction, subject, "connection.update", f"connection/{row.name}", now, changed)
            if secrets is not None:
                self._secrets.write(key, secrets)
        self._announce(ConnectionChange(key, subject.tenant, "updated"))
        return self.get(subject, key)

    def remove(self, subject: Subject, key: int) -> None:
        """Remove a connection, its secrets and its device; asset, points and history stay.

        Raises:
            Problem: 404.
        """
        now = self._clock.now_ns()
        with writing(self._engine) as transaction:
            row = self._find(transaction, subject, key)
            records.remove(transaction, key)
            audit.record(transaction, subject, "connection.delete", f"connection/{row.name}", now)
        self._announce(ConnectionChange(key, subject.tenant, "deleted"))
        self._secrets.remove(key)
        if row.asset_path is not None:
            self._devices.delete(subject, row.device_id)

    def _kept(self, driver: Available, key: int) -> dict[str, Any]:
        known = secret_names(driver.manifest)
        return {name: value for name, value in self._secrets.read(key).items() if name in known}

    @staticmethod
    def _find(transaction: Transaction, subject: Subject, key: int) -> Any:
        row = records.get(transaction, subject.tenant, key)
        if row is None:
            raise not_found(f"connection {key}")
        return row

    @staticmethod
    def _add_points(transaction: Transaction, tenant: int, path: str, addresses: list[Address], now: int) -> None:
        if not addresses:
            return
        asset_records.lock_tree(transaction, tenant)
        assets: dict[str, int] = {}
        for child in sorted({address.asset for address in addresses}):
            names = [*path.split("/"), *(child.split("/") if child else [])]
            assets[child], _ = asset_records.ensure(transaction, tenant, names, now)
        records.add_points(transaction, tenant, assets, addresses, now)


def _detail(row: Any) -> ConnectionDetail:
    return ConnectionDetail(
        id=row.id,
        name=row.name,
        protocol=row.protocol,
        url=row.url,
        asset_path=row.asset_path or "",
        device=row.device_id,
        points=row.points,
        paused=row.paused,
        created_at=format_rfc3339(row.created_at),
        options=row.options,
        secrets=row.secrets,
        addresses=msgspec.convert(row.addresses, list[Address]),
    )
