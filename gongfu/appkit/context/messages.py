"""What the host and the process of an app say to each other, as MessagePack. Nothing that an app says is trusted.

The host calls one function of the app at a time (``Call``) and waits for ``Done``; meanwhile the app may ask (``Ask``),
and gets an ``Answer`` to each before it asks again.
"""

from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from gongfu.appkit.context.order_messages import (
    CallOrder,
    CallProbe,
    CallReport,
    OrderDeclared,
    ProbeDeclared,
    ReportDeclared,
)
from gongfu.appkit.samples import Samples
from gongfu.appkit.value_columns import Kind, array_of, from_bytes, kind_of, to_bytes

MAX_STATE_BYTES = 1 << 20
MAX_ROUTE_BYTES = 4 << 20
MAX_OBJECT_BYTES = 16 << 20
MAX_SAMPLES = 100_000

Path = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Text = Annotated[str, msgspec.Meta(max_length=4000)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Time = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
Column = Annotated[bytes, msgspec.Meta(max_length=8 * 1_000_000)]


class SampleColumns(msgspec.Struct, frozen=True):
    """``Samples`` as bytes, ``values`` as ``kind`` says; texts are in ``texts``."""

    times: Column
    qualities: Column
    unit: str = ""
    kind: Kind = "double"
    values: Column = b""
    texts: tuple[str, ...] = ()


class Begin(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """First frame: which app this is. ``folder`` holds its code, ``data`` is its own; ``permissions`` says of what
    has a name whether it was granted."""

    app: str
    version: str
    folder: str
    module: str
    data: str
    records: bool
    storage_bytes: int
    permissions: dict[str, bool] = {}


class CallStarted(msgspec.Struct, frozen=True, tag=True):
    """Call what runs at the start."""


class CallHealth(msgspec.Struct, frozen=True, tag=True):
    """Call the checks."""


class CallMigrate(msgspec.Struct, frozen=True, tag=True):
    """Bring the records to the newest migration; answered with its number."""


class CallWindow(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Call a function of points with a window."""

    handler: int
    asset: str
    start: int
    end: int
    late: int
    points: dict[str, SampleColumns]
    state: bytes


class CallRoute(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Call a route."""

    route: int
    method: str
    path: dict[str, str]
    query: dict[str, str]
    body: bytes
    user: str
    role: str


class CallJob(msgspec.Struct, frozen=True, tag=True):
    """Call a job."""

    job: int
    scheduled: int
    missed: int


class Answer(msgspec.Struct, frozen=True, tag=True):
    """Answer to an ``Ask``: MessagePack of the result, or an HTTP status and a text (403: ``PermissionError``)."""

    result: bytes = b"\xc0"
    status: int = 0
    text: str = ""


Call = CallStarted | CallHealth | CallMigrate | CallWindow | CallRoute | CallJob | CallOrder | CallProbe | CallReport
ToApp = Begin | Call | Answer


class PointsDeclared(msgspec.Struct, frozen=True):
    """``OnPoints`` of a function."""

    name: Name
    points: tuple[Path, ...]
    asset: Path
    type: Text
    window: Time
    slide: Time
    lateness: Time
    by_arrival: bool


class JobDeclared(msgspec.Struct, frozen=True):
    """``OnJob`` of a function; ``cron`` as it was written."""

    name: Name
    every: Time
    cron: Text
    missed: Literal["once", "skip"]
    timeout: Time


class RouteDeclared(msgspec.Struct, frozen=True):
    """``OnRoute`` of a function."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: Path
    role: Literal["viewer", "operator", "engineer", "admin"]


class Began(msgspec.Struct, frozen=True, tag=True):
    """The module is loaded, and this is what it declares."""

    points: Annotated[tuple[PointsDeclared, ...], msgspec.Meta(max_length=100)] = ()
    jobs: Annotated[tuple[JobDeclared, ...], msgspec.Meta(max_length=100)] = ()
    routes: Annotated[tuple[RouteDeclared, ...], msgspec.Meta(max_length=500)] = ()
    orders: Annotated[tuple[OrderDeclared, ...], msgspec.Meta(max_length=100)] = ()
    probes: Annotated[tuple[ProbeDeclared, ...], msgspec.Meta(max_length=100)] = ()
    reports: Annotated[tuple[ReportDeclared, ...], msgspec.Meta(max_length=100)] = ()


class Done(msgspec.Struct, frozen=True, tag=True):
    """A call has ended.

    Attributes:
        error: what the function raised, for people; empty when nothing.
        status: HTTP status of a route, 0 for the usual.
        media_type: of ``body``.
        body: answer of a route; of ``CallMigrate`` the number as text.
        state: of a window, as MessagePack.
    """

    error: Text = ""
    status: Annotated[int, msgspec.Meta(ge=0, le=599)] = 0
    media_type: Annotated[str, msgspec.Meta(max_length=200)] = ""
    body: Annotated[bytes, msgspec.Meta(max_length=MAX_ROUTE_BYTES)] = b""
    state: Annotated[bytes, msgspec.Meta(max_length=MAX_STATE_BYTES)] = b""


class Log(msgspec.Struct, frozen=True, tag=True):
    """A line for the log of the app."""

    level: Literal["info", "warning", "error"]
    text: Text


class AskPoints(msgspec.Struct, frozen=True, tag=True):
    """Context.points."""

    asset: Path
    point: Path


class AskLatest(msgspec.Struct, frozen=True, tag=True):
    """Context.latest."""

    asset: Path
    point: Name


class AskHistory(msgspec.Struct, frozen=True, tag=True):
    """Context.history."""

    asset: Path
    point: Name
    start: Time
    end: Time
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_SAMPLES)]


class AskWrite(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Context.write. ``absent`` is a uint8 for each sample, 1 where there is no value; ``made_as`` is the type of the
    point if it must be made, empty for the one that fits the values."""

    asset: Path
    point: Name
    times: Column
    kind: Kind
    values: Column = b""
    texts: tuple[str, ...] = ()
    absent: Column = b""
    made_as: Annotated[str, msgspec.Meta(max_length=10)] = ""
    unit: Annotated[str, msgspec.Meta(max_length=60)] = ""
    quality: Literal["good", "uncertain", "bad"] = "good"

    def columns(self) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.bool_]]:
        """Return times, values, and which of them are absent, all of one length.

        Raises:
            ValueError: they are not of one length.
        """
        times = np.frombuffer(self.times, np.int64)
        values = array_of(self.texts, "text") if self.kind == "text" else from_bytes(self.values, self.kind)
        absent = from_bytes(self.absent, "boolean") if self.absent else np.zeros(len(times), np.bool_)
        if not len(times) == len(values) == len(absent):
            raise ValueError("times and values are not of one length")
        return times, values, absent


class AskAlarm(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Context.raise_alarm and return_alarm."""

    key: Name
    asset: Path
    active: bool
    time: Time
    message: Text = ""
    message_zh: Text = ""
    point: Annotated[str, msgspec.Meta(max_length=200)] = ""
    priority: Literal["critical", "high", "medium", "low"] = "medium"
    value: float | None = None


class AskPublish(msgspec.Struct, frozen=True, tag=True):
    """Context.publish; ``data`` is JSON."""

    kind: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,59}$")]
    asset: Path
    time: Time
    data: Annotated[bytes, msgspec.Meta(max_length=4000)]


class AskInvoke(msgspec.Struct, frozen=True, tag=True):
    """Context.invoke."""

    model: Name
    columns: dict[str, Column]


class AskPutObject(msgspec.Struct, frozen=True, tag=True):
    """Context.put_object."""

    data: Annotated[bytes, msgspec.Meta(max_length=MAX_OBJECT_BYTES)]


class AskGetObject(msgspec.Struct, frozen=True, tag=True):
    """Context.get_object."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]


Ask = AskPoints | AskLatest | AskHistory | AskWrite | AskAlarm | AskPublish | AskInvoke | AskPutObject | AskGetObject
FromApp = Began | Done | Log | Ask

encode = msgspec.msgpack.encode
decode_to_app = msgspec.msgpack.Decoder(ToApp).decode
decode_from_app = msgspec.msgpack.Decoder(FromApp).decode


def packed(samples: Samples) -> SampleColumns:
    """Return samples as bytes."""
    times, qualities = samples.times.astype(np.int64).tobytes(), samples.qualities.astype(np.uint8).tobytes()
    values = samples.values
    kind = kind_of(values)
    if kind == "text":
        return SampleColumns(times, qualities, samples.unit, kind, texts=tuple(values.tolist()))
    return SampleColumns(times, qualities, samples.unit, kind, to_bytes(values))


def unpacked(columns: SampleColumns) -> Samples:
    """Return samples from bytes; the arrays are read-only.

    Raises:
        ValueError: the columns are not of one length.
    """
    times, qualities = np.frombuffer(columns.times, np.int64), np.frombuffer(columns.qualities, np.uint8)
    text = columns.kind == "text"
    values = array_of(columns.texts, "text") if text else from_bytes(columns.values, columns.kind)
    values.flags.writeable = False
    if not len(times) == len(qualities) == len(values):
        raise ValueError("columns are not of one length")
    return Samples(times, values, qualities, columns.unit)
