"""Versions of thing models on both databases: states, inheritance, hashes, instances."""

from collections.abc import Callable

import pytest

from gongfu.kernel.errors import Problem
from gongfu.kernel.points import ValueType
from gongfu.registry.assets import AssetPatch, NewAsset
from gongfu.store.records.engine import reading
from gongfu.thing.instances import Instances, NewInstance, NewInstances
from gongfu.thing.service import ThingModels
from gongfu.thing.shelf import Shelf
from gongfu.thing.types import Model, Property, Validation
from tests.contract.records.conftest import Node

MACHINE = Model(
    "machine", abstract=True, properties={"运行": Property("boolean"), "hours": Property("int64", unit="h")}
)
PUMP = Model(
    "泵",
    extends="machine@1",
    properties={"flow": Property("double", unit="m3/h", minimum=0, maximum=120)},
    validation=Validation(unknown="reject"),
)


def refused(status: int, action: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(Problem) as raised:
        action(*arguments)
    assert raised.value.status == status
    return raised.value.detail


def test_life_of_a_version(node: Node, models: ThingModels) -> None:
    first, new = models.create(node.admin, MACHINE)
    assert (first.reference, first.state, new) == ("machine@1", "draft", True)
    again, new = models.create(node.admin, MACHINE)
    assert (again.reference, new) == ("machine@1", False)
    models.create(node.admin, PUMP)
    assert "not published" in refused(409, models.publish, node.admin, "泵@1")
    models.publish(node.admin, "machine")
    pump = models.publish(node.admin, "泵")
    assert pump.state == "published"
    assert list(pump.resolved.properties) == ["运行", "hours", "flow"]
    assert list(pump.model.properties) == ["flow"]
    assert "published" in refused(409, models.remove, node.admin, "泵@1")
    wider = Model("泵", properties={"flow": Property("double", unit="m3/h", minimum=0, maximum=200)})
    second, _ = models.create(node.admin, wider)
    assert second.reference == "泵@2"
    assert models.get(node.admin, "泵").reference == "泵@1", "the newest that is published"
    changes = {change.where: change for change in models.difference(node.admin, "泵@1", "泵@2")}
    assert not changes["properties.flow.maximum"].breaking
    assert changes["properties.hours"].breaking
    assert changes["properties.hours"].change == "removed"
    models.remove(node.admin, "泵@2")
    refused(404, models.get, node.admin, "泵@2")
    assert models.retire(node.admin, "泵@1").state == "retired"
    heads = models.page(node.admin, None, 10)
    assert [(head.reference, head.published) for head in heads] == [("machine@1", 1), ("泵@1", None)]
    assert models.page(node.other, None, 10) == []
    refused(404, models.get, node.other, "machine@1")


def test_content_hash_covers_what_is_inherited(node: Node, models: ThingModels) -> None:
    child = Model("pump", extends="machine@1", properties={"flow": Property("double")})
    models.create(node.admin, MACHINE, publish=True)
    models.create(node.other, Model("machine", properties={"other": Property("string")}), publish=True)
    mine, _ = models.create(node.admin, child)
    theirs, _ = models.create(node.other, child)
    assert mine.digest != theirs.digest
    assert len(mine.digest) == 64


@pytest.mark.parametrize(
    ("child", "words"),
    [
        (Property("double", unit="Cel"), "another data type"),
        (Property("int64", unit="min"), "another unit"),
        (Property("int64", minimum=-1), "lower minimum"),
        (Property("int64", choices=(1, 9)), "more choices"),
    ],
)
def test_model_cannot_take_back_what_it_inherits(node: Node, models: ThingModels, child: Property, words: str) -> None:
    base = Model("base", properties={"hours": Property("int64", unit="h", minimum=0, choices=(1, 2, 3))})
    models.create(node.admin, base, publish=True)
    assert words in refused(409, models.create, node.admin, Model("x", extends="base@1", properties={"hours": child}))


def test_wrong_models_are_refused_with_the_place(node: Node, models: ThingModels) -> None:
    wrong = [
        (Model("a/b"), "model name"),
        (Model("a", extends="b"), "name@version"),
        (Model("a", extends="a@1"), "itself"),
        (Model("a", properties={"p": Property("double", unit="furlong")}), "properties.p.unit"),
        (Model("a", properties={"p": Property("double", minimum=2, maximum=1)}), "properties.p: minimum"),
        (Model("a", properties={"p": Property("boolean", unit="m")}), "no unit"),
        (Model("a", properties={"p": Property("string", minimum=1)}), "for numbers"),
        (Model("a", properties={"p": Property("int64", minimum=0.5)}), "integer"),
        (Model("a", properties={"p": Property("double", minimum=float("nan"))}), "finite"),
        (Model("a", properties={"p": Property("boolean", choices=("x",))}), "no boolean"),
        (Model("a", properties={"p": Property("string", max_length=2**70)}), "max_length"),
        (Model("a", properties={"p": Property("int64", choices=(2**70,))}), "beyond 64 bits"),
        (Model("a", description="\x07"), "control characters"),
        (Model("a", properties={str(n): Property("double") for n in range(2001)}), "at most 2000"),
    ]
    for model, words in wrong:
        assert words in refused(400, models.create, node.admin, model)
    assert "no b@1" in refused(409, models.create, node.admin, Model("a", extends="b@1"))


def test_assets_of_a_model_get_points_types_units_and_an_identifier(
    node: Node, models: ThingModels, instances: Instances
) -> None:
    models.create(node.admin, MACHINE, publish=True)
    models.create(node.admin, PUMP)
    item = NewInstance("hall/泵 7", identifier="88.100.1/pump-7", attributes={"kW": 5})
    assert "draft" in refused(409, instances.bind, node.admin, "泵@1", NewInstances([item]))
    models.publish(node.admin, "泵@1")
    assert "abstract" in refused(409, instances.bind, node.admin, "machine@1", NewInstances([item]))
    refused(400, instances.bind, node.admin, "泵", NewInstances([NewInstance("a", identifier="no handle")]))
    assert node.registry.assets.page(node.admin, None, 10) == [], "all or none"
    (made,) = instances.bind(node.admin, "泵", NewInstances([item]))
    assert (made.path, made.type, made.identifier, made.points, made.misfits) == (
        "hall/泵 7", "泵@1", "88.100.1/pump-7", 3, [],
    )  # fmt: skip
    points, _ = node.registry.points.page(node.admin, None, 10, asset=made.asset_id)
    assert {(p.name, p.type, p.unit) for p in points} == {
        ("运行", "boolean", ""), ("hours", "int64", "h"), ("flow", "double", "m3/h"),
    }  # fmt: skip
    assert node.changes[-1].typed
    asset = node.registry.assets.get(node.admin, made.asset_id)
    assert asset.attributes == {"identifier": "88.100.1/pump-7", "kW": 5}
    assert [one.path for one in instances.page(node.admin, "泵", None, 10)] == ["hall/泵 7"]
    assert {head.name: head.instances for head in models.page(node.admin, None, 10)} == {"machine": 0, "泵": 1}
    assert instances.page(node.admin, "泵@1", "hall/泵 7", 10) == []


def test_type_of_an_asset_names_a_published_model_or_is_a_word(
    node: Node, models: ThingModels, instances: Instances
) -> None:
    models.create(node.admin, Model("pump", properties={"flow": Property("double", unit="m3/h")}), publish=True)
    assets = node.registry.assets
    made = assets.create(node.admin, NewAsset(path="a", type="pump"))
    assert "pump@9" in refused(400, assets.change, node.admin, made.id, AssetPatch(type="pump@9"))
    refused(400, assets.create, node.admin, NewAsset(path="b", type="pump@2"))
    assert assets.change(node.admin, made.id, AssetPatch(type="pump@1")).type == "pump@1"
    assert node.changes[-1].typed
    assets.change(node.admin, made.id, AssetPatch(attributes={"a": 1}))
    assert not node.changes[-1].typed
    (found,) = instances.page(node.admin, "pump", None, 10)
    assert [misfit.reason for misfit in found.misfits] == ["model_missing_point"]
    # The other tenant has no such model.
    refused(400, assets.create, node.other, NewAsset(path="c", type="pump@1"))


def test_shelf_finds_published_models_with_what_they_inherit(node: Node, models: ThingModels) -> None:
    models.create(node.admin, MACHINE, publish=True)
    models.create(node.admin, PUMP)
    shelf, tenant = Shelf(), node.admin.tenant
    with reading(node.engine) as connection:
        assert shelf.find(connection, tenant, "泵@1") is None
        assert shelf.find(connection, tenant, "泵") is None
    models.publish(node.admin, "泵@1")
    with reading(node.engine) as connection:
        found = shelf.find(connection, tenant, "泵@1")
        assert found is not None
        assert found.checks["hours"].value_type is ValueType.INT64
        assert shelf.find(connection, tenant, "泵@1") is found
        assert shelf.find(connection, node.other.tenant, "泵@1") is None
