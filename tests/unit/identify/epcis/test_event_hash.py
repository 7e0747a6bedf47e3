"""The event hash: against the reference implementation on all files, and its own properties."""

import copy
import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gongfu.identify.epcis.event_hash import event_hash, number_text, pre_hash, utc_milliseconds
from gongfu.identify.epcis.uris import Namespaces
from gongfu.identify.epcis.vocabulary import PREFIXES, TERMS, term
from tests.unit.identify.epcis.corpora import CONTEXT, documents, events_of, needs_corpora

EVENT: dict[str, Any] = {
    "type": "ObjectEvent",
    "eventTime": "2024-03-01T12:00:00.1234+08:00",
    "eventTimeZoneOffset": "+08:00",
    "epcList": ["urn:epc:id:sgtin:4012345.011111.9876", "https://example.com/some/01/04012345111118/21/1"],
    "action": "OBSERVE",
    "bizStep": "shipping",
    "quantityList": [{"epcClass": "urn:epc:class:lgtin:4012345.012345.998877", "quantity": 200.0, "uom": "KGM"}],
    "example:field": "x",
}
RECORDED = Path(__file__).with_name("reference_hashes.json")
NAMESPACES = Namespaces().within({"example": "http://ns.example.com/epcis/"})


def test_the_string_is_the_standards() -> None:
    assert pre_hash(EVENT, NAMESPACES) == (
        "eventType=ObjectEventeventTime=2024-03-01T04:00:00.123ZeventTimeZoneOffset=+08:00epcList"
        "epc=https://id.gs1.org/01/04012345111118/21/1epc=https://id.gs1.org/01/04012345111118/21/9876"
        "quantityListquantityElementepcClass=https://id.gs1.org/01/04012345123456/10/998877quantity=200uom=KGM"
        "action=OBSERVEbizStep=https://ref.gs1.org/cbv/BizStep-shipping{http://ns.example.com/epcis/}field=x"
    )
    assert event_hash(EVENT, NAMESPACES).startswith("ni:///sha-256;")
    assert event_hash(EVENT, NAMESPACES).endswith("?ver=CBV2.0")


@pytest.mark.parametrize(
    "other",
    [
        {"bizStep": "cbv:BizStep-shipping"},
        {"bizStep": "https://ref.gs1.org/cbv/BizStep-shipping"},
        {"bizStep": "urn:epcglobal:cbv:bizstep:shipping"},
        {"eventTime": "2024-03-01T04:00:00.123Z"},
        {"eventTime": "2024-03-01t04:00:00.1225Z"},
        {"eventID": "urn:uuid:1", "recordTime": "2024-03-02T00:00:00Z"},
        {"errorDeclaration": {"declarationTime": "2024-03-02T00:00:00Z"}},
        {"epcList": list(reversed(EVENT["epcList"]))},
        {
            "quantityList": [
                {"uom": "KGM", "quantity": 200, "epcClass": "https://id.gs1.org/01/04012345123456/10/998877"}
            ]
        },
        {"example:field": " x "},
    ],
)
def test_other_words_for_the_same(other: dict[str, Any]) -> None:
    assert pre_hash({**EVENT, **other}, NAMESPACES) == pre_hash(EVENT, NAMESPACES)


def test_other_prefixes_for_the_same_namespace() -> None:
    other = {key: value for key, value in EVENT.items() if key != "example:field"}
    other |= {"@context": [{"e": "http://ns.example.com/epcis/"}], "e:field": "x"}
    assert event_hash(other) == event_hash(EVENT, NAMESPACES)


@pytest.mark.parametrize(
    "other",
    [
        {"action": "ADD"},
        {"eventTimeZoneOffset": "+09:00"},
        {"eventTime": "2024-03-01T12:00:00.124+08:00"},
        {"example:field": "y"},
        {"example:other": "x"},
        {"disposition": "in_transit"},
        {"epcList": EVENT["epcList"][:1]},
    ],
)
def test_other_meaning(other: dict[str, Any]) -> None:
    assert pre_hash({**EVENT, **other}, NAMESPACES) != pre_hash(EVENT, NAMESPACES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("26.0", "26"),
        ("0.50", "0.5"),
        ("+3", "3"),
        ("1_000", "1_000"),
        ("1e3", "1000"),
        ("1e999", "1e999"),
        ("nan", "nan"),
    ],
)
def test_numbers(text: str, expected: str) -> None:
    assert number_text(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-02-29T23:59:59.9995Z", "2024-03-01T00:00:00.000Z"),
        ("1969-12-31T23:59:59.9994Z", "1969-12-31T23:59:59.999Z"),
        ("2005-04-03T20:33:31.116-06:00", "2005-04-04T02:33:31.116Z"),
    ],
)
def test_times(text: str, expected: str) -> None:
    assert utc_milliseconds(text) == expected


_TERM_FIELDS = {
    "bizStep": "bizStep",
    "disposition": "disposition",
    "component": "component",
    "exception": "exception",
    "type": "",
}


def _plain(value: Any, namespaces: Namespaces, field: str = "") -> Any:
    """Return what the reference implementation reads as the standard means it.

    It leaves CURIEs of the standard's own prefixes and unknown measurement types as they are, does not see contexts of
    events, and loses the place of a field that it does not know where the namespace does not end in
    "/". See docs/conformance/epcis.md.
    """
    if isinstance(value, dict):
        if field == "sensorReport":
            value = {key: item for key, item in value.items() if key != "bizRules"}
            if "type" in value:
                value["type"] = namespaces.expanded(term("measurementType", value["type"]))
        return {
            _key(key, namespaces): _plain(item, namespaces, key) for key, item in value.items() if key != "@context"
        }
    if isinstance(value, list):
        return [_plain(item, namespaces, field) for item in value]
    if isinstance(value, str) and namespaces.prefix_of(value):
        return namespaces.expanded(value)
    kind = _TERM_FIELDS.get(field)
    return term(kind, value) if kind and isinstance(value, str) and value in TERMS[kind][1] else value


def _key(key: str, namespaces: Namespaces) -> str:
    split = namespaces.prefix_of(key)
    return f"{_prefix(split[0])}:{split[1]}" if split and key.partition(":")[0] not in PREFIXES else key


def _slashed(context: Any) -> Any:
    if isinstance(context, list):
        return [_slashed(item) for item in context]
    if isinstance(context, dict):
        return {key: uri if uri.endswith("/") else uri + "/" for key, uri in context.items() if key not in PREFIXES}
    return context


def _compared() -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield a name for each event of the corpora, a document for the reference implementation, and our own hash."""
    for name, document in documents(valid=True):
        for place, event in enumerate(copy.deepcopy(events_of(document))):
            if any("type" not in item for item in event.get("bizTransactionList", ())):
                # The reference implementation ends with an IndexError here.
                continue
            context = _slashed([*_list(document["@context"]), *_list(event.get("@context", []))])
            namespaces = Namespaces().within(context)
            declared = {_prefix(uri): uri for uri in namespaces.own().values()}
            whole = {
                "@context": ["https://ref.gs1.org/standards/epcis/epcis-context.jsonld", declared],
                "type": "EPCISDocument",
                "epcisBody": {"eventList": [_plain(event, namespaces)]},
            }
            own = {key: item for key, item in event.items() if key != "@context"}
            yield f"{name}#{place}", whole, event_hash(_without_rules(own), namespaces)


@needs_corpora
def test_all_events_of_the_corpora_hash_as_by_the_reference() -> None:
    """The recorded hashes are what the reference implementation made of the same events; see the test below."""
    recorded = json.loads(RECORDED.read_text())
    ours = {name: value for name, _, value in _compared()}
    assert ours == recorded
    assert len(ours) >= 60


@needs_corpora
def test_the_recorded_hashes_are_the_references() -> None:
    """Runs where somebody has installed the tool: what it needs is not all under a permissive licence."""
    reference = pytest.importorskip("epcis_event_hash_generator.hash_generator")
    reader = pytest.importorskip("epcis_event_hash_generator.json_to_py")
    jsonld = pytest.importorskip("pyld.jsonld")
    standard = json.loads(CONTEXT.read_text())
    jsonld.set_document_loader(
        lambda url, _options=None: {
            "contentType": "application/ld+json",
            "contextUrl": None,
            "documentUrl": url,
            "document": standard,
        }
    )
    logging.getLogger().setLevel(logging.CRITICAL)
    theirs = dict[str, str]()
    for name, whole, _ in _compared():
        reader._namespaces.clear()
        (theirs[name],) = reference.epcis_hashes_from_events(reader.event_list_from_epcis_document_json(whole))
    assert theirs == json.loads(RECORDED.read_text())


def _prefix(uri: str) -> str:
    return "x" + hashlib.sha256(uri.encode()).hexdigest()[:12]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _without_rules(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event without ``bizRules`` in reports, which the reference implementation does not know there."""
    for element in event.get("sensorElementList", ()):
        for report in element.get("sensorReport", ()):
            report.pop("bizRules", None)
    return event
