"""What an app asks, answered: first the grants, then the node. Refusals are counted and shown."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy.exc import OperationalError

from gongfu.appkit.context.messages import (
    Answer,
    Ask,
    AskAlarm,
    AskGetObject,
    AskHistory,
    AskInvoke,
    AskLatest,
    AskPoints,
    AskPublish,
    AskPutObject,
    AskWrite,
    encode,
    packed,
)
from gongfu.appkit.contract import AppError, Samples
from gongfu.appkit.globs import asset_glob, point_glob
from gongfu.appkit.grants import Grants, PointPlace
from gongfu.appkit.host.directory import KnownPoint
from gongfu.appkit.value_columns import fitted, qualities_of, type_of
from gongfu.kernel.errors import Problem
from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import parse_quality

logger = logging.getLogger("gongfu.apps")

MAX_POINTS = 10_000
MAX_WRITE = 100_000
_KEPT_TEXTS = 50
# How long is waited before the node is asked again: ten minutes in all.
_AGAIN_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_AGAIN_TIMES = 120


class NodeServices(Protocol):
    """What the node does for apps, whatever they may do: the grants were checked before. All raise ``Problem`` or
    ``AppError``."""

    def now(self) -> int:
        """Return the time, UTC ns."""
        ...

    async def places(self) -> list[KnownPoint]:
        """Return all points of the tenant."""
        ...

    async def place(self, asset: str, point: str) -> tuple[PointPlace, KnownPoint | None]:
        """Return where a point is or would be, and the point if it is there."""
        ...

    async def latest(self, known: KnownPoint) -> Samples:
        """Return the newest sample of a point, or none."""
        ...

    async def history(self, known: KnownPoint, start: int, end: int, limit: int) -> Samples:
        """Return samples with source times in ``[start, end)``."""
        ...

    async def write(
        self,
        app: str,
        asset: str,
        point: str,
        unit: str,
        value_type: ValueType,
        samples: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    ) -> None:
        """Write times, values and qualities of a point, made of this type when it is not there; durable on return."""
        ...

    async def alarm(self, app: str, asked: AskAlarm) -> None:
        """Raise or return an alarm; committed on return."""
        ...

    async def report_period(self, kind: str) -> int:
        """Return the length of the periods of a kind of report in seconds, 0 for a snapshot."""
        ...

    async def state_report(self, app: str, kind: str, start: int, cells: bytes) -> None:
        """State all cells (JSON) of a period."""
        ...

    async def publish(self, app: str, asked: AskPublish) -> None:
        """Store an event."""
        ...

    async def invoke(self, app: str, model: str, columns: dict[str, bytes]) -> dict[str, bytes]:
        """Return the outputs of a model."""
        ...

    async def put_object(self, app: str, data: bytes, bound: int) -> str:
        """Keep a file of the app; return its SHA-256."""
        ...

    async def get_object(self, app: str, name: str) -> bytes:
        """Return a file of the app."""
        ...


class Answering:
    """Answers the questions of one app.

    Attributes:
        refused: how often it was refused what, by text; of at most 50 texts.
        refusals: how often it was refused anything.
        waits: how often the node could not answer at once, and was asked again.
    """

    def __init__(self, grants: Grants, services: NodeServices, storage_bytes: int) -> None:
        self.grants = grants
        self._services = services
        self._storage_bytes = storage_bytes
        self.refused: Counter[str] = Counter()
        self.refusals = 0
        self.waits = 0
        self._answers: dict[type, Callable[[Any], Awaitable[Any]]] = {
            AskPoints: self._points,
            AskLatest: self._latest,
            AskHistory: self._history,
            AskWrite: self._write,
            AskAlarm: self._alarm,
            AskPublish: self._publish,
            AskInvoke: self._invoke,
            AskPutObject: self._put_object,
            AskGetObject: self._get_object,
        }

    async def answer(self, question: Ask, patient: bool = False) -> Answer:
        """Return the answer to a question, whatever happens.

        Args:
            question: what the app asks.
            patient: ask the node again, for up to ten minutes, while it says that it cannot now (503): a window is not
                lost because a part of the node is being started again.
        """
        found, attempt = await self._answer(question), 0
        while patient and found.status == 503 and attempt < _AGAIN_TIMES:
            await asyncio.sleep(_AGAIN_S[min(attempt, len(_AGAIN_S) - 1)])
            found, attempt = await self._answer(question), attempt + 1
            self.waits += 1
        return found

    async def _answer(self, question: Ask) -> Answer:
        try:
            return Answer(encode(await self._answers[type(question)](question)))
        except PermissionError as refusal:
            self.note_refusal(str(refusal))
            return Answer(status=403, text=str(refusal))
        except AppError as error:
            return Answer(status=error.status, text=str(error))
        except Problem as problem:
            return Answer(status=problem.status if problem.status != 403 else 409, text=problem.detail or problem.title)
        except OperationalError as error:
            logger.warning("%s: the records do not answer: %s", self.grants.app, error.orig)
            return Answer(status=503, text="the records of the node do not answer now")
        except Exception:
            logger.exception("%s: %s failed", self.grants.app, type(question).__name__)
            return Answer(status=500, text="the node failed; its log says why")

    def note_refusal(self, text: str) -> None:
        """Count something that was refused."""
        self.refusals += 1
        if text in self.refused or len(self.refused) < _KEPT_TEXTS:
            self.refused[text] += 1

    async def _points(self, question: AskPoints) -> list[dict[str, Any]]:
        return await asyncio.to_thread(self._matching, question, await self._services.places())

    def _matching(self, question: AskPoints, known_points: list[KnownPoint]) -> list[dict[str, Any]]:
        assets, points = asset_glob(question.asset), point_glob(question.point)
        found: list[dict[str, Any]] = []
        for known in known_points:
            place = known.place
            if not points.fullmatch(place.point) or not assets.fullmatch(place.asset):
                continue
            access = next((a for a in ("read", "write") if self.grants.allows(place, a)), None)
            if access is not None:
                about = {"unit": known.unit, "type": known.type, "access": access, "value_type": known.value_type.label}
                found.append({"asset": place.asset, "point": place.point, **about})
            if len(found) >= MAX_POINTS:
                break
        return found

    async def _latest(self, question: AskLatest) -> Any:
        place, known = await self._services.place(question.asset, question.point)
        self.grants.check_point(place, "read")
        return packed(await self._services.latest(known) if known is not None else _NOTHING)

    async def _history(self, question: AskHistory) -> Any:
        place, known = await self._services.place(question.asset, question.point)
        self.grants.check_history(place, question.start, self._services.now())
        if question.end < question.start:
            raise AppError(400, "history: end is before start")
        if known is None:
            return packed(_NOTHING)
        return packed(await self._services.history(known, question.start, question.end, question.limit))

    async def _write(self, question: AskWrite) -> None:
        place, known = await self._services.place(question.asset, question.point)
        self.grants.check_point(place, "write")
        try:
            times, values, absent = question.columns()
            value_type = known.value_type if known is not None else type_of(values, question.made_as)
            values = fitted(values, absent, value_type)
        except ValueError as error:
            raise AppError(400, f"write: {error}") from None
        if not 0 < len(times) <= MAX_WRITE:
            raise AppError(400, f"write: 1 to {MAX_WRITE} samples at once")
        if int(times.min()) < 0 or int(times.max()) > self._services.now() + 300 * 10**9:
            raise AppError(400, "write: times are UTC nanoseconds, at most 5 min ahead of the node's clock")
        samples = times, values, qualities_of(values, absent, parse_quality(question.quality))
        await self._services.write(self.grants.app, question.asset, question.point, question.unit, value_type, samples)

    async def _alarm(self, question: AskAlarm) -> None:
        self.grants.check_alarm(question.asset)
        await self._services.alarm(self.grants.app, question)

    async def _publish(self, question: AskPublish) -> None:
        self.grants.check_publish(question.kind)
        try:
            msgspec.json.decode(question.data)
        except msgspec.MsgspecError:
            raise AppError(400, "publish: data is not JSON") from None
        await self._services.publish(self.grants.app, question)

    async def _invoke(self, question: AskInvoke) -> dict[str, bytes]:
        self.grants.check_invoke(question.model)
        return await self._services.invoke(self.grants.app, question.model, question.columns)

    async def _put_object(self, question: AskPutObject) -> str:
        self.grants.check_flag("objects")
        return await self._services.put_object(self.grants.app, question.data, self._storage_bytes)

    async def _get_object(self, question: AskGetObject) -> bytes:
        self.grants.check_flag("objects")
        return await self._services.get_object(self.grants.app, question.name)


_NOTHING = Samples(np.empty(0, np.int64), np.empty(0, np.float64), np.empty(0, np.uint8))
