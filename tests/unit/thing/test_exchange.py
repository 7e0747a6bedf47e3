"""Round trips of thing models through the formats, and what is reported as left out."""

import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from gongfu.kernel.errors import Problem
from gongfu.thing.exchange import FORMATS, export_model, import_model
from gongfu.thing.types import Event, Field, Model, Property, Service, Titles, check_model
from tests.unit.thing.models import models

_FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _through(model: Model, form: str) -> Model:
    exported = export_model(model, f"{model.name}@7", form)
    assert exported.left_out == []
    imported = import_model(exported.content, form)
    assert imported.left_out == []
    return imported.models[0]


@_FEW
@given(models)
def test_description_to_model_to_shell_to_model_loses_nothing(model: Model) -> None:
    check_model(model)
    from_description = _through(model, "wot")
    assert from_description == model
    assert _through(from_description, "aas") == model


@_FEW
@given(models)
def test_model_to_nodeset_to_model_loses_nothing(model: Model) -> None:
    assert _through(model, "nodeset") == model


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(models)
def test_test_engines_find_no_error_in_our_shells(model: Model) -> None:
    engines = pytest.importorskip("aas_test_engines.file")
    content = export_model(model, f"{model.name}@7", "aas").content
    result = engines.check_json_data(json.loads(content))
    assert result.ok(), list(_findings(result))


def _findings(result: Any) -> Any:
    if not result.sub_results and not result.ok():
        yield result.message
    for inner in result.sub_results:
        yield from _findings(inner)


def test_test_engines_find_an_error_where_there_is_one() -> None:
    engines = pytest.importorskip("aas_test_engines.file")
    document = json.loads(export_model(_pump(), "pump@1", "aas").content)
    document["submodels"][0]["submodelElements"][0]["idShort"] = "1 is no name"
    assert not engines.check_json_data(document).ok()


def test_shell_is_read_by_the_sdk_as_it_was_meant() -> None:
    from basyx.aas import model as aas
    from basyx.aas.adapter.json import read_aas_json_file

    content = export_model(_pump(), "pump@3", "aas").content
    objects = list(read_aas_json_file(io.BytesIO(content), failsafe=False))
    (shell,) = [item for item in objects if isinstance(item, aas.AssetAdministrationShell)]
    (submodel,) = [item for item in objects if isinstance(item, aas.Submodel)]
    assert shell.asset_information.asset_kind is aas.AssetKind.TYPE
    assert shell.administration is not None
    assert shell.administration.version == "3"
    assert submodel.kind is aas.ModellingKind.TEMPLATE
    group: Any = submodel.get_referable("Properties")
    flow: Any = next(iter(group.value))
    (specification,) = flow.embedded_data_specifications
    assert specification.data_specification_content.unit == "m3/h"
    assert flow.display_name["zh"] == "流量"


def test_foreign_description_is_read_and_what_is_left_out_is_named() -> None:
    lamp = {
        "@context": ["https://www.w3.org/2022/wot/td/v1.1", {"om": "http://www.ontology-of-units-of-measure.org/"}],
        "id": "urn:uuid:0804d572-cce8-422a-bb7c-4412fcd56f06",
        "title": "Lamp/1",
        "securityDefinitions": {"basic_sc": {"scheme": "basic", "in": "header"}},
        "security": "basic_sc",
        "properties": {
            "status": {"type": "string", "enum": ["on", "off"], "forms": [{"href": "https://lamp.example/status"}]},
            "temperature": {"type": "number", "unit": "om:degreeCelsius", "readOnly": True, "multipleOf": 0.5},
            "power": {"type": "number", "unit": "horse", "minimum": 0},
            "config": {"type": "object", "properties": {"a": {"type": "string"}}},
            "bad": 5,
        },
        "actions": {"toggle": {"input": {"type": "integer", "maximum": 3}, "forms": []}},
        "events": {"overheating": {"data": {"type": "string"}, "subscription": {}}},
    }
    imported = import_model(json.dumps(lamp).encode())
    (model,) = imported.models
    assert imported.format == "wot"
    assert model.name == "Lamp-1"
    assert model.identifier == lamp["id"]
    assert model.properties["status"] == Property("string", choices=("on", "off"), writable=True)
    assert model.properties["temperature"].unit == "Cel"
    assert not model.properties["temperature"].writable
    assert model.properties["power"] == Property("double", minimum=0, writable=True)
    assert model.services["toggle"].input == {"value": Field("int64", maximum=3)}
    assert model.events["overheating"].fields == {"value": Field("string")}
    assert {item.where for item in imported.left_out} == {
        "title",
        "securityDefinitions",
        "security",
        "properties.status.forms",
        "properties.temperature.multipleOf",
        "properties.power.unit",
        "properties.config.type",
        "properties.config.properties",
        "properties.bad",
        "actions.toggle.forms",
        "events.overheating.subscription",
    }


def test_example_of_the_sdk_is_read_and_what_is_left_out_is_named() -> None:
    from basyx.aas.adapter.json import write_aas_json_file
    from basyx.aas.examples.data import example_aas

    output = io.BytesIO()
    write_aas_json_file(output, example_aas.create_full_example())
    imported = import_model(output.getvalue(), "aas")
    (model,) = imported.models
    check_model(model)
    assert len(model.properties) >= 5
    assert any("MultiLanguageProperty" in item.what for item in imported.left_out)
    assert any("File" in item.what for item in imported.left_out)


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (b"{", "wot"),
        (b"{}", "wot"),
        (b"[1]", "wot"),
        (b"{}", "aas"),
        (b"no json", "aas"),
        (b"\xff\xfe", "json"),
        (b"[" * 100_000, "json"),
        (b"", None),
        (b"<a/>", None),
    ],
)
def test_bad_files_are_refused_with_a_reason(content: bytes, form: str | None) -> None:
    with pytest.raises(Problem) as caught:
        import_model(content, form)
    assert caught.value.status == 400
    assert caught.value.detail


def test_what_a_format_cannot_hold_is_named() -> None:
    model = Model("pump", extends="machine@2", properties={"a": Property("boolean")})
    for form in ("wot", "aas"):
        assert [item.where for item in export_model(model, "pump@1", form).left_out] == ["extends"]


def _pump() -> Model:
    flow = Property("double", unit="m3/h", minimum=0, maximum=120, titles=Titles("流量", "Flow"))
    return Model("pump", properties={"flow": flow}, services={"start": Service({"speed": Field("double")})})


async def test_nodeset_is_read_by_a_foreign_server(tmp_path: Path) -> None:
    asyncua = pytest.importorskip("asyncua")
    model = Model(
        "泵",
        titles=Titles("泵", "Pump"),
        properties={
            "流量": Property("double", unit="m3/h", minimum=0, maximum=9, writable=True),
            "n": Property("int64"),
        },
        services={"start": Service({"speed": Field("double")}, {"ok": Field("boolean")})},
        events={"trip": Event("fault", {"code": Field("int64")})},
    )
    file = tmp_path / "model.xml"
    file.write_bytes(export_model(model, "泵@2", "nodeset").content)
    server = asyncua.Server()
    await server.init()
    try:
        await server.import_xml(file)
        space = await server.get_namespace_index("urn:gongfu:thing-model:type:%E6%B3%B5")
        kind = await server.nodes.base_object_type.get_child(f"{space}:泵")
        made = await server.nodes.objects.add_object(space, "泵 7", objecttype=kind, instantiate_optional=True)
        flow = await made.get_child(f"{space}:流量")
        assert await flow.read_data_type() == asyncua.ua.NodeId(asyncua.ua.ObjectIds.Double)
        units = await (await flow.get_child("0:EngineeringUnits")).read_value()
        assert units.DisplayName.Text == "m3/h"
        limits = await (await flow.get_child("0:EURange")).read_value()
        assert (limits.Low, limits.High) == (0.0, 9.0)
        method = await kind.get_child(f"{space}:start")
        (argument,) = await (await method.get_child("0:InputArguments")).read_value()
        assert argument.Name == "speed"
        event = await server.nodes.base_event_type.get_child(f"{space}:trip")
        assert await (await event.get_child(f"{space}:code")).read_data_type() == asyncua.ua.NodeId(8)
    finally:
        await server.stop()


def test_nodeset_of_others_is_read_and_what_is_left_out_is_named() -> None:
    nodes = """
    <UAObjectType NodeId="ns=1;i=1" BrowseName="1:Machine"><DisplayName>Machine</DisplayName>
      <References><Reference ReferenceType="HasSubtype" IsForward="false">i=58</Reference></References></UAObjectType>
    <UAVariable NodeId="ns=1;i=2" BrowseName="1:Speed" DataType="Float" AccessLevel="3">
      <DisplayName>Drehzahl</DisplayName><References>
      <Reference ReferenceType="HasComponent" IsForward="false">ns=1;i=1</Reference></References></UAVariable>
    <UAObjectType NodeId="ns=1;i=3" BrowseName="1:Press" IsAbstract="true">
      <References><Reference ReferenceType="HasSubtype" IsForward="false">ns=1;i=1</Reference>
      <Reference ReferenceType="HasComponent">ns=1;i=4</Reference></References></UAObjectType>
    <UAObject NodeId="ns=1;i=4" BrowseName="1:Ram"><References>
      <Reference ReferenceType="i=47">ns=1;i=5</Reference>
      <Reference ReferenceType="i=47">ns=1;i=9</Reference></References></UAObject>
    <UAVariable NodeId="ns=1;i=5" BrowseName="1:Forces" DataType="Double" ValueRank="1"/>
    <UADataType NodeId="ns=1;i=6" BrowseName="1:Mode"/>
    """
    content = f'<UANodeSet xmlns="http://opcfoundation.org/UA/2011/03/UANodeSet.xsd">{nodes}</UANodeSet>'.encode()
    imported = import_model(content)
    machine, press = imported.models
    assert machine.properties == {"Speed": Property("double", writable=True, titles=Titles(en="Drehzahl"))}
    assert (press.name, press.abstract) == ("Press", True)
    assert list(press.properties) == ["Speed", "Ram.Forces"]
    assert press.properties["Ram.Forces"].data_type == "json"
    assert {item.where for item in imported.left_out} >= {"Press.extends", "Ram.Forces", "Ram.ns=1;i=9", "Mode"}


def test_entities_are_not_expanded() -> None:
    bomb = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "y">]><UANodeSet>&x;</UANodeSet>'
    with pytest.raises(Problem) as caught:
        import_model(bomb, "nodeset")
    assert caught.value.status == 400


def test_table_of_a_spreadsheet() -> None:
    model = Model(
        "pump",
        properties={
            "流量": Property(
                "double", unit="m3/h", minimum=0, maximum=0.1, deadband=0.5, titles=Titles("流量", "Flow")
            ),
            "state": Property("string", choices=("run", "stop"), writable=True, required=True, on_violation="accept"),
            "n": Property("int64", minimum=-(2**63), choices=(1, 2), description='a "b", c\nd'),
        },
    )
    assert _through(model, "csv") == model
    chinese = "name,data_type,title_zh,writable\n流量,double,瞬时流量,是\n".encode("gb18030")
    (found,) = import_model(chinese).models
    assert found.properties == {"流量": Property("double", titles=Titles(zh="瞬时流量"), writable=True)}
    for wrong, words in (
        (b"a,b\n1,2\n", "name and data_type"),
        (b"name,data_type\n,double\n", "line 2"),
        (b"name,data_type\na,real\n", "line 2"),
        (b"name,data_type,minimum\na,int64,1.5\n", "no integer"),
        (b"name,data_type\na,double\na,double\n", "twice"),
        (b"name,data_type,unit\na,double,furlong\n", "furlong"),
    ):
        with pytest.raises(Problem) as caught:
            import_model(wrong, "csv")
        assert words in caught.value.detail


@pytest.mark.parametrize("form", FORMATS)
def test_damaged_files_are_read_or_refused_with_a_reason(form: str) -> None:
    content = export_model(_pump(), "pump@1", form).content
    chance = random.Random(form)
    refused: list[Problem] = []
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(len(damaged))
            kind = chance.randrange(3)
            if kind == 0:
                damaged[place] = chance.randrange(256)
            elif kind == 1:
                del damaged[place : place + chance.randint(1, 20)]
            else:
                damaged[place:place] = damaged[: chance.randint(1, 40)]
        try:
            imported = import_model(bytes(damaged), form)
        except Problem as problem:
            refused.append(problem)
        else:
            for model in imported.models:
                export_model(model, f"{model.name}@1", form)
    assert refused
    assert all(problem.status == 400 and problem.detail for problem in refused)
