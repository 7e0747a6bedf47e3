"""Process monitoring of plants: learns from a period of normal operation, judges every sample after it."""

import json
from datetime import datetime
from typing import Any

from gongfu.appkit.contract import App, AppError, Context, JobRun, Request

from . import keeping
from .gathering import HELD_PERIODS, SECOND
from .watching import learn, watch

app = App()

# After a sample's time, before it is judged: devices, network and history need their time.
SETTLE_NS = 5 * SECOND
MOST_MONITORS = 50
LONGEST_NAME = 100


@app.job(every="5s", missed="skip", timeout="5min")
def work(context: Context, run: JobRun) -> None:
    """Let each monitor learn what it was asked to, and judge what has come since."""
    until = context.now() - SETTLE_NS
    for kept in keeping.monitors(context.records):
        try:
            if kept.state == "asked" and kept.asked_to is not None and kept.asked_to <= until:
                learn(context, kept)
                kept = keeping.monitor(context.records, kept.name)
            if kept.trained is not None:
                watch(context, kept, until)
        except (AppError, PermissionError) as error:
            # Of this monitor alone; it is tried again.
            context.log(f"monitor {kept.name}: {error}", "warning")
            keeping.note(context.records, kept.id, str(error))


@app.route("GET", "/monitors")
def listed(context: Context, request: Request) -> dict[str, Any]:
    """Return the monitors with what they learnt."""
    return {"monitors": [_shown(context, kept) for kept in keeping.monitors(context.records)]}


@app.route("PUT", "/monitors/{name}", role="engineer")
def put(context: Context, request: Request) -> dict[str, Any]:
    """Make a monitor: ``{"asset": "tep", "point": "*", "period_s": 1.5, "learn_next": 500}``. One that is there stays.

    With ``learn_next`` it learns by itself from so many samples that come next.
    """
    name = request.path["name"]
    if any(kept.name == name for kept in keeping.monitors(context.records)):
        return _shown(context, keeping.monitor(context.records, name))
    body = _body(request)
    asset, point = str(body.get("asset", "")).strip("/"), str(body.get("point", "*"))
    if not asset or not 1 <= len(name) <= LONGEST_NAME:
        raise AppError(400, f"a monitor has a name of at most {LONGEST_NAME} characters and the path of an asset")
    if len(keeping.monitors(context.records)) >= MOST_MONITORS:
        raise AppError(409, f"there are {MOST_MONITORS} monitors already")
    period = round(_number(body, "period_s", 60.0, 0.1, 3600.0) * SECOND)
    count = round(_number(body, "learn_next", 0.0, 0.0, 100_000.0))
    now = context.now()
    keeping.add(context.records, name, asset, point, period, (now, now + count * period) if count else None)
    return _shown(context, keeping.monitor(context.records, name))


@app.route("DELETE", "/monitors/{name}", role="engineer")
def delete(context: Context, request: Request) -> dict[str, Any]:
    """Remove a monitor; its alarm returns. The points it wrote stay, as all history does."""
    kept = keeping.monitor(context.records, request.path["name"])
    context.return_alarm(f"monitor {kept.name}", kept.asset, time=context.now())
    keeping.remove(context.records, kept.id)
    return {"removed": kept.name}


@app.route("POST", "/monitors/{name}/train", role="engineer")
def train_on(context: Context, request: Request) -> dict[str, Any]:
    """Ask a monitor to learn: ``{"from": "2026-01-01T00:00:00Z", "to": …}`` or ``{"last_s": 3600}``."""
    kept = keeping.monitor(context.records, request.path["name"])
    body = _body(request)
    if "last_s" in body:
        end = context.now()
        start = end - round(_number(body, "last_s", 0.0, 1.0, 400 * 86_400.0) * SECOND)
    else:
        start, end = _moment(body, "from"), _moment(body, "to")
    if end - start <= 2 * HELD_PERIODS * kept.period:
        raise AppError(400, f"the period is shorter than {2 * HELD_PERIODS} samples of the monitor")
    keeping.ask(context.records, kept.id, start, end)
    return _shown(context, keeping.monitor(context.records, kept.name))


@app.route("GET", "/monitors/{name}/trend")
def trend(context: Context, request: Request) -> dict[str, Any]:
    """Return the newest samples (``?samples=500``, at most 5,000) and the alarms."""
    kept = keeping.monitor(context.records, request.path["name"])
    count = min(max(_whole(request.query.get("samples", "500"), "samples"), 1), 5000)
    return {
        "monitor": _shown(context, kept),
        "samples": keeping.trend(context.records, kept.id, count),
        "alarms": keeping.alarms(context.records, kept.id),
    }


@app.route("GET", "/monitors/{name}/contributions")
def contributions(context: Context, request: Request) -> dict[str, Any]:
    """Return the greatest contributions at a time (``?ms=…`` since 1970), or to the newest sample."""
    kept = keeping.monitor(context.records, request.path["name"])
    ms = request.query.get("ms")
    return keeping.parts(context.records, kept.id, None if ms is None else _whole(ms, "ms"))


@app.health
def healthy(context: Context) -> None:
    """Raise when the tables are not as this version needs them."""
    keeping.monitors(context.records)
    context.records.query("SELECT monitor, time, t2, q, score, parts FROM sample LIMIT 1")


def _shown(context: Context, kept: keeping.Kept) -> dict[str, Any]:
    left_out = [
        {"variable": one.name, "reason": one.reason}
        for one in keeping.variables(context.records, kept.id)
        if one.used < 0
    ]
    return {
        "name": kept.name,
        "asset": kept.asset,
        "period_s": kept.period / SECOND,
        "state": kept.state,
        "detail": kept.detail,
        "learns_until_ms": kept.asked_to // 10**6 if kept.state == "asked" and kept.asked_to else None,
        "standing": kept.alarm_run.began is not None,
        "learnt": json.loads(kept.summary),
        "left_out": left_out,
    }


def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(request.body or b"{}")
    except ValueError:
        raise AppError(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise AppError(400, "the body is a JSON object")
    return body


def _number(body: dict[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise AppError(400, f"{name} is a number from {low:g} to {high:g}")
    return float(value)


def _whole(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise AppError(400, f"{name} is a whole number") from None


def _moment(body: dict[str, Any], name: str) -> int:
    try:
        found = datetime.fromisoformat(str(body[name]))
    except (KeyError, ValueError):
        raise AppError(400, f"{name} is a time such as 2026-01-01T00:00:00Z") from None
    if found.tzinfo is None:
        raise AppError(400, f"{name} needs a time zone, such as Z")
    return round(found.timestamp() * 1000) * 10**6
