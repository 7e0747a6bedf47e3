"""Bounds of the columniser."""

from typing import Protocol

MAX_NAME = 200
MAX_PATH = 1000

# A block is closed at the first of these.
BLOCK_POINTS = 65_536
BLOCK_BYTES = 4 * 1024 * 1024
# Least time between two blocks of one tenant and partition under load: it is the batching of the group commit.
BLOCK_INTERVAL_S = 0.005
# With so many blocks on their way to the log, a further one is closed only when it is full.
BLOCKS_IN_LOG = 8

# Accepted points that wait for durability; beyond this ``saturated`` is true, beyond twice this points are shed.
PENDING_POINTS = 500_000
PENDING_BYTES = 64 * 1024 * 1024
# With so much waiting, devices that send more than their turn wait: the rest of the room is for the others.
BUSY_POINTS = 50_000
BUSY_BYTES = 4 * 1024 * 1024


class TelemetryLimits(Protocol):
    """Settings of the node for incoming points; ``gongfu.node.runtime.TelemetrySettings`` has them."""

    @property
    def partitions(self) -> int:
        """Number of partitions of the block log."""
        ...

    @property
    def max_future_seconds(self) -> float:
        """How far a source time may be ahead of the time of arrival."""
        ...

    @property
    def max_points_per_payload(self) -> int:
        """Most points in one payload."""
        ...

    @property
    def max_assets_per_device(self) -> int:
        """Most assets below the asset of a device."""
        ...

    @property
    def max_points_per_device(self) -> int:
        """Most points of the asset of a device and of all assets below it."""
        ...
