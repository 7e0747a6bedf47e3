"""A WoT Thing Model or Thing Description as a model.

What a model cannot hold is left out and reported: how a thing is reached (forms, security), and schemas that say more
than a data type, a unit, bounds, choices and a length.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from gongfu.kernel.errors import Problem, invalid
from gongfu.thing.names import TEXT, TITLE, fit_model_name, fit_text, gather
from gongfu.thing.report import Report
from gongfu.thing.types import Event, Field, Model, Property, Relation, Service, Titles, Validation
from gongfu.thing.units import ucum
from gongfu.thing.wot.export import own
from gongfu.thing.wot.vocabulary import CONTEXTS, DATA_TYPES, UNITS

_SCHEMA = {"type", "unit", "minimum", "maximum", "description", "descriptions", "title", "titles", own("dataType")}
_PROPERTY = _SCHEMA | {
    "enum", "const", "maxLength", "readOnly", "writeOnly", "observable", "@type",
    own("deadband"), own("required"), own("onViolation"),
}  # fmt: skip
_TEXTS = {"title", "titles", "description", "descriptions"}
_THING = _TEXTS | {
    "@context", "@type", "id", "version", "properties", "events", "actions",
    own("name"), own("abstract"), own("validation"), own("relations"),
}  # fmt: skip


def read_thing(document: Any, report: Report) -> Model:
    """Return the model of a decoded Thing Model or Thing Description.

    Args:
        document: decoded JSON.
        report: hears of what is left out.

    Raises:
        Problem: 400 when it is neither.
    """
    if not isinstance(document, dict) or not _is_thing(document):
        raise invalid("not a WoT Thing Model or Thing Description: @context must name it")
    thing: dict[str, Any] = document
    _others(thing, _THING, "", report)
    title = _text(thing.get("title"))
    name = _text(thing.get(own("name"))) or title or _text(thing.get("id"))
    if not name:
        raise invalid("a Thing Model needs a title")
    # The title of ours repeats titles or the name.
    titles = _titles(thing, "", report, name)
    version = thing.get("version")
    if isinstance(version, dict):
        _others(version, {"model", "instance"}, "version", report)
    return Model(
        name=fit_model_name(name, report, "title"),
        abstract=thing.get(own("abstract")) is True,
        titles=titles,
        description=_description(thing, "", report),
        identifier=_text(thing.get("id")),
        properties=gather(
            _members(thing, "properties", report),
            "properties",
            report,
            lambda item, where: _property(item, where, report),
        ),
        events=gather(
            _members(thing, "events", report), "events", report, lambda item, where: _event(item, where, report)
        ),
        services=gather(
            _members(thing, "actions", report), "actions", report, lambda item, where: _service(item, where, report)
        ),
        relations=gather(
            _members(thing, own("relations"), report),
            "relations",
            report,
            lambda item, where: _relation(item, where, report),
        ),
        validation=_convert(thing.get(own("validation"), {}), Validation, own("validation")),
    )


def _is_thing(document: Mapping[str, Any]) -> bool:
    context = document.get("@context")
    entries = context if isinstance(context, list) else [context]
    return any(isinstance(entry, str) and entry in CONTEXTS for entry in entries)


def _members(document: Mapping[str, Any], group: str, report: Report) -> Iterable[tuple[str, dict[str, Any]]]:
    members = document.get(group, {})
    if not isinstance(members, dict):
        raise invalid(f"{group} must be an object")
    for key, item in members.items():
        if isinstance(item, dict):
            yield key, item
        else:
            report.leave_out(f"{group}.{key}", "not an object")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _titles(item: Mapping[str, Any], where: str, report: Report, name: str = "") -> Titles:
    titles = item.get("titles")
    by_language: dict[str, Any] = titles if isinstance(titles, dict) else {}
    zh = next((by_language[tag] for tag in ("zh", "zh-CN", "zh-Hans") if tag in by_language), "")
    en = next((by_language[tag] for tag in ("en", "en-US", "en-GB") if tag in by_language), "")
    title = _text(item.get("title"))
    if not zh and not en and title and title != name:
        en = title
    return Titles(fit_text(zh, TITLE, report, f"{where}.titles"), fit_text(en, TITLE, report, f"{where}.titles"))


def _description(item: Mapping[str, Any], where: str, report: Report) -> str:
    texts = item.get("descriptions")
    found = _text(item.get("description"))
    if not found and isinstance(texts, dict):
        found = next((_text(texts[tag]) for tag in ("zh", "en") if tag in texts), "")
    return fit_text(found, TEXT, report, f"{where}.description")


def _others(item: Mapping[str, Any], known: set[str], where: str, report: Report) -> None:
    for term in item:
        if term not in known:
            report.leave_out(f"{where}.{term}" if where else term, "a model has no place for it")
    for term in ("descriptions", "titles"):
        texts = item.get(term)
        if isinstance(texts, dict):
            for tag in texts.keys() - {"zh", "en", "zh-CN", "zh-Hans", "en-US", "en-GB"}:
                report.leave_out(f"{where}.{term}.{tag}", "a model has titles in Chinese and English only")


def _data_type(schema: Mapping[str, Any], where: str, report: Report) -> str:
    kind = schema.get("type")
    if isinstance(kind, str) and kind in DATA_TYPES:
        return DATA_TYPES[kind]
    if kind is None and schema.get(own("dataType")) != "json":
        report.leave_out(f"{where}.type", "no type is given; taken as json")
    elif kind in ("object", "array"):
        report.leave_out(f"{where}.type", f"{kind}: taken as json, its parts are not checked")
    elif kind is not None:
        report.leave_out(f"{where}.type", f"{kind!r}: taken as json")
    return "json"


def _number(schema: Mapping[str, Any], term: str, data_type: str, where: str, report: Report) -> float | int | None:
    value = schema.get(term)
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and data_type in ("double", "int64"):
        if data_type == "int64" and isinstance(value, float):
            if value.is_integer():
                return int(value)
        else:
            return value
    report.leave_out(f"{where}.{term}", f"{value!r} is no bound of a {data_type}")
    return None


def _unit(schema: Mapping[str, Any], data_type: str, where: str, report: Report) -> str:
    text = _text(schema.get("unit"))
    if not text:
        return ""
    if data_type not in ("double", "int64"):
        report.leave_out(f"{where}.unit", f"{text!r}: a {data_type} has no unit")
        return ""
    return ucum(text, UNITS, f"{where}.unit", report)


def _property(schema: dict[str, Any], where: str, report: Report) -> Property:
    _others(schema, _PROPERTY, where, report)
    data_type: Any = _data_type(schema, where, report)
    choices: list[Any] = []
    given = schema.get("enum", [schema["const"]] if "const" in schema else [])
    for choice in given if isinstance(given, list) else []:
        kinds: dict[str, tuple[type, ...]] = {"string": (str,), "int64": (int,), "double": (int, float)}
        if isinstance(choice, kinds.get(data_type, ())) and not isinstance(choice, bool) and choice not in choices:
            choices.append(choice)
        else:
            report.leave_out(f"{where}.enum", f"{choice!r} is no choice of a {data_type}")
    length = schema.get("maxLength")
    if length is not None and (data_type != "string" or not isinstance(length, int) or length < 0):
        report.leave_out(f"{where}.maxLength", f"{length!r} is no length of a {data_type}")
        length = None
    semantic = schema.get("@type", "")
    if isinstance(semantic, list):
        for further in semantic[1:]:
            report.leave_out(f"{where}.@type", f"{further!r}: a property has one meaning")
        semantic = semantic[0] if semantic else ""
    if schema.get("writeOnly") is True:
        report.leave_out(f"{where}.writeOnly", "a point can always be read")
    return _convert(
        {
            "data_type": data_type,
            "unit": _unit(schema, data_type, where, report),
            "minimum": _number(schema, "minimum", data_type, where, report),
            "maximum": _number(schema, "maximum", data_type, where, report),
            "max_length": length,
            "choices": choices,
            "deadband": schema.get(own("deadband"), 0.0),
            "writable": schema.get("readOnly") is not True,
            "required": schema.get(own("required"), False),
            "on_violation": schema.get(own("onViolation")),
            "titles": msgspec.to_builtins(_titles(schema, where, report)),
            "description": _description(schema, where, report),
            "semantic": _text(semantic),
        },
        Property,
        where,
    )


def _field(schema: dict[str, Any], required: bool, where: str, report: Report) -> Field:
    _others(schema, _SCHEMA - {"title", "titles"}, where, report)
    data_type: Any = _data_type(schema, where, report)
    return Field(
        data_type=data_type,
        unit=_unit(schema, data_type, where, report),
        minimum=_number(schema, "minimum", data_type, where, report),
        maximum=_number(schema, "maximum", data_type, where, report),
        required=required,
        description=_description(schema, where, report),
    )


def _fields(schema: Any, where: str, report: Report) -> dict[str, Field]:
    """Return the members of an object; another schema becomes a field called ``value``."""
    if not isinstance(schema, dict):
        return {}
    if schema.get("type") != "object":
        return {"value": _field(schema, False, where, report)}
    _others(schema, {"type", "properties", "required"}, where, report)
    required = schema.get("required")
    names = required if isinstance(required, list) else []
    required_items = ((name, (item, name in names)) for name, item in _members(schema, "properties", report))
    return gather(required_items, where, report, lambda given, place: _field(given[0], given[1], place, report))


def _event(event: dict[str, Any], where: str, report: Report) -> Event:
    _others(event, _TEXTS | {"data", own("severity")}, where, report)
    severity: Any = event.get(own("severity"), "info")
    if severity not in ("info", "warning", "alarm", "fault"):
        raise invalid(f"{where}: severity must be info, warning, alarm or fault")
    fields = _fields(event.get("data"), f"{where}.data", report)
    return Event(
        severity=severity,
        fields=fields,
        titles=_titles(event, where, report),
        description=_description(event, where, report),
    )


def _service(action: dict[str, Any], where: str, report: Report) -> Service:
    _others(action, _TEXTS | {"input", "output", "synchronous"}, where, report)
    return Service(
        input=_fields(action.get("input"), f"{where}.input", report),
        output=_fields(action.get("output"), f"{where}.output", report),
        asynchronous=action.get("synchronous") is False,
        titles=_titles(action, where, report),
        description=_description(action, where, report),
    )


def _relation(item: dict[str, Any], where: str, report: Report) -> Relation:
    return Relation(
        target=_text(item.get("target")),
        many=item.get("many") is True,
        titles=_titles(item, where, report),
        description=_description(item, where, report),
    )


def _convert(document: Any, kind: Any, where: str) -> Any:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        problem: Problem = invalid(f"{where}: {error}")
        raise problem from None
