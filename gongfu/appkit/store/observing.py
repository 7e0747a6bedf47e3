"""What this node itself has of the apps of its store: who has installed what, and how often their models were called.

It is read from the tables of installed apps and of calls of models every minute and written down in the store's meters,
so ratings and statements rest on what is there, not on what a client says.
"""

import asyncio
import logging

from sqlalchemy import Connection, Engine, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from gongfu.appkit.installed.records import InstalledRecords
from gongfu.appkit.installed.types import InstalledApp
from gongfu.appkit.store.documents import Metered
from gongfu.appkit.store.meters import Meters, day_of
from gongfu.appkit.store.tables import app, installation, version
from gongfu.kernel.times import Clock, parse_rfc3339
from gongfu.reason.models.tables import model_usage
from gongfu.store.records.engine import reading, writing

_log = logging.getLogger(__name__)

EVERY_S = 60.0
_HOUR = 3600 * 10**9
_DAY = 24 * _HOUR


class Observing:
    """Keeps installations and calls of this node's own apps."""

    def __init__(self, engine: Engine, clock: Clock, installed: InstalledRecords, meters: Meters) -> None:
        self._engine = engine
        self._clock = clock
        self._installed = installed
        self._meters = meters
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def observe(self) -> None:
        """Write down what is installed now, and the calls of today and yesterday; blocks."""
        present = [one for one in self._installed.all() if one.current.sha256]
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            known = _keys(connection, present)
            for one in present:
                if one.app in known:
                    _note(connection, known[one.app], one, now)
            _note_gone(connection, {(known[one.app], one.tenant) for one in present if one.app in known}, now)
        for one in present:
            if one.app in known and one.current.models:
                self._count(one, now)

    def _count(self, one: InstalledApp, now: int) -> None:
        for day in (day_of(now - _DAY), day_of(now)):
            begin = parse_rfc3339(f"{day}T00:00:00Z")
            query = select(func.coalesce(func.sum(model_usage.c.calls), 0)).where(
                model_usage.c.tenant_id == one.tenant,
                model_usage.c.model.in_(one.current.models),
                model_usage.c.hour >= begin // _HOUR,
                model_usage.c.hour < (begin + _DAY) // _HOUR,
            )
            with reading(self._engine) as connection:
                calls = int(connection.execute(query).scalar_one())
            if calls:
                self._meters.count(one.tenant, one.app, Metered(day, calls, 0))

    async def _run(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.observe)
            except SQLAlchemyError:
                _log.exception("installations are not counted now")
            await asyncio.sleep(EVERY_S)


def _keys(connection: Connection, present: list[InstalledApp]) -> dict[str, int]:
    """Return, by identifier, the apps of the store whose very package is installed."""
    digests = [one.current.sha256 for one in present]
    query = select(app.c.id, app.c.identifier).join(version, version.c.app_id == app.c.id)
    rows = connection.execute(query.where(version.c.sha256.in_(digests)))
    return {row.identifier: row.id for row in rows}


def _note(connection: Connection, key: int, one: InstalledApp, now: int) -> None:
    place = (installation.c.app_id == key) & (installation.c.tenant_id == one.tenant) & (installation.c.node == "")
    there = connection.execute(select(installation).where(place)).one_or_none()
    values = {"version": one.current.version, "changed_at": now, "removed_at": 0}
    if there is None:
        row = {"app_id": key, "tenant_id": one.tenant, "node": "", "first_at": one.installed_at, **values}
        connection.execute(insert(installation).values(**row))
    elif there.version != one.current.version or there.removed_at:
        connection.execute(update(installation).where(place).values(**values))


def _note_gone(connection: Connection, present: set[tuple[int, int]], now: int) -> None:
    here = (installation.c.node == "") & (installation.c.removed_at == 0)
    for row in connection.execute(select(installation.c.app_id, installation.c.tenant_id).where(here)).all():
        if (row.app_id, row.tenant_id) not in present:
            place = (installation.c.app_id == row.app_id) & (installation.c.tenant_id == row.tenant_id) & here
            connection.execute(update(installation).where(place).values(removed_at=now, changed_at=now))
