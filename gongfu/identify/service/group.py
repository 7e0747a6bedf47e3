"""Writes that become durable together: what they make of what there is, before any of it is on the disk.

Later writes see what earlier ones of the group have done; lookups see it when it is on the disk.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from pyroaring import BitMap

from gongfu.identify.handle.names import MAX_BYTES, NAMING_AUTHORITY, HandleName, folded
from gongfu.identify.handle.wire import MalformedError
from gongfu.identify.namespace.types import Prefix, PrefixState
from gongfu.identify.ranges.chunks import BITS, LOW
from gongfu.identify.ranges.pattern import Span
from gongfu.identify.ranges.series import Member, Registered
from gongfu.identify.records.form import StoredRecord, decode_record, encode_record
from gongfu.identify.records.keys import Count, count_key, record_key
from gongfu.identify.service.answers import Answers, digest_of
from gongfu.identify.service.contents import NAMING_AUTHORITY_NUMBER, Contents
from gongfu.identify.service.deciding import MAX_RECORD_BYTES, Refused, changed, fresh, same
from gongfu.identify.service.members import Members
from gongfu.identify.service.writes import Allowed, Operation, Outcome, Write, WriteCode

# Of a prefix; each is in memory.
MAX_PATTERNS = 1_000_000
# Records that are looked through for those that a new range has.
MAX_VISITED = 2_000_000

_PLAIN = {code: Outcome(code) for code in WriteCode}
_CREATED = _PLAIN[WriteCode.CREATED]
# Writes whose records are read together.
_READ_AHEAD = 500
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_REPLACING = (Operation.CREATE, Operation.PUT)


class _Below:
    """A prefix as writes need it."""

    __slots__ = ("changes", "counted", "head", "plain", "prefix", "start")

    def __init__(
        self,
        prefix: Prefix,
        head: str,
        start: bytes,
        changes: dict[bytes, bytes | None],
        counted: list[int],
        plain: bool,
    ) -> None:
        self.prefix = prefix
        # What stands before the suffix in the key of a handle, and in that of a record.
        self.head = head
        self.start = start
        # Of its shard, and of its own.
        self.changes = changes
        self.counted = counted
        # Without ranges and quota.
        self.plain = plain


_Name = tuple[_Below, str, bytes]
"""Prefix, suffix, key of the record."""


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
        self._prefixes: dict[str, _Below | Refused] = {}
        self._answers = Answers(contents.shards.all, now)
        self._members = Members(contents.ranges, contents.crossings)
        self._counted: dict[int, list[int]] = {}
        # What will be written, by shard and key.
        self._shards: dict[int, dict[bytes, bytes | None]] = {}
        self.handles: set[str] = set()
        self.prefixes: set[str] = set()

    def batch(self, writes: Sequence[Write], key: bytes, allowed: Allowed | None, digest: bytes = b"") -> list[Outcome]:
        """Decide a batch, in order; with a key that was seen, nothing is done and the former answer returned.

        Args:
            writes: of the batch.
            key: of idempotency; b"" is none.
            allowed: is asked before each.
            digest: what tells these writes from others; b"": it is made of them.

        Raises:
            BatchError: KEY_REUSED.
        """
        if not key:
            return self._decide_all(writes, allowed)
        return self._once(writes, key, allowed, digest or digest_of(writes))

    def _once(self, writes: Sequence[Write], key: bytes, allowed: Allowed | None, digest: bytes) -> list[Outcome]:
        """Decide what was not answered yet of a batch with a key."""
        found = self._answers.find(key, digest, len(writes))
        parts: dict[int, list[int]] = {}
        for place, outcome in enumerate(found):
            if outcome is None:
                parts.setdefault(self._shard_of(writes[place].handle), []).append(place)
        for places in parts.values():
            for place, outcome in zip(
                places, self._decide_all([writes[place] for place in places], allowed), strict=True
            ):
                found[place] = outcome
        outcomes = [outcome for outcome in found if outcome is not None]
        for shard, places in parts.items():
            at, data = self._answers.keep(shard, key, digest, outcomes, places)
            self._shards.setdefault(shard, {})[at] = data
        return outcomes

    def _shard_of(self, handle: str) -> int:
        below = self._below(handle.partition("/")[0])
        return 0 if isinstance(below, Refused) else self._contents.shards.place(below.prefix.number)

    def _below(self, text: str) -> "_Below | Refused":
        """Return what there is of the prefix that is written so, or why nothing is written below it."""
        known = self._prefixes.get(text)
        if known is None:
            known = self._prefixes[text] = self._find_prefix(text)
        return known

    def _find_prefix(self, text: str) -> "_Below | Refused":
        key = folded(text)
        if key == NAMING_AUTHORITY:
            prefix = Prefix(number=NAMING_AUTHORITY_NUMBER, name=NAMING_AUTHORITY)
        else:
            known = self._contents.space.prefixes.get(key)
            if known is None or known.state is PrefixState.REVOKED:
                return Refused(WriteCode.PREFIX_UNKNOWN, "it is revoked" if known is not None else "")
            if known.state is PrefixState.SUSPENDED:
                return Refused(WriteCode.PREFIX_SUSPENDED)
            prefix = known
        number = prefix.number
        changes = self._shards.setdefault(self._contents.shards.place(number), {})
        counted = self._counted.setdefault(number, [0, 0, 0])
        plain = bool(number) and not prefix.quota and not self._members.any(number)
        return _Below(prefix, f"{prefix.key}/", record_key(number, b""), changes, counted, plain)

    def _decide_all(self, writes: Sequence[Write], allowed: Allowed | None) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for start in range(0, len(writes), _READ_AHEAD):
            part = writes[start : start + _READ_AHEAD]
            names = [self._named(write) for write in part]
            stored = self._read_ahead(names)
            for write, name in zip(part, names, strict=True):
                try:
                    if isinstance(name, Refused):
                        raise name
                    done = self._create(write, name, stored, allowed)
                    outcomes.append(self._decide(write, name, stored, allowed) if done is None else done)
                except Refused as refused:
                    outcomes.append(Outcome(refused.code, refused.detail))
        return outcomes

    def _named(self, write: Write) -> "_Name | Refused":
        """Return prefix, suffix and key of the record that a write is of."""
        text, slash, suffix = write.handle.partition("/")
        below = self._prefixes.get(text) or self._below(text)
        if not slash:
            return Refused(WriteCode.INVALID, "a handle is prefix/suffix")
        if isinstance(below, Refused):
            return below
        try:
            data = suffix.encode()
        except UnicodeEncodeError:
            return Refused(WriteCode.INVALID, "a handle is Unicode text")
        if not suffix:
            return Refused(WriteCode.INVALID, "the suffix is empty")
        if len(data) + len(text.encode()) >= MAX_BYTES:
            return Refused(WriteCode.INVALID, f"a handle has at most {MAX_BYTES} bytes")
        if not suffix.isprintable() and _CONTROL.search(suffix):
            return Refused(WriteCode.INVALID, "a suffix has no control characters")
        if not below.prefix.number:
            suffix = folded(suffix)
            data = suffix.encode()
        return below, suffix, below.start + data

    def _read_ahead(self, names: Iterable["_Name | Refused"]) -> dict[bytes, bytes]:
        """Return the records of these names that are on the disk."""
        wanted: dict[int, list[bytes]] = {}
        place = self._contents.shards.place
        for name in names:
            if not isinstance(name, Refused):
                wanted.setdefault(place(name[0].prefix.number), []).append(name[2])
        found: dict[bytes, bytes] = {}
        for shard, keys in wanted.items():
            found |= self._contents.shards.all[shard].read_many(keys)
        return found

    def _create(
        self, write: Write, name: "_Name", stored: Mapping[bytes, bytes], allowed: Allowed | None
    ) -> Outcome | None:
        """Create what is not there, of a template and nothing else; None where it takes more than that."""
        below, suffix, key = name
        if not below.plain or not write.template or write.values or write.indexes:
            return None
        if write.operation not in _REPLACING or below.changes.get(key, stored.get(key)) is not None:
            return None
        form = self._contents.forms.published(write.template)
        data = None if form is None else form.encoder.encode(write.attributes, self._now)
        if data is None:
            return None
        if allowed is not None and not allowed(HandleName(below.prefix.name, suffix), None, write):
            raise Refused(WriteCode.DENIED)
        below.changes[key] = data
        below.counted[0] += 1
        self.handles.add(below.head + suffix)
        return _CREATED

    def _decide(self, write: Write, name: "_Name", on_disk: Mapping[bytes, bytes], allowed: Allowed | None) -> Outcome:
        below, suffix, key = name
        number = below.prefix.number
        if not number:
            self._check_naming(write, suffix)
        stored = below.changes[key] if key in below.changes else on_disk.get(key)
        member = self._members.find(number, suffix) if self._members.any(number) else None
        operation = write.operation
        present = self._present(number, suffix, stored, member, operation)
        if allowed is not None:
            values = None if present is None else self._contents.space.values(present)
            if not allowed(HandleName(below.prefix.name, suffix), values, write):
                raise Refused(WriteCode.DENIED)
        if operation is Operation.DELETE:
            if present is None:
                raise Refused(WriteCode.NOT_FOUND)
            self._store(name, stored, None, member)
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
        self._store(name, stored, data, member)
        return _PLAIN[WriteCode.CREATED if present is None else WriteCode.REPLACED]

    def _present(
        self, number: int, suffix: str, stored: bytes | None, member: Member | None, operation: Operation
    ) -> StoredRecord | None:
        if stored is not None:
            try:
                return self._contents.space.whole(decode_record(stored), suffix)
            except (MalformedError, LookupError) as error:
                if operation not in _REPLACING and operation is not Operation.DELETE:
                    raise Refused(WriteCode.INVALID, f"what is stored cannot be read: {error}") from None
                # It can be replaced and deleted.
                return StoredRecord()
        if not number:
            # A prefix exists before it has values.
            return StoredRecord()
        return None if member is None else self._contents.space.member_of(member, suffix)

    def _check_naming(self, write: Write, suffix: str) -> None:
        space = self._contents.space
        known = (space.prefixes.get(suffix), space.delegations.get(suffix))
        if not any(one is not None and one.state is not PrefixState.REVOKED for one in known):
            raise Refused(WriteCode.PREFIX_UNKNOWN)
        if write.operation in (Operation.CREATE, Operation.DELETE):
            raise Refused(WriteCode.DENIED, "prefixes are granted and revoked, not created and deleted")
        if write.template:
            raise Refused(WriteCode.INVALID, "a prefix has no template")

    def _store(self, name: "_Name", stored: bytes | None, data: bytes | None, member: Member | None) -> None:
        below, suffix, key = name
        number = below.prefix.number
        explicit = (data is not None) - (stored is not None)
        members = overridden = 0
        if member is not None:
            members = -1 if data is None else 0
            overridden = (data is not None) - member.overridden
        if explicit + members > overridden:
            self._check_quota(below.prefix)
        if member is not None:
            if data is None:
                self._members.punch(number, member)
            else:
                self._members.override(number, member, True)
        below.changes[key] = data
        self.handles.add(below.head + suffix)
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

    def _check_quota(self, prefix: Prefix) -> None:
        if prefix.quota and self._present_count(prefix.number).total >= prefix.quota:
            raise Refused(WriteCode.QUOTA, f"{prefix.name} has {prefix.quota:,} identifiers at most")

    def define(self, prefix: Prefix, span: Span, of: int, *, move: bool) -> Registered:
        """Register a range. Only in a group that has written no records.

        Raises:
            Refused: QUOTA, INVALID.
        """
        number = prefix.number
        if self._members.patterns(number) >= MAX_PATTERNS:
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
