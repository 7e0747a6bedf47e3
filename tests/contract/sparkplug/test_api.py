"""The API of edge nodes and commands, asked over a real bus of a real front door."""

import asyncio
from typing import Any

import pytest
from nats.aio.client import Client

from gongfu.ingest.sparkplug.api import Command, CommandAnswer, EdgeNodes
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Action, Role, Subject
from gongfu.kernel.times import SystemClock
from gongfu.node.sparkplug_routes import sparkplug_routes
from gongfu.registry.tables import asset, audit, drop_count
from gongfu.rest.routing import Call
from gongfu.thing.conformity import Conformity
from gongfu.thing.service import ThingModels
from gongfu.thing.types import Model, Property
from tests.contract.sparkplug.conftest import SUBJECTS, Edge, HostDoor
from tests.contract.telemetry.sparkplug_bytes import M

ENGINEER = Subject(user=1, name="工程师", tenant=1, role=Role.ENGINEER)


async def test_nodes_and_commands_over_the_api(door: HostDoor, bus: Client) -> None:
    clock = SystemClock()
    conformity = Conformity(door.engine, clock)
    listed, commanded = sparkplug_routes(bus, SUBJECTS, door.engine, clock, lambda: 1, conformity)
    assert (listed.action, commanded.action) == (Action.READ, Action.DEVICE_SEND)
    edges: list[Edge] = []
    for name in ("machine", "other"):
        for number in range(2):
            edge = await Edge(door.client(name, f"{name}-{number}"), node=f"节点 {number}").connect()
            await edge.birth([M(10, 1.0, "设定")])
            edges.append(edge)
    await door.until_stored(("other/工厂/节点 1", "设定"), (0, 1.0))

    async def ask(subject: Subject = ENGINEER, **query: str) -> EdgeNodes:
        return await listed.answer(Call(subject, {}, query))

    page = await ask(limit="3")
    rest = await ask(after=page.next or "")
    assert [item.edge for item in page.items] == ["工厂/节点 0", "工厂/节点 0", "工厂/节点 1"]
    assert {item.edge for item in rest.items} <= {"工厂/节点 1"}
    assert all(item.online and item.bd_seq == 0 for item in page.items)
    assert (await ask(Subject(user=2, name="x", tenant=2, role=Role.ADMIN))).items == []
    with pytest.raises(Problem, match="limit"):
        await ask(limit="0")

    async def command(**given: Any) -> CommandAnswer:
        return await commanded.answer(Call(ENGINEER, {}, {}, Command(**given)))

    with pytest.raises(Problem) as ambiguous:
        await command(edge="工厂/节点 0", values={"设定": 2.0})
    assert ambiguous.value.code == "edge-node-ambiguous"
    asked = asyncio.create_task(
        command(edge="工厂/节点 0", values={"设定": 2.0}, sender=door.devices["other"], wait=60.0)
    )
    edge = edges[2]
    await edge.command()
    await edge.send("NDATA", [M(10, 2.0, "设定")])
    answer = await asked
    assert answer.confirmed
    assert answer.confirmed_at
    with pytest.raises(Problem) as unknown:
        await command(edge="工厂/none", values={"设定": 2.0})
    assert unknown.value.status == 404
    with pytest.raises(Problem, match="wait"):
        await command(edge="工厂/节点 0", values={"设定": 2.0}, wait=1000.0)
    # What the thing model of the asset does not allow is not sent, and counted.
    model = Model("node", properties={"设定": Property("double", maximum=5)})
    ThingModels(door.engine, clock).create(ENGINEER, model, publish=True)
    with door.engine.begin() as connection:
        typed = asset.update().where(asset.c.path == "other/工厂/节点 0").values(type="node@1")
        assert connection.execute(typed).rowcount == 1
        connection.execute(audit.delete().where(audit.c.action != "sparkplug.command"))
    with pytest.raises(Problem, match="above the maximum 5") as refused:
        await command(edge="工厂/节点 0", values={"设定": 9.0}, sender=door.devices["other"])
    assert refused.value.extra["reason"] == "model_range"
    with door.engine.connect() as connection:
        (row,) = connection.execute(drop_count.select().where(drop_count.c.reason == "model_range")).all()
        assert (row.device_id, row.kind, row.count) == (door.devices["other"], "rejected", 1)
        rows = connection.execute(audit.select()).all()
    assert [row.action for row in rows] == ["sparkplug.command"]
    assert "2.0" not in str(rows)  # what was written is named, not its value
    for one in edges:
        await one.client.disconnect()
