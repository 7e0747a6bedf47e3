"""What an event must be: the five types of EPCIS 2.0 §7.4, and events of other vocabularies."""

from collections.abc import Callable
from typing import Any

from gongfu.identify.epcis import value_rules as of
from gongfu.identify.epcis.findings import FINE, Check, Finding, Findings, below, fault
from gongfu.identify.epcis.uris import is_uri


def _anything(_value: Any) -> Findings:
    return FINE


def context(value: Any) -> Findings:
    """Check a ``@context``: an address, an object, or a list of both."""
    if isinstance(value, list):
        return of.listed(_context_part, unique=True, most=100)(value)
    return _context_part(value)


def _context_part(value: Any) -> Findings:
    if isinstance(value, dict):
        return fault(f"nested more than {of.MAX_DEPTH} levels deep") if of.too_deep(value) else FINE
    return of.uri(value) if isinstance(value, str) else fault("neither an address nor an object")


def _place(value: Any) -> Findings:
    if not isinstance(value, dict):
        return fault("not an object with an id")
    if "id" not in value:
        return fault("id is missing")
    if len(value) > 1 and of.too_deep(value):
        return fault(f"nested more than {of.MAX_DEPTH} levels deep")
    wrong = of.uri(value["id"])
    return below("id", wrong) if wrong else FINE


_quantities = of.listed(
    of.record(
        {"epcClass": of.uri, "quantity": of.number, "uom": of.unit},
        required=("epcClass",),
        extensions=False,
        named="field of a quantity",
    )
)
_epcs = of.listed(of.uri)
_unique_epcs = of.listed(of.uri, unique=True)
_transactions = of.listed(
    of.record(
        {"type": of.biz_transaction_type, "bizTransaction": of.uri}, required=("bizTransaction",), extensions=False
    )
)
_sources = of.listed(
    of.record({"type": of.party_type, "source": of.uri}, required=("type", "source"), extensions=False)
)
_destinations = of.listed(
    of.record({"type": of.party_type, "destination": of.uri}, required=("type", "destination"), extensions=False)
)
_dispositions = of.listed(of.disposition, least=1, unique=True)
_persistent_fields = of.record({"set": _dispositions, "unset": _dispositions}, extensions=False)


def _persistent_disposition(value: Any) -> Findings:
    found = _persistent_fields(value)
    return found or (FINE if "set" in value or "unset" in value else fault("set or unset is missing"))


_error_declaration = of.record(
    {
        "declarationTime": of.time,
        "reason": of.error_reason,
        "correctiveEventIDs": of.listed(of.uri),
    },
    required=("declarationTime",),
)
_metadata = of.record(
    {
        "time": of.time,
        "startTime": of.time,
        "endTime": of.time,
        "deviceID": of.uri,
        "deviceMetadata": of.uri,
        "rawData": of.uri,
        "dataProcessingMethod": of.uri,
        "bizRules": of.uri,
    }
)
_report_fields = of.record(
    {
        "type": of.measurement_type,
        "exception": of.alert_type,
        "component": of.component,
        "time": of.time,
        **dict.fromkeys(
            [
                "deviceID",
                "deviceMetadata",
                "rawData",
                "dataProcessingMethod",
                "bizRules",
                "microorganism",
                "chemicalSubstance",
                "coordinateReferenceSystem",
                "uriValue",
            ],
            of.uri,
        ),
        **dict.fromkeys(["value", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue"], of.number),
        "stringValue": of.text,
        "booleanValue": of.boolean,
        "hexBinaryValue": of.hexadecimal,
        "uom": of.text,
    }
)


def _report(value: Any) -> Findings:
    found = _report_fields(value)
    if isinstance(value, dict) and "type" not in value:
        if "exception" in value:
            reason = "type is missing: the EPCIS schema wants it, though an exception needs no measurement"
            return (*found, Finding("", reason, True))
        return (*found, *fault("type is missing"))
    return found


_sensor_elements = of.listed(
    of.record({"sensorMetadata": _metadata, "sensorReport": of.listed(_report, least=1)}, required=("sensorReport",))
)
_ilmd = of.record({}, named="field of ilmd")

_COMMON: dict[str, Check] = {
    "type": _anything,
    "@context": context,
    "eventTime": of.time,
    "recordTime": of.time,
    "eventTimeZoneOffset": of.zone_offset,
    "eventID": of.uri,
    "certificationInfo": of.one_or_list(of.uri),
    "errorDeclaration": _error_declaration,
}
_STEP: dict[str, Check] = {
    "bizStep": of.biz_step,
    "disposition": of.disposition,
    "readPoint": _place,
    "bizLocation": _place,
    "bizTransactionList": _transactions,
    "sourceList": _sources,
    "destinationList": _destinations,
    "sensorElementList": _sensor_elements,
}
_HAPPENED = ("eventTime", "eventTimeZoneOffset")
_CHILDREN: dict[str, Check] = {
    **_COMMON,
    **_STEP,
    "parentID": of.uri,
    "childEPCs": _epcs,
    "childQuantityList": _quantities,
    "action": of.action,
}
_object_fields = of.record(
    {
        **_COMMON,
        **_STEP,
        "epcList": _unique_epcs,
        "quantityList": _quantities,
        "action": of.action,
        "persistentDisposition": _persistent_disposition,
        "ilmd": _ilmd,
    },
    required=(*_HAPPENED, "action"),
)
_aggregation_fields = of.record(_CHILDREN, required=(*_HAPPENED, "action"))
_association_fields = of.record(_CHILDREN, required=(*_HAPPENED, "action", "parentID"))
_transaction_fields = of.record(
    {
        **_COMMON,
        **_STEP,
        "parentID": of.uri,
        "epcList": _epcs,
        "quantityList": _quantities,
        "action": of.action,
    },
    required=(*_HAPPENED, "action", "bizTransactionList"),
)
_transformation_fields = of.record(
    {
        **_COMMON,
        **_STEP,
        "inputEPCList": _unique_epcs,
        "inputQuantityList": _quantities,
        "outputEPCList": _unique_epcs,
        "outputQuantityList": _quantities,
        "transformationID": of.uri,
        "persistentDisposition": _persistent_disposition,
        "ilmd": _ilmd,
    },
    required=_HAPPENED,
)
_common_checks = _COMMON


def _object_event(event: dict[str, Any]) -> Findings:
    found = _object_fields(event)
    if (
        "epcList" not in event
        and not event.get("quantityList")
        and not (event.get("sensorElementList") and "readPoint" in event)
    ):
        found = (*found, *fault("it names no thing: epcList, quantityList, or sensorElementList with readPoint"))
    if "ilmd" in event and event.get("action") in ("OBSERVE", "DELETE"):
        found = (*found, *fault("instance and lot master data are given only where things are made (ADD)", "/ilmd"))
    return found


def _children_event(fields: Check) -> Callable[[dict[str, Any]], Findings]:
    def check(event: dict[str, Any]) -> Findings:
        found = fields(event)
        if event.get("action") != "DELETE" and not event.get("childEPCs") and not event.get("childQuantityList"):
            found = (*found, *fault("it names no child: childEPCs or childQuantityList"))
        return found

    return check


def _transaction_event(event: dict[str, Any]) -> Findings:
    found = _transaction_fields(event)
    if event.get("action") != "DELETE" and "epcList" not in event and not event.get("quantityList"):
        found = (*found, *fault("it names no thing: epcList or quantityList"))
    if event.get("bizTransactionList") == []:
        found = (*found, *fault("at least one business transaction is needed", "/bizTransactionList"))
    return found


def _transformation_event(event: dict[str, Any]) -> Findings:
    found = _transformation_fields(event)
    took = event.get("inputEPCList") or event.get("inputQuantityList")
    gave = event.get("outputEPCList") or event.get("outputQuantityList")
    if not (took and gave) and not ((took or gave) and "transformationID" in event):
        found = (*found, *fault("it names no inputs and outputs; one side is enough only with a transformationID"))
    return found


def _event_of_other_vocabulary(event: dict[str, Any]) -> Findings:
    """Check an event whose type is no standard one: only what all events have is known of it."""
    found: list[Finding] = []
    for key, rule in _common_checks.items():
        if key in event:
            found += [Finding(f"/{key}{path}", reason, remark) for path, reason, remark in rule(event[key])]
    for key in _HAPPENED:
        if key not in event:
            found += fault(f"{key} is missing")
    if of.too_deep(event):
        found += fault(f"nested more than {of.MAX_DEPTH} levels deep")
    return found


_BY_TYPE: dict[str, Callable[[dict[str, Any]], Findings]] = {
    "ObjectEvent": _object_event,
    "AggregationEvent": _children_event(_aggregation_fields),
    "AssociationEvent": _children_event(_association_fields),
    "TransactionEvent": _transaction_event,
    "TransformationEvent": _transformation_event,
}


def event(value: Any) -> Findings:
    """Check an event as it stands in a list of events; on its own it needs a ``@context`` besides."""
    if not isinstance(value, dict):
        return fault("not an object")
    kind = value.get("type")
    if not isinstance(kind, str):
        return fault("type is missing" if "type" not in value else "not a text", "" if "type" not in value else "/type")
    check = _BY_TYPE.get(kind)
    if check is not None:
        return check(value)
    if not is_uri(kind):
        return fault(f"{kind[:80]!r} is not a type of event, nor a URI of another vocabulary", "/type")
    return _event_of_other_vocabulary(value)
