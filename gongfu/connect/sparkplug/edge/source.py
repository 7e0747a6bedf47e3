"""Where an edge node takes its points from: the registry, the latest values, and the block log from a position on.

The block log is the store of *store and forward*: what could not be published is still there when the host is back.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from nats.aio.client import Client
from sqlalchemy import Engine

from gongfu.bus.blocklog import BlockReader
from gongfu.bus.requests import request
from gongfu.connect.sparkplug.edge.messages import Metric, Sample
from gongfu.kernel.block import Block
from gongfu.kernel.errors import Problem
from gongfu.kernel.points import ValueType
from gongfu.kernel.subjects import Subjects
from gongfu.registry.point_directory import RegistryPoints
from gongfu.store.history.directory import PointInfo

_LATEST = 5000
_LATEST_S = 10.0


class EdgeSource:
    """Points of one tenant, all or those of some assets and what is below them.

    Args:
        bus: an open connection.
        subjects: names of the node.
        engine: the records.
        tenant: tenant id.
        assets: paths of assets; empty for all.
    """

    def __init__(
        self, bus: Client, subjects: Subjects, engine: Engine, tenant: int, assets: Sequence[str] = ()
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._points = RegistryPoints(engine)
        self.tenant = tenant
        self._assets = tuple(assets)

    def _wanted(self, info: PointInfo) -> bool:
        return not self._assets or any(
            info.asset_path == asset or info.asset_path.startswith(f"{asset}/") for asset in self._assets
        )

    async def metrics(self) -> list[Metric]:
        """Return all points to publish."""

        def read() -> list[Metric]:
            return [_metric(info) for info in self._points.all_points(self.tenant) if self._wanted(info)]

        return await asyncio.to_thread(read)

    async def find(self, series: Collection[int]) -> list[Metric]:
        """Return the points to publish among some series."""
        found = await asyncio.to_thread(self._points.by_series, self.tenant, series)
        return [_metric(info) for info in found.values() if self._wanted(info)]

    async def latest(self, series: Sequence[int]) -> dict[int, Sample]:
        """Return the latest values; none while the worker does not answer."""
        found: dict[int, Sample] = {}
        for start in range(0, len(series), _LATEST):
            body = {"series": list(series[start : start + _LATEST])}
            try:
                answer = await request(self._bus, self._subjects.service("latest"), body, _LATEST_S, dict[str, Any])
            except Problem:
                return found
            for item in answer["items"]:
                found[item["series"]] = Sample(item["series"], item["time"], item["quality"], item["value"])
        return found

    async def end(self, partition: int) -> int:
        """Return the sequence of the last block of a partition, 0 without one."""
        info = await self._bus.jetstream().stream_info(self._subjects.blocks_stream(partition))
        return info.state.last_seq

    def reader(self, partition: int, after: int, counters: Any) -> BlockReader:
        """Return a reader of the blocks of a partition behind a sequence."""
        return BlockReader(self._bus, self._subjects, partition, after + 1, counters)


def _metric(info: PointInfo) -> Metric:
    return Metric(info.series, info.asset_path, info.name, info.value_type, info.unit)


def samples_of(block: Block) -> list[Sample]:
    """Return the points of a block in order of their time."""
    found: list[Sample] = []
    for value_type, columns in block.columns.items():
        values = columns.values.tolist() if isinstance(columns.values, np.ndarray) else columns.values
        if value_type is ValueType.BOOLEAN:
            values = [bool(value) for value in values]
        found += map(Sample, columns.series.tolist(), columns.times.tolist(), columns.qualities.tolist(), values)
    return sorted(found, key=lambda sample: sample.time)
