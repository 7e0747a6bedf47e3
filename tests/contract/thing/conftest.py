import pytest

from gongfu.thing.instances import Instances, check_asset_type
from gongfu.thing.service import ThingModels
from tests.contract.records.conftest import Node, node

__all__ = ["node"]


@pytest.fixture
def models(node: Node) -> ThingModels:
    return ThingModels(node.engine, node.clock)


@pytest.fixture
def instances(node: Node) -> Instances:
    node.registry.assets._fits = check_asset_type  # as the web host composes it
    return Instances(node.engine, node.clock, node.changes.append)
