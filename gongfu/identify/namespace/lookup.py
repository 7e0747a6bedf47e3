"""From a handle to its values: the prefix, a record of its own, a range it is in, or whom to ask instead.

What is seldom changed (prefixes, delegations, templates, classes, ranges) is in memory; records are in the store.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from gongfu.identify.handle.codes import Permission
from gongfu.identify.handle.names import NAMING_AUTHORITY, HandleName, folded, parents
from gongfu.identify.handle.resolution import Elsewhere, Found, Nowhere
from gongfu.identify.handle.values import DEFAULT_PERMISSIONS, HandleValue
from gongfu.identify.namespace.types import ClassRecord, Delegation, Prefix, PrefixState
from gongfu.identify.ranges.pattern import Pattern, number_at, shapes
from gongfu.identify.ranges.series import Series
from gongfu.identify.records.form import StoredRecord, decode_record
from gongfu.identify.templates.types import Attribute, Template


class Records(Protocol):
    """Where records are (``records.shard.Shard``)."""

    def get(self, prefix: int, suffix: bytes) -> bytes | None:
        """Return a record's bytes."""
        ...


_PRIVATE = DEFAULT_PERMISSIONS & ~Permission.PUBLIC_READ


def _value(attribute: Attribute, data: bytes, timestamp: int) -> HandleValue:
    permissions = DEFAULT_PERMISSIONS if attribute.public else _PRIVATE
    return HandleValue(attribute.index, attribute.name, data, timestamp=timestamp, permissions=permissions)


def values_of(record: StoredRecord, template: Template | None) -> tuple[HandleValue, ...]:
    """Return the values of a record, by index.

    Raises:
        LookupError: it is of a template that has not so many attributes, or there is none.
    """
    values = list(record.values)
    if record.attributes:
        if template is None:
            raise LookupError(f"template {record.template}")
        attributes = template.attributes
        values += [_value(attributes[ordinal], data, record.timestamp) for ordinal, data in record.attributes]
    return tuple(sorted(values, key=lambda value: value.index))


class _Ranges:
    """The series of one prefix, by pattern."""

    __slots__ = ("_series", "_shapes")

    def __init__(self, series: Mapping[Pattern, Series]) -> None:
        self._series = series
        self._shapes = shapes(series)

    def find(self, suffix: str) -> tuple[int, str] | None:
        """Return class and number (as written) of the member that a suffix names."""
        for head, width in self._shapes:
            found = number_at(suffix, head, width)
            if found is None or (series := self._series.get(found[0])) is None:
                continue
            of = series.class_of(found[1])
            if of is not None:
                return of, suffix[head : head + width]
        return None


class Namespace:
    """What a node knows of names. Replaced as a whole, or by its parts, when something changes."""

    def __init__(
        self,
        records: Records,
        *,
        prefixes: Mapping[str, Prefix] | None = None,
        delegations: Mapping[str, Delegation] | None = None,
        templates: Mapping[int, Template] | None = None,
        classes: Mapping[int, ClassRecord] | None = None,
        ranges: Mapping[int, Mapping[Pattern, Series]] | None = None,
        above: Callable[[HandleName], Elsewhere | Nowhere] | None = None,
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
        self._prefixes = dict(prefixes or {})
        self._delegations = dict(delegations or {})
        self._templates = dict(templates or {})
        self._classes = dict(classes or {})
        self._ranges = {number: _Ranges(series) for number, series in (ranges or {}).items()}
        self._above = above

    def lookup(self, name: HandleName) -> Found | Elsewhere | Nowhere:
        """Return what there is of a handle. A revoked prefix has nothing."""
        key = folded(name.prefix)
        if key == NAMING_AUTHORITY:
            return self._of_prefix(name)
        prefix = self._prefixes.get(key)
        if prefix is None:
            return self._refer(key, name)
        if prefix.state is PrefixState.REVOKED:
            return Nowhere()
        stored = self._records.get(prefix.number, name.suffix.encode())
        if stored is not None:
            record = decode_record(stored)
            return Found(values_of(record, self._templates.get(record.template)))
        ranges = self._ranges.get(prefix.number)
        member = ranges.find(name.suffix) if ranges is not None else None
        return Nowhere() if member is None else Found(self._of_class(name.suffix, *member))

    def _of_class(self, suffix: str, of: int, number: str) -> tuple[HandleValue, ...]:
        common = self._classes[of]
        attributes = common.template.attributes
        values = [
            _value(
                attributes[ordinal],
                text.replace("{suffix}", suffix).replace("{number}", number).encode(),
                common.timestamp,
            )
            for ordinal, text in common.attributes
        ]
        return tuple(sorted(values, key=lambda value: value.index))

    def _of_prefix(self, name: HandleName) -> Found | Elsewhere | Nowhere:
        key = folded(name.suffix)
        known = self._prefixes.get(key) or self._delegations.get(key)
        if known is None:
            return self._refer(key, name)
        return Nowhere() if known.state is PrefixState.REVOKED else Found(known.values)

    def _refer(self, key: str, name: HandleName) -> Elsewhere | Nowhere:
        """Return whom to ask for a prefix that is not registered here: the nearest that it is delegated to."""
        for candidate in (key, *parents(key)):
            delegation = self._delegations.get(candidate)
            if delegation is not None:
                if delegation.state is PrefixState.REVOKED:
                    return Nowhere()
                return Elsewhere(f"{NAMING_AUTHORITY}/{delegation.name}", delegation.values)
            if candidate in self._prefixes:
                # Below a prefix of this node, and delegated to nobody.
                return Nowhere()
        return Nowhere() if self._above is None else self._above(name)
