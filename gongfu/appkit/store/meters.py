"""What is used of apps: installations, calls and active devices of a day."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from gongfu.appkit.store import app_records as records
from gongfu.appkit.store.documents import Installed, Metered
from gongfu.appkit.store.tables import installation, meter
from gongfu.kernel.errors import conflict, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import SECOND, Clock
from gongfu.registry import audit
from gongfu.store.records.engine import writing


def day_of(time: int) -> str:
    """Return the day of a time (UTC ns), ``YYYY-MM-DD`` in UTC."""
    return datetime.fromtimestamp(time // SECOND, UTC).strftime("%Y-%m-%d")


# Returns the version of an app that a tenant has installed on this node, "" when none.
Present = Callable[[int, str], str]


class Meters:
    """Meters of apps that came from this store. Methods block: call them in a thread."""

    def __init__(self, engine: Engine, clock: Clock, present: Present) -> None:
        """Set up.

        Args:
            engine: migrated records.
            clock: present time.
            present: what is installed on this node.
        """
        self._engine = engine
        self._clock = clock
        self._present = present

    def installed(self, subject: Subject, identifier: str, request: Installed) -> None:
        """Note that the caller's tenant has a version now.

        Raises:
            Problem: 404 when the store has no such version, 409 when this node does not have it.
        """
        now = self._clock.now_ns()
        if not request.node and self._present(subject.tenant, identifier) != request.version:
            raise conflict(f"{identifier} {request.version} is not installed on this node")
        with writing(self._engine) as connection:
            row = self._app(connection, identifier)
            if records.named_version(connection, row.id, request.version) is None:
                raise not_found(f"{identifier} {request.version[:24]}")
            place = _place(row.id, subject.tenant, request.node)
            values = {"version": request.version, "changed_at": now, "removed_at": 0}
            if connection.execute(update(installation).where(place).values(**values)).rowcount == 0:
                connection.execute(
                    insert(installation).values(
                        app_id=row.id, tenant_id=subject.tenant, node=request.node, first_at=now, **values
                    )
                )
            name = f"app/{identifier}@{request.version}"
            audit.record(connection, subject, "store.installed", name, now, request.node)

    def removed(self, subject: Subject, identifier: str, node: str = "") -> None:
        """Note that the caller's tenant has the app no more.

        Raises:
            Problem: 404.
        """
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            row = self._app(connection, identifier)
            place = _place(row.id, subject.tenant, node) & (installation.c.removed_at == 0)
            if connection.execute(update(installation).where(place).values(removed_at=now, changed_at=now)).rowcount:
                audit.record(connection, subject, "store.removed", f"app/{identifier}", now, node)

    def count(self, tenant: int, identifier: str, metered: Metered) -> None:
        """Write down the numbers of a day so far. Numbers never go down: what comes twice or late changes nothing.

        Raises:
            Problem: 404.
        """
        with writing(self._engine) as connection:
            row = self._app(connection, identifier)
            place = (meter.c.app_id == row.id) & (meter.c.tenant_id == tenant) & (meter.c.day == metered.day)
            there = connection.execute(select(meter).where(place)).one_or_none()
            if there is None:
                connection.execute(
                    insert(meter).values(
                        app_id=row.id,
                        tenant_id=tenant,
                        day=metered.day,
                        calls=metered.calls,
                        devices=metered.devices,
                    )
                )
            else:
                values = {"calls": max(there.calls, metered.calls), "devices": max(there.devices, metered.devices)}
                connection.execute(update(meter).where(place).values(**values))

    @staticmethod
    def _app(connection: Connection, identifier: str) -> Any:
        row = records.find_app(connection, identifier)
        if row is None:
            raise not_found(f"app {identifier[:120]}")
        return row


def _place(app_key: int, tenant: int, node: str) -> Any:
    return (installation.c.app_id == app_key) & (installation.c.tenant_id == tenant) & (installation.c.node == node)
