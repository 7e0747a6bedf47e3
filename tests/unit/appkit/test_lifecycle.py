"""The life of an app: whatever fails or crashes at whatever step, one version is in force, whole; nothing is left."""

import asyncio
import dataclasses
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gongfu.appkit.installed.tables
import gongfu.registry.tables
from gongfu.appkit.host.process import AppFailure
from gongfu.appkit.installed.folders import Folders
from gongfu.appkit.installed.lifecycle import LifeCycle
from gongfu.appkit.installed.records import InstalledRecords
from gongfu.appkit.installed.service import InstalledApps
from gongfu.appkit.installed.types import InstalledApp, InstalledVersion
from gongfu.appkit.manifest import Needs, parse_manifest
from gongfu.appkit.package.opening import Package, open_package_bytes
from gongfu.appkit.package.origin import origin_of
from gongfu.appkit.package.packing import pack, read_source
from gongfu.appkit.package.types import TrustedKeys
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Role, Subject
from gongfu.kernel.times import SystemClock
from gongfu.store.records.engine import metadata, open_records, writing

APP = "com.example.pump"
ADMIN = Subject(1, "admin", 1, Role.ADMIN)
VERSIONS = ("1.0.0", "1.1.0", "2.0.0")


class Crash(BaseException):
    """The process is gone at this step."""


@functools.cache
def package(version: str, needs: str = "records = true") -> Package:
    manifest = f'[app]\nid = "{APP}"\nversion = "{version}"\ntitle = {{ zh = "泵", en = "Pump" }}\n[needs]\n{needs}\n'
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "app.toml").write_text(manifest)
        (Path(folder) / "app.py").write_text(f"# {version}\n")
        files = read_source(Path(folder))
        return open_package_bytes(pack(files, origin_of(Path(folder), files), None), None, allow_unsigned=True)


class Steps:
    """Counts the steps of an operation and breaks it off at one of them."""

    def __init__(self) -> None:
        self.crash_at = -1
        self.after = False
        self.count = 0

    def around(self, target: Any, names: list[str]) -> None:
        for name in names:
            setattr(target, name, self._wrapped(getattr(target, name)))

    def _wrapped(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def before() -> bool:
            self.count += 1
            if self.count == self.crash_at and not self.after:
                raise Crash
            return self.count == self.crash_at

        if asyncio.iscoroutinefunction(method):

            async def later(*args: Any, **named: Any) -> Any:
                breaks = before()
                found = await method(*args, **named)
                if breaks:
                    raise Crash
                return found

            return later

        def now(*args: Any, **named: Any) -> Any:
            breaks = before()
            found = method(*args, **named)
            if breaks:
                raise Crash
            return found

        return now


class Node:
    """What runs (lost in a crash) and what an app has brought (kept): stands for processes and registries."""

    def __init__(self, folders: Folders, brought: dict[str, str]) -> None:
        self.folders = folders
        self.brought = brought
        self.running: dict[str, str] = {}
        self.failing = ""

    async def prepare(self, app: InstalledApp, version: InstalledVersion) -> None:
        (self.folders.state(app.app, version.generation) / "progress").write_text("begin")

    async def try_out(self, app: InstalledApp, version: InstalledVersion) -> None:
        assert app.app not in self.running, "two versions at once"
        with (self.folders.data(app.app, version.generation) / "records").open("a") as file:
            file.write(f"{version.version} ")
        if self.failing == "lost":
            raise RuntimeError("the block log does not answer")
        if self.failing == "try":
            raise AppFailure("health check: RuntimeError: no")

    async def start(self, app: InstalledApp) -> None:
        self.running[app.app] = app.current.version
        if self.failing == f"start {app.current.version}":
            raise AppFailure("it was not ready in 20 s")

    async def stop(self, app: str) -> None:
        self.running.pop(app, None)

    def keeps(self, app: str) -> bool:
        return app in self.running

    async def plan(self, subject: Subject, app: InstalledApp, version: InstalledVersion) -> InstalledVersion:
        return version

    async def retire(self, subject: Subject, thing_models: frozenset[str]) -> None:
        assert not thing_models

    async def apply(self, subject: Subject, app: InstalledApp, version: InstalledVersion) -> InstalledVersion:
        if self.failing == f"apply {version.version}":
            raise Problem(409, "conflict", "Conflict", "pump.efficiency belongs to app:other")
        self.brought[app.app] = version.version
        return version

    async def remove(self, subject: Subject, app: InstalledApp) -> None:
        self.brought.pop(app.app, None)


class World:
    """A node's disk and records, with a life cycle that can be started again."""

    def __init__(self, root: Path) -> None:
        self.engine = open_records(f"sqlite:///{root / 'records.db'}")
        tables = [gongfu.registry.tables.tenant, gongfu.registry.tables.audit]
        metadata.create_all(self.engine, tables=[*tables, gongfu.appkit.installed.tables.installed_app])
        with writing(self.engine) as connection:
            connection.execute(gongfu.registry.tables.tenant.insert().values(id=1, name="node", created_at=0))
        self.root = root / "apps"
        self.brought: dict[str, str] = {}
        self.trusted = TrustedKeys({}, {})
        self.restart()

    def restart(self) -> None:
        self.steps = Steps()
        self.records = InstalledRecords(self.engine, SystemClock())
        self.folders = Folders(self.root)
        self.node = Node(self.folders, self.brought)
        self.life = LifeCycle(self.records, self.folders, self.node, self.node, lambda: self.trusted)
        self.steps.around(self.records, ["add", "change", "remove"])
        self.steps.around(self.folders, ["make_state", "copy_state", "keep_only", "remove", "sync"])
        self.steps.around(self.node, ["prepare", "try_out", "start", "stop", "apply"])

    async def recover(self) -> None:
        self.restart()
        await self.life.recover(lambda app: ADMIN)
        for app in self.records.all():
            await self.life.enable(ADMIN, app.app, enabled=True)

    def version(self) -> str:
        """Return the version in force, checked to be whole; empty for none."""
        app = self.records.get(APP)
        folders = {entry.name for entry in self.folders.of(APP).iterdir()} if self.folders.of(APP).exists() else set()
        if app is None:
            assert folders == set()
            assert self.brought == {}
            assert self.node.running == {}
            return ""
        assert app.status == "installed"
        kept = [app.current, *([app.previous] if app.previous else [])]
        assert folders == {f"{kind}-{one.generation}" for one in kept for kind in ("code", "state")}
        for one in kept:
            assert (self.folders.code(APP, one.generation) / "app.py").read_text() == f"# {one.version}\n"
            recorded = (self.folders.data(APP, one.generation) / "records").read_text().split()
            assert recorded[-1] == one.version, "records of another version"
            assert (self.folders.state(APP, one.generation) / "progress").read_text() == "begin"
        assert self.brought == {APP: app.current.version}
        assert self.node.running == {APP: app.current.version}
        return app.current.version

    async def do(self, operation: str) -> None:
        match operation:
            case "remove":
                await self.life.remove(ADMIN, APP)
            case "rollback":
                await self.life.roll_back(ADMIN, APP)
            case version:
                await self.life.install(ADMIN, package(version), parse_manifest(package(version).manifest).needs)


OPERATION = st.tuples(
    st.sampled_from([*VERSIONS, "rollback", "remove"]),
    st.one_of(st.just(-1), st.integers(1, 14)),
    st.booleans(),
    st.sampled_from(["", "", "try", *(f"{kind} {version}" for kind in ("start", "apply") for version in VERSIONS)]),
)


@settings(max_examples=12, deadline=None)
@given(st.lists(OPERATION, min_size=2, max_size=6))
def test_one_version_is_in_force_and_whole_whatever_happens(operations: list[tuple[str, int, bool, str]]) -> None:
    async def live(root: Path) -> None:
        world = World(root)
        for operation, crash_at, after, failing in operations:
            before = world.version()
            row = world.records.get(APP)
            back = row.previous.version if row is not None and row.previous is not None else None
            wanted = {"remove": "", "rollback": back}.get(operation, operation)
            world.node.failing = failing
            world.steps.crash_at, world.steps.after, world.steps.count = crash_at, after, 0
            try:
                await world.do(operation)
            except Problem:
                world.node.failing = ""
                world.steps.crash_at = -1
                assert world.version() == before, "a refused operation changed something"
            except Crash:
                await world.recover()
                assert world.version() in (before, wanted)
            else:
                world.steps.crash_at = -1
                assert world.version() == wanted
        world.engine.dispose()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(live(Path(folder)))


def test_every_step_of_an_upgrade_may_be_the_last(tmp_path: Path) -> None:
    async def live() -> list[str]:
        found: list[str] = []
        for crash_at in range(1, 40):
            root = tmp_path / str(crash_at)
            root.mkdir()
            world = World(root)
            await world.do("1.0.0")
            world.steps.crash_at, world.steps.count = crash_at, 0
            try:
                await world.do("1.1.0")
            except Crash:
                await world.recover()
                found.append(world.version())
                world.engine.dispose()
                continue
            world.engine.dispose()
            return found
        raise AssertionError("an upgrade has no end")

    found = asyncio.run(live())
    assert found == sorted(found)
    assert set(found) == {"1.0.0", "1.1.0"}
    assert len(found) >= 8


def test_what_was_not_granted_is_not_installed(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(Problem, match="tables of its own") as refused:
        asyncio.run(world.life.install(ADMIN, package("1.0.0"), Needs()))
    assert refused.value.status == 403
    assert world.version() == ""


def test_what_was_refused_stays_refused_after_going_back(tmp_path: Path) -> None:
    needs = "[needs.alarms]\nname = 'bell'\noptional = true\nreason = { zh = 'a', en = 'a' }"
    world = World(tmp_path)

    def granted() -> bool:
        app = world.records.get(APP)
        assert app is not None
        return app.current.granted.alarms is not None

    async def live() -> None:
        for version in ("1.0.0", "1.1.0"):
            wanted = package(version, needs)
            await world.life.install(ADMIN, wanted, parse_manifest(wanted.manifest).needs)
        assert granted()
        await world.life.grant(ADMIN, APP, ["bell"])
        await world.life.roll_back(ADMIN, APP)

    asyncio.run(live())
    assert world.version() == "1.0.0"
    assert not granted()


def test_an_older_version_and_another_tenant_are_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    asyncio.run(world.do("1.1.0"))
    with pytest.raises(Problem, match="not newer"):
        asyncio.run(world.do("1.0.0"))
    stranger = Subject(2, "other", 2, Role.ADMIN)
    with pytest.raises(Problem, match="another tenant"):
        asyncio.run(world.life.install(stranger, package("2.0.0"), parse_manifest(package("2.0.0").manifest).needs))
    with pytest.raises(Problem) as missing:
        asyncio.run(world.life.remove(stranger, APP))
    assert missing.value.status == 404
    assert world.version() == "1.1.0"


def test_another_publisher_does_not_upgrade_an_app(tmp_path: Path) -> None:
    world = World(tmp_path)
    needs = parse_manifest(package("1.0.0").manifest).needs

    def by(publisher: str, version: str) -> str:
        signed = dataclasses.replace(package(version), publisher=publisher) if publisher else package(version)
        return asyncio.run(world.life.install(ADMIN, signed, needs)).current.version

    assert by("com.example", "1.0.0") == "1.0.0"
    for stranger in ("com.stranger", ""):
        with pytest.raises(Problem, match=r"is by com\.example") as refused:
            by(stranger, "1.1.0")
        assert refused.value.status == 409
    assert world.version() == "1.0.0"
    assert by("com.example", "1.1.0") == "1.1.0"


def test_a_fault_of_the_node_itself_leaves_the_version_before(tmp_path: Path) -> None:
    world = World(tmp_path)
    asyncio.run(world.do("1.0.0"))
    world.node.failing = "lost"
    with pytest.raises(Problem, match="block log"):
        asyncio.run(world.do("1.1.0"))
    assert world.version() == "1.0.0"
    asyncio.run(world.do("remove"))
    with pytest.raises(Problem, match="block log"):
        asyncio.run(world.do("1.0.0"))
    assert world.version() == ""


def test_the_first_start_takes_apps_as_they_are_at_their_turn(tmp_path: Path) -> None:
    world = World(tmp_path)
    asyncio.run(world.do("1.0.0"))
    listed = world.records.all()
    asyncio.run(world.do("1.1.0"))
    world.records.all = lambda tenant=None: listed
    asyncio.run(world.life.start_all())
    assert world.version() == "1.1.0"
    asyncio.run(world.life.enable(ADMIN, APP, enabled=False))
    asyncio.run(world.life.start_all())
    assert world.node.running == {}


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "../app.py", "x/" * 3000])
def test_a_page_that_no_file_can_be_is_not_found(tmp_path: Path, name: str) -> None:
    world = World(tmp_path)
    asyncio.run(world.do("1.0.0"))

    async def nothing(_: object) -> str:
        return ""

    apps = InstalledApps(world.engine, SystemClock(), world.folders, lambda: TrustedKeys({}, {}), nothing)
    with pytest.raises(Problem) as refused:
        apps.page_file(APP, name)
    assert refused.value.status == 404
    if name == "../app.py":
        data = world.folders.data(APP, 1)
        (data / "records.sqlite").symlink_to(tmp_path / "records.db")
        with pytest.raises(Problem):
            apps.records_file(ADMIN, APP)
