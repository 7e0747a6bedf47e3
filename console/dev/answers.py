"""What the stand-in answers to each request of the REST contract. Development only."""

import math
import random
import re
import threading
import time
from datetime import datetime

from plant import STARTED, Plant, iso

PLANT = Plant()
MACHINE = next(
    s for s, p in PLANT.points.items() if p["name"] == "temperature" and p["unit"] == "Cel" and "nab" in p["asset_path"]
)
RNG = random.Random()
TENANT = {"id": 1, "name": "node"}
USERS = {
    name: {
        "id": n,
        "name": name,
        "role": role,
        "tenant": TENANT,
        "language": None,
        "must_change_password": first,
        "password": name,
        "enabled": True,
        "created_at": iso(STARTED),
    }
    for n, (name, role, first) in enumerate(
        [("admin", "admin", True), ("eng", "engineer", False), ("root", "admin", False), ("look", "viewer", False)], 1
    )
}
RULES: dict[int, dict] = {}
ALARMS: dict[str, dict] = {}
LOCK = threading.Lock()
DROPS = [
    {
        "device": "pump-007",
        "kind": "rejected",
        "reason": "timestamp_in_future",
        "count": 812,
        "last_detail": "source time is 86400 s ahead",
    },
    {"device": "pump-019", "kind": "rejected", "reason": "type_mismatch", "count": 41, "last_detail": "振动: string"},
    {"device": None, "kind": "rejected", "reason": "malformed_json", "count": 3, "last_detail": "byte 17"},
    {"device": "pump-042", "kind": "shed", "reason": "log_unavailable", "count": 120, "last_detail": ""},
]


class Refusal(Exception):
    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


def session(name: str) -> dict:
    user = USERS[name]
    return {"user": {k: user[k] for k in ("id", "name", "role", "tenant", "language", "must_change_password")}}


def _rule(name: str, kind: str, asset: str, point: str, condition: dict, priority: str) -> None:
    number = len(RULES) + 1
    RULES[number] = {
        "id": number,
        "name": name,
        "enabled": True,
        "kind": kind,
        "asset": asset,
        "point": point,
        "condition": condition,
        "priority": priority,
        "message": "",
        "status": {"series": 1, "active": 0, "evaluated": 91822, "error": "unit does not fit" if number == 4 else None},
    }


_rule(
    "反应器压力高 reactor pressure high",
    "threshold",
    "tep/reactor",
    "pressure",
    {"direction": "above", "limit": 2712, "deadband": 4, "delay_s": 3},
    "critical",
)
_rule(
    "机器温度低 machine temperature low",
    "threshold",
    "nab/machine",
    "temperature",
    {"direction": "below", "limit": 60, "deadband": 2, "delay_s": 0},
    "high",
)
_rule("泵离线 pump silent", "absence", "工厂A/泵房/*", "振动", {"timeout_s": 60}, "medium")
_rule("流量突变 flow jump", "rate", "工厂A/泵房/*", "流量", {"direction": "above", "per_s": 0.8, "window_s": 10}, "low")


def _raise(rule: int, series: int, priority: str, value: float, limit: float, age: float = 0) -> None:
    point, at = PLANT.points[series], time.time() - age
    key = f"{rule}-{series}-{int(at)}"
    ALARMS[key] = {
        "id": key,
        "rule_id": rule,
        "rule_name": RULES[rule]["name"],
        "series": series,
        "asset_path": point["asset_path"],
        "point": point["name"],
        "priority": priority,
        "state": "unacknowledged_active",
        "message": f"{point['name']} {value} > {limit}",
        "value": value,
        "limit": limit,
        "unit": point["unit"],
        "raised_at": iso(at),
        "acknowledged_at": None,
        "acknowledged_by": None,
        "returned_at": None,
        "closed_at": None,
        "touched": time.time(),
        "journal": [{"time": iso(at), "change": "raised", "by": None, "comment": "", "value": value}],
    }


def _change(alarm: dict, state: str, change: str, by: str | None, comment: str) -> None:
    now = time.time()
    alarm.update(state=state, touched=now)
    alarm["journal"].append({"time": iso(now), "change": change, "by": by, "comment": comment, "value": None})


def _drive() -> None:
    _raise(1, 7, "critical", 2718.2, 2712, 240)
    _raise(2, MACHINE, "high", 52.1, 60, 1900)
    for n in range(6):
        _raise(3, MACHINE + 1 + 2 * n, "medium", 0, 60, 600 + 60 * n)
    _raise(4, MACHINE + 2, "low", 1.2, 0.8, 90)
    while True:
        time.sleep(7)
        with LOCK:
            open_now = [a for a in ALARMS.values() if a["state"] != "closed"]
            if len(open_now) < 14:
                pick = RNG.choice(
                    [(1, 7, "critical"), (3, MACHINE + 1 + RNG.randrange(40), "medium"), (4, MACHINE + 4, "low")]
                )
                _raise(*pick, round(RNG.uniform(10, 90), 2), 60)
            else:
                pick = RNG.choice(open_now)
                acked = pick["state"] == "acknowledged_active"
                pick["returned_at"] = iso(time.time())
                _change(pick, "closed" if acked else "unacknowledged_returned", "returned", None, "")


threading.Thread(target=_drive, daemon=True).start()


def alarm_clock() -> float:
    return time.time()


def alarms_since(since: float) -> list[dict]:
    with LOCK:
        return [dict(a) for a in ALARMS.values() if a["touched"] >= since - 0.05]


def overview() -> dict:
    now, up = time.time(), time.time() - STARTED

    def rate(t: float) -> float:
        return 18_000 + 1500 * math.sin(t / 13) + 600 * math.sin(t * 1.7)

    history = [
        {
            "time": iso(math.floor(now) - 119 + i),
            "points": rate(math.floor(now) - 119 + i),
            "messages": rate(now - 119 + i) / 3,
            "shed": 40 if i % 60 == 30 else 0,
            "rejected": 2,
        }
        for i in range(120)
    ]
    states = [a["state"] for a in ALARMS.values()]
    roles = ["nats-server", "history", "door-1", "door-2", "worker", "web"]
    return {
        "time": iso(now),
        "node": {"name": "demo", "version": "0.1.0", "started_at": iso(STARTED)},
        "rates": {
            "messages": rate(now) / 3,
            "points": rate(now),
            "stored": rate(now) - 20,
            "rejected": 2.0,
            "shed": 0.0,
        },
        "totals": {
            "devices": len(PLANT.devices),
            "devices_online": sum(d["online"] for d in PLANT.devices.values()),
            "assets": len(PLANT.assets),
            "points": len(PLANT.points),
            "connections": 118,
            "messages": int(up * 6000),
            "points_accepted": int(up * 18000),
            "points_stored": int(up * 18000) - 20,
            "rejected": {"timestamp_in_future": 812, "type_mismatch": 41, "malformed_json": 3},
            "shed": {"log_unavailable": 120},
            "alarms": {
                "unacknowledged": states.count("unacknowledged_active"),
                "acknowledged": states.count("acknowledged_active"),
                "returned": states.count("unacknowledged_returned"),
            },
        },
        "lag": {
            "history_blocks": 3,
            "history_seconds": 0.4,
            "reason_blocks": 1,
            "commit_ms_p50": 2.1 + RNG.random(),
            "commit_ms_p99": 7 + 3 * RNG.random(),
        },
        "roles": [
            {
                "role": r,
                "pid": 4000 + i,
                "state": "ready",
                "restarts": int(r == "door-2"),
                "cpu_percent": RNG.uniform(1, 40),
                "rss_bytes": 40_000_000 + i * 17_000_000,
                "started_at": iso(STARTED + i),
            }
            for i, r in enumerate(roles)
        ],
        "disk": {"free_bytes": 81_000_000_000, "data_bytes": 1_420_000_000},
        "history": history,
    }


def _page(items: list[dict], query: dict) -> tuple[int, dict]:
    start, limit = int(query.get("cursor") or 0), int(query.get("limit") or 50)
    end = start + limit
    return 200, {"items": items[start:end], "next": str(end) if end < len(items) else None}


def _seconds(text: str | float) -> float:
    if isinstance(text, (int, float)):
        return text / 1000
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def answer(method: str, path: str, query: dict, body: dict, user: str) -> tuple[int, object]:
    import routes

    for verb, pattern, handler in routes.ROUTES:
        if verb == method and (match := re.fullmatch(pattern, path)):
            return handler(query, body, user, *match.groups())
    raise Refusal(404, "not-found", f"{method} {path}")
