"""Joining, moving and restarting with the records of every node on PostgreSQL."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gongfu.tree.nodes.requests import Rehoming, ReleaseNode
from tests.fixtures.enrolled_tree import EnrolledTree
from tests.fixtures.postgres import PostgresServer
from tests.fixtures.tree import until


@pytest.fixture
async def tree(
    tmp_path: Path, sqlite_template: Path, postgres_server: PostgresServer, postgres_template: str
) -> AsyncIterator[EnrolledTree]:
    names: list[str] = []

    def url(_: str) -> str:
        names.append(f"nodes_{uuid.uuid4().hex}")
        postgres_server.execute(f'CREATE DATABASE "{names[-1]}" TEMPLATE "{postgres_template}"')
        return postgres_server.url(names[-1])

    made = EnrolledTree(tmp_path, sqlite_template, url)
    yield made
    await made.close()
    for name in names:
        postgres_server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


async def test_join_move_and_restart(tree: EnrolledTree) -> None:
    nation = await tree.found()
    await tree.add("province1", "nation", "88.1")
    await tree.add("province2", "nation", "88.2")
    site = await tree.add("site", "province1", "88.1.1")
    release = await nation.ask("node-release", ReleaseNode(site.id, tree["province2"].id))
    token = await tree.token("province2", "site")
    await site.ask("node-rehome", Rehoming(token, release.release))
    await until(lambda: nation.section.directory.towards(site.id) == tree["province2"].id, "the nation knows")
    await until(lambda: not tree["province1"].section.directory.descendants(), "the former parent knows")
    await tree.change("nation", "suspend", "province2")
    await until(lambda: site.state == "suspended", "the site knows")
    for name in tree.nodes:
        await tree.kill(name)
    for name in tree.nodes:
        await tree.start(name)
    assert (site.state, site.section.directory.chain.membership.prefix) == ("suspended", "88.1.1")
    assert {m.name for m in nation.section.directory.descendants()} == {"province1", "province2", "site"}
    listed = (await tree["province1"].ask("token-list", {"limit": 1})).items
    assert [token.state for token in listed] == ["revoked"]
