import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import insert

from gongfu.kernel.errors import Problem
from gongfu.kernel.points import ValueType
from gongfu.registry.assets import AssetDocument, AssetPatch, NewAsset
from gongfu.registry.devices import NewDevice
from gongfu.registry.tables import point
from gongfu.store.records.engine import writing
from tests.contract.records.conftest import Node


def add_point(node: Node, asset: AssetDocument, name: str = "temperature") -> None:
    with writing(node.engine) as connection:
        connection.execute(
            insert(point).values(
                tenant_id=node.admin.tenant,
                asset_id=asset.id,
                name=name,
                value_type=ValueType.DOUBLE,
                unit="",
                description="",
                created_at=1,
            )
        )


def paths(node: Node) -> list[str]:
    return [asset.path for asset in node.registry.assets.page(node.admin, None, 1000)]


def test_path_makes_the_parents(node: Node) -> None:
    made = node.registry.assets.create(node.admin, NewAsset(path="plant/hall 1/pump", attributes={"kw": 5, "名": "泵"}))
    assert paths(node) == ["plant", "plant/hall 1", "plant/hall 1/pump"]
    assert (made.name, made.attributes) == ("pump", {"kw": 5, "名": "泵"})
    parent = node.registry.assets.get(node.admin, made.parent_id or 0)
    assert (parent.path, parent.children) == ("plant/hall 1", 1)
    with pytest.raises(Problem) as raised:
        node.registry.assets.create(node.admin, NewAsset(path="plant/hall 1"))
    assert raised.value.status == 409


def test_bad_path_is_refused_and_leaves_nothing(node: Node) -> None:
    with pytest.raises(Problem) as raised:
        node.registry.assets.create(node.admin, NewAsset(path="a/b//c"))
    assert raised.value.status == 400
    assert paths(node) == []


def test_move_takes_all_below_along_and_nothing_beside(node: Node) -> None:
    assets = node.registry.assets
    for path in ("a/b/c", "a/b/d", "a/bb/c", "a/b-", "a/b0", "x"):
        assets.create(node.admin, NewAsset(path=path))
    b = assets.page(node.admin, None, 1, path="a/b")[0]
    x = assets.page(node.admin, None, 1, path="x")[0]
    moved = assets.change(node.admin, b.id, AssetPatch(parent_id=x.id, name="泵%_"))
    assert moved.path == "x/泵%_"
    assert paths(node) == sorted(["a", "a/b-", "a/b0", "a/bb", "a/bb/c", "x", "x/泵%_", "x/泵%_/c", "x/泵%_/d"])
    assets.change(node.admin, b.id, AssetPatch(parent_id=None, name="b"))
    assert "b/c" in paths(node)


def test_move_into_itself_or_over_another_is_refused(node: Node) -> None:
    assets = node.registry.assets
    child = assets.create(node.admin, NewAsset(path="a/b/c"))
    assets.create(node.admin, NewAsset(path="z"))
    a = assets.page(node.admin, None, 1, path="a")[0]
    for patch in (AssetPatch(parent_id=child.id), AssetPatch(parent_id=a.id), AssetPatch(name="z")):
        with pytest.raises(Problem) as raised:
            assets.change(node.admin, a.id, patch)
        assert raised.value.status == 409
    assert paths(node) == ["a", "a/b", "a/b/c", "z"]


def test_move_that_makes_a_path_too_long_is_refused(node: Node) -> None:
    assets = node.registry.assets
    deep = "/".join("x" * 100 for _ in range(9))
    assets.create(node.admin, NewAsset(path=f"a/{deep}"))
    a = assets.page(node.admin, None, 1, path="a")[0]
    with pytest.raises(Problem, match="1000"):
        assets.change(node.admin, a.id, AssetPatch(name="y" * 200))


def test_move_tells_front_doors_about_devices_below(node: Node) -> None:
    made = node.registry.devices.create(node.admin, NewDevice("d1", asset="hall/pump"))
    hall = node.registry.assets.page(node.admin, None, 1, path="hall")[0]
    node.changes.clear()
    node.registry.assets.change(node.admin, hall.id, AssetPatch(name="hall 2"))
    assert [(change.kind, change.name, change.change) for change in node.changes] == [
        ("asset", "hall 2", "updated"),
        ("device", "d1", "updated"),
    ]
    assert node.registry.devices.get(node.admin, made.device.id).asset_path == "hall 2/pump"


def test_delete_needs_force_when_not_empty_and_never_takes_devices(node: Node) -> None:
    assets = node.registry.assets
    leaf = assets.create(node.admin, NewAsset(path="a/b"))
    a = assets.page(node.admin, None, 1, path="a")[0]
    add_point(node, leaf)
    with pytest.raises(Problem, match="1 assets, 1 points"):
        assets.delete(node.admin, a.id)
    assets.delete(node.admin, a.id, force=True)
    assert paths(node) == []
    node.registry.devices.create(node.admin, NewDevice("d1", asset="a/b"))
    a = assets.page(node.admin, None, 1, path="a")[0]
    with pytest.raises(Problem, match="1 devices"):
        assets.delete(node.admin, a.id, force=True)


def test_empty_asset_is_deleted_and_its_id_not_used_again(node: Node) -> None:
    assets = node.registry.assets
    first = assets.create(node.admin, NewAsset(path="a"))
    assets.delete(node.admin, first.id)
    assert assets.create(node.admin, NewAsset(path="a")).id > first.id


def test_other_tenants_see_and_change_nothing(node: Node) -> None:
    assets = node.registry.assets
    mine = assets.create(node.admin, NewAsset(path="a"))
    assert assets.page(node.other, None, 10) == []
    for attempt in (
        lambda: assets.get(node.other, mine.id),
        lambda: assets.change(node.other, mine.id, AssetPatch(name="b")),
        lambda: assets.delete(node.other, mine.id),
        lambda: assets.create(node.other, NewAsset(name="b", parent_id=mine.id)),
        lambda: assets.id_of(node.other, "a"),
    ):
        with pytest.raises(Problem) as raised:
            attempt()
        assert raised.value.status == 404
    # The same path may exist in both.
    theirs = assets.create(node.other, NewAsset(path="a"))
    assert theirs.id != mine.id


def test_search_by_part_and_by_prefix(node: Node) -> None:
    for path in ("plant/Pump 1", "plant/fan", "pump", "100%/a_b", "100x/aXb", "back\\slash"):
        node.registry.assets.create(node.admin, NewAsset(path=path))

    def found(search: str) -> list[str]:
        return [asset.path for asset in node.registry.assets.page(node.admin, None, 100, search=search)]

    assert found("pump") == ["plant/Pump 1", "pump"]
    assert found("^pump") == ["pump"]
    assert found("%") == ["100%", "100%/a_b"]
    assert found("a_b") == ["100%/a_b"]
    assert found("\\") == ["back\\slash"]
    assert found("nothing") == []


def test_attributes_are_bounded(node: Node) -> None:
    for attributes in ({"a": "x" * 70_000}, {"a": "\0"}, {"a": [{"b\0": 1}]}):
        with pytest.raises(Problem) as raised:
            node.registry.assets.create(node.admin, NewAsset(path="a", attributes=attributes))
        assert raised.value.status == 400


NAMES = st.sampled_from(["a", "b", "a0", "a-", "泵", "%", "_", "A"])


class TreeMachine(RuleBasedStateMachine):
    """The tree against a dictionary of paths."""

    node: Node

    def __init__(self) -> None:
        super().__init__()
        assets = self.node.registry.assets
        while roots := assets.page(self.node.admin, None, 100, parent=0):
            for root in roots:
                assets.delete(self.node.admin, root.id, force=True)
        self.model: dict[int, tuple[int | None, str]] = {}

    def path(self, key: int | None) -> str:
        if key is None:
            return ""
        parent, name = self.model[key]
        return f"{self.path(parent)}/{name}".lstrip("/")

    def inside(self, key: int | None, root: int) -> bool:
        return key is not None and (key == root or self.inside(self.model[key][0], root))

    @rule(data=st.data(), name=NAMES)
    def add(self, data: st.DataObject, name: str) -> None:
        parent = data.draw(st.sampled_from([None, *self.model]))
        taken = (parent, name) in self.model.values()
        request = NewAsset(name=name, parent_id=parent)
        if taken:
            with pytest.raises(Problem, match="already"):
                self.node.registry.assets.create(self.node.admin, request)
        else:
            self.model[self.node.registry.assets.create(self.node.admin, request).id] = (parent, name)

    @hypothesis.stateful.precondition(lambda self: self.model)
    @rule(data=st.data(), name=NAMES)
    def move(self, data: st.DataObject, name: str) -> None:
        key = data.draw(st.sampled_from(list(self.model)))
        parent = data.draw(st.sampled_from([None, *self.model]))
        inside = self.inside(parent, key)
        taken = (parent, name) in {value for other, value in self.model.items() if other != key}
        patch = AssetPatch(parent_id=parent, name=name)
        if inside or taken:
            with pytest.raises(Problem) as raised:
                self.node.registry.assets.change(self.node.admin, key, patch)
            assert raised.value.status == 409
        else:
            self.node.registry.assets.change(self.node.admin, key, patch)
            self.model[key] = (parent, name)

    @hypothesis.stateful.precondition(lambda self: self.model)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(list(self.model)))
        self.node.registry.assets.delete(self.node.admin, key, force=True)
        self.model = {other: value for other, value in self.model.items() if not self.inside(other, key)}

    @invariant()
    def paths_agree(self) -> None:
        assert paths(self.node) == sorted(self.path(key) for key in self.model)


def test_tree_keeps_its_paths(node: Node) -> None:
    machine = type("Machine", (TreeMachine,), {"node": node})
    run_state_machine_as_test(
        machine,
        settings=hypothesis.settings(
            max_examples=12,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )
