"""A chunk of a batch that was prepared in columns, taken in a turn of the writer: one write a shard, answers with it.

What becomes of each item is what single writes would make of it. Chunks in which more has to be decided than whether a
handle is there (members of ranges, records that are replaced, a quota that is near) are not taken at all.
"""

from collections.abc import Callable, Sequence

import numpy as np

from gongfu.identify.bulk.preparing import NUMBER_OF, UNDECIDED, Prepared, Wish
from gongfu.identify.bulk.taking import look_at_prefixes, special_places
from gongfu.identify.handle.names import HandleName, folded
from gongfu.identify.records.keys import (
    Answered,
    Count,
    batch_key,
    count_key,
    decode_answered,
    encode_answered,
    record_key,
)
from gongfu.identify.service.contents import Contents
from gongfu.identify.service.group import Group
from gongfu.identify.service.writes import Allowed, BatchError, Outcome, Write, WriteCode, WriteReason

# Items that are wrong are looked at one by one.
_MOST_WRONG = 1000
_NOT_HERE = 0xFF
_CREATED = NUMBER_OF[WriteCode.CREATED]
_EXISTS = NUMBER_OF[WriteCode.ALREADY_EXISTS]


class NotPlainError(Exception):
    """Nothing was done: the chunk is to be written item by item, with the same key."""


class BatchTaking:
    """Takes a chunk; afterwards ``made.codes`` and ``made.details`` say what became of each item."""

    def __init__(
        self,
        contents: Contents,
        made: Prepared,
        wish: Wish,
        now: int,
        key: bytes,
        digest: bytes,
        writes_at: Callable[[Sequence[int]], list[Write | Outcome]],
        allowed: Allowed | None = None,
    ) -> None:
        """Take nothing yet.

        Args:
            contents: of the node.
            made: the items.
            wish: what they have in common.
            now: UTC seconds.
            key: of idempotency, of this chunk; b"" is none.
            digest: what tells the chunk from others that come with the key; 16 bytes.
            writes_at: returns the items at some places as single writes.
            allowed: is asked once a prefix, in the turn: whoever may create one identifier of it may create all.
        """
        self._contents = contents
        self._made = made
        self._wish = wish
        self._now = now
        self._key = batch_key(key) if key else b""
        self._digest = digest
        self._writes_at = writes_at
        self._allowed = allowed

    def take(self) -> frozenset[str]:
        """Write what is right; returns the keys of handles that are new.

        Raises:
            NotPlainError: nothing was done.
            BatchError: KEY_REUSED; nothing was done.
            OSError: it failed; whether it was done is not known.
        """
        made, contents = self._made, self._contents
        if self._remembered():
            return frozenset()
        if self._wish.form is not contents.forms.of(self._wish.form.number):
            raise NotPlainError
        wrong = np.flatnonzero(made.codes != UNDECIDED).tolist()
        _, special = look_at_prefixes(contents, made, self._wish)
        if int(np.count_nonzero(made.codes != UNDECIDED)) != len(wrong):
            # A prefix has changed meanwhile.
            raise NotPlainError
        made.details = {}
        self._check_rights()
        new = self._decide(special)
        self._judge(wrong)
        self._store(new, wrong)
        return self._handles(new)

    def _remembered(self) -> bool:
        """Take over what was answered before; returns whether it was.

        Raises:
            NotPlainError: some shards have answered their part, and others have not.
            BatchError: KEY_REUSED.
        """
        made = self._made
        shards = self._contents.shards.all if self._key else ()
        stored = [data for shard in shards if (data := shard.read(self._key)) is not None]
        if not stored:
            return False
        codes = np.full(len(made.codes), _NOT_HERE, np.uint8)
        details: dict[int, str] = {}
        for seen in map(decode_answered, stored):
            if seen.digest != self._digest or len(seen.codes) != len(codes):
                raise BatchError(WriteReason.KEY_REUSED, "the key was used for other writes")
            part = np.frombuffer(seen.codes, np.uint8)
            codes = np.where(part == _NOT_HERE, codes, part)
            details |= seen.details
        if (codes == _NOT_HERE).any():
            raise NotPlainError
        made.codes, made.details = codes, details
        return True

    def _check_rights(self) -> None:
        """Make sure that the items may be created.

        Raises:
            NotPlainError: some may not.
        """
        if self._allowed is None:
            return
        made = self._made
        _, first = np.unique(made.numbers, return_index=True)
        places = sorted(made.places[first].tolist())
        for place, write in zip(places, self._writes_at(places), strict=True):
            name = HandleName(made.prefixes[place].as_py(), made.suffixes[place].as_py())
            if not isinstance(write, Write) or not self._allowed(name, None, write):
                raise NotPlainError

    def _decide(self, special: set[int]) -> np.ndarray:
        """Say what becomes of the items that are right; returns the positions of those that are new."""
        made, shards = self._made, self._contents.shards.all
        codes = made.codes
        everything = np.arange(len(made.keys))
        if special_places(self._contents, made, everything, special) or (made.again and self._wish.overwrite):
            raise NotPlainError
        for number, shard in enumerate(shards):
            positions = everything if len(shards) == 1 else np.flatnonzero(made.numbers % len(shards) == number)
            keys = made.keys if len(shards) == 1 else [made.keys[position] for position in positions.tolist()]
            there = made.places[positions[shard.present(keys)]]
            if len(there) and self._wish.overwrite:
                raise NotPlainError
            codes[there] = _EXISTS
        new = np.flatnonzero(codes[made.places] == UNDECIDED)
        codes[made.places[new]] = _CREATED
        codes[list(made.again)] = _EXISTS
        return new

    def _judge(self, wrong: list[int]) -> None:
        """Say of items that are wrong what single writes would: that they are there already, or what is wrong."""
        made = self._made
        if not wrong:
            return
        if len(wrong) > _MOST_WRONG:
            raise NotPlainError
        writes = [item for item in self._writes_at(wrong) if isinstance(item, Write)]
        if len(writes) != len(wrong):
            raise NotPlainError
        outcomes = Group(self._contents, self._now).batch(writes, b"", None)
        first = dict(zip(made.keys, made.places.tolist(), strict=True))
        for place, outcome in zip(wrong, outcomes, strict=True):
            if outcome.done:
                # A template or prefix has changed since they were looked at.
                raise NotPlainError
            code, detail = outcome.code, outcome.detail
            if code is WriteCode.INVALID and not self._wish.overwrite and first.get(self._key_of(place), place) < place:
                code, detail = WriteCode.ALREADY_EXISTS, ""
            made.codes[place] = NUMBER_OF[code]
            if detail:
                made.details[place] = detail

    def _key_of(self, place: int) -> bytes:
        """Return the key of an item's record; b"" where it has none."""
        prefix: str | None = self._made.prefixes[place].as_py()
        suffix: str | None = self._made.suffixes[place].as_py()
        known = None if prefix is None else self._contents.space.prefixes.get(folded(prefix))
        return b"" if known is None or suffix is None else record_key(known.number, suffix.encode())

    def _store(self, new: np.ndarray, wrong: list[int]) -> None:
        """Write what is new, with counts and answers: all of a shard in one write."""
        made, contents = self._made, self._contents
        shards = contents.shards.all
        for number, shard in enumerate(shards):
            if len(shards) == 1:
                here, codes = new, made.codes
            else:
                here = new[made.numbers[new] % len(shards) == number]
                codes = self._codes_of(number, wrong)
            if (codes == _NOT_HERE).all() or not (len(here) or self._key):
                continue
            changes: dict[bytes, bytes | None] = (
                dict(zip(made.keys, made.values, strict=True))
                if len(here) == len(made.keys)
                else {made.keys[position]: made.values[position] for position in here.tolist()}
            )
            numbers, more = np.unique(made.numbers[here], return_counts=True)
            counts = {
                prefix: contents.counts.get(prefix, Count()).plus(count, 0, 0)
                for prefix, count in zip(numbers.tolist(), more.tolist(), strict=True)
            }
            changes |= {count_key(prefix): count.encode() for prefix, count in counts.items()}
            if self._key:
                details = {place: detail for place, detail in made.details.items() if codes[place] != _NOT_HERE}
                changes[self._key] = encode_answered(Answered(self._now, self._digest, codes.tobytes(), details))
            shard.write(changes)
            contents.counts |= counts

    def _codes_of(self, number: int, wrong: list[int]) -> np.ndarray:
        """Return the codes of a shard's own items; those that are wrong are the first shard's."""
        made = self._made
        codes = np.full(len(made.codes), _NOT_HERE, np.uint8)
        own = made.numbers % len(self._contents.shards.all) == number
        here = made.places[own]
        codes[here] = made.codes[here]
        ours = set(here.tolist())
        later = [place for place, first in made.again.items() if first in ours]
        codes[later] = made.codes[later]
        if number == 0:
            codes[wrong] = made.codes[wrong]
        return codes

    def _handles(self, new: np.ndarray) -> frozenset[str]:
        """Return the keys of handles."""
        made = self._made
        keys = {prefix.number: f"{prefix.key}/" for prefix in self._contents.space.prefixes.values()}
        suffixes = made.suffixes.take(made.places[new]).to_pylist()
        return frozenset(
            [keys[number] + suffix for number, suffix in zip(made.numbers[new].tolist(), suffixes, strict=True)]
        )
