"""What the JSON forms mean, one value at a time: the slow model the columniser is compared with."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

QUALITIES = {"good": 0, "uncertain": 0x40, "bad": 0x80}
HORIZON_NS = 300 * 10**9
Stored = tuple[str, str, int, int, Any]


@dataclass
class Model:
    """Points of one device: type by (child, name)."""

    types: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    stored: list[Stored] = field(default_factory=list[Stored])
    rejected: dict[str, int] = field(default_factory=dict[str, int])

    def take(self, document: Any, gateway: bool, received: int) -> None:
        """Read one payload that arrived at ``received`` (UTC ns)."""
        self.rejected = {}
        self.received = received
        self.unstamped = 0
        if not gateway:
            self._items(document, "")
        elif not isinstance(document, dict):
            self._reject("form_invalid", 1)
        else:
            for child, items in document.items():
                if all(self._good_name(name) for name in child.split("/")):
                    self._items(items, child)
                else:
                    self._reject("name_invalid", self._points_in(items))

    def _reject(self, reason: str, n: int) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + n

    @staticmethod
    def _good_name(name: str) -> bool:
        return 0 < len(name) <= 200 and not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in name)

    def _points_in(self, items: Any) -> int:
        if isinstance(items, list):
            return sum(self._points_in(item) for item in items) or 1
        if isinstance(items, dict):
            inner = items.get("values")
            return len(inner if isinstance(inner, dict) else items) or 1
        return 1

    def _items(self, document: Any, child: str) -> None:
        for item in document if isinstance(document, list) else [document]:
            if isinstance(item, dict):
                self._item(item, child)
            else:
                self._reject("form_invalid", 1)

    def _now(self) -> int:
        self.unstamped += 1
        return self.received + self.unstamped - 1

    def _item(self, item: dict[str, Any], child: str) -> None:
        if not isinstance(item.get("values"), dict):
            time = self._now()
            for name, value in item.items():
                self._value(child, name, value, time, 0)
            return
        values, n = item["values"], len(item["values"]) or 1
        if set(item) - {"ts", "values", "quality"}:
            return self._reject("form_invalid", n)
        if "ts" not in item:
            time: int | None = self._now()
        else:
            time = self._time(item["ts"])
            if time is None:
                return self._reject("timestamp_invalid", n)
            if time > self.received + HORIZON_NS:
                return self._reject("timestamp_in_future", n)
        quality = item.get("quality")
        if quality is not None and not isinstance(quality, dict) and quality not in QUALITIES:
            return self._reject("quality_invalid", n)
        for name, value in values.items():
            mark = quality.get(name, "good") if isinstance(quality, dict) else quality or "good"
            if isinstance(mark, str) and mark in QUALITIES:
                self._value(child, name, value, time, QUALITIES[mark])
            else:
                self._reject("quality_invalid", 1)
        return None

    @staticmethod
    def _time(ts: Any) -> int | None:
        if isinstance(ts, bool):
            return None
        if isinstance(ts, int):
            return ts * 10**6 if ts >= 0 and ts * 10**6 < 2**63 else None
        if isinstance(ts, str):
            try:
                moment = datetime.fromisoformat(ts)
            except ValueError:
                return None
            return None if moment.tzinfo is None or moment.timestamp() < 0 else int(moment.timestamp()) * 10**9
        return None

    def _value(self, child: str, name: str, value: Any, time: int | None, quality: int) -> None:
        known = self.types.get((child, name))
        if known is None and not self._good_name(name):
            return self._reject("name_invalid", 1)
        if value is None:
            return self._reject("null_value", 1)
        if known is None:
            known = self._new_type(value)
            if known is None:
                return self._reject("integer_overflow", 1)
            self.types[child, name] = known
        reason = self._misfit(value, known)
        if reason:
            return self._reject(reason, 1)
        if known == "double":
            value = float(value)
        elif known == "int64":
            value = int(value)
        elif known == "json":
            value = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        self.stored.append((child, name, time or 0, quality, value))
        return None

    @staticmethod
    def _new_type(value: Any) -> str | None:
        if isinstance(value, bool):
            return "boolean"
        if isinstance(value, int):
            return "double" if abs(value) <= 2**53 else "int64" if -(2**63) <= value < 2**63 else None
        return "double" if isinstance(value, float) else "string" if isinstance(value, str) else "json"

    @staticmethod
    def _misfit(value: Any, known: str) -> str:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            return "integer_overflow"
        if known == "boolean":
            return "" if isinstance(value, bool) else "type_mismatch"
        if known == "string":
            return "" if isinstance(value, str) else "type_mismatch"
        if known == "json":
            return "" if isinstance(value, list | dict) else "type_mismatch"
        if not number:
            return "type_mismatch"
        if isinstance(value, int):
            if not -(2**63) <= value < 2**63:
                return "integer_overflow"
            return "precision_loss" if known == "double" and abs(value) > 2**53 else ""
        if known == "double":
            return ""
        return "type_mismatch" if value != int(value) else "precision_loss" if abs(value) > 2**53 else ""
