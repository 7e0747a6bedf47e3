"""A tree of real hosts with reports, and what its totals must be."""

import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from gongfu.kernel.permissions import NODE_TENANT, Role, Subject
from gongfu.tree.membership.types import Attributes
from gongfu.tree.reports.cells import Cells
from gongfu.tree.reports.kinds import Form, Leaving, Measure, ReportKind
from gongfu.tree.reports.live_report import LiveFigures
from gongfu.tree.reports.pace import Pace
from gongfu.tree.reports.requests import StateCells
from gongfu.tree.reports.section import ReportsSection
from gongfu.tree.reports.views import NewCell
from tests.contract.tree.reports.moving import move
from tests.fixtures.tree import TreeNode, TreeOfHosts, until

PERSON = Subject(1, "anna", NODE_TENANT, Role.ADMIN)
FAST = Pace(
    gather=0.002,
    spacing=0.01,
    heartbeat=5.0,
    silent=60.0,
    live=0.02,
    rate=0.0,
    ask=0.1,
    claims=0.05,
    restate_claims=5.0,
    fold_bytes=2_000,
)
ALL = ("devices", "energy", "hottest", "machines")
METERS = ReportKind(
    name="meters",
    keys=("region", "line"),
    measures=(
        Measure(name="devices", form=Form.COUNT),
        Measure(name="energy", form=Form.SUM, unit="kW.h", decimals=3),
        Measure(name="hottest", form=Form.MAX, unit="Cel", decimals=1),
        Measure(name="machines", form=Form.DISTINCT, size=7),
    ),
    leaving=(
        Leaving(tier="site", keys=("region", "line"), measures=ALL),
        Leaving(tier="enterprise", keys=("region",), measures=ALL),
        Leaving(tier="province", keys=("region",), measures=("devices", "energy"), lengths={"region": 2}),
    ),
)
REGIONS = ("110100", "110200", "440100")
LINES = ("a", "b")
# (region, line) → devices, energy, hottest
Facts = dict[tuple[str, str], tuple[int, float, float]]


@dataclass
class Source:
    """Live figures that the test sets; devices by id of the registry."""

    figures_now: LiveFigures = field(default_factory=LiveFigures)
    devices: dict[int, bool] = field(default_factory=dict[int, bool])

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def figures(self, elsewhere: Collection[int]) -> LiveFigures | None:
        here = {device: online for device, online in self.devices.items() if device not in elsewhere}
        now = self.figures_now
        return LiveFigures(
            devices=now.devices + len(here),
            online=now.online + sum(here.values()),
            points_per_second=now.points_per_second,
            alarms=now.alarms,
            apps=now.apps,
            identifiers=now.identifiers,
        )


class ReportTree:
    """Nation, provinces, enterprises, sites."""

    def __init__(self, make_tree: Callable[..., TreeOfHosts], pace: Pace = FAST, **options: Any) -> None:
        self.sources: dict[str, Source] = {}
        self.facts: dict[str, dict[int, Facts]] = {}
        self.parents: dict[str, str] = {}
        self._pace = pace
        self.tree: TreeOfHosts = make_tree(self._sections, **options)

    def _sections(self, node: TreeNode) -> list[ReportsSection]:
        source = self.sources.setdefault(node.name, Source())
        return [ReportsSection(node.directory, source, counters=node.counters, pace=self._pace)]

    async def add(self, name: str, parent: str = "", **fields: Any) -> None:
        attributes = Attributes(region=fields.pop("region", "110100"), industry="C26", size="small")
        await self.tree.add(name, parent, attributes=attributes, **fields)
        self.parents[name] = parent

    async def four_levels(self) -> None:
        await self.add("nation")
        for province, enterprises in {"province-1": 2, "province-2": 1}.items():
            await self.add(province, "nation")
            for i in range(enterprises):
                enterprise = f"enterprise-{province[-1]}{i}"
                await self.add(enterprise, province)
                for j in range(2):
                    await self.add(f"site-{province[-1]}{i}{j}", enterprise)

    def section(self, name: str) -> ReportsSection:
        return self.tree.node(name).section(ReportsSection)

    def command(self, name: str, command: str) -> Callable[[Any], Any]:
        answer = next(c.answer for c in self.section(name).commands() if c.name == command)
        return lambda request: answer(PERSON, request)

    async def declare(self, name: str, kind: ReportKind) -> None:
        await self.section(name).kinds.declare(PERSON, kind)

    async def knows(self, kind: str, names: Iterable[str] = ()) -> None:
        for name in names or self.running():
            await until(lambda name=name: kind in self.section(name).flow.books, f"{name} knows {kind}")

    def running(self) -> list[str]:
        return [name for name, node in self.tree.nodes.items() if node.running is not None]

    async def state(self, name: str, kind: str, facts: Facts, period: str | None = None, start: int = 0) -> None:
        """State a node's own cells."""
        cells = [
            NewCell(
                keys={"region": region, "line": line},
                measures={
                    "devices": devices,
                    "energy": energy,
                    "hottest": hottest,
                    "machines": [f"{name}-{i}" for i in range(devices % 7)],
                },
            )
            for (region, line), (devices, energy, hottest) in sorted(facts.items())
        ]
        await self.command(name, "report-state")(StateCells(kind, cells, period))
        self.facts.setdefault(name, {})[start] = facts

    def below(self, name: str) -> list[str]:
        return [name] + [n for child, parent in self.parents.items() if parent == name for n in self.below(child)]

    def expected(self, name: str, key: Callable[[tuple[str, str]], tuple[str, ...]], start: int = 0) -> dict[Any, Any]:
        """Return devices and energy (in 10^-3) by key, counted anew over all nodes below."""
        out: dict[Any, list[int]] = {}
        for node in self.below(name):
            for cell, (devices, energy, _) in self.facts.get(node, {}).get(start, {}).items():
                entry = out.setdefault(key(cell), [0, 0])
                entry[0] += devices
                entry[1] += round(energy * 1000)
        return {name: tuple(entry) for name, entry in out.items()}

    def found(self, name: str, key: Callable[[tuple[str, str]], tuple[str, ...]], kind: str, start: int = 0) -> Any:
        """Return what the ledger of a node says, by the same key."""
        cells = self.section(name).flow.books[kind].ledger.read(start)
        return totals(cells, key)

    def equal(self, name: str, kind: str = "meters", start: int = 0) -> bool:
        by = province_of
        return self.found(name, by, kind, start) == self.expected(name, by, start)

    async def settled(self, kind: str = "meters", start: int = 0) -> None:
        """Wait until every level's totals are a full recount."""
        for name in self.tree.nodes:
            await until(lambda name=name: self.equal(name, kind, start), self._difference(name, kind, start))

    def _difference(self, name: str, kind: str, start: int) -> str:
        return f"totals of {name} ({kind}, {start})"

    async def kill(self, name: str) -> None:
        sections = self.tree.node(name).sections
        await self.tree.kill(name)
        for section in sections:
            # What a crash would have ended: its tasks.
            await section.stop()

    async def move(self, name: str, to: str, at: int) -> None:
        """Re-home a node: memberships, directories and links on all sides."""

        await move(self.tree, name, self.parents[name], to, at)
        self.parents[name] = to

    def live(self, name: str) -> dict[str, float]:
        """Return the live figures of a subtree, counted anew."""
        figures = [self.sources[node].figures_now for node in self.below(name)]
        return {
            "devices": sum(f.devices for f in figures),
            "online": sum(f.online for f in figures),
            "points_per_second": sum(f.points_per_second for f in figures),
            "alarms": sum(f.alarms for f in figures),
            "apps": sum(f.apps for f in figures),
            "identifiers": sum(f.identifiers for f in figures),
        }

    def live_right(self, name: str, at: str) -> bool:
        doc = self.section(at).live_of(self.tree.id(name))
        return doc is not None and {field: getattr(doc, field) for field in self.live(name)} == self.live(name)


def province_of(cell: tuple[str, ...]) -> tuple[str, ...]:
    return (cell[0][:2],)


def totals(cells: Cells, key: Callable[[tuple[str, str]], tuple[str, ...]]) -> dict[Any, Any]:
    out: dict[Any, list[int]] = {}
    for i in range(len(cells)):
        cell = cells.cell(i)
        if cell.present:
            entry = out.setdefault(key((cell.keys[0], cell.keys[1])), [0, 0])
            entry[0] += int(cell.measures.get("devices", 0))
            entry[1] += int(cell.measures.get("energy", 0))
    return {name: tuple(entry) for name, entry in out.items()}


def random_facts(rnd: random.Random) -> Facts:
    keys = [(region, line) for region in REGIONS for line in LINES if rnd.random() < 0.7]
    return {key: (rnd.randint(0, 500), rnd.randint(-9_000, 90_000) / 1000, rnd.randint(-30, 90)) for key in keys}
