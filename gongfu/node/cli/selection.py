"""What people write to choose points and times."""

import re
from dataclasses import dataclass
from typing import Any

from gongfu.kernel.times import SECOND, format_rfc3339, parse_rfc3339
from gongfu.node.cli.failures import NOT_FOUND, Failure
from gongfu.node.cli.node_api import NodeApi
from gongfu.node.quantities import parse_seconds

_AGO = re.compile(r"\d+(\.\d+)?\s*(s|m|min|h|d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A point that was asked for."""

    series: int
    label: str
    unit: str


def time_of(text: str, now_ns: int) -> str:
    """Return RFC 3339 of ``now``, of a duration ago (``90s``, ``15m``, ``24h``, ``7d``) or of RFC 3339 with a zone.

    Raises:
        Failure: it is none of these.
    """
    if text == "now":
        return format_rfc3339(now_ns)
    if _AGO.fullmatch(text):
        return format_rfc3339(max(now_ns - int(parse_seconds(text) * SECOND), 0))
    try:
        return format_rfc3339(parse_rfc3339(text))
    except ValueError:
        remedy = "write now, a duration ago such as 24h, or 2026-01-31T08:00:00+08:00"
        raise Failure(f"{text!r} is not a time", remedy, 2, "usage") from None


def choose(api: NodeApi, texts: tuple[str, ...]) -> list[Chosen]:
    """Return the points of ``SERIES``, ``ASSET:POINT`` or ``ASSET`` (all points of it and below it).

    Raises:
        Failure: one of them is not there.
    """
    chosen: dict[int, Chosen] = {}
    for text in texts:
        for point in _points(api, text):
            series = int(point["series"])
            chosen[series] = Chosen(series, f"{point['asset_path']}:{point['name']}", point.get("unit") or "")
    return list(chosen.values())


def _points(api: NodeApi, text: str) -> list[dict[str, Any]]:
    if text.isascii() and text.isdigit():
        # The API finds points below an asset, not by number; the label is then the number.
        return [{"series": int(text), "asset_path": "series", "name": text}]
    asset = _asset(api, text)
    if asset is not None:
        points = api.items("/points", asset=asset["id"], subtree="true")
        if points:
            return points
        raise Failure(f"asset {text!r} has no points", "", NOT_FOUND, "not-found")
    # An asset or a point may have colons in its name, so every split is tried.
    for position in (i for i, c in enumerate(text) if c == ":"):
        path, name = text[:position], text[position + 1 :]
        asset = _asset(api, path)
        if asset is not None:
            found = [point for point in api.items("/points", asset=asset["id"], search=name) if point["name"] == name]
            if found:
                return found
    raise Failure(
        f"there is no asset or point {text!r}",
        "write a series number, ASSET:POINT or ASSET; `gongfu device list` shows asset paths",
        NOT_FOUND,
        "not-found",
    )


def _asset(api: NodeApi, path: str) -> dict[str, Any] | None:
    if not path:
        return None
    return next((dict(asset) for asset in api.items("/assets", path=path) if asset["path"] == path), None)
