"""Kills a life cycle of apps with SIGKILL before each of its steps, recovers, and tells what is left.

``python -m tests.contract.appkit.kill_program FOLDER EVERY OPERATION BEFORE…``: a line of JSON for each kill, before
every so manieth step, and one for the whole operation. A step is a commit of the records, or a change in the folders.
Records, folders, models, rules and thing models are the node's own;
processes of apps end with their host, so that what runs them here keeps nothing.
"""

import asyncio
import functools
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event, select

from gongfu.appkit.installed.folders import Folders
from gongfu.appkit.installed.lifecycle import LifeCycle
from gongfu.appkit.installed.provisions import NodeProvisions
from gongfu.appkit.installed.records import InstalledRecords
from gongfu.appkit.installed.types import InstalledApp, InstalledVersion
from gongfu.appkit.manifest import parse_manifest
from gongfu.appkit.package.opening import Package, open_package_bytes
from gongfu.appkit.package.origin import origin_of
from gongfu.appkit.package.packing import pack, read_source
from gongfu.kernel.permissions import Role, Subject
from gongfu.kernel.times import SystemClock
from gongfu.reason.models.inspecting import Inspector
from gongfu.reason.models.scopes import all_scopes
from gongfu.reason.models.tables import model, model_version
from gongfu.reason.rules.records import rule
from gongfu.registry.tables import tenant
from gongfu.store.objects.folder import ObjectFolder
from gongfu.store.records.engine import open_records, reading, writing
from gongfu.store.records.migrations import migrate
from gongfu.thing.tables import thing_model

APP = "com.example.pump"
ADMIN = Subject(1, "admin", 1, Role.ADMIN)
STEPS = ("sync", "make_state", "copy_state", "keep_only", "remove")


@functools.cache
def package(version: str) -> Package:
    major = int(version[0])
    files = {
        "app.toml": f'[app]\nid = "{APP}"\nversion = "{version}"\ntitle = {{ zh = "泵", en = "Pump" }}\n'
        '[needs]\nrecords = true\n[needs.alarms]\nassets = "**"\n'
        '[provides]\nthing_models = ["things/pump.json"]\nrules = ["rules/hot.yaml"]\n'
        f'[[provides.models]]\nfile = "models/power{major}.sql"\nbind = [{{ assets = "hall/**" }}]\n',
        "app.py": f"# {version}\n",
        "pages/index.html": f"<p>{version}</p>\n",
        "things/pump.json": json.dumps(
            {"name": "test.pump", "properties": {f"flow{major}": {"data_type": "double", "unit": "m3/h"}}}
        ),
        "rules/hot.yaml": f"- name: hot {major}\n  kind: threshold\n  asset: hall/*\n  point: temp\n"
        f"  condition: {{ direction: above, limit: {80 + major} }}\n",
        f"models/power{major}.sql": "SELECT now() AS time, 1.0 AS power",
        f"models/power{major}.toml": f'id = "pump.power{major}"\nversion = "{version}"\nstep_s = 60.0\n'
        '[[outputs]]\nname = "power"\nunit = "kW"\n',
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        found = read_source(Path(folder))
        return open_package_bytes(pack(found, origin_of(Path(folder), found), None), None, allow_unsigned=True)


class Kept:
    """Runs nothing."""

    def __init__(self) -> None:
        self.running: set[str] = set()

    async def prepare(self, app: InstalledApp, version: InstalledVersion) -> None: ...

    async def try_out(self, app: InstalledApp, version: InstalledVersion) -> None: ...

    async def start(self, app: InstalledApp) -> None:
        self.running.add(app.app)

    async def stop(self, app: str) -> None:
        self.running.discard(app)

    def keeps(self, app: str) -> bool:
        return app in self.running


class Reader:
    """The role ``models`` as far as it reads artifacts; a statement needs no process."""

    def __init__(self, objects: ObjectFolder, folder: Path) -> None:
        self.inspect = Inspector(objects, folder / "scratch").inspect

    async def want(self) -> None: ...


class Node:
    def __init__(self, folder: Path) -> None:
        self.engine = open_records(f"sqlite:///{folder / 'records.db'}")
        self.folders = Folders(folder / "apps")
        objects, clock = ObjectFolder(folder / "objects"), SystemClock()
        role: Any = Reader(objects, folder)
        self.provisions = NodeProvisions(self.engine, clock, self.folders, lambda *_: None, objects, role)
        self.records = InstalledRecords(self.engine, clock)
        self.runner = Kept()
        self.life = LifeCycle(self.records, self.folders, self.runner, self.provisions)

    def kill_before(self, step: int) -> None:
        count = 0

        def next_step(*_: object) -> None:
            nonlocal count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)

        def around(method: Callable[..., Any]) -> Callable[..., Any]:
            def stepped(*args: Any) -> Any:
                next_step()
                return method(*args)

            return stepped

        event.listen(self.engine, "commit", next_step)
        folders: Any = self.folders
        for name in STEPS:
            setattr(folders, name, around(getattr(folders, name)))

    async def do(self, operation: str) -> None:
        match operation:
            case "remove":
                await self.life.remove(ADMIN, APP)
            case "rollback":
                await self.life.roll_back(ADMIN, APP)
            case version:
                wanted = package(version)
                await self.life.install(ADMIN, wanted, parse_manifest(wanted.manifest).needs)

    def left(self) -> dict[str, Any]:
        """Return what there is of the app, everywhere."""
        app = self.records.get(APP)
        home = self.folders.of(APP)
        with reading(self.engine) as connection:
            models = connection.execute(select(model.c.name, model_version.c.version).join(model_version)).all()
            rules = connection.execute(select(rule.c.name)).scalars().all()
            things = connection.execute(
                select(thing_model.c.name, thing_model.c.version).where(thing_model.c.state == "published")
            ).all()
            scopes = [scope.model for scope in all_scopes(connection)]
        pages = (
            (self.folders.code(APP, app.current.generation) / "pages/index.html").read_text().strip("<p>/\n")
            if app is not None
            else ""
        )
        return {
            "status": "" if app is None else app.status,
            "pending": app is not None and app.pending is not None,
            "version": "" if app is None else app.current.version,
            "previous": app.previous.version if app is not None and app.previous is not None else "",
            "pages": pages,
            "folders": len(list(home.iterdir())) if home.exists() else 0,
            "models": sorted(f"{name} {version}" for name, version in models),
            "rules": sorted(rules),
            "things": sorted(f"{name}@{version}" for name, version in things),
            "scopes": sorted(scopes),
            "runs": sorted(self.runner.running),
        }


async def recovered(folder: Path) -> dict[str, Any]:
    node = Node(folder)
    await node.life.recover(lambda _: ADMIN)
    await node.life.start_all()
    return node.left()


def in_child(act: Callable[[], Any]) -> int:
    child = os.fork()
    if child == 0:
        try:
            act()
        except BaseException as error:
            print(json.dumps({"fault": repr(error)}), flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def made(folder: Path, operations: list[str]) -> None:
    folder.mkdir(parents=True)
    node = Node(folder)
    migrate(node.engine)
    with writing(node.engine) as connection:
        if connection.execute(select(tenant.c.id)).first() is None:
            connection.execute(tenant.insert().values(id=1, name="node", created_at=0))
    for one in operations:
        asyncio.run(node.do(one))
    node.engine.dispose()


def main(root: Path, every: int, operation: str, before: list[str]) -> None:
    base = root / "base"
    made(base, before)
    # What is imported and computed once is so here, not in each child.
    shutil.copytree(base, root / "warm")
    warm = Node(root / "warm")
    asyncio.run(warm.do(operation))
    asyncio.run(recovered(root / "warm"))
    warm.engine.dispose()
    for step in range(1, 200, every):
        case = root / f"case-{step}"
        shutil.copytree(base, case)

        def act(case: Path = case, step: int = step) -> None:
            node = Node(case)
            node.kill_before(step)
            asyncio.run(node.do(operation))

        def tell(case: Path = case, step: int = step) -> None:
            print(json.dumps({"step": step, **asyncio.run(recovered(case))}), flush=True)

        status = in_child(act)
        if in_child(tell):
            return
        shutil.rmtree(case)
        if not os.WIFSIGNALED(status):
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
