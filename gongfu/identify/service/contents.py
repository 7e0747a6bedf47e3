"""What a node has of identifiers: the shards, and in memory what is needed to answer from them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TypeVar

import msgspec

from gongfu.identify.handle.values import HandleValue
from gongfu.identify.namespace.lookup import Above, Namespace
from gongfu.identify.namespace.types import ClassRecord, Delegation, Prefix
from gongfu.identify.ranges.chunks import decode_chunk
from gongfu.identify.ranges.crossings import Crossings
from gongfu.identify.ranges.keys import read_chunk_key
from gongfu.identify.ranges.series import Series
from gongfu.identify.records.form import StoredRecord, decode_record, encode_record
from gongfu.identify.records.keys import (
    BINDINGS,
    COUNTS,
    MAX_PREFIX,
    RANGES,
    Count,
    decode_count,
    prefix_of_count,
    record_key,
)
from gongfu.identify.records.shard import Shard
from gongfu.identify.service import bindings
from gongfu.identify.service.bindings import BindingError, Kind
from gongfu.identify.service.forms import Forms
from gongfu.identify.service.layout import shard_path
from gongfu.identify.service.members import Ranges
from gongfu.identify.templates.types import Template

P = TypeVar("P", Prefix, Delegation)

# The number of ``0.NA``, whose handles are the prefixes.
NAMING_AUTHORITY_NUMBER = 0


class Directory(msgspec.Struct, kw_only=True):
    """What is seldom changed and kept in the records database: all of it, as it is at a start.

    Attributes:
        prefixes: registered here; their ``values`` are used where the store has none yet.
        delegations: registered elsewhere; ``values`` as with prefixes.
        templates: by number.
        classes: of ranges.
    """

    prefixes: Sequence[Prefix] = ()
    delegations: Sequence[Delegation] = ()
    templates: Mapping[int, Template] = {}
    classes: Sequence[ClassRecord] = ()


class Shards:
    """The shards of a node: each has the prefixes whose number leaves its own when divided by how many there are."""

    def __init__(self, opened: Sequence[Shard]) -> None:
        """Take them in order."""
        self.all = tuple(opened)
        self._count = len(self.all)
        if self._count == 1:
            # A step less for each look-up.
            self.get = self.all[0].get

    @classmethod
    def open(cls, path: Path, count: int, *, cache_bytes: int) -> "Shards":
        """Open or make shards below a directory.

        Raises:
            OSError: one cannot be opened.
        """
        opened: list[Shard] = []
        with ExitStack() as undo:
            # The first is made last: where it is, all are.
            for number in reversed(range(count)):
                shard = Shard(shard_path(path, number), cache_bytes=cache_bytes // count)
                undo.callback(shard.close)
                opened.append(shard)
            undo.pop_all()
        return cls(opened[::-1])

    def of(self, prefix: int) -> Shard:
        """Return the shard of a prefix."""
        return self.all[prefix % self._count]

    def place(self, prefix: int) -> int:
        """Return the number of the shard of a prefix."""
        return prefix % self._count

    def get(self, prefix: int, suffix: bytes) -> bytes | None:
        """Return a record's bytes."""
        return self.all[prefix % self._count].get(prefix, suffix)

    def items(self, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield all keys of all shards that begin with ``start``, and what they have."""
        return chain.from_iterable(shard.items(start) for shard in self.all)

    def close(self) -> None:
        """Close them."""
        for shard in self.all:
            shard.close()


class Contents:
    """Shards, counts, ranges and the namespace. The writer's thread changes it; any thread looks things up."""

    def __init__(self, shards: Shards, directory: Directory, now: int) -> None:
        """Read what is needed from the shards; write what they lack of the directory.

        Raises:
            BindingError: the directory is not that of this store.
            OSError: it cannot be written.
        """
        self.shards = shards
        self._bound = dict(shards.items(BINDINGS))
        for prefix in directory.prefixes:
            _check_number(prefix.number)
        new = self._unbound(
            chain(
                map(bindings.of_prefix, directory.prefixes),
                (bindings.of_template(number, template) for number, template in directory.templates.items()),
                map(bindings.of_class, directory.classes),
            )
        )
        self.counts: dict[int, Count] = {
            prefix_of_count(key): decode_count(value) for key, value in shards.items(COUNTS)
        }
        self.ranges: Ranges = read_ranges(shards.items(RANGES))
        self.crossings: dict[int, Crossings] = {}
        self._check_lost(directory)
        # Nothing is written before all was found to fit.
        self._settle({**new, **self._unseeded([*directory.prefixes, *directory.delegations], now)})
        self.forms = Forms(directory.templates)
        self.space = Namespace(
            shards,
            prefixes={prefix.key: self._valued(prefix) for prefix in directory.prefixes},
            delegations={delegation.key: self._valued(delegation) for delegation in directory.delegations},
            templates=dict(directory.templates),
            classes={item.number: item for item in directory.classes},
            ranges=self.ranges,
        )

    def _check_lost(self, directory: Directory) -> None:
        """Make sure that all is there that records and ranges are made of."""
        prefixes = {prefix.number for prefix in directory.prefixes}
        for kind, known in ((Kind.PREFIX, prefixes), (Kind.TEMPLATE, directory.templates)):
            lost = bindings.lost(self._bound, kind, known)
            if lost:
                raise BindingError(
                    f"the records database has lost {kind.name.lower()} number {lost[0]}, which the store knows: "
                    "it is an older copy, or another's"
                )
        classes = {item.number: item for item in directory.classes}
        used = {of for patterns in self.ranges.values() for series in patterns.values() for of in series.counts()}
        for of in sorted(used):
            if of not in classes or not _fits(classes[of], directory.templates):
                raise BindingError(f"the records database has lost class number {of}, or its template")

    def _unbound(self, wanted: Iterator[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
        new = bindings.missing(self._bound, wanted)
        self._bound |= new
        return new

    def _unseeded(self, known: Iterable[Prefix | Delegation], now: int) -> dict[bytes, bytes]:
        """Return the records of prefixes that have values and no record yet."""
        found: dict[bytes, bytes] = {}
        for item in known:
            key = record_key(NAMING_AUTHORITY_NUMBER, item.key.encode())
            if item.values and self._own.read(key) is None:
                found[key] = encode_record(StoredRecord(0, now, (), _stamped(item.values, now)))
        return found

    @property
    def _own(self) -> Shard:
        """The shard of what is of no single prefix."""
        return self.shards.of(NAMING_AUTHORITY_NUMBER)

    def _settle(self, changes: Mapping[bytes, bytes]) -> None:
        if changes:
            self._own.write(changes)

    def _valued(self, known: P) -> P:
        """Return a prefix with the values that the store has of it; with its own where it has none."""
        stored = self.shards.get(NAMING_AUTHORITY_NUMBER, known.key.encode())
        return known if stored is None else msgspec.structs.replace(known, values=decode_record(stored).values)

    def set_prefix(self, prefix: Prefix, now: int) -> None:
        """Take a prefix that is new or has changed; its values only where it has none yet.

        Raises:
            BindingError: its number is another's, or it has another number.
        """
        _check_number(prefix.number)
        known = self.space.prefixes.get(prefix.key)
        if known is not None and known.number != prefix.number:
            raise BindingError(f"prefix {prefix.name} has number {known.number}, not {prefix.number}")
        self._settle({**self._unbound(iter([bindings.of_prefix(prefix)])), **self._unseeded([prefix], now)})
        self.space = self.space.replaced(prefixes={**self.space.prefixes, prefix.key: self._valued(prefix)})

    def set_delegation(self, delegation: Delegation, now: int) -> None:
        """Take a delegation that is new or has changed; its values only where it has none yet."""
        self._settle(self._unseeded([delegation], now))
        self.space = self.space.replaced(
            delegations={**self.space.delegations, delegation.key: self._valued(delegation)}
        )

    def set_template(self, number: int, template: Template) -> None:
        """Take a version of a template that is new or whose state has changed.

        Raises:
            BindingError: its number is another's, or its attributes have changed.
        """
        self._settle(self._unbound(iter([bindings.of_template(number, template)])))
        templates = {**self.space.templates, number: template}
        self.forms = Forms(templates)
        self.space = self.space.replaced(templates=templates)

    def set_class(self, item: ClassRecord) -> None:
        """Take a class that is new or has changed.

        Raises:
            BindingError: its number is another's.
            ValueError: its template is not known, or has not so many attributes.
        """
        if not _fits(item, self.space.templates):
            raise ValueError(f"class {item.number} is of a template that is not known, or has not its attributes")
        self._settle(self._unbound(iter([bindings.of_class(item)])))
        self.space = self.space.replaced(classes={**self.space.classes, item.number: item})

    def set_above(self, above: Above) -> None:
        """Take whom to ask for what is neither registered here nor delegated below."""
        self.space = self.space.replaced(above=above)

    def revalue(self, keys: Iterable[str]) -> None:
        """Read the values of prefixes anew, after their records were written."""
        prefixes, delegations = self.space.prefixes, self.space.delegations
        changed = {key: self._valued(prefixes[key]) for key in keys if key in prefixes}
        passed = {key: self._valued(delegations[key]) for key in keys if key in delegations}
        if changed or passed:
            self.space = self.space.replaced(prefixes={**prefixes, **changed}, delegations={**delegations, **passed})


def read_ranges(items: Iterable[tuple[bytes, bytes]]) -> Ranges:
    """Return the ranges of all prefixes from keys and bytes of their chunks."""
    ranges: Ranges = {}
    for key, value in items:
        prefix, pattern, number = read_chunk_key(key)
        patterns = ranges.setdefault(prefix, {})
        series = patterns.get(pattern)
        if series is None:
            series = patterns[pattern] = Series(pattern)
        series.apply({number: decode_chunk(value)})
    return ranges


def _fits(item: ClassRecord, templates: Mapping[int, Template]) -> bool:
    """Return whether a class is of a template that there is, and of attributes that this has."""
    template = templates.get(item.template)
    return template is not None and all(0 <= ordinal < len(template.attributes) for ordinal, _ in item.attributes)


def _check_number(number: int) -> None:
    if not NAMING_AUTHORITY_NUMBER < number < MAX_PREFIX:
        raise BindingError(f"the number of a prefix is 1 to {MAX_PREFIX - 1}, not {number}")


def _stamped(values: Sequence[HandleValue], now: int) -> tuple[HandleValue, ...]:
    stamped = [msgspec.structs.replace(value, timestamp=value.timestamp or now) for value in values]
    return tuple(sorted(stamped, key=lambda value: value.index))
