"""What the demo sets up on the node, through the REST API. Running it again changes nothing that is already there."""

import json
import os
from pathlib import Path
from typing import Any

from demo.api import Api, ApiError
from demo.nab import rules as nab_rules
from demo.nab.series import ASSET as MACHINE
from demo.nab.series import POINT as MACHINE_POINT
from demo.nab.series import Window, read_windows
from demo.tep import rules as tep_rules
from demo.tep.variables import ASSETS as PLANT_ASSETS
from demo.tep.variables import VARIABLES

PLANT = "tep"
PLANT_DEVICE = "tep-plant"
MACHINE_DEVICE = "nab-machine"
MODEL = "tennessee-eastman.reactor-cooling"
MODEL_ASSET = f"{PLANT}/reactor"
EVENT_KIND = "labelled_failure"

# The device may answer commands; everything else it may publish by default.
PLANT_FILTERS = ["v1/devices/me/rpc/response/+"]


def ensure_device(api: Api, kept: dict[str, str], name: str, asset: str, publish_filters: list[str]) -> str:
    """Return the secret of a device, making the device or a new secret when needed.

    Args:
        api: client of the node.
        kept: secrets by device name of earlier starts; changed here.
        name: device name.
        asset: path of its asset.
        publish_filters: topics it may publish beside telemetry.
    """
    found = [device for device in api.items("/devices", search=name) if device["name"] == name]
    if not found:
        answer = api.post("/devices", {"name": name, "asset": asset, "publish_filters": publish_filters})
        kept[name] = answer["secret"]
    elif name not in kept:
        kept[name] = api.post(f"/devices/{found[0]['id']}:rotateSecret")["secret"]
    return kept[name]


def ensure_assets(api: Api) -> None:
    """Make the assets of both demos, and mark their roots with the attribute that the console's demo page looks for."""
    attributes: dict[str, dict[str, Any]] = {PLANT: {"demo": "tep"}, MACHINE: {"demo": "nab"}}
    for path in (PLANT, *(f"{PLANT}/{name}" for name in PLANT_ASSETS), MACHINE):
        found = _asset(api, path)
        wanted = attributes.get(path, {})
        if found is None:
            api.post("/assets", {"path": path, "attributes": wanted})
        elif not wanted.items() <= found["attributes"].items():
            api.patch(f"/assets/{found['id']}", {"attributes": {**found["attributes"], **wanted}})


def ensure_devices(api: Api, store: Path) -> dict[str, str]:
    """Make both devices and return their secrets by name; kept in ``store`` (mode 0600) for later starts."""
    try:
        kept: dict[str, str] = json.loads(store.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = {}
    ensure_device(api, kept, PLANT_DEVICE, PLANT, PLANT_FILTERS)
    ensure_device(api, kept, MACHINE_DEVICE, MACHINE, [])
    descriptor = os.open(store, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(kept, file)
    return kept


def ensure_rules(api: Api) -> int:
    """Make the rules that are not there, by name, and return how many. Rules that the user changed stay as they are."""
    there = {rule["name"] for rule in api.items("/rules")}
    missing = [rule for rule in (*tep_rules.RULES, *nab_rules.RULES) if rule["name"] not in there]
    for rule in missing:
        api.post("/rules", rule)
    return len(missing)


def ensure_model(api: Api) -> None:
    """Bind the reactor model to the reactor."""
    models = {model["id"]: model for model in _list(api.get("/models"))}
    if not any(binding["asset_path"] == MODEL_ASSET for binding in models[MODEL].get("bindings", [])):
        api.put(f"/models/{MODEL}/bindings", {"asset": MODEL_ASSET})


def ensure_events(api: Api) -> int:
    """Post the labelled failures of the machine that are not there; return how many were posted."""
    windows = read_windows()
    there = {_moment(event["from"]) for event in api.items("/events", asset=MACHINE) if event["kind"] == EVENT_KIND}
    missing = [window for window in windows if _moment(window.start) not in there]
    for window in missing:
        api.post("/events", _event(window))
    return len(missing)


def describe_points(api: Api) -> int:
    """Set unit and description of the points that exist and have no unit yet; return how many of ours still lack one.

    Points exist from their first value on, so this is called until it returns 0.
    """
    wanted = {(f"{PLANT}/{v.asset}", v.name): (v.unit, v.description) for v in VARIABLES}
    wanted[PLANT, "simulated_hours"] = ("h", "simulated time since the last start of the plant")
    for point in _plant_points(api):
        key = (point["asset_path"], point["name"])
        if key not in wanted:
            continue
        unit, description = wanted.pop(key)
        if point.get("unit") != unit or point.get("description") != description:
            api.patch(f"/points/{point['series']}", {"unit": unit, "description": description})
    return len(wanted)


def newest_machine_time_ms(api: Api) -> int | None:
    """Return the source time of the newest sample of the machine, ms since the epoch, or None."""
    from datetime import datetime

    asset = _asset(api, MACHINE)
    if asset is None:
        return None
    for point in api.items("/points", asset=asset["id"]):
        if point["name"] == MACHINE_POINT and point.get("latest"):
            return round(datetime.fromisoformat(point["latest"]["time"]).timestamp() * 1000)
    return None


def _plant_points(api: Api) -> list[dict[str, Any]]:
    asset = _asset(api, PLANT)
    return [] if asset is None else list(api.items("/points", asset=asset["id"], subtree="true"))


def _asset(api: Api, path: str) -> dict[str, Any] | None:
    try:
        return next((asset for asset in api.items("/assets", path=path) if asset["path"] == path), None)
    except ApiError as error:
        if error.status == 404:
            return None
        raise


def _event(window: Window) -> dict[str, Any]:
    return {
        "asset": MACHINE,
        "kind": EVENT_KIND,
        "from": window.start,
        "to": window.end,
        "text": "Labelled failure of the machine (Numenta Anomaly Benchmark, combined windows)",
        "source": "numenta/NAB labels/combined_windows.json",
    }


def _moment(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def _list(document: Any) -> list[Any]:
    return document["items"] if isinstance(document, dict) else document
