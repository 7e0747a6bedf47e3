"""Vibration of machines: RMS and kurtosis over windows of a second, an alarm, and a chart."""

from typing import Any

from gongfu.appkit.contract import App, Context, JobRun, Request, Window

from .analysis import kurtosis, rms

app = App()

# mm/s. Boundary of zones B and C of ISO 20816-3 for large machines on rigid foundations; below the second one, with
# some distance so that the alarm does not chatter, it returns.
RAISE_AT = 4.5
RETURN_AT = 3.6
# Windows in a row that must be above.
WINDOWS = 3
# How long the chart's values are kept.
KEPT_S = 3600


@app.on("vibration", window="1s", lateness="500ms")
def watch(context: Context, window: Window) -> None:
    """Compute both figures of a window, store them, and decide about the alarm."""
    samples = window["vibration"].good
    if len(samples) < 8:
        return
    strength, impulsiveness = rms(samples.values), kurtosis(samples.values)
    context.write(window.asset, "vibration rms", [window.end], [strength], unit="mm/s")
    context.write(window.asset, "vibration kurtosis", [window.end], [impulsiveness], unit="1")
    context.records.execute(
        "INSERT INTO trend (asset, time, rms, kurtosis) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        window.asset,
        window.end,
        strength,
        impulsiveness,
    )
    # The state is stored with the position in the data: a crash neither loses nor repeats a window of the three.
    above = window.state["above"] = window.state.get("above", 0) + 1 if strength > RAISE_AT else 0
    if above >= WINDOWS:
        message = f"vibration RMS {strength:.1f} mm/s is above {RAISE_AT} mm/s"
        context.raise_alarm(
            "rms", window.asset, message, time=window.end, point="vibration", priority="high", value=strength
        )
    elif strength < RETURN_AT:
        context.return_alarm("rms", window.asset, time=window.end, value=strength)


@app.route("GET", "/trend")
def trend(context: Context, request: Request) -> dict[str, Any]:
    """Return the last figures of every asset, for the chart."""
    rows = context.records.query(
        "SELECT asset, time / 1000000 AS ms, rms, kurtosis FROM trend ORDER BY time DESC LIMIT ?",
        min(int(request.query.get("limit", "300")), 2000),
    )
    return {"raise_at": RAISE_AT, "rows": rows[::-1]}


@app.job(every="10min")
def tidy(context: Context, run: JobRun) -> None:
    """Remove what the chart needs no more."""
    newest = context.records.query("SELECT max(time) AS time FROM trend")[0]["time"] or 0
    context.records.execute("DELETE FROM trend WHERE time < ?", newest - KEPT_S * 10**9)


@app.health
def healthy(context: Context) -> None:
    """Raise when this version cannot work: the node then goes back to the one before."""
    context.records.query("SELECT count(*) AS n FROM trend")
