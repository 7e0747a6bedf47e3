"""NDJSON: one object a line, of form A or B; form B may name a child asset in ``asset``."""

from collections.abc import Callable
from typing import Any

from gongfu.ingest.columnise.json import SourceTimes, read_item
from gongfu.ingest.columnise.limits import MAX_PATH
from gongfu.ingest.columnise.reasons import Reason, Reject, shown
from gongfu.ingest.columnise.snapshot import Snapshot
from gongfu.ingest.columnise.values import json_kind, path_problem


def read_ndjson(payload: bytes, parse: Callable[[bytes], Any], times: SourceTimes, reject: Reject) -> list[Snapshot]:
    """Return the snapshots of all lines that can be read; each other line is reported. Empty lines are skipped."""
    snapshots: list[Snapshot] = []
    for number, line in enumerate(payload.split(b"\n"), start=1):
        if not line or line.isspace():
            continue
        try:
            item = parse(line)
        except ValueError as error:
            reject(Reason.MALFORMED_JSON, 1, f"line {number}: {error}")
            continue
        if type(item) is not dict:
            reject(Reason.FORM_INVALID, 1, f"line {number}: an object is needed, not {json_kind(item)}")
            continue
        snapshot = _read_line(item, times, reject)
        if snapshot is not None:
            snapshots.append(snapshot)
    return snapshots


def _read_line(item: dict[str, Any], times: SourceTimes, reject: Reject) -> Snapshot | None:
    if "asset" not in item or type(item.get("values")) is not dict:
        return read_item(item, "", times, reject)
    child = item.pop("asset")
    problem = path_problem(child, MAX_PATH) if type(child) is str else "not a string"
    if problem:
        reject(Reason.NAME_INVALID, len(item["values"]) or 1, f"asset {shown(child)}: {problem}")
        return None
    return read_item(item, child, times, reject)
