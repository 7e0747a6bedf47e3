"""A model as a WoT Thing Model (JSON-LD)."""

from collections.abc import Mapping
from typing import Any

from gongfu.thing.report import Report
from gongfu.thing.types import Event, Field, Model, Property, Relation, Service, Titles, Validation, plain
from gongfu.thing.wot.vocabulary import CONTEXT, NAMESPACE, PREFIX, TYPES


def thing_model(model: Model, version: str, report: Report) -> dict[str, Any]:
    """Return the Thing Model of a model with all that it inherits; what the format has no term for is in our own.

    Args:
        model: the model.
        version: what ``version.model`` says.
        report: hears of what is left out.
    """
    document: dict[str, Any] = {
        "@context": [CONTEXT, {PREFIX: NAMESPACE}],
        "@type": "tm:ThingModel",
        "title": model.titles.en or model.titles.zh or model.name,
        **_titles(model.titles),
        "version": {"model": version},
        own("name"): model.name,
    }
    if model.description:
        document["description"] = model.description
    if model.identifier:
        document["id"] = model.identifier
    if model.extends:
        report.leave_out("extends", f"what it inherits from {model.extends} is written out")
    if model.abstract:
        document[own("abstract")] = True
    if model.validation != Validation():
        document[own("validation")] = plain(model.validation)
    document["properties"] = {name: _property(item) for name, item in model.properties.items()}
    document["events"] = {name: _event(item) for name, item in model.events.items()}
    document["actions"] = {name: _service(item) for name, item in model.services.items()}
    if model.relations:
        document[own("relations")] = {name: _relation(item) for name, item in model.relations.items()}
    return document


def own(term: str) -> str:
    """Return one of our own terms."""
    return f"{PREFIX}:{term}"


def _titles(titles: Titles) -> dict[str, Any]:
    given = {language: text for language, text in (("zh", titles.zh), ("en", titles.en)) if text}
    return {"titles": given} if given else {}


def _described(item: Property | Event | Service | Relation) -> dict[str, Any]:
    return {**_titles(item.titles), **({"description": item.description} if item.description else {})}


def _schema(item: Property | Field) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    if item.data_type in TYPES:
        schema["type"] = TYPES[item.data_type]
    else:
        schema[own("dataType")] = item.data_type
    given = (("unit", item.unit or None), ("minimum", item.minimum), ("maximum", item.maximum))
    return schema | {term: value for term, value in given if value is not None}


def _property(item: Property) -> dict[str, Any]:
    schema = _schema(item) | _described(item)
    # TD §5.3.1.3: a property that is neither may be read and written.
    if not item.writable:
        schema["readOnly"] = True
    schema["observable"] = True
    if item.max_length is not None:
        schema["maxLength"] = item.max_length
    if item.choices:
        schema["enum"] = list(item.choices)
    if item.deadband:
        schema[own("deadband")] = item.deadband
    if item.required:
        schema[own("required")] = True
    if item.on_violation is not None:
        schema[own("onViolation")] = item.on_violation
    if item.semantic:
        schema["@type"] = item.semantic
    return schema


def _object(fields: Mapping[str, Field]) -> dict[str, Any]:
    required = [name for name, field in fields.items() if field.required]
    members = {
        name: _schema(field) | ({"description": field.description} if field.description else {})
        for name, field in fields.items()
    }
    return {"type": "object", "properties": members, **({"required": required} if required else {})}


def _event(item: Event) -> dict[str, Any]:
    event = _described(item)
    if item.severity != "info":
        event[own("severity")] = item.severity
    if item.fields:
        event["data"] = _object(item.fields)
    return event


def _service(item: Service) -> dict[str, Any]:
    action = {**_described(item), "synchronous": not item.asynchronous}
    if item.input:
        action["input"] = _object(item.input)
    if item.output:
        action["output"] = _object(item.output)
    return action


def _relation(item: Relation) -> dict[str, Any]:
    relation = _described(item)
    if item.target:
        relation["target"] = item.target
    if item.many:
        relation["many"] = True
    return relation
