"""What a node has of identifiers: the shards, and in memory what is needed to answer from them."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import msgspec

from gongfu.identify.namespace.lookup import Namespace
from gongfu.identify.namespace.types import ClassRecord, Delegation, Prefix
from gongfu.identify.ranges.pattern import Pattern
from gongfu.identify.ranges.series import Series
from gongfu.identify.records.form import decode_record
from gongfu.identify.records.keys import COUNTS, Count, decode_count, prefix_of_count
from gongfu.identify.records.shard import Shard
from gongfu.identify.service.forms import Forms
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

    @classmethod
    def open(cls, path: Path, count: int, *, cache_bytes: int) -> "Shards":
        """Open or make shards below a directory.

        Raises:
            OSError: one cannot be opened.
        """
        opened: list[Shard] = []
        with ExitStack() as undo:
            for number in range(count):
                shard = Shard(path / f"shard-{number:03d}", cache_bytes=cache_bytes // count)
                undo.callback(shard.close)
                opened.append(shard)
            undo.pop_all()
        return cls(opened)

    def of(self, prefix: int) -> Shard:
        """Return the shard of a prefix."""
        return self.all[prefix % self._count]

    def place(self, prefix: int) -> int:
        """Return the number of the shard of a prefix."""
        return prefix % self._count

    def get(self, prefix: int, suffix: bytes) -> bytes | None:
        """Return a record's bytes."""
        return self.all[prefix % self._count].get(prefix, suffix)

    def close(self) -> None:
        """Close them."""
        for shard in self.all:
            shard.close()


class Contents:
    """Shards, counts, ranges and the namespace. The writer's thread changes it; any thread looks things up."""

    def __init__(self, shards: Shards, directory: Directory) -> None:
        """Read what is needed from the shards."""
        self.shards = shards
        self.counts: dict[int, Count] = {}
        self.ranges: dict[int, dict[Pattern, Series]] = {}
        for shard in shards.all:
            self.counts |= {prefix_of_count(key): decode_count(value) for key, value in shard.items(COUNTS)}
        self.forms = Forms(directory.templates)
        self.space = Namespace(
            shards,
            prefixes={prefix.key: self.valued(prefix) for prefix in directory.prefixes},
            delegations={delegation.key: self.valued(delegation) for delegation in directory.delegations},
            templates=dict(directory.templates),
            classes={item.number: item for item in directory.classes},
            ranges=self.ranges,
        )

    def valued(self, known: P) -> P:
        """Return a prefix with the values that the store has of it; with its own where it has none."""
        stored = self.shards.get(NAMING_AUTHORITY_NUMBER, known.key.encode())
        return known if stored is None else msgspec.structs.replace(known, values=decode_record(stored).values)

    def revalue(self, keys: Iterable[str]) -> None:
        """Read the values of prefixes anew."""
        prefixes, delegations = self.space.prefixes, self.space.delegations
        changed = {key: self.valued(prefixes[key]) for key in keys if key in prefixes}
        passed = {key: self.valued(delegations[key]) for key in keys if key in delegations}
        if changed or passed:
            self.space = self.space.replaced(prefixes={**prefixes, **changed}, delegations={**delegations, **passed})

    def set_template(self, number: int, template: Template) -> None:
        """Take a version of a template."""
        templates = {**self.space.templates, number: template}
        self.space = self.space.replaced(templates=templates)
        self.forms = Forms(templates)
