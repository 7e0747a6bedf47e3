"""Capture and trace of EPCIS events: ``python -m benchmarks.identifier.epcis [--events 200000] [--minutes 30]``.

Trees of containers, eight levels, two in each: 256 items, each made of a lot, packed level by level, moved and read.
Events are captured as documents of 1,000, validated, indexed, fsync'd; then random trees are traced backward from the
outermost container and items forward, on all that is there. CPU is that of the process with all its threads.
"""

import argparse
import gc
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from benchmarks.ingest.report import Row, table, write
from gongfu.identify.epcis.capture import Capture, Limits, read_document
from gongfu.identify.epcis.jobs import Job
from gongfu.identify.epcis.query import parse_query
from gongfu.identify.epcis.selection import select
from gongfu.identify.epcis.store import EventStore
from gongfu.identify.epcis.traceability import Traceability

LEVELS = 8
DOCUMENT = 1000
_STEPS = ("shipping", "receiving", "storing", "inspecting", "transporting")


def item(tree: int, number: int) -> str:
    """Return an item of a tree."""
    return f"urn:epc:id:sgtin:4012345.011111.{tree}-{number}"


def container(tree: int, number: int) -> str:
    """Return a container of a tree; 1 is the outermost, the children of n are 2n and 2n + 1."""
    digits = f"{(tree * 256 + number) % 10**10:010d}"
    return f"urn:epc:id:sscc:4012345.{digits}"


def events(trees: int) -> Iterator[dict[str, Any]]:
    """Yield the events of trees, in time order within each: about five a thing."""
    chance = random.Random(1)
    leaves = 2**LEVELS
    for tree in range(trees):
        clock = 1_700_000_000 + tree * 60
        parents = [container(tree, number) for number in range(leaves)]
        common = {"eventTimeZoneOffset": "+08:00"}

        def at(second: int, clock: int = clock) -> str:
            return time.strftime("%Y-%m-%dT%H:%M:%S+08:00", time.gmtime(clock + 8 * 3600 + second))

        def place(clock: int = clock) -> dict[str, str]:
            return {"id": f"urn:epc:id:sgln:4012345.{chance.randrange(1000):05d}.0"}

        for number in range(leaves):
            made = {"inputQuantityList": [{"epcClass": f"urn:epc:class:lgtin:4012345.022222.L{tree}", "quantity": 1}]}
            yield {
                "type": "TransformationEvent",
                "eventTime": at(number % 7),
                **common,
                **made,
                "outputEPCList": [item(tree, number)],
                "bizStep": "commissioning",
                "bizLocation": place(),
                "eventID": f"urn:uuid:{chance.getrandbits(128):032x}",
            }
            for step in range(2):
                yield {
                    "type": "ObjectEvent",
                    "eventTime": at(10 + step),
                    **common,
                    "action": "OBSERVE",
                    "epcList": [item(tree, number)],
                    "bizStep": chance.choice(_STEPS),
                    "disposition": "in_progress",
                    "readPoint": place(),
                    "eventID": f"urn:uuid:{chance.getrandbits(128):032x}",
                }
        for parent in range(leaves - 1, 0, -1):
            inside = (2 * parent, 2 * parent + 1)
            children = [parents[n] if n < leaves else item(tree, n - leaves) for n in inside]
            yield {
                "type": "AggregationEvent",
                "eventTime": at(20 + LEVELS - parent.bit_length()),
                **common,
                "action": "ADD",
                "parentID": parents[parent],
                "childEPCs": children,
                "bizStep": "packing",
                "bizLocation": place(),
                "eventID": f"urn:uuid:{chance.getrandbits(128):032x}",
            }
            yield {
                "type": "ObjectEvent",
                "eventTime": at(40),
                **common,
                "action": "OBSERVE",
                "epcList": [parents[parent]],
                "bizStep": chance.choice(_STEPS),
                "bizLocation": place(),
                "bizTransactionList": [{"type": "po", "bizTransaction": f"urn:epcglobal:cbv:bt:4012345000009:{tree}"}],
                "eventID": f"urn:uuid:{chance.getrandbits(128):032x}",
            }


PER_TREE = 3 * 2**LEVELS + 2 * (2**LEVELS - 1)


def documents(count: int) -> Iterator[bytes]:
    """Yield documents until there are about so many events."""
    listed = list[dict[str, Any]]()
    for event in events(max(1, count // PER_TREE)):
        listed.append(event)
        if len(listed) == DOCUMENT:
            yield _document(listed)
            listed = []
    if listed:
        yield _document(listed)


def _document(listed: list[dict[str, Any]]) -> bytes:
    return orjson.dumps(
        {
            "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],
            "type": "EPCISDocument",
            "schemaVersion": "2.0",
            "creationDate": "2026-01-01T00:00:00Z",
            "epcisBody": {"eventList": listed},
        }
    )


def _quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def measure(path: Path, count: int, minutes: float, traces: int) -> list[Row]:
    """Capture and trace; returns the figures."""
    store = EventStore(path, cache_bytes=512 << 20)
    capture = Capture(store)
    cpu, size, taken = 0.0, 0, 0
    end = time.monotonic() + 60 * minutes
    for number, body in enumerate(documents(count)):
        # Making the documents is not measured.
        started = time.process_time()
        job = capture.process(Job(f"job{number}", "2026-01-01T00:00:00Z"), read_document(body, Limits()))
        cpu += time.process_time() - started
        assert job.success, job
        taken += job.captured_count
        size += len(body)
        if time.monotonic() > end:
            break
    started = time.process_time()
    store.compact()
    compacted = time.process_time() - started
    gc.collect()
    disk = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    trees = taken // PER_TREE
    chance, tracing = random.Random(2), Traceability(store)
    backward, forward = list[float](), list[float]()
    for _ in range(traces):
        tree = chance.randrange(trees)
        started = time.process_time()
        found = tracing.trace(container(tree, 1), "backward", limit=10_000)["backward"]
        backward.append(1000 * (time.process_time() - started))
        # Items, the containers below the outermost, and the lot.
        assert len(found["things"]) == 2**LEVELS + 2**LEVELS, len(found["things"])
        started = time.process_time()
        found = tracing.trace(item(tree, chance.randrange(2**LEVELS)), "forward")["forward"]
        forward.append(1000 * (time.process_time() - started))
        assert len(found["things"]) == 1 + LEVELS
    queries = list[float]()
    for _ in range(traces):
        query = parse_query({"MATCH_epc": [item(chance.randrange(trees), chance.randrange(2**LEVELS))]})
        started = time.process_time()
        assert len(select(store, query).events) == 3
        queries.append(1000 * (time.process_time() - started))
    store.close()
    millions = f"{taken / 1e6:.1f} M events"
    return [
        Row(f"EPCIS capture, {millions} of {size // taken} bytes", taken / cpu, "events/CPU-s", 20_000, "higher"),
        Row("EPCIS capture and the compaction after it", taken / (cpu + compacted), "events/CPU-s"),
        Row("EPCIS disk", disk / taken, "bytes/event"),
        Row(f"EPCIS backward trace, 8 levels, 512 things, {millions}, p50", _quantile(backward, 0.5), "ms CPU"),
        Row(f"EPCIS backward trace, 8 levels, 512 things, {millions}, p99", _quantile(backward, 0.99), "ms CPU", 100),
        Row("EPCIS forward trace of an item through 8 levels, p99", _quantile(forward, 0.99), "ms CPU", 100),
        Row("EPCIS events of an item, p99", _quantile(queries, 0.99), "ms CPU"),
    ]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--traces", type=int, default=200)
    parser.add_argument("--at", type=Path, help="directory for the store; a temporary one by default")
    given = parser.parse_args()
    path = given.at or Path(tempfile.mkdtemp(prefix="epcis-"))
    try:
        rows = measure(path / "store", given.events, given.minutes, given.traces)
    finally:
        shutil.rmtree(path, ignore_errors=True)
    print(table(rows))
    write(rows, Path(__file__).parent / "last_epcis.json")


if __name__ == "__main__":
    main()
