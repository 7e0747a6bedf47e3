"""A device at two nodes counts once; whose it is, is decided at the home of its identifier."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, insert, select

from gongfu.registry.tables import asset, device, tenant
from gongfu.store.records.engine import reading, writing
from gongfu.tree.membership.types import NodeState
from gongfu.tree.reports import identifiers
from gongfu.tree.reports.section import ReportsSection
from tests.contract.tree.reports.moving import change_state
from tests.contract.tree.reports.report_tree import ReportTree
from tests.fixtures.tree import TreeOfHosts, until


def register(engine: Engine, name: str, identifier: str | None) -> int:
    """Add an asset with a device, as the registry does; return the device's id."""
    with writing(engine) as connection:
        if connection.execute(select(tenant.c.id).where(tenant.c.id == 1)).first() is None:
            connection.execute(insert(tenant).values(id=1, name="node", created_at=1))
        attributes = {"identifier": identifier} if identifier else {}
        values = {"tenant_id": 1, "name": name, "path": name, "type": "", "attributes": attributes, "created_at": 1}
        key = connection.execute(insert(asset).values(values)).inserted_primary_key
        assert key is not None
        row = {
            "tenant_id": 1,
            "name": name,
            "asset_id": key[0],
            "secret_hash": "",
            "enabled": True,
            "created_at": 1,
        }
        added = connection.execute(insert(device).values(row)).inserted_primary_key
        assert added is not None
        return int(added[0])


def remove(engine: Engine, name: str) -> None:
    with writing(engine) as connection:
        connection.execute(delete(device).where(device.c.name == name))


class Plant(ReportTree):
    """A nation 88 with two provinces, each with sites; devices by identifier."""

    async def build(self) -> None:
        await self.add("nation", prefix="88")
        for i in (1, 2):
            await self.add(f"province-{i}", "nation", prefix=f"88.{i}")
            await self.add(f"site-{i}", f"province-{i}", prefix=f"88.{i}.7")

    def add_device(self, node: str, name: str, identifier: str | None) -> None:
        engine = self.tree.node(node).engine
        assert engine is not None
        self.sources[node].devices[register(engine, name, identifier)] = True

    def remove_device(self, node: str, name: str) -> None:
        engine = self.tree.node(node).engine
        assert engine is not None
        with reading(engine) as connection:
            number = connection.execute(select(device.c.id).where(device.c.name == name)).scalar_one()
        remove(engine, name)
        del self.sources[node].devices[number]

    async def counted(self, expected: Mapping[str, int]) -> None:
        """Wait until each subtree has so many devices."""
        for name, n in expected.items():
            await until(
                lambda name=name, n=n: self._devices(name) == n, f"{n} devices at {name}, not {self._devices(name)}"
            )

    def _devices(self, name: str) -> int:
        doc = self.section(name).live_of(self.tree.id(name))
        return -1 if doc is None else doc.devices


async def test_a_device_at_two_nodes_counts_at_the_home_of_its_identifier(
    make_tree: Callable[..., TreeOfHosts],
) -> None:
    plant = Plant(make_tree)
    await plant.build()
    plant.add_device("site-1", "pump", "88.1.7/pump")
    plant.add_device("site-1", "nameless", None)
    await plant.counted({"site-1": 2, "nation": 2})
    # The same pump at a node on the other side of the tree, and at the nation itself.
    plant.add_device("site-2", "pump-too", "88.1.7/pump")
    plant.add_device("nation", "pump-again", "88.1.7/pump")
    plant.add_device("site-2", "own", "88.2.7/own")
    await plant.counted({"site-1": 2, "site-2": 1, "province-2": 1, "nation": 3})
    # The home gives it up: the claim that came first counts, and only that one.
    plant.remove_device("site-1", "pump")
    await plant.counted({"site-1": 1, "nation": 3})
    plant.remove_device("nation", "pump-again")
    await plant.counted({"site-1": 1, "site-2": 2, "nation": 3})
    plant.add_device("site-1", "pump-back", "88.1.7/pump")
    await plant.counted({"site-1": 2, "site-2": 1, "nation": 3})
    # Nobody's own prefix: the root decides.
    plant.add_device("site-1", "guest", "99.1/guest")
    plant.add_device("site-2", "guest-too", "99.1/guest")
    await plant.counted({"nation": 4})


async def test_claims_survive_restarts_and_restored_homes(
    make_tree: Callable[..., TreeOfHosts], tmp_path: Path
) -> None:
    plant = Plant(make_tree)
    await plant.build()
    await plant.tree.stop("site-1")
    plant.tree.copy("site-1", tmp_path / "copy")
    await plant.tree.start("site-1")
    for i in (1, 2):
        plant.add_device("site-2", f"pump-{i}", f"88.1.7/pump-{i}")
    plant.add_device("province-2", "pump-1-too", "88.1.7/pump-1")
    await plant.counted({"nation": 2})
    for name in ("site-1", "province-1", "nation", "site-2"):
        await plant.kill(name)
        await plant.tree.start(name)
    await plant.counted({"site-1": 0, "nation": 2})
    # The home forgets all claims: they are stated anew.
    await plant.tree.stop("site-1")
    plant.tree.restore("site-1", tmp_path / "copy")
    await plant.tree.start("site-1")
    plant.add_device("site-1", "pump-1-home", "88.1.7/pump-1")
    await plant.counted({"site-1": 1, "nation": 2})


async def test_a_retired_node_gives_its_claims_back(make_tree: Callable[..., TreeOfHosts]) -> None:
    plant = Plant(make_tree)
    await plant.build()
    plant.add_device("site-2", "pump", "88.1.7/pump")
    await plant.counted({"site-2": 1})
    plant.add_device("province-2", "pump-too", "88.1.7/pump")
    await plant.counted({"nation": 1, "province-2": 1})
    await plant.tree.stop("site-2")
    await change_state(plant.tree, "site-2", NodeState.RETIRED)
    # Not 0: the province's own claim counts now, and the retired site's figures are in no total.
    await plant.counted({"province-2": 1, "nation": 1})
    section: ReportsSection = plant.section("province-2")
    await until(lambda: not section.claims.elsewhere, "the province counts the pump")


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("88.1/x", "88.1"),
        ("88.1/", ""),
        ("x", ""),
        ("/x", ""),
        ("8\n8/x", ""),
        ("A.b/C/d", "a.b"),
        ("8" * 70 + "/x", ""),
    ],
)
def test_what_an_identifier_is(text: str, prefix: str) -> None:
    assert identifiers.prefix_of(text) == prefix


def test_identifiers_are_found_by_the_index(records: Engine) -> None:
    one = register(records, "a", "88.1/a")
    two = register(records, "b", "88.10/b")
    register(records, "c", None)
    three = register(records, "d", "87/d")
    register(records, "e", "no identifier")
    with reading(records) as connection:
        assert identifiers.count(connection) == 4
        assert identifiers.registered(connection, "88.10/b")
        assert not identifiers.registered(connection, "88.10/a")
        assert sorted(identifiers.devices(connection, "88.1")) == [("87/d", three), ("88.10/b", two)]
        assert sorted(identifiers.devices(connection, "")) == [("87/d", three), ("88.1/a", one), ("88.10/b", two)]
