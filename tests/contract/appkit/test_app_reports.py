"""Reports of apps of two sites merge at the nation: real processes, real bus, real tree; a correction replaces."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from nats.aio.client import Client

from gongfu.appkit.contract import Samples
from gongfu.appkit.grants import Grants
from gongfu.appkit.host.directory import KnownPoint
from gongfu.appkit.host.log_lines import LogLines
from gongfu.appkit.host.process import AppCode
from gongfu.appkit.host.running import RunningApp
from gongfu.appkit.host.services import TenantServices
from gongfu.appkit.manifest import parse_manifest
from gongfu.bus.commands import serve_command
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.tree.api.asking import open_ask
from gongfu.tree.reports.kinds import Form, Leaving, Measure, ReportKind
from gongfu.tree.reports.requests import ShowReport
from tests.contract.appkit.bed import Log, Points, Services, known
from tests.contract.tree.reports.report_tree import ReportTree
from tests.unit.tree.orders_at_work.nodes_with_orders import eventually

KIND = ReportKind(
    name="pumps",
    period=86_400,
    keys=("type",),
    measures=(Measure(name="pumps", form=Form.COUNT), Measure(name="power", form=Form.SUM, unit="kW", decimals=1)),
    leaving=(Leaving(tier="*", keys=("type",), measures=("pumps", "power")),),
)
MANIFEST = """\
[app]
id = "test.pumps"
version = "1.0.0"
title = { zh = "泵", en = "Pumps" }
[needs]
reports = ["pumps", "unknown"]
[[needs.points]]
point = "power"
[resources]
cpu = 4.0
"""
CODE = """\
from gongfu.appkit.contract import App, Cell, Context, Period

app = App()


@app.report("pumps", every="1s")
def pumps(context: Context, period: Period) -> list[Cell]:
    power = context.latest("m 1", "power").values
    return [Cell({"type": "centrifugal"}, {"pumps": 1, "power": power[0]})]


@app.report("unknown", every="1s")
def unknown(context: Context, period: Period) -> list[Cell]:
    return []


@app.report("secret", every="1s")
def secret(context: Context, period: Period) -> list[Cell]:
    return []
"""


class Plant(Services):
    """A plant whose power the test sets; reports go the way of every node."""

    def __init__(self, node: TenantServices) -> None:
        super().__init__(Points(known(1, "m 1", "power")))
        self.power = 10.0
        self._node = node

    def now(self) -> int:
        return self._node.now()

    async def latest(self, known: KnownPoint) -> Samples:
        return Samples(np.array([1]), np.array([self.power]), np.zeros(1, np.uint8), known.unit)

    async def report_period(self, kind: str) -> int:
        return await self._node.report_period(kind)

    async def state_report(self, app: str, kind: str, start: int, cells: bytes) -> None:
        await self._node.state_report(app, kind, start, cells)


def services(bus: Client, subjects: Subjects) -> TenantServices:
    """Return the node's services as far as reports need them."""
    rest: Any = None
    ask = open_ask(bus, subjects, lambda: True)
    return TenantServices(
        bus, subjects, rest, 1, rest, rest, rest, 1, False, lambda app: Path(app), rest, SystemClock(), ask
    )


def run(folder: Path, plant: Plant) -> RunningApp:
    code = folder / "code"
    code.mkdir(parents=True)
    (folder / "state" / "data").mkdir(parents=True)
    (code / "app.py").write_text(CODE)
    manifest, log = parse_manifest(MANIFEST.encode()), Log()
    return RunningApp(
        AppCode(manifest, code, folder / "state" / "data"),
        1,
        Grants(manifest.app.id, manifest.needs),
        plant,
        plant.points,
        folder / "state",
        LogLines(folder),
        log.feed,
        log.lag,
    )


async def test_reports_of_two_sites_merge_and_a_correction_replaces(
    make_tree: Any, bus: Client, tmp_path: Path
) -> None:
    tree = ReportTree(make_tree)
    await tree.add("nation")
    for site in ("site-1", "site-2"):
        await tree.add(site, "nation")
    await tree.declare("nation", KIND)
    await tree.knows("pumps")
    plants: list[Plant] = []
    apps: list[RunningApp] = []
    for site in ("site-1", "site-2"):
        subjects = Subjects(tree.tree.id(site))
        for command in tree.section(site).commands():
            await serve_command(bus, subjects.service(f"tree.{command.name}"), command, at_once=8)
        plants.append(Plant(services(bus, subjects)))
        apps.append(run(tmp_path / site, plants[-1]))
        await apps[-1].start()

    async def total() -> list[tuple[int, float]]:
        report = msgspec.to_builtins(await tree.command("nation", "report-show")(ShowReport("pumps")))
        return [(cell["measures"]["pumps"], cell["measures"]["power"]) for cell in report["items"]]

    try:

        async def both() -> bool:
            return await total() == [(2, 20.0)]

        await eventually(both, "two pumps, 20 kW at the nation")
        plants[0].power = 12.5

        async def corrected() -> bool:
            return await total() == [(2, 22.5)]

        await eventually(corrected, "what was stated later holds, and nothing is added")
        status = await apps[0].status()
        assert [r.text for r in status.refused] == [
            "test.pumps may not report 'secret': ask for it in app.toml with [needs] reports = [\"secret\"]"
        ]

        async def told() -> bool:
            functions = {one.name: one.about for one in (await apps[0].status()).functions}
            return functions["pumps"] == "" and "declare it at this node" in functions["unknown"]

        await eventually(told, "why a report does not go up is in the status")
    finally:
        for app in apps:
            await app.close()
