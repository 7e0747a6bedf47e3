"""From a handle to its values: the prefix, a record of its own, a range it is in, or whom to ask instead.

What is seldom changed (prefixes, delegations, templates, classes, ranges) is in memory; records are in the store.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Protocol

from gongfu.identify.handle.names import NAMING_AUTHORITY, HandleName, folded, parents
from gongfu.identify.handle.resolution import Elsewhere, Found, Nowhere
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.namespace.attribute_values import attribute_value
from gongfu.identify.namespace.class_values import ClassValues
from gongfu.identify.namespace.types import ClassRecord, Delegation, Prefix, PrefixState
from gongfu.identify.ranges.pattern import Pattern, readings
from gongfu.identify.ranges.series import Member, Series
from gongfu.identify.records.form import StoredRecord, decode_record
from gongfu.identify.templates.types import Template


class Records(Protocol):
    """Where records are (``records.shard.Shard``)."""

    def get(self, prefix: int, suffix: bytes) -> bytes | None:
        """Return a record's bytes."""
        ...


_index = attrgetter("index")
Above = Callable[[HandleName], Elsewhere | Nowhere]


def values_of(record: StoredRecord, template: Template | None) -> tuple[HandleValue, ...]:
    """Return the values of a record, by index.

    Raises:
        LookupError: it is of a template that has not so many attributes, or there is none.
    """
    values = list(record.values)
    timestamp = record.timestamp
    if record.attributes:
        if template is None:
            raise LookupError(f"template {record.template}")
        attributes = template.attributes
        values += [attribute_value(attributes[ordinal], data, timestamp) for ordinal, data in record.attributes]
    return tuple(sorted(values, key=_index))


class Namespace:
    """What a node knows of names. Replaced as a whole when something changes; only the ranges change in place."""

    def __init__(
        self,
        records: Records,
        *,
        prefixes: Mapping[str, Prefix] | None = None,
        delegations: Mapping[str, Delegation] | None = None,
        templates: Mapping[int, Template] | None = None,
        classes: Mapping[int, ClassRecord] | None = None,
        ranges: Mapping[int, Mapping[Pattern, Series]] | None = None,
        above: Above | None = None,
    ) -> None:
        """Make it.

        Args:
            records: the store.
            prefixes: by key.
            delegations: by key.
            templates: versions by number at this node.
            classes: by number.
            ranges: series by pattern, by number of the prefix.
            above: whom to ask for a prefix that is not below one of this node's.
        """
        self._records = records
        self.prefixes = prefixes or {}
        self.delegations = delegations or {}
        self.templates = templates or {}
        self.classes = classes or {}
        self._ranges = {} if ranges is None else ranges
        self._above = above
        self._made: dict[int, ClassValues] = {}

    def replaced(
        self,
        *,
        prefixes: Mapping[str, Prefix] | None = None,
        delegations: Mapping[str, Delegation] | None = None,
        templates: Mapping[int, Template] | None = None,
        classes: Mapping[int, ClassRecord] | None = None,
        above: Above | None = None,
    ) -> "Namespace":
        """Return it with other parts; those that are not given stay."""
        return Namespace(
            self._records,
            prefixes=self.prefixes if prefixes is None else prefixes,
            delegations=self.delegations if delegations is None else delegations,
            templates=self.templates if templates is None else templates,
            classes=self.classes if classes is None else classes,
            ranges=self._ranges,
            above=self._above if above is None else above,
        )

    def lookup(self, name: HandleName) -> Found | Elsewhere | Nowhere:
        """Return what there is of a handle. A revoked prefix has nothing."""
        # Written as it is compared, as a rule.
        prefix = self.prefixes.get(name.prefix)
        if prefix is None:
            key = folded(name.prefix)
            if key == NAMING_AUTHORITY:
                return self._of_prefix(name)
            prefix = self.prefixes.get(key)
            if prefix is None:
                return self._refer(key, name)
        if prefix.state is PrefixState.REVOKED:
            # Unless another node has it by now.
            return self._refer(folded(name.prefix), name)
        try:
            stored = self._records.get(prefix.number, name.suffix.encode())
        except UnicodeEncodeError:
            return Nowhere()
        if stored is not None:
            record = decode_record(stored)
            return Found(self.values(self.whole(record, name.suffix) if record.of else record))
        member = self.find(prefix.number, name.suffix)
        common = None if member is None else self._class(member.of)
        if member is None or common is None:
            return Nowhere()
        return Found(common.values(name.suffix, member.digits))

    def stored(self, number: int, suffix: bytes) -> bytes | None:
        """Return the bytes of the record that a suffix (UTF-8) of the prefix with this number has of its own."""
        return self._records.get(number, suffix)

    def find_prefix(self, name: str) -> Prefix | None:
        """Return a prefix of this node that is not revoked; its name in any case."""
        prefix = self.prefixes.get(folded(name))
        return None if prefix is None or prefix.state is PrefixState.REVOKED else prefix

    def values(self, record: StoredRecord) -> tuple[HandleValue, ...]:
        """Return the values of a record, by index.

        Raises:
            LookupError: it is of a template that is not known.
        """
        return values_of(record, self.templates.get(record.template))

    def whole(self, record: StoredRecord, suffix: str) -> StoredRecord:
        """Return a record with the attributes that it has from its class; number and suffix in them are its own.

        Raises:
            LookupError: it is of a class that is not known.
        """
        if not record.of:
            return record
        digits = next((suffix[len(found.head) :][: found.width] for found, _ in readings(suffix)), "")
        common = self._class(record.of)
        if common is None:
            raise LookupError(f"class {record.of}")
        attributes = {**dict(common.record(suffix, digits).attributes), **dict(record.attributes)}
        return StoredRecord(record.template, record.timestamp, tuple(sorted(attributes.items())), record.values)

    def find(self, number: int, suffix: str) -> Member | None:
        """Return the member of a range that a suffix of the prefix with this number is."""
        ranges = self._ranges.get(number)
        if not ranges:
            return None
        for pattern, at in readings(suffix):
            series = ranges.get(pattern)
            if series is not None and (member := series.member(at)) is not None:
                return member
        return None

    def member_of(self, member: Member, suffix: str) -> StoredRecord:
        """Return what a member has as long as it has no record of its own.

        Raises:
            LookupError: it is of a class that is not known.
        """
        common = self._class(member.of)
        if common is None:
            raise LookupError(f"class {member.of}")
        return common.record(suffix, member.digits)

    def _class(self, number: int) -> ClassValues | None:
        """Return a class; None if this namespace is older than it, as it may be for who has begun to look up."""
        made = self._made.get(number)
        if made is None and (of := self.classes.get(number)) is not None:
            template = self.templates.get(of.template)
            if template is not None:
                made = self._made[number] = ClassValues(of, template)
        return made

    def _of_prefix(self, name: HandleName) -> Found | Elsewhere | Nowhere:
        key = folded(name.suffix)
        known: Prefix | Delegation | None = self.prefixes.get(key)
        if known is None or known.state is PrefixState.REVOKED:
            known = self.delegations.get(key, known)
        if known is None:
            return self._refer(key, name)
        return Nowhere() if known.state is PrefixState.REVOKED else Found(known.values)

    def _refer(self, key: str, name: HandleName) -> Elsewhere | Nowhere:
        """Return whom to ask for a prefix that is not registered here: the nearest that it is delegated to."""
        for candidate in (key, *parents(key)):
            delegation = self.delegations.get(candidate)
            if delegation is not None:
                if delegation.state is PrefixState.REVOKED:
                    return Nowhere()
                return Elsewhere(f"{NAMING_AUTHORITY}/{delegation.name}", delegation.values)
            if candidate in self.prefixes:
                # Below a prefix of this node, and delegated to nobody.
                return Nowhere()
        return Nowhere() if self._above is None else self._above(name)
