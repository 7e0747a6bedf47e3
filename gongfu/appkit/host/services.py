"""What the node does for the apps of a tenant: implements ``answering.NodeServices``."""

import asyncio
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID, uuid5

import msgspec
import numpy as np
from nats.aio.client import Client
from numpy.typing import NDArray
from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import IntegrityError

from gongfu.appkit.context.messages import MAX_OBJECT_BYTES, AskAlarm, AskPublish
from gongfu.appkit.contract import AppError, Samples
from gongfu.appkit.grants import PointPlace
from gongfu.appkit.host.directory import Directory, KnownPoint
from gongfu.appkit.value_columns import TEXT, of_stored
from gongfu.bus.blocklog import LogUnavailableError
from gongfu.bus.commands import Ask
from gongfu.bus.gather import gather
from gongfu.bus.requests import request
from gongfu.kernel.block import Block, Columns, encode_block
from gongfu.kernel.errors import Problem, not_found, unavailable
from gongfu.kernel.partitions import partition_of
from gongfu.kernel.permissions import Role, Subject
from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import Quality
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import Clock, format_rfc3339
from gongfu.reason.alarms.sources.asking import report_alarms
from gongfu.reason.alarms.sources.types import SourceAlarm
from gongfu.reason.models.asking import ModelsRole
from gongfu.reason.models.calling.types import InvokeBody, InvokeRequest
from gongfu.reason.rules.types import Priority
from gongfu.reason.status import LatestAnswer, LatestItem
from gongfu.registry.tables import asset, event
from gongfu.store.history.types import HistoryError, HistoryStore
from gongfu.store.objects.folder import ObjectError, ObjectFolder
from gongfu.store.records.engine import writing
from gongfu.thing.conformity import Conformity
from gongfu.tree.reports.requests import KindDoc, ListKinds, UnknownDoc

_LATEST_S = 2.0
_EVENTS = UUID("6d3c1c57-7a0f-4f35-9d6c-3f3a1f0d9b11")


class Log(Protocol):
    """The block log."""

    def append(
        self, partition: int, payload: bytes, since: float | None = None, message_id: str = ""
    ) -> "asyncio.Future[int]":
        """Append a block; the future ends when it is durable."""
        ...


class TenantServices:
    """Services for the apps of one tenant.

    Args:
        bus: an open connection.
        subjects: names on the bus.
        engine: the records.
        tenant: whose apps.
        directory: points of the tenant.
        history: the history.
        log: the block log.
        partitions: of the block log.
        shared: whether several workers share the partitions.
        objects: folder of the files of an app.
        models: the role that runs mechanism models.
        clock: present time.
        tree: asks the role ``tree``.
    """

    def __init__(
        self,
        bus: Client,
        subjects: Subjects,
        engine: Engine,
        tenant: int,
        directory: Directory,
        history: HistoryStore,
        log: Log,
        partitions: int,
        shared: bool,
        objects: Callable[[str], Path],
        models: ModelsRole,
        clock: Clock,
        tree: Ask,
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._engine = engine
        self._tenant = tenant
        self._directory = directory
        self._history = history
        self._log = log
        self._partitions = partitions
        self._shared = shared
        self._objects = objects
        self._models = models
        self._clock = clock
        self._conformity = Conformity(engine, clock)
        self._tree = tree

    def now(self) -> int:
        """Return the time, UTC ns."""
        return self._clock.now_ns()

    async def places(self) -> list[KnownPoint]:
        """Return all points of the tenant."""

        def read() -> list[KnownPoint]:
            self._directory.read_new()
            known = list(self._directory.by_name.values())  # a copy: another thread may add points
            return sorted(known, key=lambda one: (one.place.asset, one.place.point))

        return await asyncio.to_thread(read)

    async def place(self, asset: str, point: str) -> tuple[PointPlace, KnownPoint | None]:
        """Return where a point is or would be, and the point if it is there."""
        known = self._directory.by_name.get((asset, point))
        if known is None:
            await asyncio.to_thread(self._directory.read_new)
            known = self._directory.by_name.get((asset, point))
        if known is not None:
            return known.place, known
        return await asyncio.to_thread(self._directory.place, asset, point), None

    async def latest(self, known: KnownPoint) -> Samples:
        """Return the newest sample of a point, or none."""
        subject, body = self._subjects.service("latest"), {"series": [known.series]}
        if self._shared:
            answers = await gather(self._bus, subject, body, _LATEST_S)
            items = [msgspec.convert(item, LatestItem) for answer in answers for item in answer.get("items", [])]
        else:
            items = (await request(self._bus, subject, body, _LATEST_S, LatestAnswer)).items
        if not items:
            return _samples([], [], [], known)
        item = max(items, key=lambda item: (item.time, item.ingested))
        # A text that was too much to keep in memory has no value here, whatever its quality was.
        lost = item.value is None and known.value_type in TEXT
        return _samples([item.time], [item.value], [Quality.BAD_NO_DATA if lost else item.quality], known)

    async def history(self, known: KnownPoint, start: int, end: int, limit: int) -> Samples:
        """Return samples with source times in ``[start, end)``."""
        try:
            found = await self._history.query(known.value_type, [known.series], start, end, limit=limit)
        except HistoryError as error:
            raise unavailable(f"history: {error}") from None
        columns = found.columns
        return _samples(columns.times, columns.values, columns.qualities, known)

    async def write(
        self,
        app: str,
        asset: str,
        point: str,
        unit: str,
        value_type: ValueType,
        samples: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    ) -> None:
        """Write a point, made when it is not there; durable on return."""
        known = self._directory.by_name.get((asset, point))
        if known is None:
            known = await asyncio.to_thread(self._ensure, asset, point, value_type, unit, app)
        if known.value_type is not value_type:
            raise AppError(409, f"point {point!r} of {asset!r} is {known.value_type.label}, not {value_type.label}")
        times, values, qualities = samples
        text = value_type in TEXT
        stored: Any = values.tolist() if text else values
        columns = Columns(np.full(len(times), known.series, np.uint32), times, qualities, stored)
        bits = "\0".join(stored).encode() if text else values.tobytes()
        content = zlib.crc32(times.tobytes() + bits + qualities.tobytes())
        name = f"app.{app}.{known.series}.{int(times[0])}.{len(times)}.{content}"
        block = encode_block(Block(self._tenant, self.now(), {value_type: columns}))
        try:
            await self._log.append(partition_of(known.asset, self._partitions), block, message_id=name)
        except LogUnavailableError as error:
            raise AppError(503, f"the block log does not take it: {error.reason}") from None

    async def alarm(self, app: str, asked: AskAlarm) -> None:
        """Raise or return an alarm; committed on return."""
        alarm = SourceAlarm(
            tenant=self._tenant,
            source=f"app:{app}",
            key=alarm_key(asked.key, asked.asset),
            asset_path=asked.asset,
            point=asked.point,
            priority=Priority(asked.priority),
            message=asked.message,
            message_zh=asked.message_zh,
            value=asked.value,
            active=asked.active,
            time=asked.time,
        )
        await report_alarms(self._bus, self._subjects, [alarm])

    async def report_period(self, kind: str) -> int:
        """Return the length of the periods of a kind of report in seconds, 0 for a snapshot.

        Raises:
            Problem: 404 when neither this node nor one above has declared it with cells; 409 ``not-in-a-tree``.
        """
        subject = Subject(0, "apps", self._tenant, Role.ENGINEER)
        for found in await self._tree(subject, "report-kinds", ListKinds(), list[KindDoc | UnknownDoc]):
            if isinstance(found, KindDoc) and found.name == kind and found.cells is not None:
                return found.cells.period
        raise not_found(f"report kind {kind!r}: declare it at this node or one above (`gongfu report`)")

    async def state_report(self, app: str, kind: str, start: int, cells: bytes) -> None:
        """State all cells of a period, which is present or over."""
        subject = Subject(0, f"app:{app}"[:120], self._tenant, Role.ENGINEER)
        # The only period of a snapshot is not named.
        period = format_rfc3339(start) if start else None
        await self._tree(subject, "report-state", {"kind": kind, "cells": msgspec.Raw(cells), "period": period})

    async def publish(self, app: str, asked: AskPublish) -> None:
        """Store an event; the same again changes nothing."""
        await asyncio.to_thread(self._note_event, app, asked)

    async def invoke(self, app: str, model: str, columns: dict[str, bytes]) -> dict[str, bytes]:
        """Return the outputs of a model."""
        rows: dict[str, list[float | None]] = {
            name: [value if math.isfinite(value) else None for value in np.frombuffer(column, np.float64).tolist()]
            for name, column in columns.items()
        }
        body = InvokeBody(columns=rows)
        call = InvokeRequest(tenant=self._tenant, caller=f"app:{app}", model=model, body=body)
        found = await self._models.invoke(call)
        return {
            name: np.array([math.nan if value is None else value for value in column], np.float64).tobytes()
            for name, column in found.columns.items()
        }

    async def put_object(self, app: str, data: bytes, bound: int) -> str:
        """Keep a file of the app; return its SHA-256."""
        folder = ObjectFolder(self._objects(app), object_bytes=MAX_OBJECT_BYTES, total_bytes=bound)
        try:
            return (await asyncio.to_thread(folder.put, data)).sha256
        except ObjectError as error:
            raise AppError(413, str(error)) from None

    async def get_object(self, app: str, name: str) -> bytes:
        """Return a file of the app."""
        try:
            return await asyncio.to_thread(ObjectFolder(self._objects(app)).read, name)
        except ObjectError as error:
            raise AppError(404, str(error)) from None

    def _ensure(self, asset: str, point: str, value_type: ValueType, unit: str, app: str) -> KnownPoint:
        if unit:
            # Imported here: the UCUM tables take memory that a role which makes no points does not need.
            from gongfu.kernel.units import check_unit

            try:
                check_unit(unit)
            except ValueError as error:
                raise AppError(400, f"write: {error}") from None
        return self._directory.ensure(asset, point, value_type, unit, f"written by app {app}", self.now())

    def _check_event(self, asked: AskPublish) -> None:
        """Refuse an event that the thing model of its asset does not allow."""
        try:
            fields = msgspec.json.decode(asked.data, type=dict[str, Any])
        except msgspec.MsgspecError:
            fields = {}  # no object: there are no fields
        try:
            self._conformity.check_event(self._tenant, asked.asset, asked.kind, fields)
        except Problem as problem:
            raise AppError(400, f"publish: {problem.detail}") from None

    def _note_event(self, app: str, asked: AskPublish) -> None:
        source = f"app:{app}"
        self._check_event(asked)
        key = f"{self._tenant}/{source}/{asked.kind}/{asked.asset}/{asked.time}/".encode() + asked.data
        with writing(self._engine) as connection:
            row = connection.execute(
                select(asset.c.id).where(asset.c.tenant_id == self._tenant, asset.c.path == asked.asset)
            ).one_or_none()
            if row is None:
                raise AppError(404, f"there is no asset {asked.asset!r}")
            values = {
                "id": str(uuid5(_EVENTS, key.decode())),
                "tenant_id": self._tenant,
                "asset_id": row.id,
                "kind": asked.kind,
                "time_from": asked.time,
                "time_to": asked.time,
                "text": asked.data.decode(),
                "source": source[:120],
                "created_at": self.now(),
            }
            try:
                with connection.begin_nested():
                    connection.execute(insert(event).values(values))
            except IntegrityError:
                return  # it was noted before


def alarm_key(key: str, asset: str) -> str:
    """Return by which key the node knows an alarm of an app: one for each asset; at most 300 characters."""
    whole = f"{key}@{asset}"
    return whole if len(whole) <= 300 else f"{whole[:280]}~{zlib.crc32(whole.encode()):08x}"


def _samples(times: Any, values: Any, qualities: Any, known: KnownPoint) -> Samples:
    column = of_stored(values, known.value_type)
    return Samples(np.asarray(times, np.int64), column, np.asarray(qualities, np.uint8), known.unit)
