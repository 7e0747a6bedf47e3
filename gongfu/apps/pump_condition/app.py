"""Condition of pumps and their control valves: figures by window, compared with the nameplate."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from gongfu.appkit.contract import App, AppError, Context, JobRun, Priority, Request, Window

from .diagnosis import INPUTS, OPTIONAL, Figures, Finding, State, diagnose, figures
from .nameplate import Nameplate

app = App()

TYPE = "CentrifugalPump"
PRIORITIES: dict[str, Priority] = {"cavitation": "high", "leakage": "high", "valve passes": "high"}
SHOWN = ("head", "expected_head", "efficiency", "expected_efficiency", "energy", "npsh", "required_npsh", "leakage")
SHOWN_VALVE = ("kv", "expected_kv", "sigma")
KEPT_NS = 3 * 86_400 * 10**9
MOST_WINDOWS = 5000


@app.on(*INPUTS, *OPTIONAL, type=TYPE, window="20s", lateness="5s")
def watch(context: Context, window: Window) -> None:
    """Compute the figures of a window, compare them, and raise and return alarms."""
    means = {name: float(window[name].good.values.mean()) for name in (*INPUTS, *OPTIONAL) if len(window[name].good)}
    if any(name not in means for name in INPUTS):
        return
    nameplate = _nameplate(context, window.asset)
    state = State(**window.state.get("diagnosis", {}))
    before = set(state.standing)
    found = figures(means, nameplate)
    findings = diagnose(found, state, nameplate)
    _write(context, window, found, state)
    _alarms(context, window, before, state, findings)
    _keep(context, window, means["speed"], found)
    window.state["diagnosis"] = asdict(state)


@app.route("GET", "/pumps")
def pumps(context: Context, request: Request) -> dict[str, Any]:
    """Return the pumps that were seen, with the findings that stand."""
    rows = context.records.query("SELECT asset, max(time) / 1000000 AS ms FROM figure GROUP BY asset ORDER BY asset")
    standing = context.records.query("SELECT asset, key, text FROM finding WHERE ended IS NULL ORDER BY asset, key")
    for row in rows:
        row["findings"] = [one for one in standing if one["asset"] == row["asset"]]
    return {"pumps": rows}


@app.route("GET", "/pump")
def pump(context: Context, request: Request) -> dict[str, Any]:
    """Return the nameplate, the newest windows and the findings of a pump: ``?asset=…&windows=360``."""
    asset = request.query.get("asset", "")
    try:
        count = min(max(int(request.query.get("windows", "360")), 1), MOST_WINDOWS)
    except ValueError:
        raise AppError(400, "windows is a whole number") from None
    rows = context.records.query(
        "SELECT time / 1000000 AS ms, * FROM figure WHERE asset = ? ORDER BY time DESC LIMIT ?", asset, count
    )
    found = context.records.query(
        "SELECT key, began / 1000000 AS began_ms, ended / 1000000 AS ended_ms, text FROM finding WHERE asset = ? "
        "ORDER BY began DESC LIMIT 100",
        asset,
    )
    nameplate = _nameplate(context, asset)
    return {"nameplate": nameplate.plain(), "curve": _curve(nameplate), "windows": rows[::-1], "findings": found}


@app.route("PUT", "/nameplate", role="engineer")
def put_nameplate(context: Context, request: Request) -> dict[str, Any]:
    """Set the nameplate of a pump (``?asset=…``); members that are left out are those of the example."""
    asset = request.query.get("asset", "")
    if not asset:
        raise AppError(400, "name the pump: ?asset=…")
    try:
        document = json.loads(request.body or b"{}")
        if not isinstance(document, dict):
            raise ValueError("a nameplate is a JSON object")
        nameplate = Nameplate.of(document)
    except ValueError as error:
        raise AppError(400, str(error)) from None
    context.records.execute(
        "INSERT INTO nameplate (asset, document) VALUES (?, ?) ON CONFLICT DO UPDATE SET document = excluded.document",
        *(asset, json.dumps(nameplate.plain())),
    )
    return nameplate.plain()


@app.job(every="1h")
def tidy(context: Context, run: JobRun) -> None:
    """Remove figures that are older than three days, by the newest of each pump."""
    for row in context.records.query("SELECT asset, max(time) AS newest FROM figure GROUP BY asset"):
        oldest = row["newest"] - KEPT_NS
        context.records.execute("DELETE FROM figure WHERE asset = ? AND time < ?", row["asset"], oldest)
        context.records.execute("DELETE FROM finding WHERE asset = ? AND ended < ?", row["asset"], oldest)


@app.health
def healthy(context: Context) -> None:
    """Raise when the tables are not as this version needs them."""
    context.records.query("SELECT asset, time, speed, flow, head, sigma FROM figure LIMIT 1")
    context.records.query("SELECT asset, document FROM nameplate LIMIT 1")


def _nameplate(context: Context, asset: str) -> Nameplate:
    rows = context.records.query("SELECT document FROM nameplate WHERE asset = ?", asset)
    return Nameplate.of(json.loads(rows[0]["document"])) if rows else Nameplate()


def _write(context: Context, window: Window, found: Figures, state: State) -> None:
    """Write deviations from the nameplate and how many findings stand as points."""
    for point, value, expected in (
        ("pump head deviation", found.head, found.expected_head),
        ("pump efficiency deviation", found.efficiency, found.expected_efficiency),
    ):
        if value is not None and expected:
            context.write(window.asset, point, [window.end], [100.0 * (value / expected - 1.0)], unit="%")
    context.write(window.asset, "pump findings", [window.end], [float(len(state.standing))], unit="1")


def _alarms(context: Context, window: Window, before: set[str], state: State, findings: Sequence[Finding]) -> None:
    """Raise what began and return what ended; again after a crash this changes nothing."""
    asset, end = window.asset, window.end
    for finding in findings:
        if finding.key in before:
            continue
        priority = PRIORITIES.get(finding.key, "medium")
        context.raise_alarm(finding.key, asset, finding.text, time=end, priority=priority, value=finding.height)
        context.records.execute(
            "INSERT INTO finding (asset, key, began, text) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            *(asset, finding.key, end, finding.text),
        )
    for key in sorted(before - set(state.standing)):
        context.return_alarm(key, asset, time=end)
        context.records.execute(
            "UPDATE finding SET ended = ? WHERE asset = ? AND key = ? AND ended IS NULL", end, asset, key
        )


def _keep(context: Context, window: Window, speed: float, found: Figures) -> None:
    """Keep the window for the page."""
    values = [getattr(found, name) for name in (*SHOWN, *SHOWN_VALVE)]
    context.records.execute(
        "INSERT INTO figure (asset, time, speed, flow, head, expected_head, efficiency, expected_efficiency, energy, "
        "npsh, required_npsh, leakage, kv, expected_kv, sigma) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        *(window.asset, window.end, speed, found.flow, *values),
    )


def _curve(nameplate: Nameplate) -> list[dict[str, float]]:
    """Return the nameplate's curves at rated speed, for the page."""
    flows = [nameplate.flow * step / 20 for step in range(33)]
    return [
        {
            "flow": flow,
            "head": nameplate.expected_head(flow, nameplate.speed),
            "efficiency": nameplate.expected_efficiency(flow, nameplate.speed),
        }
        for flow in flows
    ]
