"""Inheritance: a chain of models as one, and what a model may say anew about what it inherits.

A thing of a type is a thing of all types that it extends, so a model may only narrow: bounds, choices and lengths may
become stricter; data type and unit stay; nothing can be taken away. Titles, descriptions, deadbands and what becomes of
wrong values may be said anew.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from gongfu.kernel.errors import Problem, conflict
from gongfu.thing.types import MAX_DEPTH, Event, Field, Model, Property, Relation, Service, Titles, encode

T = TypeVar("T")


def digest_of(model: Model, parent: str = "") -> str:
    """Return the content hash of a model: SHA-256, hex, over its canonical JSON and the hash of what it extends.

    Args:
        model: the model as written.
        parent: content hash of the version it extends, empty for none.
    """
    return hashlib.sha256(parent.encode() + b"\n" + encode(model)).hexdigest()


def flatten(chain: Sequence[Model]) -> Model:
    """Return a model with all that it inherits.

    Args:
        chain: the models from the one that extends nothing to the one that is asked for; at least one.

    Raises:
        Problem: 409 when one takes back what it inherits, or the chain is longer than ``MAX_DEPTH``.
    """
    if len(chain) > MAX_DEPTH:
        raise conflict(f"at most {MAX_DEPTH} models may extend each other")
    whole = chain[0]
    for model in chain[1:]:
        whole = _extend(whole, model)
    return whole


def _extend(parent: Model, child: Model) -> Model:
    properties = _merge(parent.properties, child.properties, "properties", _narrow_property)
    events = _merge(parent.events, child.events, "events", _narrow_event)
    services = _merge(parent.services, child.services, "services", _same_service)
    relations = _merge(parent.relations, child.relations, "relations", _narrow_relation)
    return msgspec.structs.replace(child, properties=properties, events=events, services=services, relations=relations)


def _merge(old: Mapping[str, T], new: Mapping[str, T], where: str, narrow: Callable[[str, T, T], T]) -> dict[str, T]:
    merged = dict(old)
    for name, item in new.items():
        merged[name] = narrow(f"{where}.{name}", old[name], item) if name in old else item
    return merged


def _refused(where: str, what: str) -> Problem:
    return conflict(f"{where}: {what} than in the model it extends")


def _titles(old: Titles, new: Titles) -> Titles:
    return Titles(new.zh or old.zh, new.en or old.en)


def _narrow_property(where: str, old: Property, new: Property) -> Property:
    if new.data_type != old.data_type:
        raise _refused(where, f"another data type ({new.data_type}, not {old.data_type})")
    if new.unit not in ("", old.unit):
        raise _refused(where, f"another unit ({new.unit}, not {old.unit or 'none'})")
    low, high = _bounds(where, old, new)
    length = old.max_length if new.max_length is None else new.max_length
    if old.max_length is not None and length is not None and length > old.max_length:
        raise _refused(where, "a greater length")
    choices = new.choices or old.choices
    if old.choices and not set(choices) <= set(old.choices):
        raise _refused(where, "more choices")
    return Property(
        data_type=old.data_type,
        unit=old.unit,
        minimum=low,
        maximum=high,
        max_length=length,
        choices=choices,
        deadband=new.deadband or old.deadband,
        writable=new.writable,
        required=new.required or old.required,
        on_violation=new.on_violation or old.on_violation,
        titles=_titles(old.titles, new.titles),
        description=new.description or old.description,
        semantic=new.semantic or old.semantic,
    )


def _bounds(where: str, old: Property | Field, new: Property | Field) -> tuple[float | None, float | None]:
    low = old.minimum if new.minimum is None else new.minimum
    high = old.maximum if new.maximum is None else new.maximum
    if old.minimum is not None and low is not None and low < old.minimum:
        raise _refused(where, f"a lower minimum ({low}, not {old.minimum})")
    if old.maximum is not None and high is not None and high > old.maximum:
        raise _refused(where, f"a higher maximum ({high}, not {old.maximum})")
    if low is not None and high is not None and low > high:
        raise _refused(where, "a minimum above the maximum")
    return low, high


def _narrow_event(where: str, old: Event, new: Event) -> Event:
    fields = dict(old.fields)
    for name, field in new.fields.items():
        before = old.fields.get(name)
        if before is not None:
            if (field.data_type, field.unit) != (before.data_type, before.unit):
                raise _refused(f"{where}.{name}", "another data type or unit")
            _bounds(f"{where}.{name}", before, field)
        fields[name] = field
    return msgspec.structs.replace(
        new,
        fields=fields,
        titles=_titles(old.titles, new.titles),
        description=new.description or old.description,
    )


def _same_service(where: str, old: Service, new: Service) -> Service:
    if (new.input, new.output, new.asynchronous) != (old.input, old.output, old.asynchronous):
        raise _refused(where, "another input or output")
    return msgspec.structs.replace(
        new, titles=_titles(old.titles, new.titles), description=new.description or old.description
    )


def _narrow_relation(where: str, old: Relation, new: Relation) -> Relation:
    if (old.target and new.target != old.target) or (new.many and not old.many):
        raise _refused(where, "another target or number")
    return msgspec.structs.replace(
        new, titles=_titles(old.titles, new.titles), description=new.description or old.description
    )
