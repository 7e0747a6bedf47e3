"""A small plant in the records: one tenant, assets and points."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, delete, insert

from gongfu.kernel.permissions import Role, Subject
from gongfu.kernel.points import ValueType
from gongfu.reason.rules.types import Kind, RuleBody
from gongfu.registry.tables import asset, point, tenant
from gongfu.store.records.engine import writing

START = 1_700_000_000_000_000_000


@dataclass
class FixedClock:
    now: int = START

    def now_ns(self) -> int:
        return self.now


@dataclass
class Plant:
    engine: Engine
    clock: FixedClock = field(default_factory=FixedClock)
    assets: dict[tuple[int, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with writing(self.engine) as connection:
            connection.execute(insert(tenant), [{"id": key, "name": f"t{key}", "created_at": 1} for key in (1, 2)])

    def subject(self, role: Role = Role.ENGINEER, of: int = 1) -> Subject:
        return Subject(7, "anna", of, role)

    def asset(self, path: str, of: int = 1) -> int:
        if (of, path) not in self.assets:
            values = {"tenant_id": of, "name": path.rpartition("/")[2], "path": path, "type": "", "attributes": {}}
            with writing(self.engine) as connection:
                key = connection.execute(insert(asset).values(**values, created_at=1)).inserted_primary_key
            assert key is not None
            self.assets[of, path] = key[0]
        return self.assets[of, path]

    def point(self, path: str, name: str, value_type: ValueType = ValueType.DOUBLE, unit: str = "", of: int = 1) -> int:
        values: dict[str, Any] = {"tenant_id": of, "asset_id": self.asset(path, of), "name": name, "unit": unit}
        values |= {"value_type": int(value_type), "description": "", "created_at": 1}
        with writing(self.engine) as connection:
            key = connection.execute(insert(point).values(values)).inserted_primary_key
        assert key is not None
        return key[0]

    def delete_point(self, series: int) -> None:
        with writing(self.engine) as connection:
            connection.execute(delete(point).where(point.c.id == series))


def body(**changes: Any) -> RuleBody:
    values: dict[str, Any] = {
        "name": "too hot",
        "kind": Kind.THRESHOLD,
        "asset": "plant/*",
        "point": "temp",
        "condition": {"direction": "above", "limit": 10.0},
    }
    return RuleBody(**(values | changes))
