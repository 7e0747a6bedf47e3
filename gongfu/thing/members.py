"""Judging events and service calls: values by name against the fields that a model declares. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from math import isfinite
from typing import Any, NamedTuple

from gongfu.thing.types import Field, Model, Policy, Property, Validation

_NAMED = 60
_INT64 = 2**63


class Violation(StrEnum):
    """Why an event or a call is not what the model of its asset says; codes of drops (docs/telemetry.md)."""

    TYPE = "model_type"
    RANGE = "model_range"
    MISSING = "model_field_missing"
    UNKNOWN_FIELD = "model_unknown_field"
    UNKNOWN_EVENT = "model_unknown_event"
    UNKNOWN_SERVICE = "model_unknown_service"


class Fault(NamedTuple):
    """One thing that is wrong.

    Attributes:
        violation: what kind.
        policy: what becomes of it.
        name: of the field, event or service.
        text: in words.
    """

    violation: Violation
    policy: Policy
    name: str
    text: str


class Members:
    """Events and services of a model with all it inherits; shared by all its assets, never changed.

    Attributes:
        reference: ``name@version``.
    """

    __slots__ = ("_model", "reference")

    def __init__(self, reference: str, model: Model) -> None:
        self.reference = reference
        self._model = model

    def event(self, kind: str, given: Mapping[str, Any]) -> list[Fault]:
        """Return what is wrong with an event; nothing for a model that declares no events.

        Args:
            kind: of the event: its name in the model.
            given: values of its fields.
        """
        if not self._model.events:
            return []
        declared = self._model.events.get(kind)
        if declared is None:
            return self._unknown(Violation.UNKNOWN_EVENT, kind, "event")
        return self._fields(f"event {_shown(kind)}", declared.fields, given)

    @property
    def has_services(self) -> bool:
        """Whether the model declares services."""
        return bool(self._model.services)

    def inputs(self, name: str, given: Mapping[str, Any]) -> list[Fault]:
        """Return what is wrong with what a service is called with; nothing for a model that declares no services."""
        if not self._model.services:
            return []
        declared = self._model.services.get(name)
        if declared is None:
            return self._unknown(Violation.UNKNOWN_SERVICE, name, "service")
        return self._fields(f"input of service {_shown(name)}", declared.input, given)

    def outputs(self, name: str, given: Mapping[str, Any]) -> list[Fault]:
        """Return what is wrong with what a service gave; nothing for one that the model does not declare."""
        declared = self._model.services.get(name)
        return [] if declared is None else self._fields(f"output of service {_shown(name)}", declared.output, given)

    def writes(self, given: Mapping[str, Any]) -> list[Fault]:
        """Return what is wrong with values that are to be written to properties; other names are not judged."""
        rules = self._model.validation
        found: list[Fault] = []
        for name, value in given.items():
            item = self._model.properties.get(name)
            if item is None:
                continue
            plain = Field(item.data_type, unit=item.unit, minimum=item.minimum, maximum=item.maximum)
            fault = _fault(plain, value) or _beyond(item, value)
            if fault is not None:
                violation, text = fault
                policy = rules.type if violation is Violation.TYPE else item.on_violation or rules.range
                found.append(Fault(violation, policy, name, f"{_shown(name)} {text}"))
        return [fault for fault in found if fault.policy != "accept"]

    def _unknown(self, violation: Violation, name: str, what: str) -> list[Fault]:
        policy = self._model.validation.unknown
        if policy == "accept":
            return []
        return [Fault(violation, policy, name, f"{self.reference} has no {what} {_shown(name)}")]

    def _fields(self, where: str, declared: Mapping[str, Field], given: Mapping[str, Any]) -> list[Fault]:
        rules: Validation = self._model.validation
        found: list[Fault] = []
        for name, field in declared.items():
            if given.get(name) is None:
                if field.required:
                    text = f"{where}: {_shown(name)} is missing"
                    found.append(Fault(Violation.MISSING, rules.type, name, text))
                continue
            fault = _fault(field, given[name])
            if fault is not None:
                violation, text = fault
                policy = rules.type if violation is Violation.TYPE else rules.range
                found.append(Fault(violation, policy, name, f"{where}: {_shown(name)} {text}"))
        for name in given.keys() - declared.keys():
            text = f"{where}: {self.reference} has no field {_shown(name)}"
            found.append(Fault(Violation.UNKNOWN_FIELD, rules.unknown, name, text))
        return sorted(
            (fault for fault in found if fault.policy != "accept"), key=lambda fault: fault.policy != "reject"
        )


def _fault(field: Field, value: Any) -> tuple[Violation, str] | None:
    """Return what is wrong with a value, None for nothing."""
    kind = field.data_type
    number = isinstance(value, int | float) and not isinstance(value, bool) and _finite(value)
    fits = {
        "double": number,
        "int64": number and value == int(value) and -_INT64 <= value < _INT64,
        "boolean": isinstance(value, bool),
        "string": isinstance(value, str),
        "json": isinstance(value, dict | list),
    }[kind]
    if not fits:
        return Violation.TYPE, f"is {_kind_of(value)}, not {kind}"
    unit = f" {field.unit}" if field.unit else ""
    if field.minimum is not None and value < field.minimum:
        return Violation.RANGE, f"is {value}, below the minimum {field.minimum}{unit}"
    if field.maximum is not None and value > field.maximum:
        return Violation.RANGE, f"is {value}, above the maximum {field.maximum}{unit}"
    return None


def _finite(value: float) -> bool:
    try:
        return isfinite(value)
    except OverflowError:  # an integer of JSON may have any number of digits
        return False


def _beyond(item: Property, value: Any) -> tuple[Violation, str] | None:
    if item.max_length is not None and len(value) > item.max_length:
        return Violation.RANGE, f"has {len(value)} characters, at most {item.max_length}"
    if item.choices and value not in item.choices:
        return Violation.RANGE, "is not one of the choices of the model"
    return None


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "a number" if _finite(value) else "not a number"
    return {str: "a text", list: "a list", dict: "an object"}.get(type(value), type(value).__name__)


def _shown(name: str) -> str:
    return repr(name if len(name) <= _NAMED else name[:_NAMED] + "…")
