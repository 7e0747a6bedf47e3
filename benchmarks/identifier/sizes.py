"""What identifiers take on the disk, with filters and indexes, when there are many of them."""

import asyncio
import tempfile
import time
from pathlib import Path

from benchmarks.identifier import inventory
from benchmarks.identifier.billions import disk_bytes, import_records, open_store
from benchmarks.ingest.report import Row
from gongfu.identify.ranges.keys import read_chunk_key
from gongfu.identify.records.keys import RANGES
from gongfu.identify.service.contents import Contents

# Of the great store's 7,150,000,000 and 100,000,000: its check deletes 1,000 and registers 500 of them again.
_DELETED = 500


async def _fill(path: Path, divisor: int, of: int) -> tuple[int, float]:
    """Import records; returns how many, and how many a CPU-second."""
    identifiers = await open_store(path, divisor)
    start = time.process_time()
    created, making = await import_records(identifiers, divisor, of=of)
    spent = time.process_time() - start - making
    await identifiers.close()
    return created, created / spent


def records(divisor: int) -> list[Row]:
    """Import records in columns: with all their attributes, and with one of their own and the others of a class."""
    rows: list[Row] = []
    for of, name, bar in ((0, "of 7 attributes", 36.0), (1, "of a class with one attribute of its own", 16.0)):
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / "store"
            path.mkdir()
            count, rate = asyncio.run(_fill(path, divisor, of))
            size = disk_bytes(path) / count
        rows += [
            Row(f"disk: a record {name}, of {count:,}", size, "B", bar),
            Row(f"import in columns: {count:,} records {name}", rate, "1/s CPU", better="higher"),
        ]
    return rows


async def _great(path: Path, divisor: int) -> list[Row]:
    identifiers = await open_store(path, divisor)

    def look(contents: Contents) -> tuple[tuple[int, int, int], frozenset[str], frozenset[str]]:
        total = sum(count.total for count in contents.counts.values())
        explicit = sum(count.explicit for count in contents.counts.values())
        # As they are before compression.
        ranged = sum(len(key) + len(value) for key, value in contents.shards.items(RANGES) if read_chunk_key(key))
        return (total, explicit, ranged), frozenset(), frozenset()

    total, explicit, ranged = await identifiers.exclusively(look)
    await identifiers.close()
    count = inventory.enterprises(divisor)
    members = count * inventory.RANGES * inventory.MEMBERS
    own = count * inventory.RECORDS
    return [
        Row("great store: identifiers (its check has deleted 500)", total, "", members + own - _DELETED, "higher"),
        Row("great store: of them with a record of their own", explicit, "", own - _DELETED, "higher"),
        Row("great store: on the disk", disk_bytes(path) / 1e9, "GB", 20.0 / divisor),
        Row("disk: a member of a range, of those of the great store", ranged / members, "B", 0.1),
    ]


def great(path: Path, divisor: int) -> list[Row]:
    """Look what the store of ``billions`` has and takes."""
    return asyncio.run(_great(path, divisor))
