"""Sparkplug B: any payloads, one after the other, are read, planned and written without another exception than none;
every point is written or rejected, and a ready-made way gives what the careful way gives."""

import itertools
from typing import Any

import atheris
import numpy as np

with atheris.instrument_imports(include=["gongfu"]):
    from gongfu.ingest.columnise.accumulator import OpenBlock
    from gongfu.ingest.columnise.elements import PointTable
    from gongfu.ingest.columnise.json import SourceTimes
    from gongfu.ingest.columnise.reasons import Reason
    from gongfu.ingest.columnise.sparkplug import SparkplugReader
    from gongfu.ingest.types import Writer

from gongfu.kernel.block import decode_block
from gongfu.kernel.points import Series
from tests.contract.telemetry.sparkplug_bytes import M, payload
from tests.fuzz.guided import run

WRITER = Writer(1, 1, "d1", 1, "a1")
NOW = 1_790_000_000 * 10**9
T = NOW // 10**6
KINDS = ("NBIRTH", "NDATA", "NDATA", "NDATA", "DBIRTH/x", "DDATA/x", "NDEATH", "DDEATH/x")


def pieces(data: bytes) -> list[tuple[str, bytes]]:
    """Split an input into payloads: one byte of kind, two bytes of length, the payload."""
    found: list[tuple[str, bytes]] = []
    at = 0
    while at + 3 <= len(data) and len(found) < 16:
        size = int.from_bytes(data[at + 1 : at + 3], "big")
        found.append((KINDS[data[at] % len(KINDS)], data[at + 3 : at + 3 + size]))
        at += 3 + size
    return found


def one(data: bytes) -> None:
    """Read the payloads of one input in order, with births and points remembered."""
    reader, ids = SparkplugReader(100), itertools.count(1)
    tables: dict[str, PointTable] = {}
    for kind, body in pieces(data):
        rejected: list[int] = []

        def reject(_reason: Reason, n: int, _detail: str, into: list[int] = rejected) -> None:
            into.append(n)

        name, _, device = kind.partition("/")
        topic = f"spBv1.0/g/{name}/e" + (f"/{device}" if device else "")
        for element in reader.read(body, topic, WRITER, SourceTimes(lambda: NOW, NOW + 10**15), reject):
            table = tables.setdefault(element.child, PointTable(1, 0))
            quick, careful = OpenBlock(1, 0), OpenBlock(1, 0)
            planned = element.write_planned(table, quick)
            for point, value_type in element.missing(table.names).items():
                table.names[point] = Series(next(ids), value_type)
            rejected.clear()
            element.write(table, careful, reject, lambda _child: None)
            if planned:
                assert rows(quick) == rows(careful)
            elif careful.points:
                rows(careful)


def rows(block: OpenBlock) -> list[Any]:
    """Return the columns of a block by series, as text because NaN does not equal itself.

    The points of a series stand in their order; that of different series in a block means nothing, and the ready-made
    way has them by their data type.
    """
    found: list[Any] = []
    for kind, columns in sorted(decode_block(block.close(0)).columns.items(), key=lambda item: item[0].name):
        order = np.argsort(columns.series, kind="stable").tolist()
        values = [columns.values[at] for at in order]
        found.append(
            (
                kind.name,
                columns.series[order].tolist(),
                columns.times[order].tolist(),
                repr(values),
                columns.qualities[order].tolist(),
            )
        )
    return found


def corpus() -> list[bytes]:
    """A birth and data of most data types, by name and by alias."""

    def framed(*parts: tuple[int, bytes]) -> bytes:
        return b"".join(bytes([kind]) + len(body).to_bytes(2, "big") + body for kind, body in parts)

    kinds = [(10, 1.5), (9, 2.5), (3, 7), (4, 2**40), (8, 9), (11, True), (12, "text"), (14, "t"), (13, T)]
    birth = payload([M(kind, value, name=f"m{n}", alias=n) for n, (kind, value) in enumerate(kinds, 1)], timestamp=T)
    named = payload([M(kind, value, name=f"m{n}") for n, (kind, value) in enumerate(kinds, 1)], timestamp=T)
    alias = payload([M(kind, value, alias=n, typed=False) for n, (kind, value) in enumerate(kinds, 1)], timestamp=T)
    doubles = payload([M(10, n / 2, alias=1, timestamp=T + n) for n in range(3)], timestamp=T)
    null = payload([M(10, None, name="m1", null=True, quality=192)], timestamp=T)
    return [
        framed((0, birth), (1, alias), (1, alias), (1, alias)),
        framed((1, named), (1, named)),
        framed((0, birth), (1, doubles), (1, doubles), (6, birth), (1, null)),
        framed((4, birth), (5, alias), (7, null)),
    ]


if __name__ == "__main__":
    run(one, corpus(), __doc__ or "")
