from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from gongfu.tree.orders.kinds import OrderKind
from tests.unit.tree.orders_at_work.nodes_with_orders import OrderTree, World, kind, sections

FOUR_LEVELS = (
    ("nation", ""),
    ("province-1", "nation"),
    ("province-2", "nation"),
    ("enterprise-1", "province-1"),
    ("enterprise-2", "province-2"),
    ("site-1", "enterprise-1"),
    ("site-2", "enterprise-1"),
    ("site-3", "enterprise-2"),
)


@pytest.fixture
async def order_tree(tmp_path: Path, sqlite_template: Path) -> AsyncIterator[Callable[..., Any]]:
    """Makes a tree of four levels with order engines: ``await order_tree(kind, …, seed=1)``."""
    made: list[OrderTree] = []

    async def make(*kinds: OrderKind, seed: int = 0, places: Any = FOUR_LEVELS, **limits: Any) -> OrderTree:
        directory = tmp_path / f"tree-{len(made)}"
        directory.mkdir()
        world = World()
        known = list(kinds) or [kind()]
        tree = OrderTree(directory, sqlite_template, sections(world, known, **limits), seed=seed)
        tree.world, tree.kinds = world, known
        made.append(tree)
        await tree.grow(*places)
        return tree

    yield make
    for tree in made:
        for node in tree.nodes.values():
            if node.running is not None:
                await tree.crash(node.name)
