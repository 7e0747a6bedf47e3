"""Messages of an edge node: births, data and deaths, with their sequence. Pure: times are given, nothing is sent.

Sparkplug 3.0.0 §6.4.5 to §6.4.12. Each asset with points is a device of the edge node; the alias of a metric is the
series id of its point, which is unique on the node and never changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from gongfu.ingest.columnise.sparkplug_schema import DataType, Payload
from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import Quality
from gongfu.kernel.times import MILLISECOND

SEQUENCE = 256
REBIRTH = "Node Control/Rebirth"
BIRTH_SEQUENCE = "bdSeq"
# In one message.
MAX_METRICS = 2000
_TYPES = {
    ValueType.DOUBLE: (DataType.DOUBLE, "double_value"),
    ValueType.INT64: (DataType.INT64, "long_value"),
    ValueType.BOOLEAN: (DataType.BOOLEAN, "boolean_value"),
    ValueType.STRING: (DataType.STRING, "string_value"),
    ValueType.JSON: (DataType.STRING, "string_value"),
}
# §6.4.7: the property Quality is 0 (bad), 192 (good) or 500 (stale). What is not surely good is called bad.
_GOOD, _BAD, _STALE = 192, 0, 500


class Message(NamedTuple):
    """What to publish. Births and data have QoS 0, deaths QoS 1 as will; none is retained."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Metric:
    """A point as a metric.

    Attributes:
        series: its series id, the alias.
        asset: path of its asset.
        name: its name.
        value_type: its type.
        unit: UCUM, or empty.
    """

    series: int
    asset: str
    name: str
    value_type: ValueType
    unit: str = ""


class Sample(NamedTuple):
    """One value of a point; ``time`` is UTC ns, ``value`` None when there is none."""

    series: int
    time: int
    quality: int
    value: Any


def device_id(asset: str) -> str:
    """Return the id of an asset's device: its path with ``% / + #`` percent-encoded, since ids are one topic level."""
    for character, code in (("%", "%25"), ("/", "%2F"), ("+", "%2B"), ("#", "%23")):
        asset = asset.replace(character, code)
    return asset


def asset_of(identifier: str) -> str:
    """Return the path of the asset of a device id."""
    for character, code in (("/", "%2F"), ("+", "%2B"), ("#", "%23"), ("%", "%25")):
        identifier = identifier.replace(code, character)
    return identifier


def sparkplug_quality(quality: int) -> int:
    """Return the value of the property ``Quality`` for a quality byte."""
    if quality == Quality.GOOD:
        return _GOOD
    return _STALE if quality == Quality.BAD_STALE else _BAD


class EdgeMessages:
    """Makes the messages of one edge node in order.

    Args:
        group: group id.
        node: edge node id.
        metrics: all points to publish.
    """

    def __init__(self, group: str, node: str, metrics: Sequence[Metric]) -> None:
        self.group = group
        self.node = node
        self._sequence = 0
        self._by_series: dict[int, Metric] = {}
        self._assets: dict[str, list[Metric]] = {}
        # What is published, by asset and by series; no two are alike but for the case of their letters (§5.3).
        self._ids: dict[str, str] = {}
        self._names: dict[int, str] = {}
        self._taken: dict[str, set[str]] = {}
        self.add(metrics)

    def add(self, metrics: Sequence[Metric]) -> set[str]:
        """Take further points; return the assets that must be born (again).

        Where two ids or two names of an asset differ by case only, the point that was made first keeps its own, and
        the other gets a number: a host that does not look at the case would take them for one.
        """
        changed: set[str] = set()
        for metric in sorted(metrics, key=lambda metric: metric.series):
            if metric.series not in self._by_series:
                if metric.asset not in self._ids:
                    self._ids[metric.asset] = _distinct(device_id(metric.asset), self._taken.setdefault("", set()))
                names = self._taken.setdefault(f"/{metric.asset}", set())
                if metric.series not in self._names:
                    self._names[metric.series] = _distinct(metric.name, names)
                self._by_series[metric.series] = metric
                self._assets.setdefault(metric.asset, []).append(metric)
                changed.add(metric.asset)
        return changed

    def knows(self, series: int) -> bool:
        """Return whether a point is published."""
        return series in self._by_series

    @property
    def assets(self) -> list[str]:
        """The assets that are devices of the edge node, in order."""
        return sorted(self._assets)

    @property
    def series(self) -> list[int]:
        """All points, as series ids."""
        return list(self._by_series)

    def topic(self, kind: str, device: str = "") -> str:
        """Return a topic of the edge node or of one of its devices (§4)."""
        return f"spBv1.0/{self.group}/{kind}/{self.node}" + (f"/{device}" if device else "")

    def death(self, bd_seq: int, now: int) -> Message:
        """Return the NDEATH: no ``seq``, and the ``bdSeq`` of the birth that it ends (§6.4.12)."""
        payload = Payload(timestamp=now // MILLISECOND)
        _birth_sequence(payload, bd_seq, now)
        return Message(self.topic("NDEATH"), payload.SerializeToString())

    def node_birth(self, bd_seq: int, now: int) -> Message:
        """Return the NBIRTH; the sequence begins at 0 (§6.4.5)."""
        self._sequence = 0
        payload = self._payload(now)
        _birth_sequence(payload, bd_seq, now)
        control = payload.metrics.add(name=REBIRTH, timestamp=now // MILLISECOND, datatype=DataType.BOOLEAN)
        control.boolean_value = False
        return Message(self.topic("NBIRTH"), payload.SerializeToString())

    def device_birth(self, asset: str, latest: Mapping[int, Sample], now: int) -> Message:
        """Return the DBIRTH of an asset with the latest value of each point, null where there is none (§6.4.6)."""
        payload = self._payload(now)
        for metric in self._assets[asset]:
            sample = latest.get(metric.series)
            entry = payload.metrics.add(
                name=self._names[metric.series], alias=metric.series, datatype=_TYPES[metric.value_type][0]
            )
            entry.timestamp = (sample.time if sample else now) // MILLISECOND
            if metric.unit:
                _property(entry, "engUnit", DataType.STRING, "string_value", metric.unit)
            quality = sparkplug_quality(sample.quality) if sample else _STALE
            _property(entry, "Quality", DataType.INT32, "int_value", quality)
            _set(entry, metric.value_type, sample.value if sample else None)
        return Message(self.topic("DBIRTH", self._ids[asset]), payload.SerializeToString())

    def device_death(self, asset: str, now: int) -> Message:
        """Return the DDEATH of an asset whose points are no more (§6.4.11)."""
        for metric in self._assets.pop(asset):
            del self._by_series[metric.series]
        return Message(self.topic("DDEATH", self._ids[asset]), self._payload(now).SerializeToString())

    def data(self, samples: Sequence[Sample], born: int, now: int) -> list[Message]:
        """Return the DDATA messages for samples of known points, by asset, in the order given (§6.4.8).

        Args:
            samples: values; those before ``born`` are marked historical, and so are late ones of a series.
            born: UTC ns of the last birth.
            now: UTC ns.
        """
        by_asset: dict[str, list[Sample]] = {}
        for sample in samples:
            by_asset.setdefault(self._by_series[sample.series].asset, []).append(sample)
        messages: list[Message] = []
        for asset, mine in by_asset.items():
            for start in range(0, len(mine), MAX_METRICS):
                payload = self._payload(now)
                for sample in mine[start : start + MAX_METRICS]:
                    entry = payload.metrics.add(alias=sample.series, timestamp=sample.time // MILLISECOND)
                    if sample.time < born:
                        entry.is_historical = True
                    if sample.quality != Quality.GOOD:
                        quality = sparkplug_quality(sample.quality)
                        _property(entry, "Quality", DataType.INT32, "int_value", quality)
                    _set(entry, self._by_series[sample.series].value_type, sample.value)
                messages.append(Message(self.topic("DDATA", self._ids[asset]), payload.SerializeToString()))
        return messages

    def _payload(self, now: int) -> Any:
        payload = Payload(timestamp=now // MILLISECOND, seq=self._sequence)
        self._sequence = (self._sequence + 1) % SEQUENCE
        return payload


def _distinct(wanted: str, taken: set[str]) -> str:
    """Return ``wanted``, with a number behind it where something like it is taken, whatever the case; take it."""
    given, number = wanted, 1
    while given.lower() in taken:
        number += 1
        given = f"{wanted} ({number})"
    taken.add(given.lower())
    return given


def wants_rebirth(payload: bytes) -> bool:
    """Return whether an NCMD asks for a rebirth (§6.4.9)."""
    try:
        metrics = Payload.FromString(payload).metrics
    except DecodeError:
        return False
    return any(metric.name == REBIRTH and metric.boolean_value for metric in metrics)


def _birth_sequence(payload: Any, bd_seq: int, now: int) -> None:
    metric = payload.metrics.add(name=BIRTH_SEQUENCE, timestamp=now // MILLISECOND, datatype=DataType.INT64)
    metric.long_value = bd_seq


def _property(metric: Any, key: str, datatype: int, attribute: str, value: Any) -> None:
    metric.properties.keys.append(key)
    setattr(metric.properties.values.add(type=datatype), attribute, value)


def _set(metric: Any, value_type: ValueType, value: Any) -> None:
    if value is None or (value_type is ValueType.DOUBLE and not isfinite(value)):
        metric.is_null = True
        return
    if value_type is ValueType.INT64:
        value &= (1 << 64) - 1
    elif value_type is ValueType.BOOLEAN:
        value = bool(value)
    setattr(metric, _TYPES[value_type][1], value)
