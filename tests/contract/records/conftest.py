from dataclasses import dataclass, field

import pytest
from sqlalchemy import Engine

from gongfu.kernel.permissions import Role, Subject
from gongfu.kernel.times import SECOND
from gongfu.registry import user_records
from gongfu.registry.changes import RegistryChange
from gongfu.registry.service import Registry, open_registry
from gongfu.registry.users import NewUser, ensure_first_admin
from gongfu.store.records.engine import reading

DEVICE_KEY = bytes(range(32))


class SetClock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND

    def now_ns(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


@dataclass
class Node:
    """A registry with the node's admin and an admin of another tenant."""

    registry: Registry
    engine: Engine
    clock: SetClock
    password: str
    admin: Subject
    other: Subject
    changes: list[RegistryChange] = field(default_factory=list)


@pytest.fixture
def node(records: Engine) -> Node:
    clock = SetClock()
    changes: list[RegistryChange] = []
    password = ensure_first_admin(records, clock=clock)
    assert password is not None
    registry = open_registry(records, DEVICE_KEY, clock=clock, announce=changes.append)
    with reading(records) as connection:
        row = user_records.by_name(connection, "admin")
    assert row is not None
    admin = Subject(row.id, row.name, row.tenant_id, Role(row.role))
    tenant = registry.users.create_tenant(admin, "other plant")
    added = registry.users.create(admin, NewUser("other-admin", Role.ADMIN, tenant_id=tenant.id))
    other = Subject(added.user.id, "other-admin", tenant.id, Role.ADMIN)
    return Node(registry, records, clock, password, admin, other, changes)
