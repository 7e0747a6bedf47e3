"""Rows of installed apps, on both databases."""

import msgspec
import pytest
from sqlalchemy import Engine

from gongfu.appkit.installed.records import InstalledRecords
from gongfu.appkit.installed.types import InstalledVersion
from gongfu.appkit.manifest import Needs, PointNeed, parse_manifest
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Role, Subject
from gongfu.kernel.times import SystemClock
from gongfu.registry.tables import tenant
from gongfu.store.records.engine import writing

MANIFEST = b'[app]\nid = "com.example.pump"\nversion = "1.0.0"\ntitle = { zh = "\xe6\xb3\xb5", en = "Pump" }\n'
ADMIN = Subject(1, "admin", 1, Role.ADMIN)


def test_an_app_is_kept_changed_and_forgotten(records: Engine) -> None:
    with writing(records) as connection:
        connection.execute(tenant.insert().values(id=1, name="node", created_at=0))
    kept = InstalledRecords(records, SystemClock())
    version = InstalledVersion(
        version="1.0.0",
        generation=1,
        sha256="0" * 64,
        publisher="",
        manifest=parse_manifest(MANIFEST),
        granted=Needs(points=(PointNeed(point="振动", history="1d"),)),
        models=("pump.efficiency",),
    )
    added = kept.add(ADMIN, "com.example.pump", version)
    assert (added.status, added.current, added.previous) == ("installing", version, None)
    with pytest.raises(Problem) as twice:
        kept.add(Subject(2, "other", 1, Role.ADMIN), "com.example.pump", version)
    assert twice.value.status == 409
    newer = msgspec.structs.replace(version, version="1.1.0", generation=2)
    kept.change(
        ADMIN, "com.example.pump", "app.upgrade", "1.0.0 -> 1.1.0", current=newer, previous=version, status="installed"
    )
    (found,) = kept.all(1)
    assert (found.current, found.previous, found.status) == (newer, version, "installed")
    assert kept.all(2) == []
    kept.change(None, "com.example.pump", previous=None, enabled=False)
    again = kept.get("com.example.pump")
    assert again is not None
    assert (again.previous, again.enabled) == (None, False)
    kept.remove(ADMIN, "com.example.pump", "app.remove")
    assert kept.get("com.example.pump") is None
