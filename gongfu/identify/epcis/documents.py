"""Documents: EPCISDocument, EPCISQueryDocument, events on their own, and definitions of queries.

The check is our own: it says where and why, and follows the published JSON schema but where the schema is narrower
than the standard (see ``Finding.remark``).
"""

from typing import Any

from gongfu.identify.epcis import value_rules as of
from gongfu.identify.epcis.event_rules import context, event
from gongfu.identify.epcis.findings import FINE, Finding, Findings, below, fault
from gongfu.identify.epcis.query_rules import query
from gongfu.identify.epcis.vocabulary import EVENT_TYPES

DOCUMENT = "EPCISDocument"
QUERY_DOCUMENT = "EPCISQueryDocument"


def _anything(_value: Any) -> Findings:
    return FINE


def _attribute(value: Any) -> Findings:
    if not isinstance(value, dict):
        return fault("not an object")
    found = of.uri(value["id"]) if "id" in value else fault("id is missing")
    given = value.get("attribute", "")
    if isinstance(given, bool | list) or given is None:
        found = (*found, *fault("neither number, text nor object", "/attribute"))
    return found


def _loose(rules: dict[str, of.Check], required: tuple[str, ...]) -> of.Check:
    """Return the check of an object whose other members are free."""

    def check(value: Any) -> Findings:
        if not isinstance(value, dict):
            return fault("not an object")
        found: list[Finding] = []
        for key, rule in rules.items():
            if key in value:
                found += below(key, rule(value[key]))
        for key in required:
            if key not in value:
                found += fault(f"{key} is missing")
        if of.too_deep(value):
            found += fault(f"nested more than {of.MAX_DEPTH} levels deep")
        return found or FINE

    return check


_vocabularies = of.listed(
    _loose(
        {
            "type": of.uri,
            "vocabularyElementList": of.listed(
                _loose({"id": of.uri, "attributes": of.listed(_attribute), "children": of.listed(of.uri)}, ("id",))
            ),
        },
        ("type",),
    )
)
_header = of.record({"epcisMasterData": _loose({"vocabularyList": _vocabularies}, ())})
_events = of.listed(event)
_HEAD: dict[str, of.Check] = {
    "@context": context,
    "id": of.uri,
    "type": _anything,
    "schemaVersion": of.version,
    "creationDate": of.time,
    "instanceIdentifier": of.text,
    "sender": of.text,
    "receiver": of.text,
    "epcisHeader": _header,
}
_document_head = of.record(
    {**_HEAD, "epcisBody": _anything},
    required=("@context", "type", "schemaVersion", "creationDate", "epcisBody"),
)


def document_head(value: Any) -> Findings:
    """Check an EPCISDocument but for its events."""
    found = _document_head(value)
    if isinstance(value, dict) and "epcisBody" in value:
        body = value["epcisBody"]
        if not isinstance(body, dict):
            found = (*found, *fault("not an object", "/epcisBody"))
        elif "eventList" not in body:
            found = (*found, *fault("eventList is missing", "/epcisBody"))
        elif not isinstance(body["eventList"], list):
            found = (*found, *fault("not a list", "/epcisBody/eventList"))
    return found


_query_document = of.record(
    {
        "@context": context,
        "id": of.uri,
        "type": _anything,
        "schemaVersion": of.version,
        "creationDate": of.time,
        "epcisBody": of.record(
            {
                "queryResults": of.record(
                    {
                        "queryName": of.text,
                        "subscriptionID": of.text,
                        "resultsBody": of.record(
                            {"eventList": _events, "vocabularyList": _vocabularies}, required=("eventList",)
                        ),
                    },
                    required=("queryName", "resultsBody"),
                )
            },
            required=("queryResults",),
        ),
    },
    required=("@context", "type", "epcisBody"),
)


def findings(value: Any) -> Findings:
    """Check a document of any kind, whole.

    What has no ``type`` is taken for a definition of a query; what has one of an event must have a ``@context``.
    """
    if not isinstance(value, dict):
        return fault("not a JSON object")
    kind = value.get("type")
    if kind is None:
        return query(value)
    if kind == DOCUMENT:
        found = list(document_head(value))
        body = value.get("epcisBody")
        if isinstance(body, dict) and isinstance(body.get("eventList"), list):
            found += below("epcisBody", below("eventList", _events(body["eventList"])))
        return found
    if kind == QUERY_DOCUMENT:
        return _query_document(value)
    found = list(event(value))
    if "@context" not in value:
        found += fault("@context is missing: an event on its own needs it")
    return found


def kind_of(value: Any) -> str:
    """Return what a document is, for messages."""
    kind = value.get("type") if isinstance(value, dict) else None
    if kind in (DOCUMENT, QUERY_DOCUMENT):
        return str(kind)
    return ("event" if kind in EVENT_TYPES else "other") if kind is not None else "query"
