"""Which values of an event a query parameter speaks of."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from gongfu.identify.epcis.facts import Facts
from gongfu.identify.epcis.query_rules import Parameter
from gongfu.identify.epcis.uris import Namespaces
from gongfu.identify.epcis.vocabulary import term

TIME_FIELDS: Final = frozenset(("eventTime", "time", "startTime", "endTime", "declarationTime"))
NUMBER_FIELDS: Final = frozenset(
    ["quantity", "value", "minValue", "maxValue", "meanValue", "sDev", "percValue", "percRank"]
)  # fmt: skip
_LISTS: Final = {"bizTransaction": "bizTransactionList", "source": "sourceList", "destination": "destinationList"}
_REPORT_THINGS: Final = frozenset(("deviceID", "microorganism", "chemicalSubstance"))


def values_of(asked: Parameter, facts: Facts) -> Iterable[Any]:
    """Return the values of an event that a parameter compares; without any it is not met."""
    if asked.extension:
        return _extension(asked, facts)
    if asked.operator == "MATCH":
        return _matched(asked.field, facts)
    place, field = asked.place, asked.field
    if place == "":
        return _own(field, facts)
    if place == "quantity":
        return [
            item.amount
            for item in facts.quantities()
            if item.amount is not None and (not asked.detail or item.unit == asked.detail)
        ]
    if place in _LISTS:
        return [party.who for party in facts.parties(_LISTS[place]) if party.kind == asked.detail]
    if place == "persistentDisposition":
        listed = facts.event.get(place, {}).get(field, ())
        return [facts.term("disposition", item) for item in listed]
    if place == "errorDeclaration":
        return _of_declaration(field, facts)
    return _of_sensors(asked, facts)


def _own(field: str, facts: Facts) -> Iterable[Any]:
    if field == "type":
        return (facts.namespaces.expanded(facts.kind), facts.kind)
    if field == "eventTime":
        return (facts.time,)
    if field == "epcClass":
        return [item.thing for item in facts.quantities()]
    value = {
        "action": facts.action,
        "bizStep": facts.biz_step,
        "disposition": facts.disposition,
        "readPoint": facts.read_point,
        "bizLocation": facts.biz_location,
        "transformationID": facts.transformation,
        "eventID": facts.event_id,
        "parentID": facts.parent,
    }.get(field)
    if value is None:
        # Of errorDeclaration and sensorElementList a query asks whether they are there.
        value = facts.event.get(field)
    return (value,) if value else ()


def _matched(field: str, facts: Facts) -> Iterable[str]:
    """Return the things that a MATCH parameter looks among (EPCIS 2.0 §8.2.7.1)."""
    match field:
        case "epc":
            return facts.things
        case "parentID":
            return (facts.parent,) if facts.parent else ()
        case "inputEPC":
            return facts.inputs
        case "outputEPC":
            return facts.outputs
        case "anyEPC":
            return [*facts.things, *facts.inputs, *facts.outputs, *([facts.parent] if facts.parent else ())]
        case "epcClass":
            quantities = facts.classes
        case "inputEPCClass":
            quantities = facts.input_classes
        case "outputEPCClass":
            quantities = facts.output_classes
        case _:
            quantities = facts.quantities()
    return [item.thing for item in quantities]


def _of_declaration(field: str, facts: Facts) -> Iterable[Any]:
    declaration = facts.event.get("errorDeclaration")
    if not declaration or field not in declaration:
        return ()
    value = declaration[field]
    if field == "reason":
        return (facts.term("reason", value),)
    return value if isinstance(value, list) else (value,)


def _of_sensors(asked: Parameter, facts: Facts) -> Iterator[Any]:
    """Yield a field of sensor elements; ``sensor`` means metadata and reports, ``sensorReport`` the latter only."""
    field = asked.field
    for element in facts.event.get("sensorElementList", ()):
        records = list(element.get("sensorReport", ()))
        if asked.place == "sensor" and "sensorMetadata" in element:
            records.append(element["sensorMetadata"])
        for record in records:
            if field not in record or (asked.detail and record.get("uom") != asked.detail):
                continue
            if field == "type":
                yield facts.namespaces.expanded(term("measurementType", record[field]))
            else:
                yield facts.thing(record[field]) if field in _REPORT_THINGS else record[field]


def _extension(asked: Parameter, facts: Facts) -> Iterator[Any]:
    for record in _records(asked.place, facts.event):
        # In inner fields the outermost level is another parameter's.
        yield from _named(record, asked.field, facts.namespaces, inner=asked.inner, top=True)


def _records(place: str, event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if place == "":
        yield {name: value for name, value in event.items() if ":" in name}
    elif place in ("readPoint", "bizLocation"):
        yield event.get(place, {})
    elif place == "ILMD":
        yield event.get("ilmd", {})
    elif place == "ERROR_DECLARATION":
        yield event.get("errorDeclaration", {})
    else:
        for element in event.get("sensorElementList", ()):
            if place == "SENSORELEMENT":
                yield {name: value for name, value in element.items() if ":" in name}
            elif place == "SENSORMETADATA":
                yield element.get("sensorMetadata", {})
            else:
                yield from element.get("sensorReport", ())


def _named(record: Any, name: str, namespaces: Namespaces, *, inner: bool, top: bool) -> Iterator[Any]:
    """Yield the values of a field: of this level, or with ``inner`` of all levels below it."""
    if isinstance(record, list):
        for item in record:
            yield from _named(item, name, namespaces, inner=inner, top=top)
        return
    if not isinstance(record, dict):
        return
    for key, value in record.items():
        if (not inner or not top) and (key == name or namespaces.expanded(key) == name):
            yield from _leaves(value)
        if inner:
            yield from _named(value, name, namespaces, inner=True, top=False)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, dict):
        yield value.get("#text", value)
    else:
        yield value
