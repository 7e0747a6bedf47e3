"""Anomalies of single signals of machines: each hour is judged by the four weeks before it."""

from typing import Any

from gongfu.appkit.contract import App, AppError, Context, JobRun, Request, Window

from .baseline import WARM_UP
from .detector import SIDES, Judgement, Memory, judge
from .explanation import explain

app = App()

POINTS = ("temperature",)
HOUR_NS = 3_600 * 10**9
# How long the page's figures are kept.
KEPT_HOURS = 24 * 120
MOST_HOURS = 10_000


@app.on(*POINTS, window="1h", lateness="1min")
def watch(context: Context, window: Window) -> None:
    """Judge the hour of each signal of an asset."""
    for point in POINTS:
        samples = window[point].good
        if not len(samples):
            continue
        memory = Memory.of(window.state.get(point, {}))
        mean = float(samples.values.mean())
        judgement = judge(memory, window.start // HOUR_NS, mean)
        _tell(context, window, point, samples.unit, mean, judgement)
        window.state[point] = memory.plain()


@app.route("GET", "/signals")
def signals(context: Context, request: Request) -> dict[str, Any]:
    """Return the signals that are watched, those with alarms first."""
    rows = context.records.query(
        "SELECT asset, point, unit, first / 1000000 AS first_ms, last / 1000000 AS last_ms, "
        "(SELECT count(*) FROM alarm AS a WHERE a.asset = s.asset AND a.point = s.point AND ended IS NULL) AS standing "
        "FROM signal AS s ORDER BY standing DESC, asset, point LIMIT 500"
    )
    return {"warm_up_hours": WARM_UP, "signals": rows}


@app.route("GET", "/signal")
def signal(context: Context, request: Request) -> dict[str, Any]:
    """Return hours and alarms of a signal: ``?asset=…&point=…&hours=2000``."""
    place = (request.query.get("asset", ""), request.query.get("point", ""))
    try:
        hours = min(max(int(request.query.get("hours", "2000")), 1), MOST_HOURS)
    except ValueError:
        raise AppError(400, "hours is a whole number") from None
    rows = context.records.query(
        "SELECT time / 1000000 AS ms, mean, score, low, high FROM hour WHERE asset = ? AND point = ? "
        "ORDER BY time DESC LIMIT ?",
        *place,
        hours,
    )
    alarms = context.records.query(
        "SELECT side, began / 1000000 AS began_ms, ended / 1000000 AS ended_ms, text FROM alarm "
        "WHERE asset = ? AND point = ? ORDER BY began DESC LIMIT 200",
        *place,
    )
    return {"hours": rows[::-1], "alarms": alarms}


@app.job(every="1h")
def tidy(context: Context, run: JobRun) -> None:
    """Remove what the page needs no more."""
    for row in context.records.query("SELECT asset, point, last FROM signal"):
        place = (row["asset"], row["point"], row["last"] - KEPT_HOURS * HOUR_NS)
        with context.records.transaction():
            context.records.execute("DELETE FROM hour WHERE asset = ? AND point = ? AND time < ?", *place)
            context.records.execute("DELETE FROM alarm WHERE asset = ? AND point = ? AND ended < ?", *place)


@app.health
def healthy(context: Context) -> None:
    """Raise when the tables are not as this version needs them."""
    context.records.query("SELECT asset, point, time, mean, score, low, high FROM hour LIMIT 1")
    context.records.query("SELECT side, began, ended, text FROM alarm LIMIT 1")


def _tell(context: Context, window: Window, point: str, unit: str, mean: float, judgement: Judgement) -> None:
    """Write the score, keep the hour for the page, and raise and return alarms. Again after a crash changes nothing."""
    asset, end = window.asset, window.end
    context.write(asset, f"{point} anomaly", [end], [judgement.index], unit="1")
    low, high = judgement.bounds if judgement.bounds is not None else (None, None)
    with context.records.transaction():
        context.records.execute(
            "INSERT INTO hour (asset, point, time, mean, score, low, high) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING",
            *(asset, point, end, mean, judgement.index, low, high),
        )
        context.records.execute(
            "INSERT INTO signal (asset, point, unit, first, last) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET unit = excluded.unit, last = excluded.last",
            *(asset, point, unit, end, end),
        )
        for side in judgement.raised:
            context.records.execute(
                "INSERT INTO alarm (asset, point, side, began, text) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                *(asset, point, side, end, explain(side, judgement.findings, unit)),
            )
        for side in judgement.returned:
            context.records.execute(
                "UPDATE alarm SET ended = ? WHERE asset = ? AND point = ? AND side = ? AND ended IS NULL",
                *(end, asset, point, side),
            )
    for side in SIDES:
        key = f"{point} {side}"
        if side in judgement.raised:
            message = f"{point}: {explain(side, judgement.findings, unit)}"
            context.raise_alarm(key, asset, message, time=end, point=point, priority="high", value=mean)
        elif side in judgement.returned:
            context.return_alarm(key, asset, time=end, value=mean)
