"""Sparkplug B payloads: metrics to points of the asset ``<group>/<edge>[/<device>]`` below the sender's own.

Births are kept per sender, edge node and device, because data metrics may have an alias only, and no data type
(Sparkplug 3.0.0 §6.4.6). The order of messages, rebirths and commands are the matter of ``gongfu.ingest.sparkplug``.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from google.protobuf.message import DecodeError

from gongfu.ingest.columnise.accumulator import OpenBlock
from gongfu.ingest.columnise.elements import MAX_PLAN_POINTS, PointTable, Refusals
from gongfu.ingest.columnise.json import SourceTimes
from gongfu.ingest.columnise.limits import MAX_PATH
from gongfu.ingest.columnise.reasons import Reason, Reject, shown
from gongfu.ingest.columnise.rows import Row, missing_rows, write_rows
from gongfu.ingest.columnise.sparkplug_births import MAX_PLANS, Birth, BirthRegister, Order, Templates, birth_of
from gongfu.ingest.columnise.sparkplug_plan import SparkplugPlan
from gongfu.ingest.columnise.sparkplug_schema import DataType, Payload
from gongfu.ingest.columnise.sparkplug_stale import Stale
from gongfu.ingest.columnise.sparkplug_structures import is_structure, structure_rows
from gongfu.ingest.columnise.sparkplug_values import VALUE_TYPES, quality_of, value_of
from gongfu.ingest.columnise.values import path_problem
from gongfu.ingest.types import Writer
from gongfu.kernel.points import Series, ValueType
from gongfu.kernel.quality import Quality
from gongfu.kernel.times import MAX_NS, MILLISECOND

NAMESPACE = "spBv1.0"
_NODE = frozenset({"NBIRTH", "NDATA", "NDEATH"})
_DEVICE = frozenset({"DBIRTH", "DDATA", "DDEATH"})
_BIRTHS = frozenset({"NBIRTH", "DBIRTH"})
_DEATHS = frozenset({"NDEATH", "DDEATH"})
# Topics whose parts are remembered.
_TOPICS = 10_000
# Session control, not measurement (§6.4.6.1, §6.4.8).
_SESSION_METRIC = "bdSeq"
_CONTROL_PREFIXES = ("Node Control/", "Device Control/")
_COMPRESSED = "SPBV1.0_COMPRESSED"
_MAX_MS = MAX_NS // MILLISECOND
MAX_TOPICS_LEARNT = 200_000


def split_topic(topic: str) -> tuple[str, str, str] | None:
    """Return (message type, ``group/edge``, ``group/edge[/device]``) of a Sparkplug topic, None when it is not one."""
    levels = topic.split("/")
    if len(levels) not in (4, 5) or levels[0] != NAMESPACE:
        return None
    kinds = _NODE if len(levels) == 4 else _DEVICE
    if levels[2] not in kinds:
        return None
    edge, child = f"{levels[1]}/{levels[3]}", "/".join(levels[1:2] + levels[3:])
    return None if path_problem(child, MAX_PATH) else (levels[2], edge, child)


class SparkplugReader:
    """Reads payloads; keeps the births.

    Attributes:
        templates: those of the present birth by device and topic, for payloads of known layout.
        on_death: called with the sender and the asset below its own that died, with all below that.
        on_unknown: called with the sender and the edge node when data has an alias that no birth names.
        order_of: returns what knows the order of the payloads of a sender and edge node.
        on_null: called with the sender and the number of metrics that said that they have no value.
    """

    def __init__(self, max_points: int) -> None:
        """``max_points`` bounds the metrics of a payload, and with them of a birth."""
        self._max_points = max_points
        self._births = BirthRegister()
        self._topics: dict[str, tuple[str, str, str] | None] = {}
        self.templates: dict[tuple[int, str], Templates] = {}
        self.on_death: Callable[[Writer, str], None] | None = None
        self.on_unknown: Callable[[Writer, str], None] | None = None
        self.order_of: Callable[[int, str], Order | None] | None = None
        self.on_null: Callable[[Writer, int], None] | None = None

    def forget(self, device: int) -> None:
        """Forget the births of a device that is no more."""
        self._births.forget(device)

    def forget_points(self) -> None:
        """Forget where points go: an asset or point has changed."""
        self.templates.clear()

    def birth(self, device: int, child: str) -> Birth | None:
        """Return the birth that counts now of an edge node or device, by its path below the sender's asset."""
        return self._births.find(device, child)

    def _learn(self, key: tuple[int, str], edge: str, birth: Birth, payload: bytes, plan: SparkplugPlan) -> None:
        birth.learn(payload, plan)
        if self.order_of is not None:
            birth.templates.order = self.order_of(key[0], edge)
        if self.templates.get(key) is not birth.templates:
            if len(self.templates) >= MAX_TOPICS_LEARNT:
                self.templates.clear()
            self.templates[key] = birth.templates

    def read(
        self, payload: bytes, topic: str, writer: Writer, times: SourceTimes, reject: Reject
    ) -> "list[Metrics] | list[Stale]":
        """Return the metrics of a payload as one element, or what a death makes stale; none when it is unreadable."""
        try:
            parts = self._topics[topic]
        except KeyError:
            if len(self._topics) >= _TOPICS:
                self._topics.clear()
            parts = self._topics[topic] = split_topic(topic)
        if parts is None:
            reject(Reason.FORM_INVALID, 1, f"topic {shown(topic)} is not a Sparkplug topic that carries metrics")
            return []
        kind, edge, child = parts
        if kind in _DEATHS:
            ended = self._births.below(writer.device, edge, child)
            self._births.died(writer, edge, child)
            if self.on_death is not None:
                self.on_death(writer, child)
            time = times.stamp()
            return [Stale(path, list(birth.types), time) for path, birth in ended]
        birth = None if kind in _BIRTHS else self._births.find(writer.device, child)
        message = self._parse(payload, reject)
        if message is None:
            return []
        if kind in _BIRTHS:
            birth = birth_of(message.metrics, reject)
            if birth is None:
                return []
            self._births.born(writer, edge, child, birth)
        # What has no birth is not remembered.
        learn = None if birth is None else partial(self._learn, (writer.device, topic), edge, birth)
        unknown = None if self.on_unknown is None else partial(self.on_unknown, writer, edge)
        on_null = None if self.on_null is None else partial(self.on_null, writer)
        return [Metrics(child, payload, message, birth or Birth(), times, reject, learn, unknown, on_null)]

    def _parse(self, payload: bytes, reject: Reject) -> Any:
        """Return the message, or report what is wrong and return None."""
        try:
            message = Payload.FromString(payload)
        except DecodeError as error:
            reject(Reason.MALFORMED_SPARKPLUG, 1, str(error))
            return None
        n = len(message.metrics)
        if n > self._max_points:
            # Before the births: a payload that is too large must not fill memory either.
            reject(Reason.TOO_MANY_POINTS, n, f"{n} metrics, at most {self._max_points}")
            return None
        if not n and message.uuid == _COMPRESSED:
            reject(Reason.MALFORMED_SPARKPLUG, 1, "compressed payloads are not read")
            return None
        return message


class Metrics:
    """An ``Element`` of a Sparkplug payload.

    Attributes:
        child: path of the asset below the writer's own.
    """

    __slots__ = (
        "_birth", "_learn", "_metrics", "_nulls", "_on_null", "_payload", "_plain", "_reject", "_rows", "_shape",
        "_skipped", "_times", "_timestamp", "_unknown", "child",
    )  # fmt: skip

    def __init__(
        self,
        child: str,
        payload: bytes,
        message: Any,
        birth: Birth,
        times: SourceTimes,
        reject: Reject,
        learn: Callable[[bytes, SparkplugPlan], None] | None,
        unknown: Callable[[], None] | None = None,
        on_null: Callable[[int], None] | None = None,
    ) -> None:
        """Hold a parsed payload.

        Args:
            child, payload, message, birth, times, reject: what it is, and its context.
            learn: hears of it when a plan has written it.
            unknown: hears of unknown aliases.
            on_null: hears how many metrics said that they have no value.
        """
        self.child = child
        self._payload = payload
        self._birth = birth
        self._times = times
        self._reject = reject
        self._learn = learn
        self._unknown = unknown
        self._on_null = on_null
        self._nulls = 0
        self._rows: list[Row] | None = None
        self._shape: tuple[Any, ...] = ()
        self._skipped = False
        self._metrics = list(message.metrics)
        self._timestamp = message.timestamp or times.stamp() // MILLISECOND
        # Quality is a property, so it can only be where its name is; a null is always written as these two bytes.
        self._plain = b"Quality" not in payload and b"\x38\x01" not in payload

    @property
    def points(self) -> int:
        """Number of metrics."""
        return len(self._metrics)

    def write_planned(self, table: PointTable, block: OpenBlock) -> bool:
        """Append the metrics by the plan for their aliases; return False, with nothing appended, when there is none."""
        if not self._plain:
            return False
        # A name counts more than an alias beside it, as in ``_define``.
        shape: tuple[Any, ...] = tuple([metric.name or metric.alias for metric in self._metrics])
        if not all(shape):
            shape = ()
        self._shape = shape
        plan = self._birth.plans.get(shape)
        if plan is None or plan.table is not table:
            return False
        if not plan.write(self._metrics, self._timestamp, self._times.horizon, block):
            return False
        if self._learn is not None:
            self._learn(self._payload, plan)
        return True

    def missing(self, names: Mapping[str, Series]) -> dict[str, ValueType]:
        """Return valid names without a series, with the type each gets."""
        return missing_rows(self._judged(), names)

    def write(self, table: PointTable, block: OpenBlock, reject: Reject, refused: Refusals) -> None:
        """Append the points to the block; report those that cannot be."""
        rows = self._judged()
        taken = write_rows(rows, self.child, table, block, reject, refused)
        n = len(self._metrics)
        if taken == n and self._plain and self._shape and n <= MAX_PLAN_POINTS and not self._skipped:
            plans = self._birth.plans
            if len(plans) >= MAX_PLANS:
                plans.clear()
            names, datatypes = [row.name for row in rows], [self._define(metric)[1] for metric in self._metrics]
            born = datatypes == [self._born(metric) for metric in self._metrics]
            plans[self._shape] = SparkplugPlan(names, datatypes, table, born=born)

    def _born(self, metric: Any) -> int:
        """Return the data type that the birth gave, 0 without one."""
        if metric.name:
            return self._birth.types.get(metric.name, 0)
        return self._birth.by_alias[metric.alias][1]

    def _define(self, metric: Any) -> tuple[str, int]:
        """Return name and data type of a metric, from itself or its birth; an empty name is an unknown alias."""
        name, datatype = metric.name, metric.datatype
        if not name:
            known = self._birth.by_alias.get(metric.alias) if metric.HasField("alias") else None
            if known is None:
                return "", 0
            name, born = known
            return name, datatype or born
        return name, datatype or self._birth.types.get(name, 0)

    def _judged(self) -> list[Row]:
        """Return the rows of all metrics that can be columnised; report the others once."""
        if self._rows is None:
            self._rows = list(self._judge())
            if self._nulls and self._on_null is not None:
                self._on_null(self._nulls)
        return self._rows

    def _judge(self) -> Iterator[Row]:
        reject = self._reject
        for metric in self._metrics:
            name, datatype = self._define(metric)
            if type(name) is not str:
                reject(Reason.MALFORMED_SPARKPLUG, 1, "a metric name is not UTF-8")
                continue
            if not name:
                reject(Reason.ALIAS_UNKNOWN, 1, f"alias {metric.alias} is in no birth certificate of this session")
                if self._unknown is not None:
                    self._unknown()
                continue
            if name == _SESSION_METRIC or name.startswith(_CONTROL_PREFIXES):
                self._skipped = True
                continue
            value_type = VALUE_TYPES.get(datatype)
            if value_type is None and not is_structure(datatype):
                known = DataType(datatype).name if datatype in DataType.__members__.values() else str(datatype)
                reject(Reason.DATATYPE_UNSUPPORTED, 1, f"{shown(name)}: data type {known} has no column")
                continue
            milliseconds = metric.timestamp or self._timestamp
            if milliseconds > _MAX_MS:
                reject(Reason.TIMESTAMP_INVALID, 1, f"{shown(name)}: timestamp {milliseconds} ms is beyond 2262")
                continue
            time = self._times.check(milliseconds * MILLISECOND, 1, reject)
            if time is None:
                continue
            if value_type is None:
                self._skipped = True
                quality = Quality.GOOD if self._plain else quality_of(metric)
                yield from structure_rows(name, metric, datatype, self._birth.types, time, quality, reject)
                continue
            if metric.is_null and value_type is not None:
                # §6.4.16: the metric is there and has no value now. The point says so; that is counted as marked.
                self._nulls += 1
                yield Row(name, value_type, None, time, Quality.BAD_NO_DATA)
                continue
            reason, value = value_of(metric, datatype)
            if reason is not None:
                reject(reason, 1, f"{shown(name)}: {value}")
                continue
            quality = Quality.GOOD if self._plain else quality_of(metric)
            yield Row(name, value_type, value, time, quality)
