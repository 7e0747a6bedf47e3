"""Named queries and their subscriptions, as they are stored."""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from gongfu.identify.epcis import rows
from gongfu.identify.epcis.query import Query, parse_query
from gongfu.identify.epcis.store import EventStore

SIMPLE_EVENT_QUERY: Final = "SimpleEventQuery"
_RESERVED: Final = (SIMPLE_EVENT_QUERY, "SimpleMasterDataQuery")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}", re.ASCII)
MAX_QUERIES: Final = 10_000
MAX_SUBSCRIPTIONS: Final = 256
# What makes no sense for results that come bit by bit.
_NOT_SUBSCRIBED: Final = ("orderBy", "orderDirection", "eventCountLimit", "maxEventCount", "perPage", "nextPageToken")


class NamedQuery(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A query that is kept under a name.

    Attributes:
        name: of the query.
        created_at: RFC 3339.
        query: parameters by name.
        owner: who made it.
    """

    name: str
    created_at: str
    query: dict[str, Any]
    owner: str = ""

    def parsed(self) -> Query:
        """Return the query."""
        return parse_query(self.query)


class Subscription(msgspec.Struct, frozen=True, gc=False):
    """A subscription to a named query.

    Attributes:
        name: its identifier.
        query_name: of the query.
        created_at: RFC 3339.
        dest: URL that results are posted to.
        signature_token: secret of the receiver, of which bodies are signed; never shown.
        report_if_empty: a scheduled run without a result is told.
        schedule: when it runs; None for as soon as there is something.
        position: number of the newest event that was looked at and, if it matched, delivered.
        sending_to: number up to which the delivery in hand goes; 0 without one.
        attempts: of the delivery in hand.
        state: ``active``, or ``failed`` after the last attempt: then nothing is sent until it is resumed.
        last_notified_at: RFC 3339.
        last_error: why the last attempt failed.
        delivered: events that were delivered.
        owner: who made it.
    """

    name: str
    query_name: str
    created_at: str
    dest: str
    signature_token: str = ""
    report_if_empty: bool = False
    schedule: dict[str, Any] | None = None
    position: int = 0
    sending_to: int = 0
    attempts: int = 0
    state: str = "active"
    last_notified_at: str = ""
    last_error: str = ""
    delivered: int = 0
    owner: str = ""

    def document(self) -> dict[str, Any]:
        """Return what is shown of it."""
        return {
            "subscriptionID": self.name,
            "queryName": self.query_name,
            "createdAt": self.created_at,
            "dest": self.dest,
            "reportIfEmpty": self.report_if_empty,
            **({"schedule": self.schedule} if self.schedule is not None else {"stream": True}),
            "signed": bool(self.signature_token),
            "state": self.state,
            "delivered": self.delivered,
            "attempts": self.attempts,
            **({"lastNotifiedAt": self.last_notified_at} if self.last_notified_at else {}),
            **({"lastError": self.last_error} if self.last_error else {}),
        }


def check_name(name: Any) -> str:
    """Return the name of a query.

    Raises:
        ValueError: it may not have this name.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError("a name has up to 100 letters, digits, '.', '_' and '-', the first a letter or digit")
    if name in _RESERVED:
        raise ValueError(f"{name} is the standard's own")
    return name


def subscribable(query: NamedQuery) -> None:
    """Check that a query may be subscribed to.

    Raises:
        ValueError: it may not.
    """
    for name in _NOT_SUBSCRIBED:
        if name in query.query:
            raise ValueError(f"a query with {name} cannot be subscribed to")


def _query_key(name: str) -> bytes:
    return rows.QUERY + name.encode()


def _subscription_key(query_name: str, name: str) -> bytes:
    return rows.SUBSCRIPTION + query_name.encode() + b"\0" + name.encode()


def find_query(store: EventStore, name: str) -> NamedQuery | None:
    """Return a named query."""
    row = store.row(_query_key(name))
    return msgspec.json.decode(row, type=NamedQuery) if row is not None else None


def queries_after(store: EventStore, after: str = "") -> Iterator[NamedQuery]:
    """Yield named queries behind a name, by name."""
    start = _query_key(after) + b"\0" if after else rows.QUERY
    for _, row in store.rows_from(rows.QUERY, start):
        yield msgspec.json.decode(row, type=NamedQuery)


def save_query(store: EventStore, query: NamedQuery) -> None:
    """Write a named query; on the disk when this returns."""
    store.write([(_query_key(query.name), msgspec.json.encode(query))])


def remove_query(store: EventStore, name: str) -> None:
    """Remove a named query with its subscriptions."""
    start = rows.SUBSCRIPTION + name.encode() + b"\0"
    with store.turn:
        store.write((), [_query_key(name), *store.keys_from(start)])


def subscriptions_of(store: EventStore, query_name: str = "") -> Iterator[Subscription]:
    """Yield the subscriptions to a query, or all there are."""
    start = rows.SUBSCRIPTION + (query_name.encode() + b"\0" if query_name else b"")
    for _, row in store.rows_from(start):
        yield msgspec.json.decode(row, type=Subscription)


def find_subscription(store: EventStore, query_name: str, name: str) -> Subscription | None:
    """Return a subscription."""
    row = store.row(_subscription_key(query_name, name))
    return msgspec.json.decode(row, type=Subscription) if row is not None else None


def save_subscription(store: EventStore, subscription: Subscription, *, sync: bool = True) -> None:
    """Write a subscription; with ``sync`` it is on the disk when this returns."""
    key = _subscription_key(subscription.query_name, subscription.name)
    store.write([(key, msgspec.json.encode(subscription))], sync=sync)


def remove_subscription(store: EventStore, query_name: str, name: str) -> None:
    """Remove a subscription."""
    with store.turn:
        store.write((), [_subscription_key(query_name, name)])
