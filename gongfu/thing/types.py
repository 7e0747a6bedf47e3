"""Thing model (物模型): the document of one version of a type, and the rules that a document must meet.

A model has *properties* (each the definition of a point), *events*, *services* and *relations*; it may extend one other
model of an exact version. A published version never changes, so that it can be kept for ever by its name and number.
The vocabulary is that of W3C WoT Thing Description 1.1 §5.3 (properties, actions, events); actions are called services.
"""

import re
from collections.abc import Iterable
from math import isfinite
from typing import Annotated, Any, Literal

import msgspec

from gongfu.kernel.errors import invalid
from gongfu.kernel.points import EXACT_INTEGER_LIMIT, VALUE_TYPES, ValueType
from gongfu.registry.names import NAME_LIMIT, check_name

MAX_MEMBERS = 2000
MAX_MODEL_BYTES = 1 << 20
MAX_DEPTH = 10
_NAME = 100
# What an Asset Administration Shell can hold (IDTA-01001 §5.3.12: MultiLanguageNameType, MultiLanguageTextType).
_TITLE = 128
_TEXT = 1000
_IDENTIFIER = 2000
_LENGTH = 1_000_000_000
# IDTA-01001 AASd-130, which is also what XML 1.0 can carry.
_CLEAN = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")

# What becomes of a value that the model does not allow: it is not taken, taken as uncertain, or taken as it is.
Policy = Literal["reject", "uncertain", "accept"]
DataType = Literal["double", "int64", "boolean", "string", "json"]
Title = Annotated[str, msgspec.Meta(max_length=_TITLE)]
Description = Annotated[str, msgspec.Meta(max_length=_TEXT)]


class Titles(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A title in Chinese and in English."""

    zh: Title = ""
    en: Title = ""


class Property(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A point that assets of the type have.

    Attributes:
        data_type: type of its values.
        unit: UCUM code, empty for none.
        minimum, maximum: bounds of a number, both included; None for none.
        max_length: greatest number of characters of a text; None for the bound of the platform.
        choices: the only texts, or numbers, that are allowed; empty for all.
        deadband: a change below this need not be sent (absolute, in ``unit``); drivers apply it.
        writable: whether it may be written to.
        required: whether every asset of the type must have it; see ``ThingModels.check``.
        on_violation: what becomes of a value outside of these; None for what the model says.
        titles, description: for people.
        semantic: identifier (IRI or IRDI) of what it means in a dictionary, such as ECLASS; empty for none.
    """

    data_type: DataType
    unit: str = ""
    minimum: float | int | None = None
    maximum: float | int | None = None
    max_length: int | None = None
    choices: tuple[str | int | float, ...] = ()
    deadband: float = 0.0
    writable: bool = False
    required: bool = False
    on_violation: Policy | None = None
    titles: Titles = Titles()
    description: Description = ""
    semantic: Annotated[str, msgspec.Meta(max_length=_IDENTIFIER)] = ""


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A value of an event or of the input or output of a service."""

    data_type: DataType
    unit: str = ""
    minimum: float | int | None = None
    maximum: float | int | None = None
    required: bool = False
    description: Description = ""


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something that things of the type report."""

    severity: Literal["info", "warning", "alarm", "fault"] = "info"
    fields: dict[str, Field] = {}
    titles: Titles = Titles()
    description: Description = ""


class Service(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something that things of the type do when asked."""

    input: dict[str, Field] = {}
    output: dict[str, Field] = {}
    asynchronous: bool = False
    titles: Titles = Titles()
    description: Description = ""


class Relation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How things of the type stand to others: ``target`` is the name of their model, empty for any."""

    target: str = ""
    many: bool = False
    titles: Titles = Titles()
    description: Description = ""


class Validation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What becomes of data that the model does not allow.

    Attributes:
        range: values outside of the bounds, the choices or the length of their property.
        type: values of a point that had another type before its asset became one of this model.
        unknown: values of points that the model does not have.
    """

    range: Policy = "reject"
    type: Policy = "reject"
    unknown: Policy = "accept"


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One version of a thing model, as it is written.

    Attributes:
        name: name of the type, unique in its tenant.
        extends: ``name@version`` of the model it extends, empty for none.
        abstract: no asset may be of it; it is there to be extended.
        identifier: identifier of the type in another system (IRI), empty for none.
    """

    name: str
    extends: str = ""
    abstract: bool = False
    titles: Titles = Titles()
    description: Description = ""
    identifier: Annotated[str, msgspec.Meta(max_length=_IDENTIFIER)] = ""
    properties: dict[str, Property] = {}
    events: dict[str, Event] = {}
    services: dict[str, Service] = {}
    relations: dict[str, Relation] = {}
    validation: Validation = Validation()


def value_type_of(data_type: str) -> ValueType:
    """Return the type of points for a data type."""
    return VALUE_TYPES[data_type]


def parse_reference(text: str) -> tuple[str, int] | None:
    """Return (name, version) of ``name@version``, None when the text is not of that form."""
    name, separator, number = text.rpartition("@")
    if not separator or not name or not number.isascii() or not number.isdigit() or len(number) > 9:
        return None
    version = int(number)
    return (name, version) if version > 0 and str(version) == number else None


def reference(name: str, version: int) -> str:
    """Return ``name@version``, which is what the type of an asset says."""
    return f"{name}@{version}"


def decode_model(document: Any) -> Model:
    """Return a model from decoded JSON that meets all rules.

    Raises:
        Problem: 400; the detail says where and what.
    """
    try:
        return check_model(msgspec.convert(document, Model))
    except msgspec.ValidationError as error:
        raise invalid(f"thing model: {error}") from None


def check_model(model: Model) -> Model:
    """Return a model that meets the rules that its types do not state.

    Raises:
        Problem: 400; the detail says where and what.
    """
    check_name(model.name, "model name", limit=_NAME, without="@/:")
    if model.extends:
        parent = parse_reference(model.extends)
        if parent is None:
            raise invalid("extends must be name@version")
        if parent[0] == model.name:
            raise invalid("a model cannot extend a version of itself")
    members = (model.properties, model.events, model.services, model.relations)
    if sum(map(len, members)) > MAX_MEMBERS:
        raise invalid(f"a model has at most {MAX_MEMBERS} properties, events, services and relations")
    for kind, names in zip(("property", "event", "service", "relation"), members, strict=True):
        for name in names:
            check_name(name, f"{kind} name", limit=NAME_LIMIT)
    for name, item in model.properties.items():
        _check_property(f"properties.{name}", item)
    for name, event in model.events.items():
        _check_fields(f"events.{name}", event.fields)
    for name, service in model.services.items():
        _check_fields(f"services.{name}.input", service.input)
        _check_fields(f"services.{name}.output", service.output)
    _check_texts("", plain(model))
    if len(encode(model)) > MAX_MODEL_BYTES:
        raise invalid(f"a model has at most {MAX_MODEL_BYTES} bytes")
    return model


def encode(model: Model) -> bytes:
    """Return the canonical JSON of a model: members in order of their names, defaults left out, whole numbers as
    integers. Equal models have equal bytes."""
    try:
        return msgspec.json.encode(plain(model), order="sorted")
    except (UnicodeEncodeError, msgspec.MsgspecError):
        raise invalid("thing model must be JSON in UTF-8") from None


def plain(value: Any) -> Any:
    """Return a model, or a part of one, as JSON has it, with what is as the default says left out."""
    if isinstance(value, msgspec.Struct):
        fields = ((field, getattr(value, field.name)) for field in msgspec.structs.fields(value))
        return {
            field.name: plain(item)
            for field, item in fields
            if item != (field.default_factory() if callable(field.default_factory) else field.default)
        }
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT_INTEGER_LIMIT:
        return int(value)
    return value


def units_of(model: Model) -> Iterable[tuple[str, str]]:
    """Yield (where, unit) of all units that are given."""
    for name, item in model.properties.items():
        if item.unit:
            yield f"properties.{name}", item.unit
    groups = [(f"events.{name}", event.fields) for name, event in model.events.items()]
    for name, service in model.services.items():
        groups += [(f"services.{name}.input", service.input), (f"services.{name}.output", service.output)]
    for where, fields in groups:
        for name, field in fields.items():
            if field.unit:
                yield f"{where}.{name}", field.unit


def check_units(model: Model) -> None:
    """Check that all units are UCUM codes. Loads the tables of units (20 MB) when there is any.

    Raises:
        Problem: 400.
    """
    for where, unit in units_of(model):
        # Imported here: a node that edits no models never needs them.
        from gongfu.kernel.units import UnitError, check_unit

        try:
            check_unit(unit)
        except UnitError as error:
            raise invalid(f"{where}.unit: {error}") from None


def _check_property(where: str, item: Property) -> None:
    _check_bounds(where, item.data_type, item.unit, item.minimum, item.maximum)
    number = item.data_type in ("double", "int64")
    if item.max_length is not None and (item.data_type != "string" or not 0 <= item.max_length <= _LENGTH):
        raise invalid(f"{where}.max_length is for texts, and 0 to {_LENGTH}")
    if item.deadband and not (number and isfinite(item.deadband) and item.deadband > 0):
        raise invalid(f"{where}.deadband is for numbers, and above 0")
    if item.choices:
        if len(item.choices) > MAX_MEMBERS or len(set(item.choices)) != len(item.choices):
            raise invalid(f"{where}.choices must be at most {MAX_MEMBERS} different values")
        for choice in item.choices:
            _check_choice(where, item.data_type, choice)


def _check_choice(where: str, data_type: str, choice: str | int | float) -> None:
    kinds: dict[str, tuple[type, ...]] = {"string": (str,), "int64": (int,), "double": (int, float)}
    fits = isinstance(choice, kinds.get(data_type, ())) and not isinstance(choice, bool)
    if not fits or (isinstance(choice, float) and not isfinite(choice)):
        raise invalid(f"{where}.choices: {choice!r} is no {data_type}")
    if isinstance(choice, int) and not -(2**63) <= choice < 2**63:
        raise invalid(f"{where}.choices: {choice!r} is beyond 64 bits")
    if isinstance(choice, str) and len(choice) > _TEXT:
        raise invalid(f"{where}.choices: a choice has at most {_TEXT} characters")


def _check_fields(where: str, fields: dict[str, Field]) -> None:
    for name, field in fields.items():
        check_name(name, f"{where}: name", limit=NAME_LIMIT)
        _check_bounds(f"{where}.{name}", field.data_type, field.unit, field.minimum, field.maximum)


def _check_bounds(where: str, data_type: str, unit: str, low: float | None, high: float | None) -> None:
    number = data_type in ("double", "int64")
    if unit and not number:
        raise invalid(f"{where}: a {data_type} has no unit")
    for what, bound in (("minimum", low), ("maximum", high)):
        if bound is None:
            continue
        if not number:
            raise invalid(f"{where}.{what} is for numbers")
        if isinstance(bound, float) and not isfinite(bound):
            raise invalid(f"{where}.{what} must be finite")
        if data_type == "int64" and not isinstance(bound, int):
            raise invalid(f"{where}.{what} of an int64 must be an integer")
        if isinstance(bound, int) and not -(2**63) <= bound < 2**63:
            raise invalid(f"{where}.{what} is beyond 64 bits")
    if low is not None and high is not None and low > high:
        raise invalid(f"{where}: minimum is above maximum")


def _check_texts(where: str, value: Any) -> None:
    if isinstance(value, str):
        if _CLEAN.fullmatch(value) is None:
            raise invalid(f"{where}: a text has no control characters but tabs and ends of lines")
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_texts(where, name)
            _check_texts(f"{where}.{name}" if where else str(name), item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_texts(where, item)
