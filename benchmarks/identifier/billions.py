"""Build 7,150,000,000 identifiers and look into them: ``python -m benchmarks.identifier.billions [--divide 1000]``.

Ranges are registered as an operator would, records are imported as files are, in columns. Afterwards random identifiers
are resolved, neighbours of ranges must not be there, some are deleted, everything is counted anew from what is on the
disk, and the store is closed and opened. Any difference ends it with status 1.
"""

import argparse
import asyncio
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pyarrow as pa

from benchmarks.identifier import inventory
from benchmarks.identifier.records import PUMP
from benchmarks.ingest.report import Row, table, write
from gongfu.identify.bulk.preparing import CODES, Prepared, Wish, prepare
from gongfu.identify.bulk.reading import Part
from gongfu.identify.bulk.taking import Taking
from gongfu.identify.handle.names import HandleName
from gongfu.identify.handle.resolution import Found
from gongfu.identify.service.contents import Contents
from gongfu.identify.service.figures import By
from gongfu.identify.service.forms import Forms
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.service.writes import Operation, Write, WriteCode

RESULT = Path(__file__).parent / "last_billions.json"
CACHE_BYTES = 256 << 20
_AT_ONCE = 1_000
_ENTERPRISES_A_PART = 50
_GIGABYTE = 1e9
# What a record has of its own that is of a class.
_OF_CLASS = ("handle", "serial")


class DifferenceError(Exception):
    """The store says something that is not so."""


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _check(condition: bool, said: object) -> None:
    if not condition:
        raise DifferenceError(said)


def disk_bytes(path: Path) -> int:
    """Return the bytes of all files below a directory."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _memory() -> int:
    return psutil.Process().memory_info().rss


async def open_store(path: Path, divisor: int, cache_bytes: int = CACHE_BYTES) -> Identifiers:
    """Open or make the store."""
    return await Identifiers.open(path, inventory.directory(divisor), cache_bytes=cache_bytes)


async def _register_ranges(identifiers: Identifiers, divisor: int) -> int:
    registered = 0
    for wishes in inventory.wishes(divisor, _AT_ONCE):
        registered += sum(done.new for done in await identifiers.define_ranges(wishes))
    return registered


async def import_records(identifiers: Identifiers, divisor: int, *, of: int = 0) -> tuple[int, float]:
    """Import all records, with a class only what differs from it; returns how many, and the CPU seconds that making
    them up took."""
    form = Forms({1: PUMP}).published(PUMP.name)
    assert form is not None
    wish = Wish(form=form, of=of)
    created = 0
    making = 0.0
    parts = inventory.parts(divisor, _ENTERPRISES_A_PART)
    while True:
        before = time.process_time()
        part = next(parts, None)
        making += time.process_time() - before
        if part is None:
            return created, making
        if of:
            part = Part({name: part.columns[name] for name in _OF_CLASS}, part.rows, {})
        made = prepare(part, wish, identifiers.namespace, int(time.time()))

        def act(contents: Contents, made: Prepared = made) -> tuple[None, frozenset[str], frozenset[str]]:
            return None, frozenset(), Taking(contents, made, wish, int(time.time())).take()

        await identifiers.exclusively(act)
        created += sum(CODES[code] is WriteCode.CREATED for code in made.codes.tolist())
        if part.rows[0] % 5_000_000 == 0:
            _say(f"{created:,} records")


def _resolve(identifiers: Identifiers, divisor: int, count: int, seed: int) -> float:
    """Resolve random identifiers and neighbours; returns CPU seconds of one of those that are there."""
    known = [HandleName(prefix, suffix) for prefix, suffix in inventory.draw(divisor, count, seed)]
    before = time.process_time()
    answers = [identifiers.lookup(name) for name in known]
    spent = time.process_time() - before
    for name, answer in zip(known, answers, strict=True):
        _check(isinstance(answer, Found) and len(answer.values) >= 6, f"{name} has no values: {answer}")
        if isinstance(answer, Found) and "-" in name.suffix:
            link = answer.values[-1].data.decode()
            _check(link.endswith("/" + name.suffix), f"{name} has the link {link}")
    for prefix, suffix in inventory.draw_neighbours(divisor, count, seed):
        answer = identifiers.lookup(HandleName(prefix, suffix))
        _check(not isinstance(answer, Found), f"{prefix}/{suffix} is there: {answer}")
    return spent / count


async def _delete(identifiers: Identifiers, divisor: int, count: int) -> None:
    """Delete random identifiers, ask for them and their neighbours, and register some of them again."""
    before = sum(item.total for item in identifiers.counts().values())
    chosen = sorted({f"{prefix}/{suffix}" for prefix, suffix in inventory.draw(divisor, count, 7)})
    done = await identifiers.write([Write(operation=Operation.DELETE, handle=handle) for handle in chosen])
    _check(all(outcome.code is WriteCode.DELETED for outcome in done), "not all that was there could be deleted")
    again = await identifiers.write([Write(operation=Operation.DELETE, handle=handle) for handle in chosen])
    _check(all(outcome.code is WriteCode.NOT_FOUND for outcome in again), "what was deleted is still there")
    for handle in chosen:
        prefix, _, suffix = handle.partition("/")
        _check(not isinstance(identifiers.lookup(HandleName(prefix, suffix)), Found), f"{handle} is still there")
    total = sum(item.total for item in identifiers.counts().values())
    _check(total == before - len(chosen), f"{total:,} after {len(chosen):,} of {before:,} were deleted")
    back = random.Random(8).sample(chosen, len(chosen) // 2)
    attributes = {"model": "M", "maker": "again", "serial": "0" * 16}
    made = await identifiers.write(
        [Write(operation=Operation.CREATE, handle=handle, template="pump", attributes=attributes) for handle in back]
    )
    _check(all(outcome.code is WriteCode.CREATED for outcome in made), "not all could be registered again")
    total = sum(item.total for item in identifiers.counts().values())
    _check(total == before - len(chosen) + len(back), f"{total:,} after {len(back):,} were registered again")
    for by in By:
        figures = identifiers.statistics(by)
        _check(sum(item.total for item in figures.values()) == total, f"by {by} there are others than {total:,}")


async def _recount(identifiers: Identifiers) -> int:
    found = await identifiers.recount()
    _check(not found.wrong, found.wrong[:10])
    return sum(item.total for item in found.counts.values())


async def build(path: Path, divisor: int, recounted: bool) -> list[Row]:
    """Build the store, look into it; return what it took."""
    rows: list[Row] = []
    clock = time.process_time
    identifiers = await open_store(path, divisor)
    start = clock()
    ranged = await _register_ranges(identifiers, divisor)
    ranges_cpu = clock() - start
    ranged_bytes = disk_bytes(path)
    _say(f"{ranged:,} by range in {ranges_cpu:.1f} s CPU; {_memory() / _GIGABYTE:.2f} GB of memory")
    start = clock()
    explicit, making = await import_records(identifiers, divisor)
    import_cpu = clock() - start - making
    _say(f"{explicit:,} records in {import_cpu:.1f} s CPU, {making:.1f} s to make them up")
    expected = inventory.enterprises(divisor) * inventory.RANGES * inventory.MEMBERS
    start = clock()
    await identifiers.compact()
    compact_cpu = clock() - start
    _say(f"few large files of many small ones in {compact_cpu:.1f} s CPU")
    _check(ranged == expected, f"{ranged:,} of {expected:,} by range")
    _check(explicit == inventory.enterprises(divisor) * inventory.RECORDS, f"{explicit:,} records")
    name = f"{ranged + explicit:,} identifiers"
    total = sum(item.total for item in identifiers.counts().values())
    _check(total == ranged + explicit, f"{total:,} counted")
    built = disk_bytes(path)
    rows += [
        Row(f"{name}: counted", total, "identifiers", ranged + explicit, "higher"),
        Row(f"{name}: with a record of their own", explicit, "identifiers"),
        Row(f"{name}: on the disk", built / _GIGABYTE, "GB", 20.0 / divisor),
        Row(f"{name}: a record of 7 attributes on the disk", (built - ranged_bytes) / explicit, "B", 36.0),
        Row(f"{name}: a member of a range on the disk", ranged_bytes / ranged, "B", 0.1),
        Row(
            f"{name}: CPU to register {inventory.enterprises(divisor) * inventory.RANGES:,} ranges", ranges_cpu, "s CPU"
        ),
        Row(f"{name}: CPU to import the records", import_cpu, "s CPU"),
        Row(f"{name}: CPU to make few large files of many small ones", compact_cpu, "s CPU"),
        Row(f"{name}: records imported a CPU-second", explicit / import_cpu, "1/s CPU", 300_000, "higher"),
    ]
    count = 20_000 if divisor < 100 else 4_000
    spent = _resolve(identifiers, divisor, count, 1)
    _say(f"{count:,} random ones and {count:,} neighbours of ranges: as they should be")
    await _delete(identifiers, divisor, 1_000)
    _say("1,000 deleted, half of them registered again: counts as they should be")
    left = sum(item.total for item in identifiers.counts().values())
    if recounted:
        start = clock()
        counted = await _recount(identifiers)
        _check(counted == left, f"{counted:,} counted again, {left:,} expected")
        rows.append(Row(f"{name}: counted again from the disk, differences", abs(counted - left), "identifiers", 0))
        rows.append(Row(f"{name}: CPU to count again", clock() - start, "s CPU"))
    await identifiers.close()
    del identifiers
    start, begun = clock(), time.monotonic()
    identifiers = await open_store(path, divisor)
    rows.append(Row(f"{name}: CPU to open again", clock() - start, "s CPU"))
    _say(f"opened again in {time.monotonic() - begun:.1f} s")
    total = sum(item.total for item in identifiers.counts().values())
    _check(total == left, f"{total:,} after a restart, {left:,} before")
    _resolve(identifiers, divisor, 100, 2)
    await identifiers.close()
    rows += [
        Row(f"{name}: a random one resolved, half of them records", 1e6 * spent, "us CPU"),
        Row(f"{name}: most memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _GIGABYTE, "GB", 2.0),
    ]
    return rows


def main() -> int:
    """Build, print, write; return 1 when something differs or a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--divide", type=int, default=1, help="make the store so many times smaller")
    parser.add_argument("--directory", type=Path, help="where to build it; kept afterwards")
    parser.add_argument("--no-recount", action="store_true", help="do not count 100,000,000 records again")
    arguments = parser.parse_args()
    path: Path = arguments.directory or Path(tempfile.mkdtemp(prefix="gongfu-identifiers-"))
    free = shutil.disk_usage(path.parent).free
    if free < 8 * _GIGABYTE / arguments.divide + _GIGABYTE:
        print(f"{free / _GIGABYTE:.1f} GB free are too little", file=sys.stderr)
        return 1
    # What a node's role does as well: memory is kept between parts.
    pa.set_memory_pool(pa.system_memory_pool())
    rows = [Row("load average before the start", os.getloadavg()[0], "processes")]
    try:
        rows += asyncio.run(build(path, arguments.divide, not arguments.no_recount))
    except DifferenceError as error:
        print(f"differs: {error}", file=sys.stderr)
        return 1
    finally:
        if arguments.directory is None:
            shutil.rmtree(path)
    print(table(rows))
    if arguments.divide == 1:
        write(rows, RESULT)
    return 1 if any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
