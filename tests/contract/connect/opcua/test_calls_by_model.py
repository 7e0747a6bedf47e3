"""Methods of a machine that are services of a thing model: inputs are judged before, outputs after the call."""

import asyncio
import random

import pytest

from gongfu.connect.connections import api
from gongfu.connect.connections.models import ModelMaker
from gongfu.connect.connections.operations import Operations
from gongfu.connect.connections.secrets import ConnectionSecrets
from gongfu.connect.connections.service import ConnectionService
from gongfu.connect.connections.types import CallRequest, NewConnection
from gongfu.connect.kit.running import RunningConnection
from gongfu.connect.kit.sink import ReadingSink
from gongfu.connect.kit.status import State
from gongfu.connect.kit.timing import SystemTiming
from gongfu.ingest.types import Writer
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Role, Subject
from gongfu.kernel.times import SystemClock
from gongfu.registry import drops
from gongfu.registry.service import open_registry
from gongfu.registry.users import ensure_first_admin
from gongfu.rest.routing import Call
from gongfu.thing.conformity import Conformity
from gongfu.thing.instances import Instances, NewInstance, NewInstances
from gongfu.thing.service import ThingModels
from gongfu.thing.types import Field, Model, Service, Validation
from tests.contract.connect.opcua.plant import driver_of, serving, until
from tests.unit.connect.memory_intake import MemoryIntake

ADMIN = Subject(1, "admin", 1, Role.ADMIN)
ADD = Service(
    {"a": Field("int64", minimum=0, maximum=10, required=True), "b": Field("double")},
    {"和": Field("double", maximum=12)},
)


class Bed:
    """A plant behind a connection, and the API of calls on records of its own."""

    def __init__(self, engine, plant, tmp_path):
        clock, timing = SystemClock(), SystemTiming()
        ensure_first_admin(engine, clock=clock)
        registry = open_registry(engine, bytes(32), clock=clock)
        secrets = ConnectionSecrets(tmp_path / "secrets")
        service = ConnectionService(engine, clock, registry.devices, secrets, lambda change: None)
        url = f"opc.tcp://127.0.0.1:{plant.port}/plant"
        made = service.create(ADMIN, NewConnection(name="press", url=url, asset="hall/press"))
        self.engine, self.plant, self.key, self.device = engine, plant, made.id, made.device
        self.things, self.instances = ThingModels(engine, clock), Instances(engine, clock, lambda change: None)
        writer = Writer(1, made.device, "press", 1, "hall/press")
        sink = ReadingSink([], writer, MemoryIntake(), lambda kind, detail: None)
        self.running = RunningConnection(
            made.id, 1, "press", lambda: driver_of(tmp_path, plant.port), [], sink, timing, random.random,
            lambda status: None,
        )  # fmt: skip
        operations = Operations(lambda key, tenant: self.running, secrets, timing)
        self.asked = []

        async def ask(question, _answer):
            self.asked.append(question.operation)
            return await operations.answer(question)

        async def status_of(keys):
            return {}

        maker, conformity = ModelMaker(self.things, self.instances), Conformity(engine, clock)
        routes = api.routes(service, maker, ask, status_of, lambda *noted: None, conformity)
        (self.route,) = [route for route in routes if route.path == "/connections/{id}:call"]

    def bind(self, **rules):
        model = Model("press", services={"加": ADD}, validation=Validation(**rules))
        document, _ = self.things.create(ADMIN, model, publish=True)
        self.instances.bind(ADMIN, document.reference, NewInstances([NewInstance("hall/press")]))

    async def call(self, *arguments, method="加", **named):
        body = CallRequest(method=self.plant.where(method), arguments=named or list(arguments))
        return await self.route.answer(Call(ADMIN, {"id": str(self.key)}, {}, body))

    async def refused(self, *arguments, **named):
        """Return the reason; the machine must not have been called."""
        self.asked.clear()
        with pytest.raises(Problem) as caught:
            await self.call(*arguments, **named)
        assert self.asked == ["signature"]
        return caught.value.extra["reason"]

    def dropped(self):
        documents, _ = drops.page(self.engine, ADMIN, None, 100, self.device)
        return {(one.kind, one.reason): one.count for one in documents}


async def test_calls_are_judged_by_the_model(sqlite_records, tmp_path, port):
    async with serving(port) as plant:
        bed = Bed(sqlite_records, plant, tmp_path)
        task = asyncio.create_task(bed.running.run())
        try:
            await until(lambda: bed.running.status.state is State.ONLINE, "the connection")
            # Without a model nothing is asked.
            assert (await bed.call(40, 2.5)).outputs[0].value == 42.5
            assert bed.asked == ["call"]
            bed.bind()
            answer = await bed.call(4, 2.5)
            assert (answer.outputs[0].value, answer.outputs[0].fault, answer.faults) == (6.5, "", [])
            assert await bed.refused(11, 1.0) == "model_range"
            assert await bed.refused(b=1.0) == "model_field_missing"
            assert await bed.refused(a="4", b=1.0) == "model_type"
            assert bed.dropped() == {
                ("rejected", "model_range"): 1,
                ("rejected", "model_field_missing"): 1,
                ("rejected", "model_type"): 1,
            }
            # It was carried out, and gave what the model does not allow: no value, and it is said.
            answer = await bed.call(10, 2.5)
            assert (answer.outputs[0].value, len(answer.faults)) == (None, 1)
            assert "12.5, above the maximum 12" in answer.outputs[0].fault
            assert bed.dropped()["rejected", "model_range"] == 2
            # A method that the model does not have is called as before.
            assert bed.plant.nodes["类型"] is not None
            bed.bind(range="uncertain", unknown="reject")
            answer = await bed.call(10, 2.5)
            assert (answer.outputs[0].value, len(answer.faults)) == (12.5, 1)
            assert bed.dropped()["marked", "model_range"] == 1
            bed.asked.clear()
            with pytest.raises(Problem) as caught:
                await bed.call(method="类型")
            assert (caught.value.extra["reason"], bed.asked) == ("model_unknown_service", ["signature"])
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
