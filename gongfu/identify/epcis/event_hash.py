"""The event hash of CBV 2.0 §8.9: one identifier of an event, however it was written.

The pre-hash string has the fields in the standard's order, lists sorted, times in UTC with milliseconds, numbers
without needless zeros, terms and GS1 keys as canonical web URIs; ``eventID``, ``recordTime`` and ``errorDeclaration``
take no part. Where the standard's text leaves room we follow the reference implementation's results
(docs/conformance/epcis.md names the places where it does not follow itself).
"""

import hashlib
import re
from typing import Any, Final

from gongfu.identify.epcis.things import canonical
from gongfu.identify.epcis.uris import Namespaces, time_ns, time_text
from gongfu.identify.epcis.vocabulary import TERMS, term, web_uri

_MILLISECOND = 1_000_000
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_IGNORED: Final = frozenset(("type", "@context", "eventID", "recordTime", "errorDeclaration", "comment"))
_IGNORED_WITHIN: Final = frozenset(("comment", "rdfs:comment", "#text", "@context"))
_FIRST: Final = ("eventTime", "eventTimeZoneOffset", "certificationInfo", "parentID", "epcList", "inputEPCList")
_ORDER: Final = (
    *_FIRST,
    "childEPCs",
    "quantityList",
    "childQuantityList",
    "inputQuantityList",
    "outputEPCList",
    "outputQuantityList",
    "action",
    "transformationID",
    "bizStep",
    "disposition",
    "persistentDisposition",
    "readPoint",
    "bizLocation",
    "sensorElementList",
)
_EPCS: Final = frozenset(("epcList", "inputEPCList", "childEPCs", "outputEPCList"))
_QUANTITIES: Final = frozenset(("quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList"))
_PAIRS: Final = {
    "bizTransactionList": ("bizTransaction", "bizTransactionType"),
    "sourceList": ("source", "partyType"),
    "destinationList": ("destination", "partyType"),
}
_TIMES: Final = frozenset(("time", "startTime", "endTime", "eventTime"))
_METADATA: Final = (
    ["time", "startTime", "endTime", "deviceID", "deviceMetadata", "rawData", "dataProcessingMethod", "bizRules"]
)  # fmt: skip
_REPORT: Final = [
    "type",
    "exception",
    "deviceID",
    "deviceMetadata",
    "rawData",
    "dataProcessingMethod",
    "time",
    "microorganism",
    "chemicalSubstance",
    "value",
    "component",
    "stringValue",
    "booleanValue",
    "hexBinaryValue",
    "uriValue",
    "minValue",
    "maxValue",
    "meanValue",
    "sDev",
    "percRank",
    "percValue",
    "uom",
    "coordinateReferenceSystem",
]
_REPORT_TERMS: Final = {"type": "measurementType", "exception": "exception", "component": "component"}
_STANDARD: Final = Namespaces()


def event_hash(event: dict[str, Any], namespaces: Namespaces = _STANDARD) -> str:
    """Return the hash of a valid event as a named-information URI (RFC 6920)."""
    digest = hashlib.sha256(pre_hash(event, namespaces).encode()).hexdigest()
    return f"ni:///sha-256;{digest}?ver=CBV2.0"


def pre_hash(event: dict[str, Any], namespaces: Namespaces = _STANDARD) -> str:
    """Return the pre-hash string of a valid event.

    Args:
        event: as it stands in a list of events.
        namespaces: in force where it stood; its own ``@context`` is added here.
    """
    if "@context" in event:
        namespaces = namespaces.within(event["@context"])
    writer = _Writer(namespaces)
    parts = ["eventType=", namespaces.expanded(event["type"])]
    parts += [writer.ordered(name, event[name]) for name in _ORDER if name in event]
    rest: list[str] = []
    for name, value in event.items():
        if name in _PAIRS:
            rest.append(writer.pairs(name, value))
        elif name not in _ORDER and name not in _IGNORED:
            rest += writer.free(name, value)
    return "".join(parts) + "".join(sorted(filter(None, rest)))


class _Writer:
    """Writes fields with the namespaces of one event."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces

    def ordered(self, name: str, value: Any) -> str:
        """Write a field of the standard's order; nothing where it is empty."""
        if name in _EPCS:
            inner = sorted(["epc=" + self.value(item) for item in value])
        elif name in _QUANTITIES:
            inner = sorted(["quantityElement" + self._fields(item, ("epcClass", "quantity", "uom")) for item in value])
        elif name in ("bizStep", "disposition"):
            return f"{name}={self.term(name, value)}"
        elif name == "persistentDisposition":
            inner = [
                f"{key}={uri}"
                for key in ("set", "unset")
                for uri in sorted([self.term("disposition", item) for item in value.get(key, ())])
            ]
        elif name in ("readPoint", "bizLocation"):
            inner = [self._fields(value, ("id",))]
        elif name == "sensorElementList":
            inner = sorted([self._sensor_element(item) for item in value])
        elif name == "certificationInfo" and isinstance(value, list):
            return "".join(sorted([f"{name}={self.value(item)}" for item in value]))
        else:
            return self._leaf(name, value)
        return name + "".join(inner) if any(inner) else ""

    def pairs(self, name: str, value: list[dict[str, Any]]) -> str:
        """Write a list of business transactions, sources or destinations: type first."""
        key, kind = _PAIRS[name]
        inner = [
            (f"type={self.term(kind, item['type'])}" if "type" in item else "") + f"{key}={self.value(item[key])}"
            for item in value
        ]
        return name + "".join(sorted(inner)) if inner else ""

    def free(self, name: str, value: Any) -> list[str]:
        """Write ilmd or an extension: one text for each element of a list."""
        name = self._name(name)
        return [name + self._content(item) for item in (value if isinstance(value, list) else (value,))]

    def _content(self, value: Any) -> str:
        if isinstance(value, dict):
            inner = [text for key, item in value.items() if key not in _IGNORED_WITHIN for text in self.free(key, item)]
            own = self.value(value["#text"]) if "#text" in value else ""
            return ("=" + own if own else "") + "".join(sorted(inner))
        if isinstance(value, list):
            return "".join(sorted([self._content(item) for item in value]))
        text = self.value(value)
        return "=" + text if text else ""

    def _sensor_element(self, element: dict[str, Any]) -> str:
        metadata = element.get("sensorMetadata")
        text = "sensorMetadata" + self._fields(metadata, _METADATA) if metadata else ""
        reports = sorted(["sensorReport" + self._fields(item, _REPORT) for item in element.get("sensorReport", ())])
        return "sensorElement" + text + "".join(reports) + self._extensions(element, ("sensorMetadata", "sensorReport"))

    def _fields(self, record: dict[str, Any], order: Any) -> str:
        """Write the members of an object in order, and behind them its extensions."""
        parts: list[str] = []
        for name in order:
            if name in record:
                kind = _REPORT_TERMS.get(name) if order is _REPORT else None
                parts.append(f"{name}={self.term(kind, record[name])}" if kind else self._leaf(name, record[name]))
        return "".join(parts) + self._extensions(record, order)

    def _extensions(self, record: dict[str, Any], known: Any) -> str:
        if len(record) == 1 and next(iter(record)) in known:
            return ""
        return "".join(
            sorted(
                [
                    text
                    for name, value in record.items()
                    if name not in known and name not in _IGNORED_WITHIN
                    for text in self.free(name, value)
                ]
            )
        )

    def _leaf(self, name: str, value: Any) -> str:
        if name in _TIMES:
            return f"{name}={utc_milliseconds(value)}"
        text = self.value(value)
        return f"{name}={text}" if text else ""

    def _name(self, name: str) -> str:
        if name.partition(":")[0] in ("cbvmda", "cbv", "gs1"):
            return name
        split = self._namespaces.prefix_of(name)
        return f"{{{split[0]}}}{split[1]}" if split else name

    def term(self, kind: str, text: str) -> str:
        """Write a term of the vocabulary, or a URI of another."""
        return term(kind, text) if text in TERMS[kind][1] else self.value(term(kind, text))

    def value(self, value: Any) -> str:
        """Write a single value."""
        if not isinstance(value, str):
            return number_text(str(value))
        text = value.strip()
        if ":" in text:
            return canonical(web_uri(self._namespaces.expanded(text)))
        return number_text(text)


def number_text(text: str) -> str:
    """Return a number without needless zeros; other texts stay."""
    if not _NUMBER.fullmatch(text):
        return text
    value = float(text)
    if value in (float("inf"), float("-inf")):
        return text
    return str(int(value)) if value == int(value) else str(value)


def utc_milliseconds(text: str) -> str:
    """Return a time in UTC with milliseconds, half rounded up."""
    return time_text((time_ns(text) + _MILLISECOND // 2) // _MILLISECOND * _MILLISECOND)
