"""Rows that are ready are taken by the store: in a turn of the writer, so that nothing comes between look and write.

New ones go there as a sorted file, with counts and answers in the same step. Those that are not just new (they take the
place of a record, are members of a range, or the prefix is nearly full) go the way of single writes before.
"""

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from gongfu.identify.bulk.preparing import NUMBER_OF, UNDECIDED, Prepared, Wish, prefix_of
from gongfu.identify.records.form import StoredRecord
from gongfu.identify.records.keys import Answered, Count, batch_key, count_key, decode_answered, encode_answered
from gongfu.identify.records.shard import Shard
from gongfu.identify.service.contents import Contents
from gongfu.identify.service.deciding import Refused, names_of
from gongfu.identify.service.group import Group
from gongfu.identify.service.writes import BatchError, Operation, Write, WriteCode, WriteReason

_NOT_HERE = 0xFF
_CREATED = NUMBER_OF[WriteCode.CREATED]
_EXISTS = NUMBER_OF[WriteCode.ALREADY_EXISTS]
_PREFIX_BYTES = 4


def digest_of(made: Prepared) -> bytes:
    """Return what tells rows from others that come with the same key of idempotency: names and texts, not times."""
    digest = hashlib.blake2b(digest_size=16)
    for name, column in (("", made.prefixes), ("/", made.suffixes), *sorted(made.texts.items())):
        digest.update(f"{name}:{len(column)}:".encode())
        for buffer in column.buffers():
            digest.update(b"" if buffer is None else buffer)
    return digest.digest()


def look_at_prefixes(contents: Contents, made: Prepared, wish: Wish) -> tuple[set[str], set[int]]:
    """Look at prefixes again, they may have changed; rows of those that take no more are refused.

    Returns:
        their keys, and the numbers of those that are not just filled: with ranges, or with a quota that is near.
    """
    touched: set[str] = set()
    special: set[int] = set()
    names = {prefix.number: prefix.name for prefix in contents.space.prefixes.values()}
    numbers, counts = np.unique(made.numbers, return_counts=True)
    for number, more in zip(numbers.tolist(), counts.tolist(), strict=True):
        try:
            prefix = prefix_of(contents.space, names[number], wish.admitted)
        except Refused as refused:
            made.refuse(made.places[made.numbers == number], refused.code, refused.detail)
            continue
        touched.add(prefix.key)
        near = prefix.quota and contents.counts.get(number, Count()).total + more > prefix.quota
        if near or number in contents.ranges:
            special.add(number)
    return touched, special


def special_places(contents: Contents, made: Prepared, positions: np.ndarray, special: set[int]) -> set[int]:
    """Return the places of rows that are members of ranges, or of a prefix that is nearly full.

    Args:
        contents: of the node.
        made: rows.
        positions: of those that are looked at.
        special: numbers of prefixes, by ``look_at_prefixes``.
    """
    if not special:
        return set()
    found: set[int] = set()
    heads = {
        number: tuple(pattern.head.encode() for pattern in contents.ranges[number])
        for number in special
        if number in contents.ranges
    }
    for position in positions[np.isin(made.numbers[positions], list(special))].tolist():
        number = int(made.numbers[position])
        key = made.keys[position]
        known = heads.get(number)
        if known is not None and not key.startswith(known, _PREFIX_BYTES):
            continue
        if known is None or contents.space.find(number, key[_PREFIX_BYTES:].decode()) is not None:
            found.add(int(made.places[position]))
    return found


class Taking:
    """Takes rows; afterwards ``made.codes`` says what became of each."""

    def __init__(self, contents: Contents, made: Prepared, wish: Wish, now: int, key: bytes = b"") -> None:
        """Take nothing yet.

        Args:
            contents: of the node.
            made: the rows.
            wish: what is to be done with them.
            now: UTC seconds.
            key: of idempotency, of these rows; b"" is none.
        """
        self._contents = contents
        self._made = made
        self._wish = wish
        self._now = now
        self._key = batch_key(key) if key else b""
        self._digest = digest_of(made) if key else b""
        self._again = {first: [] for first in made.again.values()}
        for place, first in sorted(made.again.items()):
            self._again[first].append(place)

    def take(self) -> frozenset[str]:
        """Write what is right; returns the keys of the prefixes that have more or other records.

        Raises:
            BatchError: KEY_REUSED; nothing was done.
            OSError: it failed; whether it was done is not known.
        """
        self._remember()
        touched, special = look_at_prefixes(self._contents, self._made, self._wish)
        shards = self._contents.shards.all
        open_ = self._made.codes[self._made.places] == UNDECIDED
        for number, shard in enumerate(shards):
            here = open_ if len(shards) == 1 else open_ & (self._made.numbers % len(shards) == number)
            positions = np.flatnonzero(here)
            if len(positions):
                self._take_shard(shard, positions, special)
        return frozenset(touched)

    def _remember(self) -> None:
        """Take over what was answered before."""
        made = self._made
        for shard in self._contents.shards.all if self._key else ():
            stored = shard.read(self._key)
            if stored is None:
                continue
            seen = decode_answered(stored)
            if seen.digest != self._digest or len(seen.codes) != len(made.codes):
                raise BatchError(WriteReason.KEY_REUSED, "the key was used for other rows")
            codes = np.frombuffer(seen.codes, np.uint8)
            made.codes = np.where(codes == _NOT_HERE, made.codes, codes)
            made.details |= seen.details

    def _take_shard(self, shard: Shard, positions: np.ndarray, special: set[int]) -> None:
        made = self._made
        codes, places = made.codes, made.places[positions]
        repeated = [place for place in self._again if place in set(places.tolist())] if self._again else []
        there = places[shard.present(_chosen(made.keys, positions))]
        singly = special_places(self._contents, made, positions, special)
        if self._wish.overwrite:
            singly |= {*there.tolist(), *repeated}
        else:
            codes[there] = _EXISTS
        singly = {place for place in singly if codes[place] == UNDECIDED}
        if singly:
            singly |= {place for first in repeated if first in singly for place in self._again[first]}
            self._write_singly(sorted(singly))
        new = positions[codes[places] == UNDECIDED]
        codes[made.places[new]] = _CREATED
        for first in repeated:
            later = np.array(self._again[first])
            codes[later[codes[later] == UNDECIDED]] = _EXISTS
        self._store(shard, new, self._answers(places, repeated))

    def _write_singly(self, places: Sequence[int]) -> None:
        made = self._made
        group = Group(self._contents, self._now)
        outcomes = group.batch([self._write(place) for place in places], b"", None)
        group.commit()
        for place, outcome in zip(places, outcomes, strict=True):
            made.codes[place] = NUMBER_OF[outcome.code]
            if outcome.detail:
                made.details[place] = outcome.detail

    def _write(self, place: int) -> Write:
        made, template = self._made, self._wish.form.template
        suffix: str = made.suffixes[place].as_py()
        attributes: dict[str, str] = {}
        if self._wish.of:
            common = self._contents.space.whole(StoredRecord(self._wish.form.number, of=self._wish.of), suffix)
            attributes = {template.attributes[ordinal].name: data.decode() for ordinal, data in common.attributes}
        for name, column in made.texts.items():
            if (text := column[place].as_py()) is not None:
                attributes[name] = text
        return Write(
            operation=Operation.CREATE,
            handle=f"{made.prefixes[place].as_py()}/{suffix}",
            template=names_of(template)[1],
            attributes=attributes,
            overwrite=self._wish.overwrite,
        )

    def _answers(self, places: np.ndarray, repeated: Iterable[int]) -> Mapping[bytes, bytes]:
        """Return what a shard keeps of the answers: those to its own rows."""
        if not self._key:
            return {}
        made = self._made
        here = [*places.tolist(), *(place for first in repeated for place in self._again[first])]
        codes = np.full(len(made.codes), _NOT_HERE, np.uint8)
        codes[here] = made.codes[here]
        details = {place: detail for place, detail in made.details.items() if codes[place] != _NOT_HERE}
        return {self._key: encode_answered(Answered(self._now, self._digest, codes.tobytes(), details))}

    def _store(self, shard: Shard, new: np.ndarray, others: Mapping[bytes, bytes]) -> None:
        made, contents = self._made, self._contents
        if not len(new):
            if others:
                shard.write(others)
            return
        counts: dict[int, Count] = {}
        numbers, more = np.unique(made.numbers[new], return_counts=True)
        for number, count in zip(numbers.tolist(), more.tolist(), strict=True):
            counts[number] = contents.counts.get(number, Count()).plus(count, 0, 0)
        others = {**others, **{count_key(number): count.encode() for number, count in counts.items()}}
        # A file of its own: next to records it would seem to have all keys in between.
        last = sorted(others)
        name = uuid.uuid4().hex
        files = [shard.incoming / f"{name}.records", shard.incoming / f"{name}.others"]
        try:
            shard.write_file(files[0], _chosen(made.keys, new), _chosen(made.values, new))
            shard.write_file(files[1], last, [others[key] for key in last])
            shard.take_files(files)
        finally:
            for file in files:
                file.unlink(missing_ok=True)
        contents.counts |= counts


def _chosen(items: list[bytes], positions: np.ndarray) -> list[bytes]:
    return items if len(positions) == len(items) else [items[position] for position in positions.tolist()]
