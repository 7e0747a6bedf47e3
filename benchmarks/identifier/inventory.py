"""What the great store has: 7,150,000,000 identifiers, of which 100,000,000 have records of their own.

25,000 enterprises have a prefix each, 6 ranges under it of about 47,000 numbers (no two of an enterprise the same
size), and 4,000 records. A smaller store has fewer enterprises.
"""

import random
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.identifier.records import PUMP, numbers, prefix_name, table
from gongfu.identify.bulk.reading import Part
from gongfu.identify.namespace.types import ClassRecord, Prefix
from gongfu.identify.service.contents import Directory
from gongfu.identify.service.range_changes import RangeWish

ENTERPRISES = 25_000
RANGES = 6
MEMBERS = 47_000
RECORDS = 4_000
CLASSES = 500
# Industries (GB/T 4754) and regions (GB/T 2260) to be counted by.
_INDUSTRIES = ("C34", "C35", "C36", "C38", "C39")
_REGIONS = ("3702", "3302", "4403", "3205", "5101", "4201", "1101")
_HEADS = "ABCDEF"


def enterprises(divisor: int) -> int:
    """Return how many enterprises a store has that is so many times smaller."""
    return ENTERPRISES // divisor


def members(enterprise: int, place: int) -> tuple[int, int]:
    """Return first and last number of a range. The sizes of an enterprise's ranges sum up to 6 × 47,000."""
    more = (1 + enterprise * 37 % 2_000) * (place // 2 + 1)
    size = MEMBERS + (more if place % 2 else -more)
    first = 1 + enterprise * 7 % 10_000
    return first, first + size - 1


def member_suffix(place: int, number: int) -> str:
    """Return the suffix of a member of a range."""
    return f"{_HEADS[place]}-{number:08d}"


def record_suffix(enterprise: int, number: int) -> str:
    """Return the suffix of a record."""
    return f"P{enterprise * RECORDS + number:09d}"


def wishes(divisor: int, at_once: int) -> Iterator[list[RangeWish]]:
    """Yield all ranges."""
    waiting: list[RangeWish] = []
    for enterprise in range(enterprises(divisor)):
        for place in range(RANGES):
            first, last = members(enterprise, place)
            text = f"{_HEADS[place]}-{{{first:08d}..{last:08d}}}"
            waiting.append(RangeWish(prefix_name(enterprise), text, 1 + (enterprise + place) % CLASSES))
            if len(waiting) == at_once:
                yield waiting
                waiting = []
    if waiting:
        yield waiting


def parts(divisor: int, of_enterprises: int) -> Iterator[Part]:
    """Yield all records in columns, as a file of them is read."""
    count = enterprises(divisor)
    for start in range(0, count, of_enterprises):
        some = min(of_enterprises, count - start)
        rows = some * RECORDS
        first = start * RECORDS
        made = table(first, rows)
        names = pa.array([prefix_name(enterprise) + "/P" for enterprise in range(start, start + some)])
        heads = names.take(pa.array(np.repeat(np.arange(some), RECORDS)))
        handles = pc.call_function("binary_join_element_wise", [heads, numbers(first, rows, 9), pa.scalar("")])
        columns = {name: made.column(name).combine_chunks() for name in made.column_names if name != "suffix"}
        yield Part({"handle": handles, **columns}, range(first, first + rows), {})


def directory(divisor: int) -> Directory:
    """Return prefixes, the template and classes."""
    prefixes = [
        Prefix(
            number=1 + enterprise,
            name=prefix_name(enterprise),
            enterprise=f"Example Works {enterprise}",
            industry=_INDUSTRIES[enterprise % len(_INDUSTRIES)],
            region=_REGIONS[enterprise % len(_REGIONS)],
        )
        for enterprise in range(enterprises(divisor))
    ]
    return Directory(prefixes=prefixes, templates={1: PUMP}, classes=classes())


def classes() -> list[ClassRecord]:
    """Return what members of ranges have in common."""
    return [
        ClassRecord(
            number=1 + number,
            template=1,
            attributes=(
                (0, f"QLR-{number:04d}"),
                (1, "Example Pump Works Co., Ltd."),
                (2, f"{number:08x}{{number:8}}"),
                (3, "2026-06-01"),
                (5, f"{55 + number % 7 * 15}.0"),
                (6, f"https://example.com/products/ranged/{number:04d}/{{suffix}}"),
            ),
            timestamp=1_795_000_000,
        )
        for number in range(CLASSES)
    ]


def draw(divisor: int, count: int, seed: int, share_of_records: float = 0.5) -> list[tuple[str, str]]:
    """Return random identifiers that are there, as (prefix, suffix)."""
    generator = random.Random(seed)
    found: list[tuple[str, str]] = []
    for _ in range(count):
        enterprise = generator.randrange(enterprises(divisor))
        if generator.random() < share_of_records:
            found.append((prefix_name(enterprise), record_suffix(enterprise, generator.randrange(RECORDS))))
        else:
            place = generator.randrange(RANGES)
            first, last = members(enterprise, place)
            found.append((prefix_name(enterprise), member_suffix(place, generator.randint(first, last))))
    return found


def draw_neighbours(divisor: int, count: int, seed: int) -> list[tuple[str, str]]:
    """Return identifiers that are not there, each next to one that is."""
    generator = random.Random(seed)
    found: list[tuple[str, str]] = []
    for _ in range(count):
        enterprise = generator.randrange(enterprises(divisor))
        place = generator.randrange(RANGES)
        first, last = members(enterprise, place)
        beside = (
            member_suffix(place, first - 1),
            member_suffix(place, last + 1),
            record_suffix(enterprise, RECORDS),
            member_suffix(place, first) + "0",
            member_suffix(place, first).replace("-", "_"),
        )
        found.append((prefix_name(enterprise), generator.choice(beside)))
    return found
