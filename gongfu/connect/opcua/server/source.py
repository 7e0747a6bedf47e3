"""What the OPC UA server shows: the node's assets, their points and the latest values. The role brings the source."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec


class ShownAsset(msgspec.Struct, frozen=True):
    """An asset. ``path``: its names from the root, joined by "/"; ``type``: of its thing model, ``""`` none."""

    path: str
    type: str = ""
    name: str = ""


class ShownPoint(msgspec.Struct, frozen=True):
    """A point. ``value_type``: double, int64, boolean, string or json; ``unit``: UCUM."""

    series: int
    asset: str
    name: str
    value_type: str
    unit: str = ""


class LatestPoint(NamedTuple):
    """The newest value of a series. ``time``: UTC ns; ``quality``: as of ``gongfu.kernel.quality``."""

    value: Any
    quality: int
    time: int


class Source(Protocol):
    """Gives the server what it shows."""

    async def assets(self) -> Sequence[ShownAsset]:
        """Return all assets to show, parents before children."""
        ...

    async def points(self) -> Sequence[ShownPoint]:
        """Return all points of these assets."""
        ...

    async def latest(self, series: Sequence[int]) -> Mapping[int, LatestPoint]:
        """Return the newest values of some series; those without one are left out."""
        ...

    def may_sign_in(self, name: str, password: str) -> bool:
        """Return whether a user may read over OPC UA; attempts are limited by who implements it."""
        ...
