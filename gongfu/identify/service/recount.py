"""Counting a store anew, from its records and ranges: what its counts must say."""

from collections.abc import Mapping

import msgspec

from gongfu.identify.ranges.pattern import readings
from gongfu.identify.records.keys import COUNTS, MAX_PREFIX, RANGES, Count, decode_count, prefix_of_count
from gongfu.identify.records.shard import Reading
from gongfu.identify.service.contents import read_ranges
from gongfu.identify.service.members import Ranges


class Recount(msgspec.Struct, frozen=True):
    """What counting again has found.

    Attributes:
        counts: by number of the prefix; those with none are left out.
        wrong: what does not fit, for people; empty as it should be.
    """

    counts: Mapping[int, Count]
    wrong: tuple[str, ...] = ()


def recount(shard: Reading) -> Recount:
    """Count a shard again; it should not change meanwhile."""
    ranges = read_ranges(shard.items(RANGES))
    explicit: dict[int, int] = {}
    overridden: dict[int, int] = {}
    wrong: list[str] = []
    # Most records are of no pattern: the beginning of their suffix says so.
    heads = {number: tuple(pattern.head.encode() for pattern in patterns) for number, patterns in ranges.items()}
    for key, _ in shard.items(b""):
        number = int.from_bytes(key[:4], "big")
        if number >= MAX_PREFIX:
            break
        if not number:
            continue
        explicit[number] = explicit.get(number, 0) + 1
        if number in ranges and key.startswith(heads[number], 4):
            # A suffix that is not UTF-8 is no member.
            suffix = key[4:].decode(errors="replace")
            places = _places(ranges, number, suffix)
            if len(places) > 1:
                wrong.append(f"{suffix} of prefix {number} is registered {len(places)} times")
            for flagged in places[:1]:
                overridden[number] = overridden.get(number, 0) + 1
                if not flagged:
                    wrong.append(f"{suffix} of prefix {number} has a record of its own that its range does not know")
    counts: dict[int, Count] = {}
    for number in {*explicit, *ranges}:
        members = sum(len(series) for series in ranges.get(number, {}).values())
        flags = sum(series.overrides for series in ranges.get(number, {}).values())
        counts[number] = Count(explicit.get(number, 0), members, overridden.get(number, 0))
        if flags != counts[number].overridden:
            wrong.append(
                f"prefix {number}: {flags} members are marked to have records, {counts[number].overridden} have"
            )
    stored = {prefix_of_count(key): decode_count(value) for key, value in shard.items(COUNTS)}
    wrong += [
        f"prefix {number}: counted {counts.get(number, Count())}, stored {stored.get(number, Count())}"
        for number in sorted({*counts, *stored})
        if counts.get(number, Count()) != stored.get(number, Count())
    ]
    return Recount(counts, tuple(wrong))


def _places(ranges: Ranges, number: int, suffix: str) -> list[bool]:
    """Return, of each range that has a suffix, whether it knows of a record."""
    found: list[bool] = []
    for pattern, at in readings(suffix):
        series = ranges[number].get(pattern)
        if series is not None and (member := series.member(at)) is not None:
            found.append(member.overridden)
    return found
