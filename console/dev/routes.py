"""Routes of the stand-in: (method, path pattern, handler(query, body, user, *groups)). Development only."""

import json
import time

from answers import ALARMS, DROPS, PLANT, RULES, USERS, Refusal, _change, _page, _seconds, overview, session
from plant import STARTED, iso

EVENTS = [
    {
        "id": f"e{n}",
        "asset_path": "nab/machine",
        "kind": "labelled_failure",
        "from": iso(start),
        "to": iso(start + 600),
        "text": "labelled failure",
        "source": "NAB",
    }
    for n in range(3)
    for start in [STARTED - STARTED % 3600 + 3600 * n - 1200]
]


def _change_password(q: dict, b: dict, user: str) -> tuple[int, object]:
    if USERS[user]["password"] != b["old"]:
        raise Refusal(400, "invalid-request", "The old password is wrong")
    if len(b["new"]) < 12:
        raise Refusal(400, "invalid-request", "A password has at least 12 characters")
    USERS[user]["must_change_password"] = False
    return 200, session(user)


def _devices(q: dict, b: dict, user: str) -> tuple[int, object]:
    items = [d for d in PLANT.devices.values() if q.get("search", "").lower() in (d["name"] + d["asset_path"]).lower()]
    if "online" in q:
        items = [d for d in items if d["online"] == (q["online"] == "true")]
    return _page(items, q)


def _device(kind: str):
    def handle(q: dict, b: dict, user: str, number: str) -> tuple[int, object]:
        device = PLANT.devices.get(int(number))
        if device is None:
            raise Refusal(404, "not-found", f"device {number}")
        if kind == "delete":
            del PLANT.devices[int(number)]
            return 204, None
        if kind == "patch":
            device.update(b)
        if kind == "secret":
            return 200, {"secret": "gfs_9vKq2mWx7TzR4bNc8hLd"}
        if kind == "send":
            payload = json.loads(b["payload"])
            if payload.get("method") == "setDisturbance":
                n, on = payload["params"]["number"], payload["params"]["active"]
                (PLANT.active_faults.add if on else PLANT.active_faults.discard)(n)
            return 200, {"delivered": device["online"]}
        return 200, device

    return handle


def _create_device(q: dict, b: dict, user: str) -> tuple[int, object]:
    if any(d["name"] == b["name"] for d in PLANT.devices.values()):
        raise Refusal(409, "conflict", f"there is a device named {b['name']}")
    PLANT.device(b["name"], b.get("asset") or b["name"], False)
    device = list(PLANT.devices.values())[-1]
    return 201, {"device": device, "secret": b.get("secret") or "gfs_9vKq2mWx7TzR4bNc8hLd"}


def _assets(q: dict, b: dict, user: str) -> tuple[int, object]:
    items = list(PLANT.assets.values())
    if "path" in q:
        items = [a for a in items if a["path"] == q["path"]]
    elif "search" in q:
        items = [a for a in items if q["search"].lower() in a["path"].lower()]
    elif "parent" in q:
        items = [a for a in items if (a["parent_id"] or 0) == int(q["parent"])]
    return _page(items, q)


def _asset(q: dict, b: dict, user: str, number: str) -> tuple[int, object]:
    asset = PLANT.assets.get(int(number))
    if asset is None:
        raise Refusal(404, "not-found", f"asset {number}")
    asset.update(b)
    return 200, asset


def _points(q: dict, b: dict, user: str) -> tuple[int, object]:
    items = list(PLANT.points.values())
    if "asset" in q:
        path = PLANT.assets[int(q["asset"])]["path"]
        below = q.get("subtree") == "true"
        items = [p for p in items if p["asset_path"] == path or (below and p["asset_path"].startswith(path + "/"))]
    if "search" in q:
        words = q["search"].lower().split()
        items = [p for p in items if all(w in f"{p['asset_path']}/{p['name']}".lower() for w in words)]
    status, page = _page(items, q)
    page["items"] = [PLANT.document(p["series"]) for p in page["items"]]
    return status, page


def _rules(q: dict, b: dict, user: str) -> tuple[int, object]:
    return _page(list(RULES.values()), q)


def _save_rule(q: dict, b: dict, user: str, number: str = "") -> tuple[int, object]:
    key = int(number) if number else max(RULES, default=0) + 1
    RULES[key] = {**b, "id": key, "status": {"series": 1, "active": 0, "evaluated": 0, "error": None}}
    return 200 if number else 201, RULES[key]


def _drop_rule(q: dict, b: dict, user: str, number: str) -> tuple[int, object]:
    RULES.pop(int(number), None)
    return 204, None


def _alarms(q: dict, b: dict, user: str) -> tuple[int, object]:
    state = q.get("state", "active")
    items = sorted(ALARMS.values(), key=lambda a: a["raised_at"], reverse=True)
    if state != "all":
        items = [a for a in items if a["state"] != "closed"]
    if state == "unacknowledged":
        items = [a for a in items if a["state"].startswith("un")]
    if "priority" in q:
        items = [a for a in items if a["priority"] == q["priority"]]
    if "asset" in q:
        items = [a for a in items if a["asset_path"].startswith(q["asset"].rstrip("*/"))]
    return _page([{k: v for k, v in a.items() if k not in ("journal", "touched")} for a in items], q)


def _alarm(kind: str):
    def handle(q: dict, b: dict, user: str, key: str) -> tuple[int, object]:
        alarm = ALARMS.get(key)
        if alarm is None:
            raise Refusal(404, "not-found", f"alarm {key}")
        if kind == "acknowledge":
            alarm.update(acknowledged_at=iso(time.time()), acknowledged_by=user)
            _change(
                alarm, "closed" if alarm["returned_at"] else "acknowledged_active", "acknowledged", user, b["comment"]
            )
        if kind == "clear":
            alarm["closed_at"] = iso(time.time())
            _change(alarm, "closed", "cleared", user, b["comment"])
        return 200, alarm

    return handle


def _sql(q: dict, b: dict, user: str) -> tuple[int, object]:
    if "select" not in b["query"].lower():
        raise Refusal(400, "invalid-query", "Only SELECT is possible; line 1, column 1")
    rows = [
        [p["asset_path"], p["name"], p["unit"], PLANT.latest(s)["value"]]
        for s, p in list(PLANT.points.items())[:60]
        if PLANT.latest(s)
    ]
    return 200, {
        "columns": [
            {"name": n, "type": t}
            for n, t in [("asset", "String"), ("point", "String"), ("unit", "String"), ("value", "Float64")]
        ],
        "rows": rows,
        "truncated": True,
        "elapsed_ms": 12.4,
    }


def _models(q: dict, b: dict, user: str) -> tuple[int, object]:
    return 200, [
        {
            "id": "tep-energy",
            "name": "TEP reactor heat balance",
            "version": "1.0.0",
            "description": "Heat removed by the cooling water against reaction heat.",
            "inputs": [
                {"name": "temperature", "unit": "Cel", "point": "reactor/xmeas_09"},
                {"name": "water", "unit": "Cel", "point": "reactor/xmeas_21"},
            ],
            "outputs": [{"name": "heat", "unit": "kW", "point": "reactor/heat_removed"}],
            "bindings": [
                {
                    "asset_path": "tep",
                    "status": "running",
                    "error": None,
                    "evaluated": 5021,
                    "last_at": iso(time.time()),
                },
                {
                    "asset_path": "nab",
                    "status": "error",
                    "error": "point reactor/xmeas_09 is missing",
                    "evaluated": 0,
                    "last_at": None,
                },
            ],
        }
    ]


def _users(q: dict, b: dict, user: str) -> tuple[int, object]:
    keys = ("id", "name", "role", "language", "must_change_password", "enabled", "created_at")
    return _page([{**{k: u[k] for k in keys}, "tenant_id": 1, "tenant_name": "node"} for u in USERS.values()], q)


def _drops(q: dict, b: dict, user: str) -> tuple[int, object]:
    names = {d["name"]: d["id"] for d in PLANT.devices.values()}
    items = [{**d, "device_id": names.get(d["device"], 0), "last_at": iso(time.time() - 100)} for d in DROPS]
    return _page([d for d in items if q.get("device", str(d["device_id"])) == str(d["device_id"])], q)


def _audit(q: dict, b: dict, user: str) -> tuple[int, object]:
    return _page(
        [
            {
                "id": n,
                "time": iso(time.time() - 60 * n),
                "user": "admin",
                "action": "device.create",
                "resource": f"device/pump-{n:03d}",
                "detail": "",
            }
            for n in range(1, 140)
        ],
        q,
    )


ROUTES = [
    ("GET", "/session", lambda q, b, u: (200, session(u))),
    ("DELETE", "/session", lambda q, b, u: (204, None)),
    ("PATCH", "/session", lambda q, b, u: (200, session(u))),
    ("POST", "/session:changePassword", _change_password),
    ("GET", "/overview", lambda q, b, u: (200, overview())),
    ("GET", "/devices", _devices),
    ("POST", "/devices", _create_device),
    ("GET", r"/devices/(\d+)", _device("get")),
    ("PATCH", r"/devices/(\d+)", _device("patch")),
    ("DELETE", r"/devices/(\d+)", _device("delete")),
    ("POST", r"/devices/(\d+):rotateSecret", _device("secret")),
    ("POST", r"/devices/(\d+):send", _device("send")),
    ("GET", "/assets", _assets),
    ("GET", r"/assets/(\d+)", _asset),
    ("PATCH", r"/assets/(\d+)", _asset),
    ("GET", "/points", _points),
    ("POST", "/series:query", lambda q, b, u: (200, PLANT.query(b, _seconds(b["from"]), _seconds(b["to"])))),
    ("POST", "/series:latest", lambda q, b, u: (200, {"items": [PLANT.latest(s) for s in b["series"]]})),
    ("POST", "/sql", _sql),
    ("GET", "/rules", _rules),
    ("POST", "/rules", _save_rule),
    ("PUT", r"/rules/(\d+)", _save_rule),
    ("DELETE", r"/rules/(\d+)", _drop_rule),
    ("GET", r"/rules/(\d+)", lambda q, b, u, n: (200, RULES[int(n)])),
    ("GET", "/alarms", _alarms),
    ("GET", "/alarms/([^/:]+)", _alarm("get")),
    ("POST", "/alarms/([^/:]+):acknowledge", _alarm("acknowledge")),
    ("POST", "/alarms/([^/:]+):clear", _alarm("clear")),
    ("GET", "/models", _models),
    ("PUT", "/models/([^/]+)/bindings", lambda q, b, u, m: (200, {})),
    (
        "GET",
        "/events",
        lambda q, b, u: _page([e for e in EVENTS if not q.get("asset") or e["asset_path"].startswith(q["asset"])], q),
    ),
    ("GET", "/users", _users),
    ("POST", "/users", lambda q, b, u: (201, {"user": {**b, "id": 9}, "password": "once-9182-kwq1"})),
    ("PATCH", r"/users/(\d+)", lambda q, b, u, n: (200, {})),
    ("DELETE", r"/users/(\d+)", lambda q, b, u, n: (204, None)),
    ("GET", "/tenants", lambda q, b, u: _page([{"id": 1, "name": "node", "created_at": iso(STARTED)}], q)),
    ("POST", "/tenants", lambda q, b, u: (201, {"id": 2, **b})),
    ("GET", "/drops", _drops),
    ("GET", "/audit", _audit),
    ("GET", "/health", lambda q, b, u: (200, {"status": "ok"})),
]
