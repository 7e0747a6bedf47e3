"""Runs queries on the store, a page at a time: indexes give candidates, ``matches`` judges them.

A page ends when it is full or when enough events were looked at: a page may be short, or empty, and still have a next
one. Pages of one query see the events that were stored when the first of them was asked for.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec
from pyroaring import BitMap

from gongfu.identify.epcis import rows
from gongfu.identify.epcis.facts import Facts
from gongfu.identify.epcis.master_data import StoredMasterData
from gongfu.identify.epcis.query import Criterion, Query, matches
from gongfu.identify.epcis.query_rules import Parameter
from gongfu.identify.epcis.query_values import values_of
from gongfu.identify.epcis.rows import Field, StoredEvent
from gongfu.identify.epcis.store import EventStore
from gongfu.identify.epcis.things import covers
from gongfu.identify.epcis.vocabulary import EVENT_TYPES

# Events that are looked at for one page, and keys of an index that are read for one criterion.
LOOKED_AT: Final = 20_000
_INDEX_KEYS: Final = 500_000
# As many are brought into another order than that of the store.
SORTED: Final = 50_000
_COUNTED: Final = 500_000
_PAGE_BYTES: Final = 8 << 20
_TOGETHER: Final = 256
# Keys of an index that cost as much as a twentieth of them as events.
_PASSED_OVER: Final = 1000

_FIELDS: Final = {
    "type": Field.KIND,
    "action": Field.ACTION,
    "bizStep": Field.BIZ_STEP,
    "disposition": Field.DISPOSITION,
    "readPoint": Field.READ_POINT,
    "bizLocation": Field.BIZ_LOCATION,
}


class TokenError(ValueError):
    """A token of a next page is not one of this query's."""


class TooLargeError(ValueError):
    """More events than the query allows, or than can be put in the order it asks for."""


class _Token(msgspec.Struct, array_like=True, frozen=True, gc=False):
    query: int
    head: int
    given: int
    after: tuple[int, int]


class Page(NamedTuple):
    """A page of a result.

    Attributes:
        events: in order.
        next: token of the next page; "" at the end.
    """

    events: list[StoredEvent]
    next: str


def select(store: EventStore, query: Query, *, per_page: int = 30, token: str = "", first: int = 1) -> Page:
    """Return a page of a query's result.

    Args:
        store: of events.
        query: what is asked.
        per_page: events in a page.
        token: of the page before; "" for the first.
        first: number of the first event that is asked of.

    Raises:
        TokenError: the token is not one of this query.
        TooLargeError: ``maxEventCount`` is exceeded, or there are too many events to be put in order.
    """
    mark = _mark(query, first)
    if token:
        state = _read_token(token, mark)
    else:
        state = _Token(mark, store.head, 0, (0, 0))
        if query.most is not None and _exceeds(store, query, first, query.most):
            raise TooLargeError(f"the result has more than {query.most} events (maxEventCount)")
    low, high = _bounds(store, query, first, state.head)
    limit = per_page if query.limit is None else min(per_page, query.limit - state.given)
    if limit <= 0 or low > high:
        return Page([], "")
    if query.order_by not in ("", "eventTime", "recordTime"):
        return _sorted_page(store, query, low, high, state, limit)
    found = list[StoredEvent]()
    looked_at, size, after = 0, 0, state.after
    master = StoredMasterData(store)
    for position, stored in _candidates(store, query, low, high, state.after):
        after = position
        looked_at += 1 if stored is not None else _PASSED_OVER // 20
        if stored is not None and matches(query, store.facts(stored), master):
            found.append(stored)
            size += len(stored.document)
        if len(found) == limit or looked_at >= LOOKED_AT or size > _PAGE_BYTES:
            break
    else:
        return Page(found, "")
    given = state.given + len(found)
    if query.limit is not None and given >= query.limit:
        return Page(found, "")
    return Page(found, _write_token(_Token(mark, state.head, given, after)))


def select_all(store: EventStore, query: Query, first: int, last: int) -> Iterator[StoredEvent]:
    """Yield all events of a query whose numbers are from ``first`` to ``last``, in the order of storing."""
    master = StoredMasterData(store)
    plain = query._replace(order_by="recordTime", descending=False)
    low, high = _bounds(store, query, first, last)
    for _, stored in _candidates(store, plain, low, high, (0, 0)):
        if stored is not None and matches(query, store.facts(stored), master):
            yield stored


def _bounds(store: EventStore, query: Query, first: int, head: int) -> tuple[int, int]:
    low, high = first, head
    if query.from_record is not None:
        low = max(low, store.first_recorded_from(query.from_record))
    if query.to_record is not None:
        high = min(high, store.first_recorded_from(query.to_record) - 1)
    return low, high


def _exceeds(store: EventStore, query: Query, first: int, most: int) -> bool:
    plain = query._replace(order_by="recordTime", descending=False)
    low, high = _bounds(store, query, first, store.head)
    master, count = StoredMasterData(store), 0
    for looked_at, (_, stored) in enumerate(_candidates(store, plain, low, high, (0, 0))):
        if looked_at > _COUNTED:
            raise TooLargeError("too many events to be counted against maxEventCount; ask for less, or without it")
        count += stored is not None and matches(query, store.facts(stored), master)
        if count > most:
            return True
    return False


def _candidates(
    store: EventStore, query: Query, low: int, high: int, after: tuple[int, int]
) -> Iterator[tuple[tuple[int, int], StoredEvent | None]]:
    """Yield events that may match, with their position, from behind a position on in the order of the query.

    In between may come positions without an event: so much of an index was passed over.
    """
    indexed = _indexed(store, query, low, high)
    earliest, latest = _times(query)
    bounded = indexed is None and (earliest, latest) != (None, None)
    if bounded and query.order_by == "recordTime":
        indexed = _happened(store, (earliest, latest), low, high)
    if query.order_by == "eventTime" or (bounded and query.order_by == ""):
        descending = query.descending and query.order_by == "eventTime"
        if indexed is not None and len(indexed) <= LOOKED_AT:
            yield from _few_by_time(store, indexed, after, descending)
        else:
            yield from _by_time(store, indexed, (low, high), (earliest, latest), after, descending)
        return
    descending = query.descending and query.order_by == "recordTime"
    numbers: Iterable[int]
    if indexed is not None:
        numbers = (n for n in (reversed(indexed) if descending else indexed) if _behind(n, after[1], descending))
    elif descending:
        numbers = range(min(high, after[1] - 1) if after[1] else high, low - 1, -1)
    else:
        numbers = range(max(low, after[1] + 1), high + 1)
    for stored in _loaded(store, numbers):
        yield (0, stored.number), stored


def _behind(number: int, after: int, descending: bool) -> bool:
    return not after or (number < after if descending else number > after)


def _loaded(store: EventStore, numbers: Iterable[int]) -> Iterator[StoredEvent]:
    together, size = list[int](), 16
    for number in numbers:
        together.append(number)
        if len(together) == size:
            yield from store.events(together)
            # A first page often needs few; who goes on gets more at a time.
            together, size = [], min(_TOGETHER, size * 2)
    yield from store.events(together)


def _few_by_time(
    store: EventStore, numbers: BitMap, after: tuple[int, int], descending: bool
) -> Iterator[tuple[tuple[int, int], StoredEvent | None]]:
    placed = [((store.facts(stored).time, stored.number), stored) for stored in _loaded(store, numbers)]
    placed.sort(key=lambda item: item[0], reverse=descending)
    for position, stored in placed:
        if after == (0, 0) or (position < after if descending else position > after):
            yield position, stored


def _by_time(
    store: EventStore,
    indexed: BitMap | None,
    numbers: tuple[int, int],
    times: tuple[int | None, int | None],
    after: tuple[int, int],
    descending: bool,
) -> Iterator[tuple[tuple[int, int], StoredEvent | None]]:
    earliest, latest = times
    start = rows.time_key(earliest) if earliest is not None else rows.TIME
    end = rows.time_key(latest) if latest is not None else rows.TIME + b"\xff" * 17
    if after != (0, 0):
        if descending:
            end = rows.time_key(*after)
        else:
            start = rows.time_key(after[0], after[1] + 1)
    keys = store.keys_down(rows.TIME, end) if descending else store.keys_from(rows.TIME, start)
    passed_over = 0
    for key in keys:
        if key < start or key >= end:
            return
        position = rows.time_of(key)
        if not numbers[0] <= position[1] <= numbers[1] or (indexed is not None and position[1] not in indexed):
            passed_over += 1
            if passed_over % _PASSED_OVER == 0:
                yield position, None
            continue
        if (stored := store.event(position[1])) is not None:
            yield position, stored


def _times(query: Query) -> tuple[int | None, int | None]:
    earliest = latest = None
    for criterion in query.criteria:
        asked = criterion.parameter
        if asked.field == "eventTime" and not asked.place and not asked.extension:
            if asked.operator == "GE":
                earliest = criterion.wanted[0]
            else:
                latest = criterion.wanted[0]
    return earliest, latest


def _happened(store: EventStore, times: tuple[int | None, int | None], low: int, high: int) -> BitMap | None:
    """Return the numbers of the events of a span of event times; None where they are too many."""
    found = BitMap()
    for key in store.keys_from(rows.TIME, rows.time_key(times[0]) if times[0] is not None else b""):
        time, number = rows.time_of(key)
        if times[1] is not None and time >= times[1]:
            break
        found.add(number)
        if len(found) > _INDEX_KEYS:
            return None
    return found & BitMap(range(low, high + 1))


def _indexed(store: EventStore, query: Query, low: int, high: int) -> BitMap | None:
    """Return the numbers of the events that indexes leave; None where no index says anything."""
    found: BitMap | None = None
    for criterion in query.criteria:
        numbers = _numbers(store, criterion)
        if numbers is not None:
            found = numbers if found is None else found & numbers
    return None if found is None else found & BitMap(range(low, high + 1))


def _numbers(store: EventStore, criterion: Criterion) -> BitMap | None:
    asked, wanted = criterion
    if asked.extension:
        return None
    if asked.operator == "MATCH":
        return _mentioning(store, criterion)
    if asked.operator != "EQ":
        return None
    if not asked.place and asked.field in _FIELDS:
        if asked.field == "type" and not all(value in EVENT_TYPES for value in wanted):
            return None
        return BitMap().union(*[store.with_value(_FIELDS[asked.field], value) for value in wanted])
    if asked.field == "eventID":
        known = store.known([(value, in_error) for value in wanted for in_error in (False, True)])
        return BitMap(item[0] for item in known if item is not None)
    if asked.field == "transformationID":
        return BitMap(number for value in wanted for number in store.grouped(rows.TRANSFORMATION, value))
    if asked.place == "bizTransaction":
        return BitMap(number for value in wanted for number in store.grouped(rows.TRANSACTION, value))
    return None


def _mentioning(store: EventStore, criterion: Criterion) -> BitMap | None:
    found = BitMap()
    read = 0
    for thing, below in criterion.wanted:
        start = rows.THING + thing.encode() if below else rows.thing_start(thing)
        for key in store.keys_from(start):
            read += 1
            if not below or covers(thing, rows.thing_of(key)):
                found.add(rows.mention_of(key).number)
            if read > _INDEX_KEYS:
                return None
    return found


def _sorted_page(store: EventStore, query: Query, low: int, high: int, state: _Token, limit: int) -> Page:
    """Return a page in the order of a field that no index has: all of the result is put in order."""
    plain = query._replace(order_by="")
    placed = list[tuple[tuple[bool, float | str], int, StoredEvent]]()
    master = StoredMasterData(store)
    for looked_at, (_, stored) in enumerate(_candidates(store, plain, low, high, (0, 0))):
        if looked_at > _COUNTED:
            raise TooLargeError(f"too many events to be put in the order of {query.order_by}; ask for less")
        if stored is not None and matches(query, facts := store.facts(stored), master):
            placed.append((_rank(query.order_by, facts), stored.number, stored))
            if len(placed) > SORTED:
                raise TooLargeError(f"more than {SORTED} events cannot be put in the order of {query.order_by}")
    placed.sort(key=lambda item: item[:2], reverse=query.descending)
    found, size = list[StoredEvent](), 0
    for _, _, stored in placed[state.given : state.given + limit]:
        found.append(stored)
        size += len(stored.document)
        if size > _PAGE_BYTES:
            break
    given = state.given + len(found)
    more = given < len(placed) and (query.limit is None or given < query.limit)
    return Page(found, _write_token(_Token(state.query, state.head, given, (0, 0))) if more else "")


def _rank(order_by: str, facts: Facts) -> tuple[bool, float | str]:
    """Return what an event is ordered by: numbers before texts; without the field it comes as the least."""
    if order_by == "quantity":
        amounts = [item.amount for item in facts.quantities() if item.amount is not None]
        return False, max(amounts) if amounts else float("-inf")
    for value in values_of(Parameter("EQ", "", order_by, extension=True), facts):
        if isinstance(value, bool):
            continue
        if isinstance(value, int | float):
            return False, value
        try:
            return False, float(str(value))
        except ValueError:
            return True, str(value)
    return False, float("-inf")


def _mark(query: Query, first: int) -> int:
    return binascii.crc32(repr((query._replace(limit=None), first)).encode())


def _write_token(token: _Token) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(token)).decode().rstrip("=")


def _read_token(text: str, mark: int) -> _Token:
    try:
        token = msgspec.msgpack.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=_Token)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise TokenError("not a token of a next page") from None
    if token.query != mark:
        raise TokenError("the token belongs to another query")
    return token
