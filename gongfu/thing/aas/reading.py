"""A shell of a type, or any submodels, as a model.

Our own submodel is read by its parts. Of others, every ``Property`` and ``Range`` becomes a property, named by its path
joined with ".", every ``Operation`` a service; all else is left out and reported.
"""

import io
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from basyx.aas import model as aas
from basyx.aas.adapter.json import read_aas_json_file
from basyx.aas.model import datatypes

from gongfu.kernel.errors import invalid
from gongfu.thing.aas.vocabulary import GROUPS, SEMANTIC, name_of_id
from gongfu.thing.names import TEXT, TITLE, fit_model_name, fit_text, gather
from gongfu.thing.report import Report
from gongfu.thing.types import Event, Field, Model, Property, Relation, Service, Titles, Validation
from gongfu.thing.units import ucum

_MAX_DEPTH = 16
_OURS = {
    "name", "dataType", "minimum", "maximum", "unit", "required", "maxLength", "choices", "deadband", "writable",
    "onViolation", "severity", "asynchronous", "many", "abstract",
}  # fmt: skip


def read_environment(content: bytes, report: Report) -> Model:
    """Return the model of an environment in JSON.

    Args:
        content: the file.
        report: hears of what is left out.

    Raises:
        Problem: 400 when it is none, or has no submodel.
    """
    try:
        objects = list(read_aas_json_file(io.BytesIO(content), failsafe=False))
    except Exception as error:  # the SDK raises errors without a common base
        raise invalid(f"not an AAS environment in JSON: {str(error)[:300]}") from None
    submodels = [item for item in objects if isinstance(item, aas.Submodel)]
    shells = [item for item in objects if isinstance(item, aas.AssetAdministrationShell)]
    if not submodels:
        raise invalid("the environment has no submodel")
    shell = shells[0] if shells else None
    for further in shells[1:]:
        report.leave_out(further.id, "a further shell")
    own = next((submodel for submodel in submodels if _semantic(submodel) == SEMANTIC), None)
    if own is not None:
        for other in submodels:
            if other is not own:
                report.leave_out(other.id, "a further submodel")
        return _own(own, shell, report)
    return _foreign(submodels, shell, report)


def _own(submodel: aas.Submodel, shell: aas.AssetAdministrationShell | None, report: Report) -> Model:
    said = _said(submodel)
    groups: dict[str, list[Any]] = {name: [] for name in GROUPS}
    for element in submodel.submodel_element:
        if element.id_short in groups and isinstance(element, aas.SubmodelElementCollection):
            groups[element.id_short] = list(element.value)
        else:
            report.leave_out(str(element.id_short), type(element).__name__)
    validation = {name.partition(".")[2]: value for name, value in said.items() if name.startswith("validation.")}
    return _convert(
        Model(
            name=fit_model_name(str(said.get("name", "")), report, "name"),
            abstract=said.get("abstract") is True,
            titles=_titles(submodel, "", report),
            description=_description(submodel, "", report),
            identifier=_identifier(shell),
            properties=_gather(groups["Properties"], "properties", report, _property),
            events=_gather(groups["Events"], "events", report, _event),
            services=_gather(groups["Services"], "services", report, _service),
            relations=_gather(groups["Relations"], "relations", report, _relation),
            validation=_validation(validation),
        )
    )


def _foreign(submodels: list[aas.Submodel], shell: aas.AssetAdministrationShell | None, report: Report) -> Model:
    properties: list[tuple[str, Any]] = []
    services: list[tuple[str, Any]] = []
    for submodel in submodels:
        prefix = f"{submodel.id_short}." if len(submodels) > 1 else ""
        _walk(submodel.submodel_element, prefix, properties, services, report, 0)
    main = shell or submodels[0]
    name = main.id_short or str(main.id)
    return _convert(
        Model(
            name=fit_model_name(str(name), report, "idShort"),
            titles=_titles(main, "", report),
            description=_description(main, "", report),
            identifier=_identifier(shell),
            properties=gather(properties, "properties", report, lambda item, where: _property(item, where, report)),
            services=gather(services, "services", report, lambda item, where: _service(item, where, report)),
        )
    )


def _walk(
    elements: Iterable[Any],
    prefix: str,
    properties: list[tuple[str, Any]],
    services: list[tuple[str, Any]],
    report: Report,
    depth: int,
) -> None:
    for element in elements:
        name = f"{prefix}{element.id_short}"
        if isinstance(element, (aas.Property, aas.Range)):
            properties.append((name, element))
        elif isinstance(element, aas.Operation):
            services.append((name, element))
        elif isinstance(element, (aas.SubmodelElementCollection, aas.Entity)) and depth < _MAX_DEPTH:
            inside = element.value if isinstance(element, aas.SubmodelElementCollection) else element.statement
            _walk(inside, f"{name}.", properties, services, report, depth + 1)
        else:
            report.leave_out(name, f"a model has no place for a {type(element).__name__}")


def _identifier(shell: aas.AssetAdministrationShell | None) -> str:
    found = (shell.asset_information.global_asset_id or "") if shell is not None else ""
    return "" if name_of_id(found) else found


def _semantic(element: Any) -> str:
    found = element.semantic_id
    return found.key[0].value if found is not None and found.key else ""


def _said(element: Any) -> dict[str, Any]:
    return {qualifier.type: qualifier.value for qualifier in element.qualifier}


def _gather(elements: Iterable[Any], where: str, report: Report, read: Callable[[Any, str, Report], Any]) -> Any:
    named = ((str(_said(element).get("name", element.id_short)), element) for element in elements)
    return gather(named, where, report, lambda element, place: read(element, place, report))


def _titles(element: Any, where: str, report: Report) -> Titles:
    names = dict(element.display_name or {})
    for tag in names.keys() - {"zh", "en"}:
        report.leave_out(f"{where}.displayName.{tag}", "a model has titles in Chinese and English only")
    zh, en = (fit_text(names.get(tag, ""), TITLE, report, f"{where}.displayName") for tag in ("zh", "en"))
    return Titles(zh, en)


def _description(element: Any, where: str, report: Report) -> str:
    texts = dict(element.description or {})
    tag = next((tag for tag in ("zh", "en", *sorted(texts)) if tag in texts), "")
    for other in texts.keys() - {tag}:
        report.leave_out(f"{where}.description.{other}", "a model has one description")
    return fit_text(texts.get(tag, ""), TEXT, report, f"{where}.description")


def _data_type(element: Any, said: dict[str, Any], where: str, report: Report) -> Any:
    kind = element.value_type
    if said.get("dataType") == "json":
        return "json"
    if kind is datatypes.Boolean:
        return "boolean"
    if kind in (datatypes.Double, datatypes.Float, datatypes.Decimal):
        return "double"
    if isinstance(kind, type) and issubclass(kind, int) and kind is not datatypes.Boolean:
        return "int64"
    if kind is not str:
        report.leave_out(f"{where}.valueType", f"{getattr(kind, '__name__', kind)}: taken as string")
    return "string"


def _unit(element: Any, said: dict[str, Any], data_type: str, where: str, report: Report) -> str:
    if data_type not in ("double", "int64"):
        return ""
    text = said.get("unit", "")
    if not text:
        for specification in element.embedded_data_specifications:
            if isinstance(specification.data_specification_content, aas.DataSpecificationIEC61360):
                text = specification.data_specification_content.unit or ""
    return ucum(str(text), {}, f"{where}.unit", report) if text else ""


def _bound(value: Any, data_type: str) -> Any:
    if value is None or data_type not in ("double", "int64"):
        return None
    return int(value) if data_type == "int64" or isinstance(value, int) else float(value)


def _value(element: Any, where: str, report: Report) -> dict[str, Any]:
    said = _said(element)
    for name in said.keys() - _OURS:
        report.leave_out(f"{where}.qualifiers.{name}", "a model has no place for it")
    data_type = _data_type(element, said, where, report)
    is_range = isinstance(element, aas.Range)
    low = element.min if is_range else said.get("minimum")
    high = element.max if is_range else said.get("maximum")
    if not is_range and element.value is not None:
        report.leave_out(f"{where}.value", "a model has no values")
    return {
        "data_type": data_type,
        "unit": _unit(element, said, data_type, where, report),
        "minimum": _bound(low, data_type),
        "maximum": _bound(high, data_type),
        "required": said.get("required") is True,
        "description": _description(element, where, report),
    }


def _property(element: Any, where: str, report: Report) -> Property:
    said = _said(element)
    choices: Any = ()
    if "choices" in said:
        try:
            choices = msgspec.json.decode(str(said["choices"]), type=tuple[str | int | float, ...])
        except msgspec.MsgspecError:
            report.leave_out(f"{where}.choices", "not a list of texts or numbers")
    length = said.get("maxLength")
    return Property(
        **_value(element, where, report),
        max_length=int(length) if isinstance(length, int) else None,
        choices=choices,
        deadband=float(said.get("deadband", 0.0)) if isinstance(said.get("deadband", 0.0), (int, float)) else 0.0,
        writable=said.get("writable") is True,
        on_violation=_policy(said.get("onViolation")),
        titles=_titles(element, where, report),
        semantic=_semantic(element),
    )


def _field(element: Any, where: str, report: Report) -> Field:
    return Field(**_value(element, where, report))


def _event(element: Any, where: str, report: Report) -> Event:
    severity: Any = _said(element).get("severity", "info")
    return Event(
        severity=severity if severity in ("warning", "alarm", "fault") else "info",
        fields=_gather(_variables(element.value, where, report), where, report, _field),
        titles=_titles(element, where, report),
        description=_description(element, where, report),
    )


def _service(element: Any, where: str, report: Report) -> Service:
    for variable in element.in_output_variable:
        report.leave_out(f"{where}.{variable.id_short}", "an in-output variable: taken as input")
    inputs = [*element.input_variable, *element.in_output_variable]
    return Service(
        input=_gather(_variables(inputs, where, report), f"{where}.input", report, _field),
        output=_gather(_variables(element.output_variable, where, report), f"{where}.output", report, _field),
        asynchronous=_said(element).get("asynchronous") is True,
        titles=_titles(element, where, report),
        description=_description(element, where, report),
    )


def _variables(elements: Iterable[Any], where: str, report: Report) -> Iterable[Any]:
    for element in elements:
        if isinstance(element, aas.Property):
            yield element
        else:
            report.leave_out(f"{where}.{element.id_short}", f"a model has no place for a {type(element).__name__}")


def _relation(element: Any, where: str, report: Report) -> Relation:
    return Relation(
        target=str(getattr(element, "value", None) or ""),
        many=_said(element).get("many") is True,
        titles=_titles(element, where, report),
        description=_description(element, where, report),
    )


def _policy(value: Any) -> Any:
    return value if value in ("reject", "uncertain", "accept") else None


def _validation(said: dict[str, Any]) -> Validation:
    try:
        return msgspec.convert(said, Validation)
    except msgspec.ValidationError as error:
        raise invalid(f"validation: {error}") from None


def _convert(model: Model) -> Model:
    """Return a model whose types are checked once more: the SDK's are looser."""
    try:
        return msgspec.convert(msgspec.to_builtins(model), Model)
    except msgspec.ValidationError as error:
        raise invalid(f"AAS: {error}") from None
