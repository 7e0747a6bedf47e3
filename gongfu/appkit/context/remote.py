"""The context of an app in its own process: every call is a question to the host, which checks it."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from gongfu.appkit.alarm_texts import Text, texts_of
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
    SampleColumns,
    unpacked,
)
from gongfu.appkit.context.records import SqliteRecords
from gongfu.appkit.contract import AppError, PointInfo, Priority, Records, Samples, Values
from gongfu.appkit.value_columns import given, kind_of, to_bytes, type_of


class AskingContext:
    """A ``Context`` that asks.

    Args:
        app: identifier of the app.
        version: its version.
        ask: takes a question and returns the answer.
        log: takes level and text.
        records: its records, None when it has none.
        now: the time, UTC ns.
        permissions: of what has a name in the manifest, whether it was granted.
    """

    def __init__(
        self,
        app: str,
        version: str,
        ask: Callable[[Ask], Answer],
        log: Callable[[str, str], None],
        records: SqliteRecords | None,
        now: Callable[[], int] = time.time_ns,
        permissions: Mapping[str, bool] | None = None,
    ) -> None:
        self.app = app
        self.version = version
        self._ask_host = ask
        self._log = log
        self._records = records
        self._now = now
        self._permissions = dict(permissions or {})

    @property
    def records(self) -> Records:
        """Tables of the app."""
        if self._records is None:
            raise PermissionError(f"{self.app} has no records: ask for them in app.toml with [needs] records = true")
        return self._records

    def now(self) -> int:
        """Return the time, UTC nanoseconds."""
        return self._now()

    def granted(self, name: str) -> bool:
        """Return whether what is asked for under a name in ``app.toml`` was granted."""
        if name not in self._permissions:
            raise AppError(404, f"nothing in app.toml has the name {name!r}")
        return self._permissions[name]

    def log(self, text: str, level: Literal["info", "warning", "error"] = "info") -> None:
        """Write a line to the log of the app."""
        self._log(level, str(text)[:4000])

    def points(self, asset: str = "**", point: str = "*") -> list[PointInfo]:
        """Return the points among those granted whose asset and name match."""
        return [PointInfo(**found) for found in self._ask(AskPoints(asset, point))]

    def latest(self, asset: str, point: str) -> Samples:
        """Return the newest sample of a point, or no sample."""
        return _samples(self._ask(AskLatest(asset, point)))

    def history(self, asset: str, point: str, start: int, end: int, limit: int = 100_000) -> Samples:
        """Return samples of a point with source times in ``[start, end)``."""
        return _samples(self._ask(AskHistory(asset, point, int(start), int(end), limit)))

    def write(
        self,
        asset: str,
        point: str,
        times: Sequence[int],
        values: Values,
        unit: str = "",
        quality: str = "good",
        type: str = "",
    ) -> None:
        """Write samples of a point; durable on return."""
        stamps = np.asarray(times, np.int64)
        try:
            column, absent = given(values)
            type_of(column, type)
        except ValueError as error:
            raise AppError(400, f"write: {error}") from None
        if stamps.ndim != 1 or stamps.shape != column.shape:
            raise AppError(400, f"write: {stamps.shape} times and {column.shape} values")
        if quality not in ("good", "uncertain", "bad"):
            raise AppError(400, f"write: quality is good, uncertain or bad, not {quality!r}")
        if not len(stamps):
            return
        kind = kind_of(column)
        self._ask(
            AskWrite(
                asset=asset,
                point=point,
                times=stamps.tobytes(),
                kind=kind,
                values=b"" if kind == "text" else to_bytes(column),
                texts=tuple(column.tolist()) if kind == "text" else (),
                absent=to_bytes(absent) if bool(absent.any()) else b"",
                made_as=type,
                unit=unit,
                quality=quality,
            )
        )

    def raise_alarm(
        self,
        key: str,
        asset: str,
        message: Text,
        *,
        time: int,
        point: str = "",
        priority: Priority = "medium",
        value: float | None = None,
    ) -> None:
        """Raise the alarm of a key at an asset."""
        number = None if value is None else float(value)
        try:
            plain, chinese = texts_of(message)
        except ValueError as error:
            raise AppError(400, f"raise_alarm: {error}") from None
        self._ask(
            AskAlarm(
                key=key,
                asset=asset,
                active=True,
                time=int(time),
                message=plain[:4000],
                message_zh=chinese[:4000],
                point=point,
                priority=priority,
                value=number,
            )
        )

    def return_alarm(self, key: str, asset: str, *, time: int, value: float | None = None) -> None:
        """Say that the condition of the alarm of a key at an asset is no more."""
        number = None if value is None else float(value)
        self._ask(AskAlarm(key=key, asset=asset, active=False, time=int(time), value=number))

    def publish(self, kind: str, asset: str, data: Mapping[str, Any], *, time: int) -> None:
        """Note an event of an asset."""
        self._ask(AskPublish(kind, asset, int(time), json.dumps(dict(data), ensure_ascii=False).encode()))

    def invoke(self, model: str, columns: Mapping[str, Sequence[float]]) -> dict[str, NDArray[np.float64]]:
        """Return the outputs of a mechanism model for n rows of inputs."""
        rows = {name: np.asarray(column, np.float64).tobytes() for name, column in columns.items()}
        return {name: np.frombuffer(column, np.float64) for name, column in self._ask(AskInvoke(model, rows)).items()}

    def put_object(self, data: bytes) -> str:
        """Keep a file; return its name."""
        return str(self._ask(AskPutObject(bytes(data))))

    def get_object(self, name: str) -> bytes:
        """Return a file that was kept."""
        return bytes(self._ask(AskGetObject(name)))

    def _ask(self, question: Ask) -> Any:
        answer = self._ask_host(question)
        if answer.status == 403:
            raise PermissionError(answer.text)
        if answer.status:
            raise AppError(answer.status, answer.text)
        return msgspec.msgpack.decode(answer.result)


def _samples(found: Any) -> Samples:
    return unpacked(msgspec.convert(found, SampleColumns))
