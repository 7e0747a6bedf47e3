"""Round trips of thing models through the formats, and what is reported as left out."""

import io
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from gongfu.kernel.errors import Problem
from gongfu.thing.exchange import export_model, import_model
from gongfu.thing.types import Field, Model, Property, Service, Titles, check_model
from tests.unit.thing.models import models

_FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


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
