"""Events that apps note are judged by the thing model of the asset, as those of people are."""

from typing import Any

import pytest
from sqlalchemy import Engine

from gongfu.appkit.context.messages import AskPublish
from gongfu.appkit.contract import AppError
from gongfu.appkit.host.services import TenantServices
from gongfu.kernel.permissions import Role, Subject
from gongfu.kernel.times import SystemClock
from gongfu.registry.tables import drop_count, event
from gongfu.registry.users import ensure_first_admin
from gongfu.thing.instances import Instances, NewInstance, NewInstances
from gongfu.thing.service import ThingModels
from gongfu.thing.types import Event, Field, Model

ADMIN = Subject(1, "admin", 1, Role.ADMIN)


async def test_an_app_cannot_note_what_the_model_does_not_allow(sqlite_records: Engine) -> None:
    clock = SystemClock()
    ensure_first_admin(sqlite_records, clock=clock)
    model = Model("pump", events={"trip": Event("fault", {"code": Field("int64", maximum=9, required=True)})})
    document, _ = ThingModels(sqlite_records, clock).create(ADMIN, model, publish=True)
    bound = NewInstances([NewInstance("hall/pump")])
    Instances(sqlite_records, clock, lambda _change: None).bind(ADMIN, document.reference, bound)
    unused: Any = None  # of all that an app may ask for, events need the records only
    services = TenantServices(
        unused, unused, sqlite_records, 1, unused, unused, unused, 1, False, unused, unused, clock, unused
    )

    async def publish(data: bytes) -> None:
        await services.publish("watch", AskPublish(kind="trip", asset="hall/pump", data=data, time=1))

    await publish(b'{"code": 3}')
    for data, says in ((b'{"code": 10}', "above the maximum 9"), (b"{}", "'code' is missing"), (b"[1]", "is missing")):
        with pytest.raises(AppError, match=says):
            await publish(data)
    with sqlite_records.connect() as connection:
        (noted,) = connection.execute(event.select()).all()
        assert (noted.kind, noted.text, noted.source) == ("trip", '{"code": 3}', "app:watch")
        dropped = {row.reason: row.count for row in connection.execute(drop_count.select())}
    assert dropped == {"model_range": 1, "model_field_missing": 2}
