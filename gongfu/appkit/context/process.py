"""The process of an app: takes calls one at a time and runs the app's functions. Entry of a confined process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from gongfu.appkit.context.loading import LoadError, load_app, told
from gongfu.appkit.context.messages import (
    MAX_ROUTE_BYTES,
    MAX_STATE_BYTES,
    Answer,
    Ask,
    Began,
    Begin,
    Call,
    CallHealth,
    CallJob,
    CallMigrate,
    CallRoute,
    CallStarted,
    CallWindow,
    Done,
    JobDeclared,
    Log,
    PointsDeclared,
    RouteDeclared,
    decode_to_app,
    encode,
    unpacked,
)
from gongfu.appkit.context.order_messages import (
    CallOrder,
    CallProbe,
    CallReport,
    OrderDeclared,
    ProbeDeclared,
    ReportDeclared,
)
from gongfu.appkit.context.ordered import as_json, carry_out, cells_of, look
from gongfu.appkit.context.records import FILE, MIGRATIONS, MigrationFailed, SqliteRecords
from gongfu.appkit.context.remote import AskingContext
from gongfu.appkit.contract import App, AppError, Context, JobRun, Request, Response, Window
from gongfu.appkit.declarations import Declared, name_of


class Line(Protocol):
    """The channel to the host; blocks."""

    def receive(self) -> bytes | None:
        """Return the next frame, None when the host has closed the channel."""
        ...

    def send(self, *parts: bytes | memoryview) -> None:
        """Send one frame."""
        ...


def run(line: Line) -> None:
    """Run the app that the first frame names until the host closes the channel."""
    frame = line.receive()
    begin = decode_to_app(frame) if frame is not None else None
    if not isinstance(begin, Begin):
        return
    folder = Path(begin.folder)
    try:
        app = load_app(folder, begin.module)
        records = SqliteRecords(Path(begin.data) / FILE, begin.storage_bytes) if begin.records else None
    except (LoadError, OSError, ValueError) as error:
        line.send(encode(Done(error=str(error)[:4000])))
        return

    def ask(question: Ask) -> Answer:
        line.send(encode(question))
        answer = line.receive()
        if answer is None:
            raise SystemExit(0)
        found = decode_to_app(answer)
        return found if isinstance(found, Answer) else Answer(status=500, text="the host answered wrongly")

    def log(level: str, text: str) -> None:
        line.send(encode(msgspec.convert({"type": "Log", "level": level, "text": text}, Log)))

    context = AskingContext(begin.app, begin.version, ask, log, records, permissions=begin.permissions)
    line.send(encode(declared_of(app.declared)))
    while (frame := line.receive()) is not None:
        call = decode_to_app(frame)
        if not isinstance(call, (Begin, Answer)):
            line.send(encode(perform(app, context, call, folder, records)))
    if records is not None:
        records.close()


def declared_of(declared: Declared) -> Began:
    """Return what an app declares, as the host is told."""
    return Began(
        tuple(
            PointsDeclared(name_of(f), h.points, h.asset, h.type, h.window, h.slide, h.lateness, h.by_arrival)
            for h, f in declared.points
        ),
        tuple(
            JobDeclared(name_of(f), job.every, job.cron.text if job.cron else "", job.missed, job.timeout)
            for job, f in declared.jobs
        ),
        tuple(RouteDeclared(route.method, route.path, route.role) for route, _ in declared.routes),
        tuple(OrderDeclared(order.kind, order.effect, order.timeout) for order, _ in declared.orders),
        tuple(ProbeDeclared(probe.name, probe.timeout) for probe, _ in declared.probes),
        tuple(ReportDeclared(one.kind, one.every, one.late, one.timeout) for one, _ in declared.reports),
    )


def perform(app: App, context: Context, call: Call, folder: Path, records: SqliteRecords | None) -> Done:
    """Run a call, whatever it raises, and return what became of it."""
    try:
        return _performed(app.declared, context, call, folder, records)
    except (AppError, MigrationFailed) as error:
        return Done(error=str(error)[:4000], status=getattr(error, "status", 0))
    except PermissionError as error:
        return Done(error=f"PermissionError: {error}"[:4000], status=500)
    except Exception as error:
        return Done(error=told(error, folder)[:4000], status=500)


def _performed(declared: Declared, context: Context, call: Call, folder: Path, records: SqliteRecords | None) -> Done:
    match call:
        case CallStarted():
            return _each(declared.started, context)
        case CallHealth():
            return _each(declared.health, context)
        case CallMigrate():
            return Done(body=str(records.migrate(folder / MIGRATIONS) if records is not None else 0).encode())
        case CallWindow():
            _, function = declared.points[call.handler]
            state: dict[str, Any] = msgspec.msgpack.decode(call.state) if call.state else {}
            points = {name: unpacked(columns) for name, columns in call.points.items()}
            function(context, Window(call.asset, call.start, call.end, points, state, call.late))
            stored = msgspec.msgpack.encode(state) if state else b""
            if len(stored) > MAX_STATE_BYTES:
                raise AppError(500, f"state of {name_of(function)} has {len(stored)} bytes, at most {MAX_STATE_BYTES}")
            return Done(state=stored)
        case CallJob():
            declared.jobs[call.job][1](context, JobRun(call.scheduled, call.missed))
            return Done()
        case CallOrder():
            return Done(body=carry_out(declared, context, call, records))
        case CallProbe():
            return Done(body=look(declared, context, call, records))
        case CallReport():
            return Done(body=cells_of(declared, context, call))
        case CallRoute():
            request = Request(call.method, call.path, call.query, call.body, call.user, call.role)
            return _response(declared.routes[call.route][1](context, request))


def _each(functions: list[Callable[..., Any]], context: Context) -> Done:
    for function in functions:
        function(context)
    return Done()


def _response(found: Any) -> Done:
    if not isinstance(found, Response):
        found = Response(as_json(found), "application/json")
    if len(found.body) > MAX_ROUTE_BYTES:
        raise AppError(500, f"the answer has {len(found.body)} bytes, at most {MAX_ROUTE_BYTES}")
    return Done(status=found.status, media_type=found.media_type, body=found.body)
