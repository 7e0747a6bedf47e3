"""What the node shows over OPC UA: its own tenant's assets and points, and the latest values from the workers."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from nats.aio.client import Client
from sqlalchemy import Engine

from gongfu.bus.gather import gather
from gongfu.bus.requests import request
from gongfu.connect.opcua.server.source import LatestPoint, ShownAsset, ShownPoint
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import NODE_TENANT
from gongfu.kernel.points import ValueType
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import Clock
from gongfu.registry import asset_records, passwords, point_records, user_records
from gongfu.registry.sign_in_limit import SignInLimit
from gongfu.store.records.engine import reading
from gongfu.web.live import newest_items

logger = logging.getLogger(__name__)

_LATEST_S = 2.0
_PAGE = 5_000
# More than the server shows, so that it can say how many it left out.
_MOST = 100_000
# asyncua does not tell whence a client comes: all of them count as one address.
_FROM = "opcua"


class NodeSource:
    """Implements ``gongfu.connect.opcua.server.source.Source``. Passwords are those of the console's users."""

    def __init__(self, bus: Client, subjects: Subjects, engine: Engine, clock: Clock, many_workers: bool) -> None:
        self._bus = bus
        self._subjects = subjects
        self._engine = engine
        self._clock = clock
        self._many_workers = many_workers
        self._limit = SignInLimit()

    async def assets(self) -> Sequence[ShownAsset]:
        """Return all assets, parents first."""
        found: list[ShownAsset] = []
        after: str | None = None
        with reading(self._engine) as connection:
            while len(found) < _MOST:
                rows = asset_records.plain_page(connection, NODE_TENANT, after, _PAGE)
                found += [ShownAsset(row.path, row.type or "") for row in rows]
                if len(rows) < _PAGE:
                    break
                after = rows[-1].path
        return found

    async def points(self) -> Sequence[ShownPoint]:
        """Return all points."""
        found: list[ShownPoint] = []
        after: tuple[str, str] | None = None
        with reading(self._engine) as connection:
            while len(found) < _MOST:
                rows = point_records.page(connection, NODE_TENANT, after, _PAGE)
                found += [
                    ShownPoint(row.id, row.asset_path, row.name, ValueType(row.value_type).label, row.unit or "")
                    for row in rows
                ]
                if len(rows) < _PAGE:
                    break
                after = (rows[-1].asset_path, rows[-1].name)
        return found

    async def latest(self, series: Sequence[int]) -> Mapping[int, LatestPoint]:
        """Return the newest values; empty while no worker answers, the values shown then stay."""
        subject, body = self._subjects.service("latest"), {"series": list(series)}
        try:
            if self._many_workers:
                answers: list[Any] = await gather(self._bus, subject, body, _LATEST_S)
            else:
                answers = [await request(self._bus, subject, body, _LATEST_S)]
            items = newest_items(item for answer in answers for item in answer["items"])
        except Problem as problem:
            logger.info("latest values: %s", problem.detail or problem.title)
            return {}
        return {key: LatestPoint(item["value"], item["quality"], item["time"]) for key, item in items.items()}

    def may_sign_in(self, name: str, password: str) -> bool:
        """Return whether this is an enabled user of the node's tenant with its own password; tries are limited."""
        try:
            self._limit.attempt(name, _FROM, self._clock.now_ns())
        except Problem:
            return False
        with reading(self._engine) as connection:
            row = user_records.by_name(connection, name)
        usable = row is not None and row.enabled and row.tenant_id == NODE_TENANT and not row.must_change_password
        if not passwords.verify_password(row.password_hash if usable and row is not None else "", password):
            return False
        self._limit.succeeded(name, _FROM)
        return True
