"""What differs between two models, and whether data that fitted the old one may not fit the new one."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from gongfu.thing.types import Model, Property, plain


class Change(msgspec.Struct, frozen=True):
    """One difference.

    Attributes:
        where: the member, such as ``properties.speed.maximum``.
        change: what happened to it.
        breaking: data, readers or callers that were right with the old model may be wrong with the new one.
        before, after: the values, null for nothing.
    """

    where: str
    change: Literal["added", "removed", "changed"]
    breaking: bool
    before: Any = None
    after: Any = None


def difference(old: Model, new: Model) -> list[Change]:
    """Return all differences of two models with what they inherit, in order of where they are."""
    changes: list[Change] = []
    for group in ("properties", "events", "services", "relations"):
        _members(group, getattr(old, group), getattr(new, group), changes)
    _fields("", _rest(old), _rest(new), changes)
    return sorted(changes, key=lambda change: change.where)


def _rest(model: Model) -> dict[str, Any]:
    document = plain(model)
    left_out = ("name", "properties", "events", "services", "relations")
    return {name: item for name, item in document.items() if name not in left_out}


def _members(group: str, old: Mapping[str, Any], new: Mapping[str, Any], changes: list[Change]) -> None:
    for name in sorted(old.keys() | new.keys()):
        where = f"{group}.{name}"
        if name not in new:
            changes.append(Change(where, "removed", True, plain(old[name])))
        elif name not in old:
            required = isinstance(new[name], Property) and new[name].required
            changes.append(Change(where, "added", required, None, plain(new[name])))
        else:
            _fields(where + ".", plain(old[name]), plain(new[name]), changes)


def _fields(prefix: str, old: Mapping[str, Any], new: Mapping[str, Any], changes: list[Change]) -> None:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before != after:
            kind = "added" if name not in old else "removed" if name not in new else "changed"
            changes.append(Change(prefix + name, kind, _breaks(prefix, name, before, after), before, after))


def _breaks(prefix: str, name: str, before: Any, after: Any) -> bool:
    if name in ("titles", "description", "semantic", "deadband", "identifier", "extends", "severity", "asynchronous"):
        return False
    if name == "minimum":
        return before is None or (after is not None and after > before)
    if name in ("maximum", "max_length"):
        return before is None or (after is not None and after < before)
    if name == "choices":
        return bool(after) and (not before or not set(before) <= set(after))
    if name in ("required", "abstract"):
        return bool(after)
    if name == "writable":
        return not after
    if name == "on_violation":
        return after == "reject" or (after is None and before != "reject")
    if name == "validation":
        return "reject" in (after or {}).values()
    # Data types, units, fields, inputs and outputs, targets.
    return True
