"""Rows of installed apps."""

from typing import Any

import msgspec
from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from gongfu.appkit.installed.tables import installed_app
from gongfu.appkit.installed.types import InstalledApp, InstalledVersion, KeyOverride
from gongfu.kernel.errors import conflict
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock
from gongfu.registry import audit
from gongfu.store.records.engine import reading, writing


class InstalledRecords:
    """Rows by identifier; every method is one transaction and blocks on the records."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def all(self, tenant: int | None = None) -> list[InstalledApp]:
        """Return the apps in order of their identifiers, of a tenant or of all."""
        query = select(installed_app).order_by(installed_app.c.app)
        if tenant is not None:
            query = query.where(installed_app.c.tenant_id == tenant)
        with reading(self._engine) as connection:
            return [_app(row) for row in connection.execute(query)]

    def get(self, app: str) -> InstalledApp | None:
        """Return an app, whosever it is."""
        with reading(self._engine) as connection:
            row = connection.execute(select(installed_app).where(installed_app.c.app == app)).one_or_none()
        return None if row is None else _app(row)

    def add(self, subject: Subject, app: str, version: InstalledVersion) -> InstalledApp:
        """Add an app that is being installed.

        Raises:
            Problem: 409 when there is one of this identifier.
        """
        now = self._clock.now_ns()
        values = {
            "tenant_id": subject.tenant,
            "app": app,
            "status": "installing",
            "enabled": True,
            "current": msgspec.to_builtins(version),
            "previous": None,
            "generation": version.generation,
            "installed_by": subject.name,
            "installed_at": now,
            "changed_at": now,
            "trouble": "",
        }
        try:
            with writing(self._engine) as connection:
                connection.execute(insert(installed_app).values(values))
        except IntegrityError:
            raise conflict(f"{app} is installed already, or being installed") from None
        found = self.get(app)
        assert found is not None
        return found

    def change(self, subject: Subject | None, app: str, action: str = "", detail: str = "", **values: Any) -> None:
        """Change columns of an app; with an action, who did it is noted in the audit, of the app's tenant too."""
        now = self._clock.now_ns()
        for name in ("current", "previous", "pending", "key_override"):
            if isinstance(values.get(name), msgspec.Struct):
                values[name] = msgspec.to_builtins(values[name])
        with writing(self._engine) as connection:
            connection.execute(update(installed_app).where(installed_app.c.app == app).values(**values, changed_at=now))
            if subject is None or not action:
                return
            audit.record(connection, subject, action, f"app/{app}", now, detail)
            query = select(installed_app.c.tenant_id).where(installed_app.c.app == app)
            owner = connection.execute(query).scalar_one_or_none()
            if owner is not None and owner != subject.tenant:
                audit.record(connection, subject, action, f"app/{app}", now, detail, owner)

    def remove(self, subject: Subject | None, app: str, action: str = "") -> None:
        """Remove the row of an app."""
        with writing(self._engine) as connection:
            connection.execute(delete(installed_app).where(installed_app.c.app == app))
            if subject is not None and action:
                audit.record(connection, subject, action, f"app/{app}", self._clock.now_ns())


def _app(row: Any) -> InstalledApp:
    return InstalledApp(
        id=row.id,
        tenant=row.tenant_id,
        app=row.app,
        status=row.status,
        enabled=row.enabled,
        current=msgspec.convert(row.current, InstalledVersion),
        previous=msgspec.convert(row.previous, InstalledVersion) if row.previous else None,
        generation=row.generation,
        installed_by=row.installed_by,
        installed_at=row.installed_at,
        changed_at=row.changed_at,
        trouble=row.trouble,
        pending=msgspec.convert(row.pending, InstalledVersion) if row.pending else None,
        key_override=msgspec.convert(row.key_override, KeyOverride) if row.key_override else None,
    )
