"""JSON forms: payload bytes to snapshots (docs/telemetry.md, forms A to D).

Form A ``{"temp": 42.2}``; form B ``{"ts": 1700000000000, "values": {...}, "quality": ...}``; form C a list of A and B;
gateway form D ``{"child": [A or B, ...]}``.
"""

import json
from collections.abc import Callable
from typing import Any

import orjson

from gongfu.ingest.columnise.limits import MAX_PATH
from gongfu.ingest.columnise.reasons import Reason, Reject, shown
from gongfu.ingest.columnise.snapshot import Snapshot
from gongfu.ingest.columnise.values import json_kind, path_problem
from gongfu.kernel.quality import NAMES, Quality
from gongfu.kernel.times import MAX_NS, MILLISECOND, parse_rfc3339

_MEMBERS = frozenset({"ts", "values", "quality"})
_MAX_MS = MAX_NS // MILLISECOND


class SourceTimes:
    """Reads source times of one payload.

    Args:
        stamp: returns the time for values without one: the time of arrival, each call later than the last, UTC ns.
        horizon: latest source time that is taken, UTC ns.
    """

    __slots__ = ("horizon", "stamp")

    def __init__(self, stamp: Callable[[], int], horizon: int) -> None:
        self.stamp = stamp
        self.horizon = horizon

    def check(self, time: int, points: int, reject: Reject) -> int | None:
        """Return a time in UTC ns when it can be taken, else report ``points`` points and return None."""
        if time > self.horizon:
            ahead = (time - self.horizon) / 1e9
            reject(Reason.TIMESTAMP_IN_FUTURE, points, f"ts is {ahead:.0f} s beyond what is allowed to be ahead")
            return None
        return time

    def read(self, ts: Any, points: int, reject: Reject) -> int | None:
        """Return UTC ns for a ``ts`` (integer ms since 1970, or RFC 3339 text), or report it and return None."""
        if type(ts) is int:
            if 0 <= ts <= _MAX_MS:
                return self.check(ts * MILLISECOND, points, reject)
        elif type(ts) is str:
            try:
                return self.check(parse_rfc3339(ts), points, reject)
            except ValueError:
                pass
        reject(Reason.TIMESTAMP_INVALID, points, f"ts {shown(ts)}: not integer ms since 1970 or RFC 3339 with zone")
        return None


def parse(payload: bytes) -> Any:
    """Return the JSON document.

    Raises:
        ValueError: not JSON (RFC 8259, UTF-8), or nested deeper than 1024.
    """
    return orjson.loads(payload)


def parse_exactly(payload: bytes) -> Any:
    """Return what ``parse`` does, but with integers of any length as integers; slower.

    Raises:
        ValueError: as ``parse``, or nested too deep for this parser.
    """
    parse(payload)
    try:
        return json.loads(payload)
    except RecursionError:
        raise ValueError("nested too deep") from None


def read_json(document: Any, gateway: bool, times: SourceTimes, reject: Reject) -> list[Snapshot]:
    """Return the snapshots of a document of form A, B or C, or D when ``gateway``."""
    snapshots: list[Snapshot] = []
    if not gateway:
        _read_items(document, "", times, reject, snapshots)
        return snapshots
    if type(document) is not dict:
        reject(Reason.FORM_INVALID, 1, f"gateway form is an object of child names, not {json_kind(document)}")
        return snapshots
    children: dict[str, Any] = document
    for child, items in children.items():
        problem = path_problem(child, MAX_PATH)
        if problem:
            reject(Reason.NAME_INVALID, _count(items), f"asset {shown(child)}: {problem}")
        else:
            _read_items(items, child, times, reject, snapshots)
    return snapshots


def _read_items(document: Any, child: str, times: SourceTimes, reject: Reject, into: list[Snapshot]) -> None:
    items: list[Any] = document if type(document) is list else [document]
    for item in items:
        if type(item) is not dict:
            reject(Reason.FORM_INVALID, 1, f"an object with values is needed, not {json_kind(item)}")
            continue
        snapshot = read_item(item, child, times, reject)
        if snapshot is not None:
            into.append(snapshot)


def _count(items: Any) -> int:
    """Return the number of points in what would have been snapshots, at least 1."""
    if type(items) is list:
        listed: list[Any] = items
        return sum(_count(item) for item in listed) or 1
    if type(items) is not dict:
        return 1
    item: dict[str, Any] = items
    values = item.get("values")
    return len(values if type(values) is dict else item) or 1


def read_item(item: dict[str, Any], child: str, times: SourceTimes, reject: Reject) -> Snapshot | None:
    """Return the snapshot of an object of form A or B, or report it and return None."""
    values: Any = item.get("values")
    if type(values) is not dict:
        return Snapshot(child, times.stamp(), item, Quality.GOOD)
    points = len(values) or 1
    if not _MEMBERS.issuperset(item):
        other = next(name for name in item if name not in _MEMBERS)
        reject(Reason.FORM_INVALID, points, f"member {shown(other)} beside values: only ts and quality are known")
        return None
    time = times.read(item["ts"], points, reject) if "ts" in item else times.stamp()
    if time is None:
        return None
    quality: Any = item.get("quality")
    if quality is None:
        return Snapshot(child, time, values, Quality.GOOD)
    if type(quality) is dict:
        return Snapshot(child, time, values, quality)
    known = NAMES.get(quality) if type(quality) is str else None
    if known is None:
        reject(Reason.QUALITY_INVALID, points, "quality must be good, uncertain or bad, or an object of these")
        return None
    return Snapshot(child, time, values, known)
