"""Parameters of the simple event query (EPCIS 2.0 §8.2.7.1): which there are, and which values they take."""

import re
from typing import Any, Final, NamedTuple

from gongfu.identify.epcis import value_rules as of
from gongfu.identify.epcis.event_rules import context
from gongfu.identify.epcis.findings import FINE, Check, Finding, Findings, below, fault
from gongfu.identify.epcis.uris import is_uri
from gongfu.identify.epcis.vocabulary import EVENT_TYPES

MAX_VALUES = 1000
MAX_PER_PAGE = 1000
MAX_EVENTS = 100_000


class Parameter(NamedTuple):
    """What a parameter's name says.

    Attributes:
        operator: EQ, GT, GE, LT, LE, MATCH, WD, EXISTS, HASATTR or EQATTR.
        place: where the field stands: "" for the event itself, or such as ``readPoint``, ``ILMD``, ``SENSORREPORT``.
        field: its name.
        detail: unit, type of transaction, source or destination, or name of an attribute.
        inner: the field may stand at any depth.
        extension: the field is of another vocabulary.
    """

    operator: str
    place: str
    field: str
    detail: str = ""
    inner: bool = False
    extension: bool = False


def _event_type(value: Any) -> Findings:
    if isinstance(value, str) and (value in EVENT_TYPES or is_uri(value)):
        return FINE
    return fault(f"{str(value)[:40]!r} is not a type of event")


def _scalar(value: Any) -> Findings:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return fault("neither a text nor a number")
    return FINE


def _exists(value: Any) -> Findings:
    return FINE if value is None or (isinstance(value, int) and not isinstance(value, bool)) else fault("no value here")


def _ordered(value: Any) -> Findings:
    """Check what is compared by size: a number or a date-time."""
    return of.time(value) if isinstance(value, str) else of.number(value)


def _positive(most: int) -> Check:
    def check(value: Any) -> Findings:
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
            return FINE
        return fault(f"not a whole number from 1 to {most}")

    return check


def _many(check: Check) -> Check:
    return of.listed(check, most=MAX_VALUES)


def _term(check: Check) -> Check:
    """Return the check of a term in a query, where web URIs and URNs of the CBV are terms as well."""
    return _many(lambda value: FINE if isinstance(value, str) and is_uri(value) else check(value))


_uris, _texts, _numbers = _many(of.uri), _many(of.text), _many(of.number)

_FIELDS: Final[dict[str, tuple[Parameter, Check]]] = {
    "eventType": (Parameter("EQ", "", "type"), _many(_event_type)),
    "EQ_action": (Parameter("EQ", "", "action"), _many(of.action)),
    "EQ_bizStep": (Parameter("EQ", "", "bizStep"), _term(of.biz_step)),
    "EQ_disposition": (Parameter("EQ", "", "disposition"), _term(of.disposition)),
    "EQ_persistentDisposition_set": (Parameter("EQ", "persistentDisposition", "set"), _term(of.disposition)),
    "EQ_persistentDisposition_unset": (Parameter("EQ", "persistentDisposition", "unset"), _term(of.disposition)),
    "EQ_transformationID": (Parameter("EQ", "", "transformationID"), _uris),
    "EQ_eventID": (Parameter("EQ", "", "eventID"), _uris),
    "EQ_errorReason": (Parameter("EQ", "errorDeclaration", "reason"), _term(of.error_reason)),
    "EQ_correctiveEventID": (Parameter("EQ", "errorDeclaration", "correctiveEventIDs"), _uris),
    "EXISTS_errorDeclaration": (Parameter("EXISTS", "", "errorDeclaration"), _exists),
    "EXISTS_sensorElementList": (Parameter("EXISTS", "", "sensorElementList"), _exists),
    "EQ_type": (Parameter("EQ", "sensorReport", "type"), _term(of.measurement_type)),
    "EQ_booleanValue": (Parameter("EQ", "sensorReport", "booleanValue"), of.boolean),
    "EQ_bizRules": (Parameter("EQ", "sensor", "bizRules"), _uris),
    "EQ_percRank": (Parameter("EQ", "sensorReport", "percRank"), _numbers),
    "EQ_quantity": (Parameter("EQ", "quantity", "quantity"), _numbers),
}
for _name in ("readPoint", "bizLocation"):
    for _operator in ("EQ", "WD"):
        _FIELDS[f"{_operator}_{_name}"] = (Parameter(_operator, "", _name), _uris)
for _name in (
    ["epc", "parentID", "inputEPC", "outputEPC", "anyEPC", "epcClass", "inputEPCClass", "outputEPCClass", "anyEPCClass"]
):  # fmt: skip
    _FIELDS[f"MATCH_{_name}"] = (Parameter("MATCH", "", _name), _uris)
for _operator in ("GE", "LT"):
    for _name in ("eventTime", "recordTime"):
        _FIELDS[f"{_operator}_{_name}"] = (Parameter(_operator, "", _name), of.time)
    for _name in ("time", "startTime", "endTime"):
        _FIELDS[f"{_operator}_{_name}"] = (Parameter(_operator, "sensor", _name), of.time)
    for _name in ("errorDeclarationTime", "errorDeclaration_Time"):
        _FIELDS[f"{_operator}_{_name}"] = (Parameter(_operator, "errorDeclaration", "declarationTime"), of.time)
for _operator in ("GT", "GE", "LT", "LE"):
    _FIELDS[f"{_operator}_percRank"] = (Parameter(_operator, "sensorReport", "percRank"), of.number)
    _FIELDS[f"{_operator}_quantity"] = (Parameter(_operator, "quantity", "quantity"), of.number)
for _name in ("deviceID", "dataProcessingMethod"):
    _FIELDS[f"EQ_{_name}"] = (Parameter("EQ", "sensor", _name), _uris)
for _name in ("microorganism", "chemicalSubstance", "uriValue"):
    _FIELDS[f"EQ_{_name}"] = (Parameter("EQ", "sensorReport", _name), _uris)
for _name in ("stringValue", "hexBinaryValue"):
    _FIELDS[f"EQ_{_name}"] = (Parameter("EQ", "sensorReport", _name), _texts)

_UNIT = re.compile(
    r"(EQ|GT|GE|LT|LE)_(value|minValue|maxValue|meanValue|sDev|percValue|quantity)_([A-Z0-9]{2,4})", re.ASCII
)
_TYPED = re.compile(r"EQ_(bizTransaction|source|destination)_(.+)")
_EXTENSION = re.compile(
    r"(EQ|GT|GE|LT|LE|EXISTS)_(INNER_)?"
    r"(?:(ILMD|SENSORELEMENT|SENSORMETADATA|SENSORREPORT|ERROR_DECLARATION|readPoint|bizLocation)_)?(.+)"
)
_HAS_ATTRIBUTE = re.compile(r"HASATTR_(.+)")
_EQ_ATTRIBUTE = re.compile(r"(?:EQATTR|EQ_ATTR)_([^_]+?)_(.+)")
# Fields whose values are names with master data.
_WITH_MASTER_DATA: Final = frozenset(("readPoint", "bizLocation", "bizStep", "disposition", "parentID", "epcClass"))


def parameter(name: str) -> tuple[Parameter, Check] | None:
    """Return what a parameter asks for and the check of its value; None for none that there is."""
    if fixed := _FIELDS.get(name):
        return fixed
    if match := _UNIT.fullmatch(name):
        operator, field, unit = match.groups()
        place = "quantity" if field == "quantity" else "sensorReport"
        return Parameter(operator, place, field, unit), _numbers if operator == "EQ" else of.number
    if match := _TYPED.fullmatch(name):
        return Parameter("EQ", match[1], match[1], match[2]), _uris
    if (match := _EXTENSION.fullmatch(name)) and ":" in match[4] and is_uri(match[4]):
        operator, inner, place, field = match.groups()
        check = _exists if operator == "EXISTS" else (_eq_values if operator == "EQ" else _ordered)
        return Parameter(operator, place or "", field, "", bool(inner), True), check
    if (match := _HAS_ATTRIBUTE.fullmatch(name)) and match[1] in _WITH_MASTER_DATA:
        return Parameter("HASATTR", "", match[1]), _texts
    if (match := _EQ_ATTRIBUTE.fullmatch(name)) and match[1] in _WITH_MASTER_DATA:
        return Parameter("EQATTR", "", match[1], match[2]), _texts
    return None


def _eq_values(value: Any) -> Findings:
    return _many(_scalar)(value) if isinstance(value, list) else _scalar(value)


def order_field(value: Any) -> Findings:
    """Check what results may be ordered by."""
    if isinstance(value, str) and (
        value in ("eventTime", "recordTime", "quantity") or (":" in value and is_uri(value))
    ):
        return FINE
    return fault("results are ordered by eventTime, recordTime, quantity or an extension field")


def _direction(value: Any) -> Findings:
    return FINE if value in ("ASC", "DESC") else fault(f"{str(value)[:40]!r} is neither ASC nor DESC")


CONTROLS: Final[dict[str, Check]] = {
    "orderBy": order_field,
    "orderDirection": _direction,
    "eventCountLimit": _positive(MAX_EVENTS),
    "maxEventCount": _positive(MAX_EVENTS),
    "perPage": _positive(MAX_PER_PAGE),
    "nextPageToken": of.text,
    "@context": context,
}


def query(value: Any) -> Findings:
    """Check the definition of a query: an object of parameters."""
    if not isinstance(value, dict):
        return fault("not an object of query parameters")
    found: list[Finding] = []
    for name, given in value.items():
        check = CONTROLS.get(name)
        if check is None and (known := parameter(name)):
            check = known[1]
        found += below(name, check(given) if check else fault("no query parameter has this name"))
    if "eventCountLimit" in value and "maxEventCount" in value:
        found += fault("eventCountLimit and maxEventCount cannot both be given")
    return found or FINE
