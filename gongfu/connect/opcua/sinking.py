"""Columns of an answer -> readings of the kit."""

from collections.abc import Sequence

from gongfu.connect.kit.types import Reading
from gongfu.connect.opcua.quality import qualities
from gongfu.connect.opcua.wire.columns import Columns


def readings(columns: Columns, addresses: Sequence[int] | None = None) -> list[Reading]:
    """Return the values as readings.

    Args:
        columns: decoded values; the source's time is taken, the server's where there is none.
        addresses: index of the address of each key; None when the keys are the indexes.
    """
    keys = columns.keys if addresses is None else [addresses[key] for key in columns.keys]
    times = columns.source
    if 0 in times:
        times = [source or server for source, server in zip(times, columns.server, strict=True)]
    return list(map(Reading, keys, columns.values, qualities(columns.status, columns.values), times))
