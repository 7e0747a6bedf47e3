"""Models as people register and bind them, on both databases, through the routes."""

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, update

from gongfu.appkit.contract import ModelDefinition, Port, model
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Subject
from gongfu.kernel.points import ValueType
from gongfu.reason.models import api
from gongfu.reason.models.inspecting import Inspector
from gongfu.reason.models.placement import Placement, place
from gongfu.reason.models.scopes import all_scopes
from gongfu.reason.models.service import BindingBody, ModelService
from gongfu.reason.models.spec import Kind, ModelSpec, spec_of
from gongfu.reason.models.streaming.types import ScopeState, StreamState
from gongfu.reason.rules.service import RuleChange
from gongfu.registry.tables import asset
from gongfu.rest.routing import Call
from gongfu.store.objects.folder import ObjectFolder
from gongfu.store.records.engine import reading, writing
from tests.contract.reason.plant import Plant

SOURCE = b"""
from gongfu.appkit.contract import Port, model

@model(id="pump.power", version="1.0.0", name="Power",
       inputs=[Port("flow", "m3/s"), Port("head", "m")], outputs=[Port("power", "kW")])
def power(columns, dt):
    '''P = rho g Q H.'''
    return {"power": 9.79 * columns["flow"] * columns["head"]}
"""
BIND = ("PUT", "/models/{id}/bindings")


def energy() -> ModelDefinition:
    return model(
        id="test.energy",
        version="1.0.0",
        inputs=[Port("t", "K", point="temp"), Port("flow", "m3/h", point="pump/flow")],
        outputs=[Port("power", "kW")],
    )(lambda columns, dt: {"power": columns["t"]})


class Role:
    """The role as the web role sees it, but in this process; what streams has its own tests."""

    def __init__(self, inspector: Inspector) -> None:
        self.answer: StreamState | None = None
        self.inspect = inspector.inspect
        self.wanted = 0

    async def state(self) -> StreamState | None:
        return self.answer

    async def want(self) -> None:
        self.wanted += 1


class Office:
    def __init__(self, engine: Engine, folder: Path) -> None:
        self.plant = Plant(engine)
        self.engine = engine
        self.changes: list[RuleChange] = []
        self.objects = ObjectFolder(folder / "objects")
        self.role = Role(Inspector(self.objects, folder / "scratch"))
        self.models = ModelService(
            engine, self.plant.clock, self.changes.append, {"test.energy": energy()}, self.objects
        )
        routes: list[Any] = api.routes(self.models, self.role)  # type: ignore[arg-type]
        self.routes = {(route.method, route.path): route for route in routes}

    async def call(
        self, method: str, path: str, subject: Subject | None = None, document: Any = None, **parameters: Any
    ) -> Any:
        route = self.routes[method, path]
        request = None if route.request is None else msgspec.convert(document, type=route.request)
        query = parameters.pop("query", {})
        answer = await route.answer(Call(subject or self.plant.subject(), parameters, query, request))
        return msgspec.to_builtins(answer)

    def placements(self, spec: ModelSpec | None = None) -> list[Placement]:
        with reading(self.engine) as connection:
            scopes = all_scopes(connection, 1)
        taken: dict[int, int] = {}
        return [place(self.engine, scope, spec or spec_of(energy()), 1, taken) for scope in scopes]

    def typed(self, path: str, word: str) -> None:
        key = self.plant.asset(path)
        with writing(self.engine) as connection:
            connection.execute(update(asset).where(asset.c.id == key).values(type=word))


@pytest.fixture
def office(records: Engine, tmp_path: Path) -> Office:
    return Office(records, tmp_path)


async def test_binding_is_checked_made_and_removed(office: Office) -> None:
    with pytest.raises(Problem, match="asset plant"):
        await office.call(*BIND, id="test.energy", document={"asset": "plant"})
    office.plant.asset("plant")
    with pytest.raises(Problem, match=r"no input 'x'"):
        await office.call(*BIND, id="test.energy", document={"asset": "plant", "points": {"x": "y"}})
    bad = office.plant.point("plant", "temp", unit="bar")
    with pytest.raises(Problem, match="bar cannot be converted to K") as caught:
        await office.call(*BIND, id="test.energy", document={"asset": "plant"})
    assert (caught.value.status, caught.value.code) == (422, "binding-refused")
    office.plant.delete_point(bad)
    office.plant.point("plant", "temp", unit="Cel")
    found = await office.call(*BIND, id="test.energy", document={"asset": "plant"})
    assert found["bindings"][0]["status"] == "unknown"
    assert office.role.wanted == 1
    (waiting,) = office.placements()
    assert waiting.counts() == {"running": 0, "waiting": 1, "refused": 0}
    assert "pump/flow" in waiting.reasons[0]
    office.plant.point("plant/pump", "flow", unit="L/min")
    (ready,) = office.placements()
    assert ready.counts()["running"] == 1
    assert ready.input_factors.tolist() == [[1.0, pytest.approx(0.06)]]
    assert ready.input_offsets.tolist() == [[273.15, 0.0]]
    assert office.placements()[0].outputs.tolist() == ready.outputs.tolist()  # made once
    office.role.answer = StreamState({str(ready.scope.id): ScopeState(status="running", last_at=10**18)})
    (shown,) = await office.call("GET", "/models")
    assert shown["bindings"][0]["last_at"] == "2001-09-09T01:46:40Z"
    assert (await office.call("GET", "/models", office.plant.subject(of=2)))[0]["bindings"] == []
    with pytest.raises(Problem):
        office.models.unbind(office.plant.subject(of=2), "test.energy", "plant")
    office.models.unbind(office.plant.subject(), "test.energy", "plant")
    assert office.placements() == []


async def test_an_undeclared_unit_is_refused_unless_allowed(office: Office) -> None:
    office.plant.point("plant", "temp")
    with pytest.raises(Problem, match="declares no unit"):
        office.models.bind(office.plant.subject(), "test.energy", BindingBody(asset="plant"))
    office.models.bind(office.plant.subject(), "test.energy", BindingBody(asset="plant", assume_units=True))
    with pytest.raises(Problem, match="model none"):
        office.models.bind(office.plant.subject(), "none", BindingBody(asset="plant"))


def test_a_point_that_cannot_be_an_output_is_told(office: Office) -> None:
    office.plant.point("plant", "temp", unit="K")
    office.plant.point("plant/pump", "flow", unit="m3/h")
    office.plant.point("plant", "power", ValueType.STRING)
    with pytest.raises(Problem, match="holds string"):
        office.models.bind(office.plant.subject(), "test.energy", BindingBody(asset="plant"))


def test_one_binding_serves_all_assets_of_a_type_and_those_that_come(office: Office) -> None:
    for number in (1, 2, 3):
        office.typed(f"hall/line/pump {number}", "pump@1")
        office.plant.point(f"hall/line/pump {number}", "temp", unit="Cel")
    for path in ("hall/line/pump 1", "hall/line/pump 2"):
        office.plant.point(f"{path}/pump", "flow", unit="m3/h")
    office.typed("hall/line/fan", "fan")
    office.plant.point("hall/line/fan", "temp", unit="Cel")
    office.typed("yard/pump 4", "pump@1")
    key = office.models.bind(office.plant.subject(), "test.energy", BindingBody(assets="hall/**", type="pump"))
    assert office.models.bind(office.plant.subject(), "test.energy", BindingBody(assets="hall/**", type="pump")) == key
    (found,) = office.placements()
    assert found.paths == ["hall/line/pump 1", "hall/line/pump 2", "hall/line/pump 3"]
    assert found.counts() == {"running": 2, "waiting": 1, "refused": 0}
    assert found.inputs.shape == (2, 2)
    office.typed("hall/line/pump 5", "pump@2")
    for name, unit in (("temp", "bar"), ("pump/flow", "m3/h")):
        path, _, point = f"hall/line/pump 5/{name}".rpartition("/")
        office.plant.point(path, point, unit=unit)
    (found,) = office.placements()
    assert found.counts() == {"running": 2, "waiting": 1, "refused": 1}
    assert "bar cannot be converted to K" in found.reasons[3]
    # Another binding may not write what this one writes, and a binding to one asset goes before.
    office.models.bind(office.plant.subject(), "test.energy", BindingBody(assets="**"))
    first, second = office.placements()
    assert first.counts()["running"] == 2
    assert "written by binding" in second.reasons[second.paths.index("hall/line/pump 1")]


async def test_a_model_is_registered_as_the_sandbox_reads_it(office: Office) -> None:
    artifact = base64.b64encode(SOURCE).decode()
    body = {"spec": {"kind": "python", "name": {"zh": "功率", "en": "Power"}}, "artifact": artifact}
    found = await office.call("POST", "/models", document=body)
    assert (found["id"], found["version"], found["title"]["zh"]) == ("pump.power", "1.0.0", "功率")
    assert [port["unit"] for port in found["inputs"]] == ["m3/s", "m"]
    assert (await office.call("POST", "/models", document=body))["versions"] == found["versions"]  # nothing new
    with pytest.raises(Problem, match="never changes"):
        await office.call("POST", "/models", document={**body, "spec": {"kind": "python", "tolerance_s": 5}})
    newer = {**body, "spec": {"kind": "python", "version": "1.1.0"}}
    found = await office.call("POST", "/models", document=newer)
    assert [(one["version"], one["current"]) for one in found["versions"]] == [("1.1.0", True), ("1.0.0", False)]
    found = await office.call("PUT", "/models/{id}/current", id="pump.power", document={"version": "1.0.0"})
    assert found["version"] == "1.0.0"
    with pytest.raises(Problem):
        await office.call("GET", "/models/{id}", office.plant.subject(of=2), id="pump.power")
    office.plant.asset("hall")
    await office.call(*BIND, id="pump.power", document={"asset": "hall", "version": "1.1.0"})
    with pytest.raises(Problem, match="remove that binding first"):
        await office.call("DELETE", "/models/{id}", id="pump.power", query={"version": "1.1.0"})
    await office.call("DELETE", "/models/{id}", id="pump.power")
    with reading(office.engine) as connection:
        assert all_scopes(connection) == []
    assert [one["id"] for one in await office.call("GET", "/models")] == ["test.energy"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            {"kind": "python", "inputs": [{"name": "flow", "unit": "kg"}, {"name": "head", "unit": "m"}]},
            "artifact m3/s",
        ),
        ({"kind": "python", "inputs": [{"name": "flow", "unit": "m3/s"}]}, "leaves out input 'head'"),
        ({"kind": "python", "outputs": [{"name": "torque", "unit": "kW"}]}, "no output 'torque'"),
        ({"kind": "python", "outputs": [{"name": "power", "unit": "horse"}]}, "horse"),
        ({"kind": "python", "id": "test.energy"}, "comes with Gongfu"),
        ({"kind": "python", "version": "1"}, "major.minor.patch"),
        ({"kind": "python", "limits": {"cpu_s": 0}}, "cpu_s"),
        ({"kind": "python", "step_s": -1}, "step_s"),
        ({"kind": "python", "parameters": [{"name": "p", "default": float("inf")}]}, "parameter p is inf"),
        ({"kind": "python", "colour": 1}, "colour"),
        ({"kind": "fortran"}, "must be one of"),
        ({"kind": "sql", "id": "a.b", "version": "1.0.0", "outputs": [{"name": "y", "unit": "K"}]}, "needs step_s"),
    ],
)
async def test_what_is_wrong_with_a_definition_is_told(office: Office, spec: dict[str, Any], words: str) -> None:
    with pytest.raises(Problem) as caught:
        await office.call("POST", "/models", document={"spec": spec, "artifact": base64.b64encode(SOURCE).decode()})
    assert caught.value.status in (400, 409, 422)
    assert words in caught.value.detail


async def test_limits_are_checked_before_a_process_has_them(office: Office) -> None:
    async def never(request: object) -> Any:
        raise AssertionError(request)

    office.role.inspect = never
    stored = office.models.artifacts.put(office.plant.subject(), SOURCE)
    document = {"spec": {"kind": "python", "limits": {"start_wall_s": 1e9}}, "sha256": stored.sha256}
    with pytest.raises(Problem, match="start_wall_s must be") as caught:
        await office.call("POST", "/models", document=document)
    assert caught.value.status == 422


def test_an_app_owns_its_models_and_leaves_nothing(office: Office) -> None:
    anna = office.plant.subject()
    spec = msgspec.structs.replace(spec_of(energy()), id="pump.app", kind=Kind.PYTHON)
    assert office.models.register(anna, spec, SOURCE, owner="app:pumps") == "1.0.0"
    with pytest.raises(Problem, match="belongs to app:pumps"):
        office.models.remove(anna, "pump.app")
    office.models.bind(anna, "pump.app", BindingBody(assets="**"), owner="app:pumps")
    office.models.bind(anna, "test.energy", BindingBody(assets="**"))
    office.models.remove_owned(anna, "app:pumps")
    with reading(office.engine) as connection:
        assert [scope.model for scope in all_scopes(connection)] == ["test.energy"]
    assert [one.id for one in office.models.list_all(anna, None)] == ["test.energy"]
