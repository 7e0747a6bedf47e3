"""Writes that become durable together: what they make of what there is, before any of it is on the disk.

Later writes see what earlier ones of the group have done; lookups see it when it is on the disk.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence

import msgspec
from pyroaring import BitMap

from gongfu.identify.handle.names import MAX_BYTES, NAMING_AUTHORITY, HandleName, folded
from gongfu.identify.handle.wire import MalformedError
from gongfu.identify.namespace.types import Prefix, PrefixState
from gongfu.identify.ranges.chunks import BITS, LOW
from gongfu.identify.ranges.pattern import Span
from gongfu.identify.ranges.series import Member, Registered
from gongfu.identify.records.form import StoredRecord, decode_record, encode_record
from gongfu.identify.records.keys import (
    BATCHES,
    Answered,
    Count,
    batch_key,
    count_key,
    decode_answered,
    encode_answered,
    record_key,
)
from gongfu.identify.service.contents import NAMING_AUTHORITY_NUMBER, Contents
from gongfu.identify.service.deciding import MAX_RECORD_BYTES, Refused, changed, fresh, same
from gongfu.identify.service.members import Members
from gongfu.identify.service.writes import Allowed, BatchError, Operation, Outcome, Write, WriteCode, WriteReason

# Patterns of a prefix, each of which may meet any other.
MAX_PATTERNS = 100_000
# Records that are looked through for those that a new range has.
MAX_VISITED = 2_000_000
# Answers of batches that are deleted by one write.
MAX_FORGOTTEN = 10_000

_CODES = tuple(WriteCode)
_PLACES = {code: place for place, code in enumerate(_CODES)}
# Instead of a code: the write is answered by another shard.
_NOT_HERE = 0xFF
_PLAIN = {code: Outcome(code) for code in _CODES}
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_encode_writes = msgspec.msgpack.Encoder().encode
_REPLACING = (Operation.CREATE, Operation.PUT)


class Group:
    """Writes that were decided and are not yet on the disk."""

    def __init__(self, contents: Contents, now: int) -> None:
        """Begin without any.

        Args:
            contents: what there is.
            now: UTC seconds.
        """
        self._contents = contents
        self._now = now
        self._prefixes: dict[str, Prefix | Refused] = {}
        # Of the group: by key of the store. Records that are looked for are read for a whole batch before.
        self._records: dict[bytes, bytes | None] = {}
        self._answers: dict[tuple[int, bytes], Answered] = {}
        self._members = Members(contents.ranges)
        self._counted: dict[int, list[int]] = {}
        self._shards: dict[int, dict[bytes, bytes | None]] = {}
        self.handles: set[str] = set()
        self.prefixes: set[str] = set()

    def batch(self, writes: Sequence[Write], key: bytes, allowed: Allowed | None) -> list[Outcome]:
        """Decide a batch, in order; with a key that was seen, nothing is done and the former answer returned.

        Raises:
            BatchError: KEY_REUSED.
        """
        return self._once(writes, key, allowed) if key else self._decide_all(writes, allowed)

    def _once(self, writes: Sequence[Write], key: bytes, allowed: Allowed | None) -> list[Outcome]:
        """Decide what is new of a batch with a key. Each shard keeps the answers to what it has of it."""
        digest = hashlib.blake2b(_encode_writes(writes), digest_size=16).digest()
        outcomes: list[Outcome | None] = [None] * len(writes)
        shards = self._contents.shards
        for shard in range(len(shards.all)):
            if (seen := self._seen(shard, key)) is None:
                continue
            if seen.digest != digest or len(seen.codes) != len(writes):
                raise BatchError(WriteReason.KEY_REUSED, "the key was used for other writes")
            for place, code in enumerate(seen.codes):
                if code != _NOT_HERE:
                    outcomes[place] = Outcome(_CODES[code], seen.details.get(place, ""))
        parts: dict[int, list[int]] = {}
        for place, (write, outcome) in enumerate(zip(writes, outcomes, strict=True)):
            if outcome is None:
                parts.setdefault(self._shard_of(write.handle), []).append(place)
        for places in parts.values():
            found = self._decide_all([writes[place] for place in places], allowed)
            for place, outcome in zip(places, found, strict=True):
                outcomes[place] = outcome
        for shard, places in parts.items():
            self._keep(shard, key, digest, outcomes, places)
        return [outcome for outcome in outcomes if outcome is not None]

    def _keep(
        self, shard: int, key: bytes, digest: bytes, outcomes: Sequence[Outcome | None], places: Iterable[int]
    ) -> None:
        """Keep what a shard has answered."""
        codes = bytearray([_NOT_HERE]) * len(outcomes)
        details: dict[int, str] = {}
        seen = self._seen(shard, key)
        if seen is not None:
            codes, details = bytearray(seen.codes), dict(seen.details)
        for place in places:
            outcome = outcomes[place]
            assert outcome is not None
            codes[place] = _PLACES[outcome.code]
            if outcome.detail:
                details[place] = outcome.detail
        answered = self._answers[shard, key] = Answered(self._now, digest, bytes(codes), details)
        self._shards.setdefault(shard, {})[batch_key(key)] = encode_answered(answered)

    def _seen(self, shard: int, key: bytes) -> Answered | None:
        answered = self._answers.get((shard, key))
        if answered is not None:
            return answered
        stored = self._contents.shards.all[shard].read(batch_key(key))
        return None if stored is None else decode_answered(stored)

    def _shard_of(self, handle: str) -> int:
        prefix = self._prefix(handle.partition("/")[0])
        return 0 if isinstance(prefix, Refused) else self._contents.shards.place(prefix.number)

    def _prefix(self, text: str) -> Prefix | Refused:
        """Return the prefix that is written so, or why there is nothing to be written below it."""
        known = self._prefixes.get(text)
        if known is None:
            known = self._prefixes[text] = self._find_prefix(text)
        return known

    def _find_prefix(self, text: str) -> Prefix | Refused:
        key = folded(text)
        if key == NAMING_AUTHORITY:
            return Prefix(number=NAMING_AUTHORITY_NUMBER, name=NAMING_AUTHORITY)
        prefix = self._contents.space.prefixes.get(key)
        if prefix is None or prefix.state is PrefixState.REVOKED:
            detail = "it is revoked" if prefix is not None else ""
            return Refused(WriteCode.PREFIX_UNKNOWN, detail)
        if prefix.state is PrefixState.SUSPENDED:
            return Refused(WriteCode.PREFIX_SUSPENDED)
        return prefix

    def _decide_all(self, writes: Sequence[Write], allowed: Allowed | None) -> list[Outcome]:
        self._read_ahead(writes)
        outcomes: list[Outcome] = []
        for write in writes:
            try:
                outcomes.append(self._decide(write, allowed))
            except Refused as refused:
                outcomes.append(Outcome(refused.code, refused.detail))
        return outcomes

    def _read_ahead(self, writes: Iterable[Write]) -> None:
        """Read the records that are written, all at once."""
        wanted: dict[int, list[bytes]] = {}
        for write in writes:
            text, slash, suffix = write.handle.partition("/")
            prefix = self._prefix(text)
            if slash and not isinstance(prefix, Refused):
                if not prefix.number:
                    suffix = folded(suffix)
                key = record_key(prefix.number, suffix.encode(errors="replace"))
                if key not in self._records:
                    wanted.setdefault(self._contents.shards.place(prefix.number), []).append(key)
        for shard, keys in wanted.items():
            found = self._contents.shards.all[shard].read_many(keys)
            for key in keys:
                self._records[key] = found.get(key)

    def _decide(self, write: Write, allowed: Allowed | None) -> Outcome:
        text, slash, suffix = write.handle.partition("/")
        prefix = self._prefix(text)
        if not slash:
            raise Refused(WriteCode.INVALID, "a handle is prefix/suffix")
        if isinstance(prefix, Refused):
            raise prefix
        number = prefix.number
        if not number:
            suffix = folded(suffix)
            self._check_naming(write, suffix)
        name = _suffix_bytes(write.handle, suffix)
        key = record_key(number, name)
        stored = self._records[key]
        member = self._members.find(number, suffix) if self._members.any(number) else None
        present = self._present(number, suffix, stored, member)
        if allowed is not None:
            values = None if present is None else self._contents.space.values(present)
            if not allowed(HandleName(text, suffix), values, write):
                raise Refused(WriteCode.DENIED)
        operation = write.operation
        if operation is Operation.DELETE:
            if present is None:
                raise Refused(WriteCode.NOT_FOUND)
            self._store(prefix, key, suffix, stored, None, member)
            return _PLAIN[WriteCode.DELETED]
        if operation is Operation.CREATE and present is not None and not write.overwrite:
            raise Refused(WriteCode.ALREADY_EXISTS)
        if operation in _REPLACING:
            record = fresh(write, self._contents.forms.published(write.template), self._now)
        elif present is None:
            raise Refused(WriteCode.NOT_FOUND)
        else:
            record = changed(write, present, self._contents.forms.of(present.template), self._now)
        if present is not None and stored is not None and same(present, record):
            return _PLAIN[WriteCode.UNCHANGED]
        data = encode_record(record)
        if len(data) > MAX_RECORD_BYTES:
            raise Refused(WriteCode.INVALID, f"a record has at most {MAX_RECORD_BYTES:,} bytes")
        self._store(prefix, key, suffix, stored, data, member)
        return _PLAIN[WriteCode.CREATED if present is None else WriteCode.REPLACED]

    def _present(self, number: int, suffix: str, stored: bytes | None, member: Member | None) -> StoredRecord | None:
        if stored is not None:
            try:
                return self._contents.space.whole(decode_record(stored), suffix)
            except (MalformedError, LookupError) as error:
                raise Refused(WriteCode.INVALID, f"what is stored cannot be read: {error}") from None
        if not number:
            # A prefix exists before it has values.
            return StoredRecord()
        return None if member is None else self._contents.space.member_of(member, suffix)

    def _check_naming(self, write: Write, suffix: str) -> None:
        space = self._contents.space
        known = space.prefixes.get(suffix) or space.delegations.get(suffix)
        if known is None or known.state is PrefixState.REVOKED:
            raise Refused(WriteCode.PREFIX_UNKNOWN)
        if write.operation in (Operation.CREATE, Operation.DELETE):
            raise Refused(WriteCode.DENIED, "prefixes are granted and revoked, not created and deleted")
        if write.template:
            raise Refused(WriteCode.INVALID, "a prefix has no template")

    def _store(
        self, prefix: Prefix, key: bytes, suffix: str, stored: bytes | None, data: bytes | None, member: Member | None
    ) -> None:
        number = prefix.number
        explicit = (data is not None) - (stored is not None)
        members = overridden = 0
        if member is not None:
            members = -1 if data is None else 0
            overridden = (data is not None) - member.overridden
        if prefix.quota and explicit + members > overridden:
            self._check_quota(prefix, 1)
        if member is not None:
            if data is None:
                self._members.punch(number, member)
            else:
                self._members.override(number, member, True)
        self._records[key] = data
        self._put(number, key, data)
        self.handles.add(f"{prefix.key}/{suffix}")
        if number:
            self._count(number, explicit, members, overridden)
        else:
            self.prefixes.add(suffix)

    def _put(self, prefix: int, key: bytes, data: bytes | None) -> None:
        self._shards.setdefault(self._contents.shards.place(prefix), {})[key] = data

    def _count(self, prefix: int, explicit: int, members: int, overridden: int) -> None:
        counted = self._counted.setdefault(prefix, [0, 0, 0])
        counted[0] += explicit
        counted[1] += members
        counted[2] += overridden

    def _present_count(self, prefix: int) -> Count:
        return self._contents.counts.get(prefix, Count()).plus(*self._counted.get(prefix, (0, 0, 0)))

    def _check_quota(self, prefix: Prefix, more: int) -> None:
        if prefix.quota and self._present_count(prefix.number).total + more > prefix.quota:
            raise Refused(WriteCode.QUOTA, f"{prefix.name} has {prefix.quota:,} identifiers at most")

    def define(self, prefix: Prefix, span: Span, of: int, *, move: bool) -> Registered:
        """Register a range. Only in a group that has written no records.

        Raises:
            Refused: QUOTA, INVALID.
        """
        number = prefix.number
        if len(self._members.patterns(number)) >= MAX_PATTERNS:
            raise Refused(WriteCode.INVALID, f"a prefix has at most {MAX_PATTERNS:,} patterns")
        explicit = self._explicit(number, span) if self._present_count(number).explicit else {}
        before = self._present_count(number).total
        done, changed = self._members.define(number, span, of, move=move, explicit=explicit)
        self._count(number, 0, changed.members, changed.overridden)
        if prefix.quota and self._present_count(number).total > max(prefix.quota, before):
            raise Refused(WriteCode.QUOTA, f"{prefix.name} has {prefix.quota:,} identifiers at most")
        self.prefixes.add(prefix.key)
        return done

    def remove(self, prefix: Prefix, span: Span) -> int:
        """Remove the members of a range, of whatever class; returns how many there were. Records stay."""
        changed = self._members.remove(prefix.number, span)
        self._count(prefix.number, 0, changed.members, changed.overridden)
        self.prefixes.add(prefix.key)
        return -changed.members

    def _explicit(self, prefix: int, span: Span) -> dict[int, BitMap]:
        """Return the numbers of a span that have records of their own, by chunk."""
        pattern = span.pattern
        first, last = pattern.suffix(span.first).encode(), pattern.suffix(span.last).encode()
        found: dict[int, BitMap] = {}
        for visited, (suffix, _) in enumerate(self._contents.shards.of(prefix).records(prefix, first)):
            if suffix > last:
                break
            if visited >= MAX_VISITED:
                raise Refused(
                    WriteCode.INVALID, f"among the records of the prefix are more than {MAX_VISITED:,} in this range"
                )
            number = pattern.number(suffix.decode())
            if number is not None and span.first <= number <= span.last:
                found.setdefault(number >> BITS, BitMap()).add(number & LOW)
        return found

    def forget(self, before: int) -> int:
        """Forget what batches were answered before a time (UTC seconds), and return how many answers that were."""
        gone = 0
        for shard in self._contents.shards.all:
            old = [key for key, value in shard.items(BATCHES) if decode_answered(value).at < before]
            gone += len(old)
            for start in range(0, len(old), MAX_FORGOTTEN):
                shard.write(dict.fromkeys(old[start : start + MAX_FORGOTTEN]))
        return gone

    def commit(self) -> None:
        """Put all of it on the disk, then into what is looked up.

        Raises:
            OSError: it failed; whether it is on the disk is not known.
        """
        for number, key, data in self._members.writes():
            self._put(number, key, data)
        counts = {number: self._present_count(number) for number, more in self._counted.items() if any(more)}
        for number, count in counts.items():
            self._put(number, count_key(number), count.encode())
        for shard, changes in self._shards.items():
            self._contents.shards.all[shard].write(changes)
        self._contents.counts |= counts
        self._members.apply()
        self._contents.revalue(self.prefixes)


def _suffix_bytes(handle: str, suffix: str) -> bytes:
    try:
        size = len(handle.encode())
        data = suffix.encode()
    except UnicodeEncodeError:
        raise Refused(WriteCode.INVALID, "a handle is Unicode text") from None
    if size > MAX_BYTES:
        raise Refused(WriteCode.INVALID, f"a handle has at most {MAX_BYTES} bytes")
    if not suffix:
        raise Refused(WriteCode.INVALID, "the suffix is empty")
    if _CONTROL.search(suffix):
        raise Refused(WriteCode.INVALID, "a suffix has no control characters")
    return data
