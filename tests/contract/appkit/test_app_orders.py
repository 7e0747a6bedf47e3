"""Orders of a parent carried out by an app of a site: real tree, bus and process of the app, all of them killed."""

import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from nats.aio.client import Client
from nats.aio.subscription import Subscription

from gongfu.appkit.contract import Samples
from gongfu.appkit.host.directory import KnownPoint
from gongfu.appkit.host.order_calls import ORDER, PROBE, OrderCall, ProbeQuestion
from gongfu.appkit.installed.fleet import Fleet
from gongfu.appkit.installed.folders import Folders
from gongfu.appkit.installed.kinds_taken import check_kinds_free
from gongfu.appkit.installed.records import InstalledRecords
from gongfu.appkit.installed.types import InstalledVersion
from gongfu.appkit.manifest import Needs, parse_manifest
from gongfu.appkit.provided_kinds import APP
from gongfu.bus.requests import request, serve
from gongfu.kernel.errors import Problem
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node.app_offers import AppOffers
from gongfu.registry.users import ensure_first_admin
from gongfu.tree.host.section import Section
from gongfu.tree.orders.section import OrdersSection
from tests.contract.appkit.bed import Log, Points, S, Services, known
from tests.fixtures.tree import TreeNode
from tests.unit.tree.orders_at_work.nodes_with_orders import ANN, OrderTree, World, eventually

MANIFEST = """\
[app]
id = "test.speed"
version = "1.0.0"
title = { zh = "限速", en = "Speed limit" }
[needs]
records = true
orders = ["speed-limit"]
probes = ["slow"]
[[needs.points]]
point = "gate"
[[needs.points]]
point = "speed"
[[needs.points]]
point = "limit"
access = "write"
[needs.alarms]
[resources]
cpu = 4.0
[[provides.order_kinds]]
name = "speed-limit"
title = { zh = "限速", en = "Speed limit" }
look = { every = "100ms", within = "1h" }
schema = { type = "object", required = ["limit"], properties = { limit = { type = "number" } } }
"""
CODE = """\
import time

from gongfu.appkit.contract import App, AppError, Context, Order, Question, Seen

app = App()


@app.order_kind("speed-limit", effect="slow")
def limit(context: Context, order: Order) -> str:
    context.records.execute("CREATE TABLE IF NOT EXISTS calls (key TEXT)")
    context.records.execute("INSERT INTO calls VALUES (?)", order.key)
    context.raise_alarm("begun", "m 1", order.id, time=context.now())
    while float(context.latest("m 1", "gate").values[0]) < 1:
        time.sleep(0.02)
    if order.body["limit"] < 0:
        raise AppError(409, "no machine runs backwards")
    context.write("m 1", "limit", [order.issued], [order.body["limit"]])
    return f"limit {order.body['limit']:g}"


@app.probe("slow")
def slow(context: Context, question: Question) -> Seen:
    speed = float(context.latest("m 1", "speed").values[0])
    return Seen("present" if speed <= question.body["limit"] else "unknown", f"speed is {speed:g}")
"""


class KnownPoints(Points):
    """Points that do not change."""

    def reload(self) -> None:
        """Find nothing new."""


class Plant(Services):
    """A plant whose gate and speed the test sets."""

    def __init__(self) -> None:
        super().__init__(KnownPoints(known(1, "m 1", "gate"), known(2, "m 1", "limit"), known(3, "m 1", "speed")))
        self.now_values = {"gate": 1.0, "speed": 3000.0}

    def now(self) -> int:
        return time.time_ns()

    async def latest(self, known: KnownPoint) -> Samples:
        value = self.now_values[known.place.point]
        return Samples(np.array([5 * S]), np.array([value]), np.zeros(1, np.uint8), known.unit)


class Site:
    """The role ``apps`` of a node: what is installed, and the processes."""

    def __init__(self, folder: Path, bus: Client, node: TreeNode, plant: Plant) -> None:
        self.folders, self.plant = Folders(folder), plant
        self._bus, self._subjects = bus, Subjects(node.id)
        assert node.engine is not None
        ensure_first_admin(node.engine, clock=SystemClock())
        self.records = InstalledRecords(node.engine, SystemClock())
        self._log = Log()
        self._served: list[Subscription] = []
        self.fleet = self._fleet()

    def _fleet(self) -> Fleet:
        async def last() -> Mapping[int, int]:
            return {0: 0}

        directory: Any = self.plant.points
        return Fleet(self.folders, lambda tenant: (self.plant, directory), self._log.feed, last)

    def install(self, *, code: str = CODE, granted: Needs | None = None) -> None:
        manifest = parse_manifest(MANIFEST.encode())
        version = InstalledVersion(
            version="1.0.0",
            generation=1,
            sha256="",
            publisher="",
            manifest=manifest,
            granted=manifest.needs if granted is None else granted,
        )
        app = manifest.app.id
        self.records.add(ANN, app, version)
        self.folders.code(app, 1).mkdir(parents=True)
        (self.folders.code(app, 1) / "app.toml").write_text(MANIFEST)
        (self.folders.code(app, 1) / "app.py").write_text(code)
        self.folders.make_state(app, 1)
        self.records.change(None, app, status="installed")

    async def start(self) -> None:
        app = self.records.get("test.speed")
        assert app is not None
        self.fleet = self._fleet()
        asks = self._subjects.service("apps")
        self._served = [
            await serve(self._bus, f"{asks}.{ORDER}", self.fleet.carry_out, OrderCall, at_once=8),
            await serve(self._bus, f"{asks}.{PROBE}", self.fleet.look, ProbeQuestion, at_once=8),
        ]
        await self.fleet.start(app)

    async def kill(self) -> None:
        """End the role as a crash would."""
        for subscription in self._served:
            await subscription.unsubscribe()
        self._served = []
        await self.fleet.abandon()

    async def kill_process(self) -> None:
        (status,) = await self.fleet.statuses(1)
        os.kill(status.process, signal.SIGKILL)

    async def remove(self) -> None:
        self.records.change(None, "test.speed", status="removing")
        await self.fleet.stop("test.speed")
        self.records.remove(None, "test.speed")

    def calls(self) -> list[str]:
        """Return the keys that were carried out, as the app's own records have them."""
        path = self.folders.data("test.speed", 1) / "records.sqlite"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as records:
            return [row[0] for row in records.execute("SELECT key FROM calls")]

    async def ask(self, probe: str, body: dict[str, Any]) -> Any:
        question = ProbeQuestion(app="test.speed", probe=probe, body=msgspec.Raw(msgspec.json.encode(body)))
        return await request(self._bus, f"{self._subjects.service('apps')}.{PROBE}", question, 30.0)


class AppTree(OrderTree):
    """A nation and a site, both of which have installed the app; it runs at the site."""

    site: Site
    offers: dict[str, AppOffers]

    async def begun(self, times: int) -> None:
        """Wait until the app has begun with orders so many times."""

        async def holds() -> bool:
            return len(self.site.plant.alarms) >= times

        await eventually(holds, f"begun {times} times")

    async def give(self, limit: float) -> str:
        payload = msgspec.Raw(msgspec.json.encode({"limit": limit}))
        return (await self.issue("nation", kind="speed-limit", payload=payload)).id

    async def known(self, name: str, *, offered: bool) -> None:
        """Wait until a node knows that the kind is offered, or that it is not."""

        async def holds() -> bool:
            return any(kind.name == "speed-limit" for kind in await self.orders(name).kinds(ANN)) == offered

        await eventually(holds, f"the kind is {offered} at {name}")


@pytest.fixture
async def tree(tmp_path: Path, sqlite_template: Path, bus: Client) -> AsyncIterator[AppTree]:
    offers: dict[str, AppOffers] = {}

    def sections(node: TreeNode) -> list[Section]:
        assert node.engine is not None
        made = offers[node.name] = AppOffers(node.engine, bus, Subjects(node.id), SystemClock())
        section = OrdersSection(node.directory, [], {APP: made}, {APP: made}, counters=node.counters)
        section.offer(made.read())
        return [section]

    tree = AppTree(tmp_path, sqlite_template, sections)
    tree.world, tree.kinds, tree.offers = World(), [], offers
    await tree.grow(("nation", ""), ("site", "nation"))
    tree.site = Site(tmp_path / "apps", bus, tree.node("site"), Plant())
    nation = tree.node("nation").engine
    assert nation is not None
    manifest = parse_manifest(MANIFEST.encode())
    version = InstalledVersion(
        version="1.0.0", generation=1, sha256="", publisher="", manifest=manifest, granted=manifest.needs
    )
    ensure_first_admin(nation, clock=SystemClock())
    records = InstalledRecords(nation, SystemClock())
    records.add(ANN, manifest.app.id, version)
    records.change(None, manifest.app.id, status="installed")
    tree.site.install()
    await tree.site.start()
    for name in ("nation", "site"):
        await offers[name].start(tree.orders(name).offer)
        await tree.known(name, offered=True)
    yield tree
    await tree.site.kill()
    for one in offers.values():
        await one.stop()
    for node in tree.nodes.values():
        if node.running is not None:
            await tree.crash(node.name)


async def test_an_order_is_carried_out_once_over_kills_of_app_host_and_tree(tree: AppTree) -> None:
    site, plant = tree.site, tree.site.plant
    plant.now_values["gate"] = 0.0
    order = await tree.give(1000.0)
    await tree.begun(1)
    # In the middle of the function, after it has written into its records: the process of the app.
    await site.kill_process()
    await tree.begun(2)
    # The host, which loses everything it has in memory.
    await site.kill()
    await site.start()
    await tree.begun(3)
    # The tree, which asks again with the same key while the app is at work.
    await tree.crash("site")
    await tree.start("site")
    plant.now_values["gate"] = 1.0

    async def executed() -> bool:
        return set(tree.shown("nation", order).values()) == {"executed"}

    await eventually(executed, "it is executed")
    assert site.calls() == [f"{order}/{tree.id('site')}"]
    assert [value for (_, point, _), value in plant.written.items() if point == "limit"] == [1000.0]
    # Executed is not verified: the machine runs as fast as before.
    assert (await tree.targets("nation", order))["site"].detail == "limit 1000"
    plant.now_values["speed"] = 900.0
    await tree.settled("nation", order, "verified")
    target = (await tree.targets("nation", order))["site"]
    assert "speed is 900" in msgspec.json.encode(target).decode()
    # Given once more with its key, as after a restore of the tree: the app is not called.
    begun = len(plant.alarms)
    again = OrderCall(
        app="test.speed",
        key=f"{order}/{tree.id('site')}",
        order=order,
        kind="speed-limit",
        body=msgspec.Raw(b'{"limit":1000}'),
        issued=1,
        issuer="",
    )
    assert (await site.fleet.carry_out(again)).detail == "limit 1000"
    assert len(plant.alarms) == begun
    assert len(site.calls()) == 1


async def test_what_the_app_raises_is_the_reason_at_the_parent(tree: AppTree) -> None:
    order = await tree.give(-1.0)

    async def failed() -> bool:
        return (await tree.targets("nation", order))["site"].detail == "no machine runs backwards"

    await eventually(failed, "the reason is known at the nation")
    assert "failed" in {action for action, _ in await tree.events("site", order)}
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        tree.site.calls()


async def test_an_app_that_is_removed_in_the_middle_gives_a_visible_end(tree: AppTree) -> None:
    site = tree.site
    verifying = await tree.give(1000.0)

    async def executed() -> bool:
        return set(tree.shown("nation", verifying).values()) == {"executed"}

    await eventually(executed, "it is executed")
    site.plant.now_values["gate"] = 0.0
    working = await tree.give(1000.0)
    await tree.begun(2)
    await site.remove()
    await tree.settled("nation", verifying, "unverifiable")

    async def ended() -> bool:
        return "no app offers" in (await tree.targets("nation", working))["site"].detail

    await eventually(ended, "the order that was at work has failed")
    await tree.known("site", offered=False)
    later = await tree.give(1000.0)
    await tree.settled("nation", later, "refused")
    assert (await tree.targets("nation", later))["site"].reason == "kind-unknown"


async def test_only_what_was_granted_is_offered_and_asked(tree: AppTree) -> None:
    site = tree.site
    assert (await site.ask("slow", {"limit": 5000}))["sight"] == "present"
    with pytest.raises(Problem, match="nobody may ask the probe 'fast'"):
        await site.ask("fast", {})
    await site.kill()
    app = site.records.get("test.speed")
    assert app is not None
    granted = msgspec.structs.replace(app.current.granted, orders=(), probes=())
    site.records.change(None, app.app, current=msgspec.structs.replace(app.current, granted=granted))
    await site.start()
    await tree.known("site", offered=False)
    with pytest.raises(Problem, match="offer it in app"):
        await site.ask("slow", {"limit": 5000})


def test_a_kind_is_of_one_app_and_of_the_node_itself(sqlite_records: Any) -> None:
    ensure_first_admin(sqlite_records, clock=SystemClock())
    records = InstalledRecords(sqlite_records, SystemClock())
    manifest = parse_manifest(MANIFEST.encode())
    version = InstalledVersion(
        version="1.0.0", generation=1, sha256="", publisher="", manifest=manifest, granted=manifest.needs
    )
    records.add(ANN, manifest.app.id, version)
    check_kinds_free(records, 1, manifest)
    other = parse_manifest(MANIFEST.replace("test.speed", "test.other").encode())
    with pytest.raises(Problem, match=r"carried out by test\.speed already"):
        check_kinds_free(records, 1, other)
    with pytest.raises(Problem, match="only its own tenant"):
        check_kinds_free(records, 2, manifest)


def test_an_app_that_offers_what_the_node_has_stops_no_other_offer(sqlite_records: Any) -> None:
    ensure_first_admin(sqlite_records, clock=SystemClock())
    records, rest = InstalledRecords(sqlite_records, SystemClock()), cast(Any, None)
    for app, kind in (("test.speed", "speed-limit"), ("test.other", "drill")):
        text = MANIFEST.replace("test.speed", app).replace("speed-limit", kind)
        manifest = parse_manifest(text.encode())
        version = InstalledVersion(
            version="1.0.0", generation=1, sha256="", publisher="", manifest=manifest, granted=manifest.needs
        )
        records.add(ANN, app, version)
        records.change(None, app, status="installed")
    offers = AppOffers(sqlite_records, rest, Subjects("node"), SystemClock())
    assert {kind.name for kind in offers.read()} == {"speed-limit", "drill"}
    offers.taken = {"drill"}
    assert {kind.name for kind in offers.read()} == {"speed-limit"}
