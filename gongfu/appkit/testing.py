"""The test kit of apps: an app on a bench, with recorded data and a virtual clock, without a node. Public contract.

::

    from pathlib import Path

    from gongfu.appkit.testing import Bench


    def test_a_worn_bearing_raises_an_alarm() -> None:
        bench = Bench.load(Path(__file__).parents[1])
        bench.replay("data/bearing.csv")
        assert [(alarm.key, alarm.priority) for alarm in bench.alarms] == [("rms", "high")]

What an app may do is checked against its ``app.toml`` as the node does; what a function raises fails the test.
"""

import hashlib
import json
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import numpy as np
from numpy.typing import NDArray

from gongfu.appkit.bench_orders import BenchOrder, BenchOrders, BenchReports, asked_from_above
from gongfu.appkit.bench_points import BenchPoints
from gongfu.appkit.bench_results import BenchAlarm, BenchEvent, Reply, note_alarm
from gongfu.appkit.context.loading import load_app
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
    Call,
    CallHealth,
    CallJob,
    CallMigrate,
    CallRoute,
    CallStarted,
    CallWindow,
    Done,
    encode,
    packed,
)
from gongfu.appkit.context.process import declared_of, perform
from gongfu.appkit.context.records import FILE as RECORDS
from gongfu.appkit.context.records import SqliteRecords
from gongfu.appkit.context.remote import AskingContext
from gongfu.appkit.contract import AppError, PointInfo, Samples, Values
from gongfu.appkit.declarations import ROLES, name_of
from gongfu.appkit.globs import asset_glob, point_glob
from gongfu.appkit.grants import Grants, PointPlace
from gongfu.appkit.manifest import FILE, Manifest, read_manifest
from gongfu.appkit.models import ModelFiles
from gongfu.appkit.permissions import by_name, refused_needs
from gongfu.appkit.permissions import without as without_needs
from gongfu.appkit.quantities import parse_duration
from gongfu.appkit.recordings import read_recording
from gongfu.appkit.value_columns import TypeName
from gongfu.appkit.windowing import IDLE_NS, Windowing
from gongfu.kernel.points import ValueType

__all__ = ["Bench", "BenchAlarm", "BenchEvent", "BenchOrder", "BenchOrders", "BenchReports", "Failed", "Reply"]

# 2026-01-01T00:00:00Z: a recording that counts from 0 begins here.
START_NS, _PIECE = 1_767_225_600 * 10**9, 512


class Failed(AssertionError):
    """A function of the app raised, or the test gave it what no point has; the text says where."""


class Bench:
    """An app under test.

    Attributes:
        alarms: alarms in the order they were raised.
        events: events it published.
        log: lines it wrote, as ``level: text``.
        refused: what it was refused, in words.
        now: the virtual time, UTC ns.
        orders: gives orders to the app and asks its probes; ``reports`` asks for reports.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        types: Mapping[str, str] | None = None,
        without: Collection[str] = (),
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.alarms: list[BenchAlarm] = []
        self.events: list[BenchEvent] = []
        self.log: list[str] = []
        self.refused: list[str] = []
        self.now = START_NS
        package = f"gongfu_bench_{abs(hash(folder))}"
        self.app = load_app(folder, manifest.app.module, package)
        self._models = ModelFiles(folder, manifest.provides.models, package)
        asked, granted = manifest.needs, without_needs(manifest.needs, without)
        own = frozenset(self._models.ids)
        self._grants = Grants(manifest.app.id, granted, own, refused_needs(asked, granted))
        self._types = dict(types or {})
        self._points = BenchPoints()
        self._objects: dict[str, bytes] = {}
        self._windows = [(Windowing(handler), name_of(f)) for handler, f in self.app.declared.points]
        self._states: dict[tuple[int, str], bytes] = {}
        self._job_times = [job.next_after(self.now) for job, _ in self.app.declared.jobs]
        self._scratch = tempfile.TemporaryDirectory(prefix="gongfu-bench-")
        file = Path(self._scratch.name) / RECORDS
        self._records = SqliteRecords(file, manifest.resources.storage_bytes) if manifest.needs.records else None

        def log(level: str, text: str) -> None:
            self.log.append(f"{level}: {text}")

        about = manifest.app
        named = by_name(asked, granted)
        self.context = AskingContext(about.id, about.version, self._answer, log, self._records, lambda: self.now, named)
        for call in (CallMigrate(), CallStarted(), CallHealth()):
            self._call(call, type(call).__name__.removeprefix("Call").lower())
        self.orders, self.reports = asked_from_above(
            manifest, self._grants, declared_of(self.app.declared), self._run, self
        )

    @classmethod
    def load(cls, folder: Path | str, types: Mapping[str, str] | None = None, without: Collection[str] = ()) -> "Bench":
        """Return the app of a folder on a bench, with new records, migrated and healthy.

        Args:
            folder: where ``app.toml`` is.
            types: thing model by asset path, for needs and functions that name one.
            without: names of optional permissions that are refused.

        Raises:
            ValueError: one of them cannot be refused.
            ManifestError, LoadError: it is no app.
            Failed: a migration, a start function or a health check failed.
        """
        root = Path(folder).resolve()
        return cls(root, read_manifest(root / FILE), types, without)

    def replay(self, recording: str | Path) -> None:
        """Give the samples of a recording, in its order, and then close all windows.

        Args:
            recording: CSV file, relative to the folder of the app (see ``gongfu.appkit.recordings``).
        """
        for piece in read_recording(self.folder / recording, START_NS, _PIECE):
            for asset, point, value_type, samples in piece:
                try:
                    self._take(asset, point, value_type, samples)
                except ValueError as error:
                    raise Failed(f"{recording}: {error}") from None
            self._step()
        self.settle()

    def feed(
        self,
        asset: str,
        points: Mapping[str, Values],
        times: Sequence[int] | NDArray[Any],
        *,
        types: Mapping[str, TypeName] | None = None,
        quality: str = "good",
    ) -> None:
        """Give samples of points of one asset at common times (UTC ns, ascending), as if they came now.

        Args:
            asset: path of the asset.
            points: values by name of point; None where there is none, which makes the sample *bad, no data*.
            times: of all of them.
            types: types of points; by default those they have, else those of ``Context.write``.
            quality: ``good``, ``uncertain`` or ``bad``, of all.

        Raises:
            Failed: values are not of the type of their point.
        """
        stamps, said = np.asarray(times, np.int64), types or {}
        for point, values in points.items():
            try:
                value_type, samples = self._points.fit(asset, point, stamps, values, said.get(point, ""), quality)
                self._take(asset, point, value_type, samples)
            except ValueError as error:
                raise Failed(f"feed {point!r} of {asset!r}: {error}") from None
        self._step()

    def settle(self) -> None:
        """Let time pass until all windows have closed."""
        handlers = [handler for handler, _ in self.app.declared.points]
        longest = max((handler.window + handler.lateness for handler in handlers), default=0)
        self.now += longest + 2 * IDLE_NS
        self._step()

    def advance(self, duration: str) -> None:
        """Let time pass, such as ``10 min``; jobs run at their times."""
        self.pass_time(parse_duration(duration))

    def pass_time(self, nanoseconds: int) -> None:
        """Let nanoseconds pass, as ``advance``."""
        self.now += nanoseconds
        self._step()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | Mapping[str, Any] = b"",
        user: str = "tester",
        role: str = "admin",
    ) -> Reply:
        """Call a route: 404 for none, 403 for a role below the route's."""
        self._grants.check_flag("routes")
        content = body if isinstance(body, bytes) else json.dumps(dict(body)).encode()
        parts = [part for part in unquote(path).split("/") if part]
        for index, (route, _) in enumerate(self.app.declared.routes):
            found = route.match(method, parts)
            if found is None:
                continue
            if role in ROLES[: ROLES.index(route.role)]:
                return Reply(403, "text/plain", f"{path} needs the role {route.role}".encode())
            call = CallRoute(
                route=index, method=method, path=found, query=dict(query or {}), body=content, user=user, role=role
            )
            done = self._run(call)
            if done.error and done.status in (0, 500):
                raise Failed(f"{method} {path}: {done.error}")
            return Reply(done.status, done.media_type or "text/plain", done.body or done.error.encode())
        return Reply(404, "text/plain", b"no such route")

    def written(self, asset: str, point: str) -> Samples:
        """Return all samples of a point: what was given and what the app wrote."""
        return self._points.of(asset, point)

    def _take(self, asset: str, point: str, value_type: ValueType, samples: Samples) -> None:
        self._points.take(asset, point, value_type, samples)
        self.now = max(self.now, int(samples.times.max()))
        place = self._place(asset, point)
        if self._grants.allows(place, "write"):
            return
        for windowing, _ in self._windows:
            if self._grants.gives(windowing.handler, place):
                windowing.add(asset, point, samples, self.now)

    def _step(self) -> None:
        for index, (windowing, name) in enumerate(self._windows):
            for window in windowing.ready(self.now):
                call = CallWindow(
                    handler=index,
                    asset=window.asset,
                    start=window.start,
                    end=window.end,
                    late=window.late,
                    points={point: packed(samples) for point, samples in window.points.items()},
                    state=self._states.get((index, window.asset), b""),
                )
                self._states[index, window.asset] = self._call(call, name).state
        for index, (job, function) in enumerate(self.app.declared.jobs):
            if self._job_times[index] <= self.now:
                scheduled = self._job_times[index]
                missed = job.count_between(scheduled, self.now)
                self._job_times[index] = job.next_after(self.now)
                self._call(CallJob(index, scheduled, missed), name_of(function))

    def _run(self, call: Call) -> Done:
        return perform(self.app, self.context, call, self.folder, self._records)

    def _call(self, call: Call, what: str) -> Done:
        done = self._run(call)
        if done.error:
            raise Failed(f"{what}: {done.error}")
        return done

    def _place(self, asset: str, point: str) -> PointPlace:
        kind = self._types.get(asset, "").partition("@")[0]
        return PointPlace(asset, point, (kind,) if kind else ())

    def _answer(self, question: Ask) -> Answer:
        try:
            return Answer(encode(self._answered(question)))
        except PermissionError as refusal:
            self.refused.append(str(refusal))
            return Answer(status=403, text=str(refusal))
        except AppError as error:
            return Answer(status=error.status, text=str(error))

    def _answered(self, question: Ask) -> Any:
        grants = self._grants
        match question:
            case AskPoints():
                return [msgspec.to_builtins(info) for info in self._infos(question)]
            case AskLatest():
                grants.check_point(self._place(question.asset, question.point), "read")
                found = self.written(question.asset, question.point)
                return packed(_cut(found, slice(-1, None)))
            case AskHistory():
                grants.check_history(self._place(question.asset, question.point), question.start, self.now)
                found = self.written(question.asset, question.point)
                first, last = np.searchsorted(found.times, [question.start, question.end]).tolist()
                return packed(_cut(found, slice(first, min(last, first + question.limit))))
            case AskWrite():
                grants.check_point(self._place(question.asset, question.point), "write")
                try:
                    return self._points.write(question)
                except ValueError as error:
                    raise AppError(400, f"write: {error}") from None
            case AskAlarm():
                grants.check_alarm(question.asset)
                return note_alarm(self.alarms, question)
            case AskPublish():
                grants.check_publish(question.kind)
                self.events.append(BenchEvent(question.kind, question.asset, question.time, json.loads(question.data)))
                return None
            case AskInvoke():
                grants.check_invoke(question.model)
                columns = {name: np.frombuffer(column, np.float64) for name, column in question.columns.items()}
                return {name: c.tobytes() for name, c in self._models.evaluate(question.model, columns).items()}
            case AskPutObject():
                grants.check_flag("objects")
                name = hashlib.sha256(question.data).hexdigest()
                self._objects[name] = question.data
                return name
            case AskGetObject():
                grants.check_flag("objects")
                if question.name not in self._objects:
                    raise AppError(404, f"there is no object {question.name}")
                return self._objects[question.name]

    def _infos(self, question: AskPoints) -> Iterable[PointInfo]:
        for asset, point, unit, value_type in self._points.listed():
            place = self._place(asset, point)
            if not asset_glob(question.asset).fullmatch(asset) or not point_glob(question.point).fullmatch(point):
                continue
            for access in ("read", "write"):
                if self._grants.allows(place, access):
                    kind: Any = value_type.label
                    yield PointInfo(asset, point, unit, self._types.get(asset, ""), access, kind)
                    break


def _cut(samples: Samples, part: slice) -> Samples:
    return Samples(samples.times[part], samples.values[part], samples.qualities[part], samples.unit)
