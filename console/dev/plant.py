"""Synthetic plant for the stand-in server: assets, points and their values as functions of time. Development only."""

import math
import random
import time
from datetime import UTC, datetime

STARTED = time.time() - 5400
RNG = random.Random(7)


def iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Plant:
    def __init__(self) -> None:
        self.assets: dict[int, dict] = {}
        self.points: dict[int, dict] = {}
        self.devices: dict[int, dict] = {}
        self.active_faults: set[int] = set()
        self._next = 0
        self._build()

    def asset(self, path: str, kind: str = "", attributes: dict | None = None) -> int:
        for found in self.assets.values():
            if found["path"] == path:
                return found["id"]
        parent = self.asset(path.rsplit("/", 1)[0]) if "/" in path else None
        self._next += 1
        self.assets[self._next] = {
            "id": self._next,
            "name": path.rsplit("/", 1)[-1],
            "path": path,
            "parent_id": parent,
            "type": kind,
            "attributes": attributes or {},
            "children": 0,
            "points": 0,
            "created_at": iso(STARTED - 86400 * 30),
        }
        if parent:
            self.assets[parent]["children"] += 1
        return self._next

    def point(self, path: str, name: str, unit: str, base: float, swing: float, kind: str = "double") -> int:
        series = len(self.points) + 1
        owner = self.asset(path)
        self.assets[owner]["points"] += 1
        self.points[series] = {
            "series": series,
            "asset_id": owner,
            "asset_path": path,
            "name": name,
            "type": kind,
            "unit": unit,
            "description": "",
            "base": base,
            "swing": swing,
            "phase": RNG.random() * 6.28,
        }
        return series

    def device(self, name: str, path: str, online: bool) -> None:
        number = len(self.devices) + 1
        self.devices[number] = {
            "id": number,
            "name": name,
            "asset_id": self.asset(path),
            "asset_path": path,
            "enabled": True,
            "online": online,
            "connected_at": iso(STARTED) if online else None,
            "address": f"127.0.0.1:{40000 + number}" if online else None,
            "client_id": name if online else None,
            "protocol": "MQTT 5" if online else None,
            "last_seen": iso(time.time()) if online else iso(STARTED),
            "points": RNG.randrange(10_000, 3_000_000),
            "rejected": RNG.choice([0, 0, 0, 12]),
            "shed": RNG.choice([0, 0, 0, 0, 3]),
            "publish_filters": [],
            "subscribe_filters": [],
            "created_at": iso(STARTED - 86400 * 20),
        }

    def _build(self) -> None:
        self.asset("tep", "plant", {"demo": "tep"})
        for path, name, unit, base, swing in TEP:
            self.point(f"tep/{path}", name, unit, base, swing)
        for n in range(1, 29):
            self.point("tep", f"idv_{n}", "", 0, 0, "boolean")
        self.point("tep", "state", "", 0, 0, "string")
        self.asset("nab", "site", {"region": "110000"})
        self.asset("nab/machine", "machine", {"demo": "nab", "来源": "NAB machine_temperature_system_failure"})
        self.point("nab/machine", "temperature", "Cel", 88, 9)
        self.device("tep-plant", "tep", True)
        self.device("nab-machine", "nab/machine", True)
        for n in range(1, 131):
            path = f"工厂A/泵房/泵-{n:03d}"
            self.asset(path, "pump", {"manufacturer": "示例泵业"})
            self.point(path, "振动", "mm/s", 2.2, 0.8)
            self.point(path, "流量", "m3/h", 41, 3)
            self.device(f"pump-{n:03d}", path, n % 9 != 0)
        self.point("工厂A/泵房/泵-001", "运行", "", 1, 0, "boolean")
        self.point("工厂A/泵房/泵-001", "状态文本", "", 0, 0, "string")

    def value(self, series: int, t: float) -> tuple[object, int] | None:
        point = self.points[series]
        name = point["name"]
        if name.startswith("idv_"):
            return int(name[4:]) in self.active_faults, 0
        if point["type"] == "boolean":
            return int(t / 60) % 7 != 0, 0
        if point["type"] == "string":
            return "running", 0
        noise = math.sin(t * 12.9898 + series * 78.233) * 43758.5453
        noise -= math.floor(noise)
        slow = math.sin(t / 97 + point["phase"]) * 0.5 + math.sin(t / 1130 + point["phase"] * 2) * 0.5
        value = point["base"] + point["swing"] * (slow + 0.3 * (noise - 0.5))
        if name == "temperature":
            value -= 38 * max(0.0, 1 - abs((t % 3600) - 2700) / 300)
            if 1200 < t % 3600 < 1290:
                return None
        minute = int(t / 20) % 90
        quality = 0x80 if series % 5 == 2 and minute == 3 else 0x40 if series % 5 == 2 and minute in (5, 6) else 0
        if self.active_faults and point["asset_path"] == "tep/reactor":
            value += point["swing"] * 3
        return round(value, 4), quality

    def latest(self, series: int) -> dict | None:
        now = math.floor(time.time() * 2) / 2
        got = self.value(series, now)
        if got is None:
            return None
        return {"series": series, "value": got[0], "quality": got[1], "time": iso(now), "ingested_at": iso(now)}

    def document(self, series: int) -> dict:
        point = self.points[series]
        keys = ("series", "asset_id", "asset_path", "name", "type", "unit", "description")
        return {**{key: point[key] for key in keys}, "latest": self.latest(series)}

    def query(self, body: dict, start: float, end: float) -> dict:
        step = float(body.get("step") or 0)
        minmax = body.get("aggregate") == "minmax"
        out = []
        for series in body["series"]:
            spacing = max(0.5, (end - start) / 6000) if not step else step / (2 if minmax else 1)
            if series not in self.points:
                continue
            times, values, qualities = [], [], []
            t = math.ceil(start / spacing) * spacing
            while t <= min(end, time.time()):
                if t > STARTED - 7200 and (got := self.value(series, t)):
                    times.append(int(t * 1000))
                    values.append(got[0])
                    qualities.append(got[1])
                t += spacing
            point = self.points[series]
            out.append(
                {
                    **{k: point[k] for k in ("series", "asset_path", "name", "type", "unit")},
                    "times": times,
                    "values": values,
                    "qualities": qualities,
                }
            )
        return {"series": out, "truncated": False}


TEP = [
    ("feed", "a_flow", "10*3.m3/h", 0.25, 0.02),
    ("feed", "d_flow", "kg/h", 3664, 30),
    ("feed", "e_flow", "kg/h", 4509, 35),
    ("feed", "ac_flow", "10*3.m3/h", 9.35, 0.1),
    ("feed", "a_valve", "%", 24, 2),
    ("feed", "d_valve", "%", 63, 1),
    ("reactor", "pressure", "kPa", 2705, 8),
    ("reactor", "level", "%", 75, 1),
    ("reactor", "temperature", "Cel", 120.4, 0.2),
    ("reactor", "feed_flow", "10*3.m3/h", 42.3, 0.3),
    ("reactor", "cooling_water_outlet_temperature", "Cel", 94.6, 0.3),
    ("reactor", "cooling_water_valve", "%", 41, 1),
    ("reactor", "cooling_residual", "1", 0, 0.4),
    ("separator", "temperature", "Cel", 80.1, 0.5),
    ("separator", "level", "%", 50, 2),
    ("separator", "pressure", "kPa", 2633, 8),
    ("separator", "underflow", "m3/h", 25.2, 1),
    ("separator", "purge_flow", "10*3.m3/h", 0.337, 0.01),
    ("separator", "purge_b", "%", 13.8, 0.3),
    ("stripper", "level", "%", 50, 2),
    ("stripper", "pressure", "kPa", 3102, 9),
    ("stripper", "underflow", "m3/h", 22.9, 0.6),
    ("stripper", "temperature", "Cel", 65.7, 0.4),
    ("stripper", "steam_flow", "kg/h", 230, 8),
    ("compressor", "recycle_flow", "10*3.m3/h", 26.9, 0.2),
    ("compressor", "work", "kW", 341, 3),
    ("product", "g", "%", 53.7, 0.5),
    ("product", "h", "%", 43.8, 0.5),
]
