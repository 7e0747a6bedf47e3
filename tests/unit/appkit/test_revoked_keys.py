"""A publisher's key that was revoked: what it signed ends, and neither starts nor comes back, but where one lets it."""

import asyncio
import dataclasses
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

import gongfu.registry.tables
from gongfu.appkit.installed.key_standing import key_state, withheld
from gongfu.appkit.manifest import parse_manifest
from gongfu.appkit.package.opening import Package
from gongfu.appkit.package.types import SIGNATURE, Signature, TrustedKeys, key_id
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Role, Subject
from gongfu.store.records.engine import reading, writing
from tests.unit.appkit.test_lifecycle import ADMIN, APP, World, package

OLD, NEW = bytes([1]) * 32, bytes([2]) * 32
BOTH = TrustedKeys({key_id(OLD): "com.example", key_id(NEW): "com.example"}, {})


def signed(version: str, key: bytes) -> Package:
    signature = Signature(format="", algorithm="", publisher="com.example", key=key, signature=bytes(64))
    return dataclasses.replace(package(version), publisher="com.example", signature=signature)


def revoked(*keys: bytes) -> TrustedKeys:
    gone = {key_id(key): "stolen" for key in keys}
    return TrustedKeys({key: name for key, name in BOTH.trusted.items() if key not in gone}, gone)


async def install(world: World, version: str, key: bytes) -> None:
    wanted = signed(version, key)
    await world.life.install(ADMIN, wanted, parse_manifest(wanted.manifest).needs)


async def looked_at(world: World) -> bool:
    """Look at all apps as the role does now and then; return whether the app runs."""
    await world.life.keep_up(lambda _: ADMIN)
    return APP in world.node.running


def test_what_runs_is_ended_and_does_not_come_back_by_itself(tmp_path: Path) -> None:
    async def live() -> None:
        world = World(tmp_path)
        world.trusted = BOTH
        await install(world, "1.0.0", OLD)
        assert await looked_at(world)
        world.trusted = revoked(OLD)
        assert "stolen" in await world.life.may_run(APP)
        assert not await looked_at(world)
        # Nor at a start of the role, nor when somebody enables it.
        world.restart()
        await world.life.recover(lambda _: ADMIN)
        await world.life.start_all()
        assert world.node.running == {}
        with pytest.raises(Problem, match="stolen") as refused:
            await world.life.enable(ADMIN, APP, enabled=True)
        assert (refused.value.status, refused.value.code) == (409, "key-revoked")
        # The key is trusted again, or the app upgraded to a version of another one.
        world.trusted = BOTH
        assert await looked_at(world)
        world.trusted = revoked(OLD)
        assert not await looked_at(world)
        await install(world, "1.1.0", NEW)
        assert world.node.running == {APP: "1.1.0"}

    asyncio.run(live())


def test_nothing_goes_back_to_a_version_of_a_revoked_key(tmp_path: Path) -> None:
    async def live() -> None:
        world = World(tmp_path)
        world.trusted = BOTH
        await install(world, "1.0.0", OLD)
        await install(world, "1.1.0", NEW)
        world.trusted = revoked(OLD)
        with pytest.raises(Problem, match="stolen") as refused:
            await world.life.roll_back(ADMIN, APP)
        assert refused.value.code == "key-revoked"
        assert world.version() == "1.1.0"
        # An upgrade that fails leaves the version in force; if that may not run, it does not.
        world.trusted = revoked(NEW)
        world.node.failing = "apply 2.0.0"
        with pytest.raises(Problem, match="belongs to"):
            await install(world, "2.0.0", OLD)
        assert world.node.running == {}
        app = world.records.get(APP)
        assert app is not None
        assert (app.status, app.current.version) == ("installed", "1.1.0")
        # What was revoked between looking at a package and installing it.
        world.node.failing = ""
        with pytest.raises(Problem, match="stolen"):
            await install(world, "2.0.0", NEW)

    asyncio.run(live())


def test_an_administrator_may_let_it_run_and_the_audit_says_why(tmp_path: Path) -> None:
    async def live() -> None:
        world = World(tmp_path)
        world.trusted = BOTH
        await install(world, "1.0.0", OLD)
        operator = Subject(9, "li", 2, Role.ADMIN)
        with writing(world.engine) as connection:
            connection.execute(gongfu.registry.tables.tenant.insert().values(id=2, name="other", created_at=0))
        with pytest.raises(Problem, match="was not revoked"):
            await world.life.allow_key(operator, APP, "the line must not stop")
        world.trusted = revoked(OLD)
        assert not await looked_at(world)
        await world.life.allow_key(operator, APP, "the line must not stop")
        assert world.node.running == {APP: "1.0.0"}
        assert await looked_at(world)
        app = world.records.get(APP)
        assert app is not None
        assert (withheld(world.trusted, app, app.current), key_state(world.trusted, app.current)) == ("", "revoked")
        # For this key only.
        other = msgspec.structs.replace(app.current, key=key_id(NEW))
        assert "stolen" in withheld(revoked(OLD, NEW), app, other)
        await world.life.allow_key(operator, APP, "")
        assert world.node.running == {}
        with reading(world.engine) as connection:
            audit = gongfu.registry.tables.audit
            rows = connection.execute(select(audit).where(audit.c.action.like("app.key-%"))).all()
        # In the journals of who decided and of whose app it is.
        assert sorted((row.tenant_id, row.action) for row in rows) == [
            (tenant, f"app.key-override{end}") for tenant in (1, 2) for end in ("", "-end")
        ]
        assert f"{key_id(OLD)}: the line must not stop" in {row.detail for row in rows}

    asyncio.run(live())


def test_keys_of_apps_that_were_there_before_are_learned(tmp_path: Path) -> None:
    async def live() -> None:
        world = World(tmp_path)
        world.trusted = BOTH
        await install(world, "1.0.0", OLD)
        app = world.records.get(APP)
        assert app is not None
        world.records.change(None, APP, current=msgspec.structs.replace(app.current, key=""))
        document = signed("1.0.0", OLD).signature
        (world.folders.code(APP, 1) / SIGNATURE).write_bytes(msgspec.json.encode(document))
        world.trusted = revoked(OLD)
        assert await looked_at(world)
        world.restart()
        await world.life.recover(lambda _: ADMIN)
        await world.life.start_all()
        assert world.node.running == {}

    asyncio.run(live())


def test_what_cannot_be_restored_is_tried_again_until_it_can(tmp_path: Path) -> None:
    async def live() -> None:
        world = World(tmp_path)
        await install(world, "1.0.0", OLD)
        world.records.change(None, APP, status="upgrading")
        world.restart()
        world.node.failing = "apply 1.0.0"
        await world.life.recover(lambda _: ADMIN)
        for _ in range(2):
            app = world.records.get(APP)
            assert app is not None
            assert app.status == "restoring"
            assert "belongs to app:other" in app.trouble
            assert not await looked_at(world)
            with pytest.raises(Problem, match="restoring"):
                await install(world, "1.1.0", OLD)
        world.node.failing = ""
        assert await looked_at(world)
        assert world.version() == "1.0.0"

        async def lost(*_: object) -> None:
            raise OSError("the disk is away")

        remove, world.node.remove = world.node.remove, lost
        with pytest.raises(Problem, match="tried again") as refused:
            await world.life.remove(ADMIN, APP)
        assert refused.value.code == "not-removed-yet"
        app = world.records.get(APP)
        assert app is not None
        assert (app.status, "disk is away" in app.trouble) == ("removing", True)
        world.node.remove = remove
        assert not await looked_at(world)
        assert world.version() == ""

    asyncio.run(live())
