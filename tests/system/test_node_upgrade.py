"""A running node becomes another version by an order, goes back by a revocation, and leaves one that is broken.

The other versions are wheels made here from this repository.
"""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

import gongfu
from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.server import find_server
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node import launcher
from gongfu.node.drivers.context import DriverContext
from gongfu.node.drivers.node_upgrade import NodeUpgradeDriver, NodeUpgradeProbe
from gongfu.node.releases import ReleaseError, Releases
from gongfu.node.runtime import Runtime
from gongfu.store.records.engine import open_records
from gongfu.tree.orders.plugins import DriverCall, DriverResult, ProbeCall, Seen
from gongfu.tree.orders.verification import Sight
from tests.fixtures.node import Node
from tests.fixtures.processes import wait_until

REPOSITORY = Path(gongfu.__file__).parent.parent
WAIT_S = 90.0
OLD, NEW, BROKEN = gongfu.__version__, "9.9.1", "9.9.2"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheels of a version that runs, and of one whose web role does not start."""
    sources, made = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheels")
    shutil.copytree(REPOSITORY / "gongfu", sources / "gongfu", ignore=shutil.ignore_patterns("__pycache__", "static"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, sources)
    init = sources / "gongfu" / "__init__.py"
    init.write_text(init.read_text().replace(f'"{OLD}"', f'"{NEW}"'))
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    subprocess.run([*build, "--wheel-dir", str(made), str(sources)], check=True, cwd=sources)
    _break(next(made.glob("*.whl")), made)
    return made


def _break(wheel: Path, made: Path) -> None:
    """Write the wheel as another version whose web role raises."""
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(made / wheel.name.replace(NEW, BROKEN), "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "gongfu/node/roles/web.py":
                content = b"raise RuntimeError('broken')\n"
            elif name == "gongfu/__init__.py" or name.endswith("/METADATA"):
                content = content.replace(NEW.encode(), BROKEN.encode())
            elif name.endswith("/RECORD"):
                files = (
                    line.partition(b",")[0].replace(NEW.encode(), BROKEN.encode()) for line in content.splitlines()
                )
                content = b"".join(file + b",,\n" for file in files)
            target.writestr(name.replace(f"gongfu-{NEW}", f"gongfu-{BROKEN}"), content)


def wheel_of(wheels: Path, version: str) -> tuple[str, str]:
    path = next(wheels.glob(f"gongfu-{version}-*.whl"))
    return path.name, hashlib.sha256(path.read_bytes()).hexdigest()


def program_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()


def user(node: Node, name: str) -> dict[str, str]:
    """Add an engineer; return the environment in which they give commands."""
    made = json.loads(node.cli("user", "add", name, "--role", "engineer", "--json"))
    signed_in = httpx.post(f"{node.url}/v1/session", json={"username": name, "password": made["password"]}, timeout=60)
    token = signed_in.cookies["gongfu_session"]
    password = {"old": made["password"], "new": "a sentence of many words"}
    headers = {"Authorization": f"Bearer {token}"}
    httpx.post(f"{node.url}/v1/session:changePassword", json=password, headers=headers, timeout=60).raise_for_status()
    return {"GONGFU_URL": node.url, "GONGFU_TOKEN": token}


def settled(node: Node, order: str, state: str) -> dict[str, Any]:
    """Wait until the order's one target is in a state, while the node comes and goes; return the target."""

    def target() -> dict[str, Any] | None:
        try:
            headers = {"Authorization": f"Bearer {node.token}"}
            answer = httpx.get(f"{node.url}/v1/orders/{order}/targets", headers=headers, timeout=60)
        except (httpx.HTTPError, OSError):
            return None
        found = answer.json()["items"][0] if answer.status_code == 200 else {}
        return found if found.get("state") == state else None

    found = wait_until(target, f"the order is {state}", 3 * WAIT_S)
    assert found is not None
    return found


def upgrade(wheels: Path, version: str, **options: Any) -> dict[str, Any]:
    return {"version": version, "source": str(wheels), "wheels": dict([wheel_of(wheels, version)]), **options}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment: this repository as its first release, the packages of this environment, the launcher beside it."""
    root = tmp_path_factory.mktemp("opt")
    place = root / "releases" / OLD
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    own = next(place.glob("lib/python*/site-packages"))
    (own / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    (own / "gongfu-repository.pth").write_text(str(REPOSITORY))
    os.link(find_server(), place / "bin" / "nats-server")
    launcher.point_to(root, OLD)
    shutil.copy(launcher.__file__, root / "launcher.py")
    return root


class LaunchedNode(Node):
    """A node that the launcher runs."""

    root: Path

    def command(self) -> list[str]:
        up = super().command()
        options = [part for part in up[up.index("up") + 1 :] if part not in ("--data-dir", str(self.data_dir))]
        started = [sys.executable, "-I", str(self.root / "launcher.py"), "--root", str(self.root)]
        return [*started, "--data-dir", str(self.data_dir), "--", *options]


@pytest.fixture(scope="module")
def launched(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaunchedNode]:
    directory = tmp_path_factory.mktemp("node")
    (directory / "gongfu.toml").write_text("[tree]\njoin_port = 0\nleaf_port = 0\n")
    node = LaunchedNode(directory / "data", environment={"GONGFU_CONFIG": str(directory / "gongfu.toml")})
    node.root = root
    node.start()
    yield node
    node.stop()
    node.kill()


class Upgrades:
    """The driver and the probe on the running node."""

    def __init__(self, context: DriverContext, root: Path) -> None:
        self.driver = NodeUpgradeDriver(context, Releases(root))
        self.probe = NodeUpgradeProbe(context)

    async def run(self, order: str, payload: dict[str, Any], *, rollback: bool = False) -> DriverResult:
        call = DriverCall(
            key=f"{order}/target" + ("/rollback" if rollback else ""),
            order=order,
            target="target",
            kind="node-upgrade",
            payload=msgspec.Raw(msgspec.json.encode(payload)),
            attempt=1,
            rollback=rollback,
        )
        return await asyncio.wait_for(self.driver.run(call), 2 * WAIT_S)

    async def look(self, order: str, payload: dict[str, Any]) -> Seen:
        raw = msgspec.Raw(msgspec.json.encode(payload))
        call = ProbeCall(order=order, target="target", kind="node-upgrade", payload=raw, expected=Sight.PRESENT)
        return await self.probe.look(call)

    async def until(self, sight: Sight, order: str, payload: dict[str, Any]) -> Seen:
        deadline = time.monotonic() + WAIT_S
        while (seen := await self.look(order, payload)).sight is not sight:
            assert time.monotonic() < deadline, seen
            await asyncio.sleep(0.1)
        return seen


@pytest.fixture
async def upgrades(launched: LaunchedNode, root: Path) -> AsyncIterator[Upgrades]:
    runtime = msgspec.json.decode((launched.data_dir / "run" / "runtime.json").read_bytes(), type=Runtime)
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), "test")
    records = open_records(runtime.records_url)
    context = DriverContext(records, bus, runtime, Subjects(runtime.node), SystemClock(), lambda *_: None)
    yield Upgrades(context, root)
    await bus.close()
    records.dispose()


def test_an_order_changes_the_version_and_its_revocation_changes_it_back(
    launched: LaunchedNode, wheels: Path, root: Path
) -> None:
    """The whole of it: a tree of this node alone, two persons who approve, the driver in the tree role."""
    node = launched
    node.cli("node", "found", "--name", "nation", "--tier", "nation")
    wait_until(lambda: node.run_cli("order", "allow", "node-upgrade").returncode == 0, "the tree serves", WAIT_S)
    payload = json.dumps(upgrade(wheels, NEW, ready_seconds=int(WAIT_S)))
    draft = node.cli("order", "draft", "node-upgrade", "--payload", payload, "--every-node", "--json")
    order = json.loads(draft)["id"]
    for name in ("li", "wang"):
        done = Node(node.data_dir, environment=user(node, name)).run_cli("order", "approve", order, "--yes")
        assert done.returncode == 0, done.stderr
    launcher_pid = node.process.pid if node.process else 0
    node.cli("order", "issue", order)
    target = settled(node, order, "verified")
    assert target["detail"] == f"{OLD} → {NEW}"
    assert target["verdict"]["evidence"].startswith(f"{NEW} runs since ")
    assert target["verdict"]["evidence"].endswith("health ok")
    # The driver was called by the old version, and again by the new one, which found it done.
    assert target["attempt"] == 2
    # Every role is of the new release, and the launcher is the process it was.
    for role in node.roles().values():
        if role["role"] not in ("nats", "tree-nats"):
            assert program_of(role["pid"]).startswith(str(root / "releases" / NEW)), role
    assert node.process is not None
    assert (node.process.pid, node.process.process.poll()) == (launcher_pid, None)

    node.cli("order", "revoke", order, "--reason", "a mistake")
    target = settled(node, order, "rolled_back_verified")
    assert target["detail"] == f"{NEW} → {OLD}"
    assert target["verdict"]["evidence"] == f"{OLD} runs"
    node.cli("order", "watch", order)


async def test_a_version_that_does_not_start_is_left_again(
    upgrades: Upgrades, launched: LaunchedNode, wheels: Path, root: Path
) -> None:
    payload = upgrade(wheels, BROKEN, ready_seconds=10)
    done = await upgrades.run("order-0002", payload)
    assert done == DriverResult(False, f"back to {OLD}: {BROKEN} was not ready after 10 s")
    assert Releases(root).current() == OLD
    wanted = upgrade(wheels, NEW) | {"version": OLD}
    seen = await upgrades.until(Sight.PRESENT, "order-0002", wanted)
    assert seen.evidence.startswith(f"{OLD} runs since ")
    assert (await upgrades.look("order-0002", payload)).sight is Sight.ABSENT
    # Taking it back finds nothing to do.
    assert await upgrades.run("order-0002", payload, rollback=True) == DriverResult(True, f"{OLD} runs")


async def test_files_that_are_not_those_of_the_order_change_nothing(
    upgrades: Upgrades, wheels: Path, root: Path, tmp_path: Path
) -> None:
    name, digest = wheel_of(wheels, NEW)
    forged = tmp_path / name
    shutil.copy(wheels / name, forged)
    with zipfile.ZipFile(forged, "a") as archive:
        archive.writestr("gongfu/extra.py", "")
    releases = Releases(root)
    with pytest.raises(ReleaseError, match="has SHA-256"):
        releases.install(NEW, tmp_path, {name: digest})
    with pytest.raises(ReleaseError, match="No such file"):
        releases.install(NEW, tmp_path / "none", {name: digest})
    with pytest.raises(ReleaseError, match="not the name of a wheel"):
        releases.install(NEW, tmp_path, {"../" + name: digest})
    with pytest.raises(ReleaseError, match="is not a version"):
        releases.install("../9.9.1", wheels, {name: digest})
    with pytest.raises(ReleaseError, match=f"the files are version {NEW}, not 9.9.4"):
        releases.install("9.9.4", wheels, {name: digest})
    payload = {"version": "9.9.5", "source": str(tmp_path), "wheels": {name: digest}}
    done = await upgrades.run("order-0003", payload)
    assert not done.succeeded
    assert "has SHA-256" in done.detail
    assert releases.current() == OLD


def test_a_node_without_launcher_says_so(tmp_path: Path) -> None:
    assert launcher.RELEASES_VARIABLE not in os.environ
    assert Releases.of_environment() is None


async def test_the_launcher_ends_with_the_node(launched: LaunchedNode) -> None:
    wait_until(lambda: all(role["state"] == "ready" for role in launched.roles().values()), "ready", WAIT_S)
    assert launched.stop() == 0
