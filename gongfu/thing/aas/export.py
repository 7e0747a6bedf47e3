"""A model as an Asset Administration Shell of a type, with one submodel template."""

import io
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from basyx.aas import model as aas
from basyx.aas.adapter.json import write_aas_json_file
from basyx.aas.model import datatypes

from gongfu.thing.aas.vocabulary import IEC61360, SEMANTIC, id_short, type_id
from gongfu.thing.report import Report
from gongfu.thing.types import Event, Field, Model, Property, Relation, Service, Titles, plain

_XSD: dict[str, Any] = {
    "double": datatypes.Double,
    "int64": datatypes.Long,
    "boolean": datatypes.Boolean,
    "string": str,
    "json": str,
}
_MEASURES = {
    "double": aas.DataTypeIEC61360.REAL_MEASURE,
    "int64": aas.DataTypeIEC61360.INTEGER_MEASURE,
}


def environment(model: Model, version: int, report: Report) -> bytes:
    """Return an environment in JSON (IDTA-01001 §11) with the shell of the type and its submodel.

    Args:
        model: a model with all that it inherits.
        version: its version.
        report: hears of what is left out.
    """
    if model.extends:
        report.leave_out("extends", f"what it inherits from {model.extends} is written out")
    identifier = type_id(model.name)
    groups: list[tuple[str, Iterable[aas.SubmodelElement]]] = [
        ("Properties", _elements(model.properties, _property)),
        ("Events", _elements(model.events, _event)),
        ("Services", _elements(model.services, _service)),
        ("Relations", _elements(model.relations, _relation)),
    ]
    # An empty array is not allowed (IDTA-01001 §11.2.1), so there is no collection for nothing.
    collections = [aas.SubmodelElementCollection(name, filled) for name, members in groups if (filled := list(members))]
    qualifiers = [_qualifier("name", model.name)]
    if model.abstract:
        qualifiers.append(_qualifier("abstract", True))
    for rule, policy in plain(model.validation).items():
        qualifiers.append(_qualifier(f"validation.{rule}", policy))
    submodel = aas.Submodel(
        f"{identifier}:{version}:submodel",
        collections,
        id_short="ThingModel",
        semantic_id=_external(SEMANTIC),
        kind=aas.ModellingKind.TEMPLATE,
        administration=_administration(version, report),
        qualifier=qualifiers,
        **_texts(model.titles, model.description),
    )
    shell = aas.AssetAdministrationShell(
        aas.AssetInformation(aas.AssetKind.TYPE, global_asset_id=model.identifier or identifier),
        f"{identifier}:{version}",
        id_short=id_short(model.name, 0, set()),
        administration=_administration(version, report),
        submodel={aas.ModelReference.from_referable(submodel)},
        **_texts(model.titles, model.description),
    )
    output = io.BytesIO()
    write_aas_json_file(output, aas.DictIdentifiableStore([shell, submodel]))
    document = msgspec.json.decode(output.getvalue())
    _fill_zeros(document)
    return msgspec.json.format(msgspec.json.encode(document), indent=2)


def _fill_zeros(node: Any) -> None:
    """Give qualifiers their zeros back: basyx-python-sdk 2.2.0 leaves out every value that is false in Python."""
    if isinstance(node, dict):
        if "kind" in node and "valueType" in node and "value" not in node:
            node["value"] = {"xs:double": "0.0", "xs:long": "0", "xs:boolean": "false"}.get(node["valueType"], "")
        for item in node.values():
            _fill_zeros(item)
    elif isinstance(node, list):
        for item in node:
            _fill_zeros(item)


def _administration(version: int, report: Report) -> aas.AdministrativeInformation | None:
    # VersionType: at most four digits.
    if version > 9999:
        report.leave_out("version", f"{version}: at most four digits")
        return None
    return aas.AdministrativeInformation(version=str(version))


def _external(text: str) -> aas.ExternalReference:
    return aas.ExternalReference((aas.Key(aas.KeyTypes.GLOBAL_REFERENCE, text),))


def _qualifier(name: str, value: Any) -> aas.Qualifier:
    kind: Any = str
    if isinstance(value, bool):
        kind = datatypes.Boolean
    elif isinstance(value, int):
        kind = datatypes.Long
    elif isinstance(value, float):
        kind = datatypes.Double
    return aas.Qualifier(name, kind, value)


def _texts(titles: Titles, description: str) -> dict[str, Any]:
    given = {language: text for language, text in (("zh", titles.zh), ("en", titles.en)) if text}
    texts: dict[str, Any] = {"display_name": aas.MultiLanguageNameType(given)} if given else {}
    if description:
        texts["description"] = aas.MultiLanguageTextType({"zh" if _is_chinese(description) else "en": description})
    return texts


def _is_chinese(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text)


def _elements(members: Mapping[str, Any], make: Any) -> Iterable[aas.SubmodelElement]:
    taken: set[str] = set()
    for number, (name, item) in enumerate(members.items()):
        short = id_short(name, number, taken)
        yield make(short, item, [] if short == name else [_qualifier("name", name)])


def _value(short: str, item: Property | Field, qualifiers: list[aas.Qualifier], **further: Any) -> aas.Property:
    if item.data_type == "json":
        qualifiers.append(_qualifier("dataType", "json"))
    for name, value in (("minimum", item.minimum), ("maximum", item.maximum), ("unit", item.unit)):
        if value is not None and value != "":
            qualifiers.append(_qualifier(name, value))
    if item.required:
        qualifiers.append(_qualifier("required", True))
    specifications = []
    measure = _MEASURES.get(item.data_type)
    if item.unit and measure is not None:
        # AASc-3a-002: a preferred name in English.
        name = aas.PreferredNameTypeIEC61360({"en": short})
        content = aas.DataSpecificationIEC61360(name, data_type=measure, unit=item.unit)
        specifications.append(aas.EmbeddedDataSpecification(_external(IEC61360), content))
    return aas.Property(
        short,
        _XSD[item.data_type],
        qualifier=qualifiers,
        embedded_data_specifications=specifications,
        **further,
    )


def _property(short: str, item: Property, qualifiers: list[aas.Qualifier]) -> aas.Property:
    if item.max_length is not None:
        qualifiers.append(_qualifier("maxLength", item.max_length))
    if item.choices:
        qualifiers.append(_qualifier("choices", msgspec.json.encode(item.choices).decode()))
    if item.deadband:
        qualifiers.append(_qualifier("deadband", item.deadband))
    if item.writable:
        qualifiers.append(_qualifier("writable", True))
    if item.on_violation is not None:
        qualifiers.append(_qualifier("onViolation", item.on_violation))
    further = _texts(item.titles, item.description)
    if item.semantic:
        further["semantic_id"] = _external(item.semantic)
    return _value(short, item, qualifiers, **further)


def _field(short: str, item: Field, qualifiers: list[aas.Qualifier]) -> aas.Property:
    return _value(short, item, qualifiers, **_texts(Titles(), item.description))


def _event(short: str, item: Event, qualifiers: list[aas.Qualifier]) -> aas.SubmodelElementCollection:
    qualifiers.append(_qualifier("severity", item.severity))
    fields = list(_elements(item.fields, _field))
    return aas.SubmodelElementCollection(short, fields, qualifier=qualifiers, **_texts(item.titles, item.description))


def _service(short: str, item: Service, qualifiers: list[aas.Qualifier]) -> aas.Operation:
    if item.asynchronous:
        qualifiers.append(_qualifier("asynchronous", True))
    taken: set[str] = set()
    inputs, outputs = _variables(item.input, taken), _variables(item.output, taken)
    return aas.Operation(
        short,
        input_variable=inputs,
        output_variable=outputs,
        qualifier=qualifiers,
        **_texts(item.titles, item.description),
    )


def _variables(fields: Mapping[str, Field], taken: set[str]) -> list[aas.Property]:
    """Return variables; the names of all variables of an operation are different (AASd-134)."""
    made: list[aas.Property] = []
    for name, item in fields.items():
        short = id_short(name, len(taken), taken)
        made.append(_field(short, item, [] if short == name else [_qualifier("name", name)]))
    return made


def _relation(short: str, item: Relation, qualifiers: list[aas.Qualifier]) -> aas.Property:
    qualifiers.append(_qualifier("many", item.many))
    value = item.target or None
    return aas.Property(short, str, value, qualifier=qualifiers, **_texts(item.titles, item.description))
