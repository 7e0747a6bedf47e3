"""A bed for apps under test: the node and a block log in memory, and the real host and processes between them."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.appkit.context.messages import AskAlarm, AskPublish
from gongfu.appkit.contract import Samples
from gongfu.appkit.grants import Grants, PointPlace
from gongfu.appkit.host.directory import KnownPoint
from gongfu.appkit.host.lane import Lane
from gongfu.appkit.host.log_lines import LogLines
from gongfu.appkit.host.process import AppCode
from gongfu.appkit.host.running import RunningApp
from gongfu.appkit.manifest import parse_manifest
from gongfu.appkit.permissions import refused_needs, without
from gongfu.kernel.block import Block, Columns, decode_block, encode_block
from gongfu.kernel.errors import Problem
from gongfu.kernel.points import ValueType

S = 10**9
TENANT = 1
MANIFEST = """\
[app]
id = "test.probe"
version = "1.0.0"
title = { zh = "探", en = "Probe" }
[needs]
routes = true
records = true
[[needs.points]]
point = "vibration"
[[needs.points]]
point = "rms"
access = "write"
[needs.alarms]
[resources]
memory = "512 MiB"
cpu = 1.0
"""


def known(series: int, asset: str, point: str, value_type: ValueType = ValueType.DOUBLE) -> KnownPoint:
    return KnownPoint(series, series, PointPlace(asset, point), "mm/s", value_type, "")


class Points:
    """A directory of points that stands for the registry."""

    def __init__(self, *points: KnownPoint) -> None:
        self.by_series = {one.series: one for one in points}
        self.by_name = {(one.place.asset, one.place.point): one for one in points}
        self.epoch = 1
        self.newest = max(self.by_series)

    def read_new(self) -> None:
        """Find nothing new."""


class Services:
    """The node, in memory: what an app did to it."""

    def __init__(self, points: Points) -> None:
        self.points = points
        self.written: dict[tuple[str, str, int], Any] = {}
        # Types that points were written as, and qualities, by asset and point.
        self.types: dict[tuple[str, str], ValueType] = {}
        self.qualities: dict[tuple[str, str], list[int]] = {}
        self.alarms: list[tuple[str, bool, int]] = []
        # How many more writes find the block log shut.
        self.outage = 0

    def now(self) -> int:
        return 10_000_000 * S

    async def places(self) -> list[KnownPoint]:
        return list(self.points.by_series.values())

    async def place(self, asset: str, point: str) -> tuple[PointPlace, KnownPoint | None]:
        return PointPlace(asset, point), self.points.by_name.get((asset, point))

    async def latest(self, known: KnownPoint) -> Samples:
        return Samples(np.array([5 * S]), np.array([1.5]), np.zeros(1, np.uint8), known.unit)

    async def history(self, known: KnownPoint, start: int, end: int, limit: int) -> Samples:
        return await self.latest(known)

    async def write(
        self,
        app: str,
        asset: str,
        point: str,
        unit: str,
        value_type: ValueType,
        samples: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    ) -> None:
        if self.outage > 0:
            self.outage -= 1
            raise Problem(503, "unavailable", "Not available now", "the block log does not take it")
        times, values, qualities = samples
        self.types[asset, point] = value_type
        self.qualities.setdefault((asset, point), []).extend(qualities.tolist())
        for time, value in zip(times.tolist(), values.tolist(), strict=True):
            before = self.written.setdefault((asset, point, time), value)
            assert before == value or (before != before and value != value), "a window changed"  # NaN is not itself

    async def report_period(self, kind: str) -> int:
        raise Problem(404, "not-found", "Not found", f"report kind {kind!r}")

    async def state_report(self, app: str, kind: str, start: int, cells: bytes) -> None:
        raise Problem(404, "not-found", "Not found", f"report kind {kind!r}")

    async def alarm(self, app: str, asked: AskAlarm) -> None:
        if (one := (asked.key, asked.active, asked.time)) not in self.alarms:
            self.alarms.append(one)

    async def publish(self, app: str, asked: AskPublish) -> None:
        raise Problem(503, "unavailable", "Not available now", "no records")

    async def invoke(self, app: str, model: str, columns: dict[str, bytes]) -> dict[str, bytes]:
        return columns

    async def put_object(self, app: str, data: bytes, bound: int) -> str:
        return "0" * 64

    async def get_object(self, app: str, name: str) -> bytes:
        return b""


class Log:
    """A block log in memory: feeds a lane with the blocks behind its position, then with those that come."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.more = asyncio.Event()

    def append(self, series: int, times: list[int], values: list[float]) -> None:
        self.append_columns({ValueType.DOUBLE: (series, times, np.array(values), [0] * len(times))})

    def append_columns(self, given: dict[ValueType, tuple[int, list[int], Any, list[int]]]) -> None:
        """Append a block as it comes from the log: by type the series, times, values as blocks hold them, qualities."""
        columns = {
            value_type: Columns(
                np.full(len(times), series, np.uint32), np.array(times, np.int64), np.array(qualities, np.uint8), values
            )
            for value_type, (series, times, values, qualities) in given.items()
        }
        newest = max(times[-1] for _, times, _, _ in given.values())
        block = Block(TENANT, newest + S // 10, columns)
        self.blocks.append(decode_block(encode_block(block)))
        self.more.set()

    async def feed(self, lane: Lane) -> None:
        while True:
            self.more.clear()
            while lane.position(0) < len(self.blocks):
                sequence = lane.position(0) + 1
                await lane.take(0, sequence, self.blocks[sequence - 1], b"")
            await self.more.wait()

    async def lag(self, lane: Lane) -> int:
        return len(self.blocks) - lane.position(0)


class Bed:
    """An app in a folder, and what it runs against."""

    def __init__(self, folder: Path, code: str = "", manifest: str = MANIFEST) -> None:
        self.folder = folder
        self.code = folder / "code"
        self.state = folder / "state"
        if code:
            self.code.mkdir()
            (self.code / "app.toml").write_text(manifest)
            (self.code / "app.py").write_text(code)
        (self.state / "data").mkdir(parents=True)
        self.points = Points(known(1, "m 1", "vibration"), known(2, "m 1", "rms"), known(3, "m 1", "secret"))
        self.services = Services(self.points)
        self.log = Log()
        # Names of optional permissions that are refused.
        self.refused: tuple[str, ...] = ()

    def app(self) -> RunningApp:
        manifest = parse_manifest((self.code / "app.toml").read_bytes())
        granted = without(manifest.needs, self.refused)
        return RunningApp(
            AppCode(manifest, self.code, self.state / "data", granted),
            TENANT,
            Grants(manifest.app.id, granted, refused=refused_needs(manifest.needs, granted)),
            self.services,
            self.points,
            self.state,
            LogLines(self.folder),
            self.log.feed,
            self.log.lag,
        )
