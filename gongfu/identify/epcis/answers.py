"""Answers to queries: EPCISQueryDocument of stored events, with the contexts they came with."""

from collections.abc import Sequence
from typing import Any

import orjson

from gongfu.identify.epcis.rows import StoredEvent
from gongfu.identify.epcis.store import EventStore
from gongfu.identify.epcis.vocabulary import CONTEXT


def query_document(
    store: EventStore, events: Sequence[StoredEvent], *, created: str, query_name: str, subscription: str = ""
) -> bytes:
    """Return the document that answers a query.

    Prefixes of the events' own contexts are declared once; where two events use one prefix for two namespaces, each
    event that is not alone with it carries its own ``@context``.

    Args:
        store: where the contexts are.
        events: in order.
        created: RFC 3339.
        query_name: name of the query.
        subscription: its identifier, where it answers one.
    """
    common, own = _contexts(store, events)
    listed = [_with_context(event, own[event.context]) if event.context in own else event.document for event in events]
    head = orjson.dumps(
        {
            "@context": [CONTEXT, *([common] if common else [])],
            "type": "EPCISQueryDocument",
            "schemaVersion": "2.0",
            "creationDate": created,
        }
    )
    results = orjson.dumps({**({"subscriptionID": subscription} if subscription else {}), "queryName": query_name})
    return b"".join(
        (
            head[:-1],
            b',"epcisBody":{"queryResults":',
            results[:-1],
            b',"resultsBody":{"eventList":[',
            b",".join(listed),
            b"]}}}}",
        )
    )


def one_event(store: EventStore, event: StoredEvent) -> bytes:
    """Return an event on its own, with its context."""
    value = orjson.loads(event.document)
    declared = [*_declared(store, event.context), *_listed(value.get("@context", []))]
    return orjson.dumps({**value, "@context": [CONTEXT, *declared]})


def _listed(context: Any) -> list[Any]:
    return context if isinstance(context, list) else [context]


def _declared(store: EventStore, context: int) -> list[dict[str, Any]]:
    """Return the objects of a context; the addresses beside them are those of the standard, or not fetched here."""
    return [item for item in _listed(store.context(context)[0]) if isinstance(item, dict)]


def _contexts(
    store: EventStore, events: Sequence[StoredEvent]
) -> tuple[dict[str, Any], dict[int, list[dict[str, Any]]]]:
    """Return what is declared for all, and what those contexts declare for themselves that do not agree with it."""
    common: dict[str, Any] = {}
    own: dict[int, list[dict[str, Any]]] = {}
    for context in dict.fromkeys(event.context for event in events):
        declared = _declared(store, context)
        merged = {key: value for item in declared for key, value in item.items()}
        if any(key in common and common[key] != value for key, value in merged.items()):
            own[context] = declared
        else:
            common.update(merged)
    return common, own


def _with_context(event: StoredEvent, declared: list[dict[str, Any]]) -> bytes:
    value = orjson.loads(event.document)
    return orjson.dumps({**value, "@context": [*declared, *_listed(value.get("@context", []))]})
