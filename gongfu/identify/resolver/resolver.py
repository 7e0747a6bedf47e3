"""Resolves any handle: here, from the caches, or by asking down the tree of services."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from gongfu.identify.handle.bodies import Resolution, decode_record
from gongfu.identify.handle.codes import ResponseCode
from gongfu.identify.handle.envelope import Message
from gongfu.identify.handle.names import HandleName, folded, parse_handle
from gongfu.identify.handle.resolution import Elsewhere, Found, Lookup, Nowhere, visible
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.handle.wire import MalformedError
from gongfu.identify.resolver.asking import Patience, Questioner
from gongfu.identify.resolver.caches import KeptRecord, RecordCache, covers, holds_until, prefix_asked
from gongfu.identify.resolver.descent import Arrival, Descent, Flight
from gongfu.identify.resolver.limits import ResolverLimits
from gongfu.identify.resolver.types import CACHE, LOCAL, CacheState, Hop, Resolved
from gongfu.kernel.counters import Counters

_REFUSALS = frozenset(
    {
        ResponseCode.AUTHENTICATION_NEEDED,
        ResponseCode.NOT_AUTHORIZED,
        ResponseCode.ACCESS_DENIED,
        ResponseCode.UNABLE_TO_AUTHENTICATE,
    }
)

logger = logging.getLogger(__name__)


class Resolver:
    """Resolves for this node and, where it is recursive, for others."""

    def __init__(
        self,
        lookup: Lookup,
        roots: Callable[[], Sequence[HandleValue]],
        counters: Counters,
        *,
        now: Callable[[], float] = time.time,
        limits: ResolverLimits | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Make it.

        Args:
            lookup: what this node has.
            roots: HS_SITE values of the services to begin with for what is not below this node's prefixes: the roots',
                or the parent's. None: this node is a root.
            counters: ``resolutions.<cache state>``, ``resolver_prefetched``, ``resolver_forgotten``.
            now: UTC seconds.
            limits: bounds.
            patience: how long is waited.
        """
        self._lookup = lookup
        self._counters = counters
        self._now = now
        self.limits = limits or ResolverLimits()
        self._questioner = Questioner(patience)
        self._descent = Descent(lookup, roots, counters, self._questioner, self.limits, now)
        self._records = RecordCache(self.limits.records, self.limits.record_bytes)
        self._flights: dict[str, Flight] = {}
        self._prefetching: set[str] = set()
        self._running: set[asyncio.Task[Resolved]] = set()

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    # What has changed.

    def forget(self, handles: Collection[str], prefixes: Iterable[str] = ()) -> None:
        """Forget what is wrong now, found and not found: for ``Identifiers.watch`` and invalidations of other nodes.

        Args:
            handles: keys (``HandleName.key``).
            prefixes: in any case; all below them, and where their services are, is forgotten too.
        """
        bases = [folded(prefix) for prefix in prefixes]
        self._records.forget(handles)
        for base in bases:
            self._records.forget_below(base)
            self._descent.delegations.forget_below(base)
        for key, flight in self._flights.items():
            if key in handles or any(covers(base, prefix_asked(flight.name)) for base in bases):
                flight.outdated = True
        self._counters.add("resolver_forgotten", len(handles) + len(bases))

    def figures(self) -> dict[str, int]:
        """Return how full the caches are and how much is under way."""
        return {
            "resolver_records": len(self._records),
            "resolver_delegations": len(self._descent.delegations),
            "resolver_running": len(self._flights),
        }

    # Resolving.

    async def resolve(
        self,
        name: HandleName,
        indexes: tuple[int, ...] = (),
        types: tuple[str, ...] = (),
        *,
        recursions: int = 0,
        fresh: bool = False,
    ) -> Resolved:
        """Return what there is of a handle, of what the public may read.

        Args:
            name: the handle.
            indexes: of the values that are wished; with ``types`` empty too, all are.
            types: of the values that are wished.
            recursions: how often the question was passed on before it came here.
            fresh: pass by all caches, and keep the answer.
        """
        here = self._lookup(name)
        if not isinstance(here, Elsewhere):
            return self._local(name, here, indexes, types)
        if recursions >= self.limits.recursions:
            return Resolved(code=ResponseCode.RECURSION_LIMIT_EXCEEDED, handle=str(name))
        if fresh:
            self.forget([name.key])
            self._descent.forget_way(name)
        kept = self._records.get(name, self._now())
        if kept is not None:
            resolved = self._from_cache(name, kept)
            self._prefetch(name, kept, recursions)
        else:
            resolved = await self._joined(name, recursions)
        if not (indexes or types) or resolved.code != ResponseCode.SUCCESS:
            return resolved
        shown, _ = visible(resolved.values, indexes, types)
        if shown:
            return msgspec.structs.replace(resolved, values=tuple(shown))
        return await self._named(name, resolved, indexes, types, recursions)

    async def values(self, handle: str) -> Sequence[HandleValue] | None:
        """Return the public values of a handle, None where there are none: for the verification of signatures."""
        try:
            resolved = await self.resolve(parse_handle(handle))
        except MalformedError:
            return None
        return resolved.values if resolved.code == ResponseCode.SUCCESS else None

    async def found(self, name: HandleName) -> Found | Nowhere | None:
        """Return the public values of a handle, with what is left of their times to live; None without an answer."""
        resolved = await self.resolve(name)
        if resolved.code == ResponseCode.SUCCESS:
            return Found([_aged(value, resolved.age) for value in resolved.values])
        return Nowhere() if resolved.code == ResponseCode.HANDLE_NOT_FOUND else None

    def _local(
        self, name: HandleName, here: Found | Nowhere, indexes: tuple[int, ...], types: tuple[str, ...]
    ) -> Resolved:
        self._counters.add("resolutions.local")
        code, values = ResponseCode.HANDLE_NOT_FOUND, list[HandleValue]()
        if isinstance(here, Found):
            values, asks = visible(here.values, indexes, types)
            code = ResponseCode.SUCCESS
            if not values and (indexes or types):
                code = ResponseCode.AUTHENTICATION_NEEDED if asks else ResponseCode.VALUES_NOT_FOUND
        hop = Hop(server=LOCAL, question=str(name), code=code, cache=CacheState.LOCAL)
        return Resolved(code=code, handle=str(name), values=tuple(values), hops=(hop,))

    def _from_cache(self, name: HandleName, kept: KeptRecord) -> Resolved:
        found = kept.values is not None
        state = CacheState.HIT if found else CacheState.NEGATIVE
        self._counters.add(f"resolutions.{state}")
        code = ResponseCode.SUCCESS if found else ResponseCode.HANDLE_NOT_FOUND
        return Resolved(
            code=code,
            handle=str(name),
            values=kept.values or (),
            age=max(int(self._now() - kept.since), 0),
            authority=kept.authority,
            hops=(Hop(server=CACHE, question=str(name), code=code, cache=state),),
        )

    async def _joined(self, name: HandleName, recursions: int) -> Resolved:
        flight = self._flights.get(name.key)
        if flight is not None and not flight.outdated and flight.task is not None:
            self._counters.add("resolutions.joined")
            resolved = await asyncio.shield(flight.task)
            hops = tuple(msgspec.structs.replace(hop, cache=CacheState.JOINED) for hop in resolved.hops)
            return msgspec.structs.replace(resolved, handle=str(name), hops=hops)
        if len(self._flights) >= self.limits.running:
            self._counters.add("resolutions.shed")
            return Resolved(code=ResponseCode.SERVER_BUSY, handle=str(name))
        self._counters.add("resolutions.miss")
        return await asyncio.shield(self._begin(name, recursions))

    def _begin(self, name: HandleName, recursions: int) -> "asyncio.Task[Resolved]":
        key, flight = name.key, Flight(name)
        flight.task = asyncio.create_task(self._fly(flight, recursions), name=f"resolve {key}")
        self._flights[key] = flight

        def ended(task: asyncio.Task[Resolved]) -> None:
            if self._flights.get(key) is flight:
                del self._flights[key]
            self._running.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                logger.error("the resolution of %s failed", key, exc_info=error)

        self._running.add(flight.task)

        flight.task.add_done_callback(ended)
        return flight.task

    def _prefetch(self, name: HandleName, kept: KeptRecord, recursions: int) -> None:
        """Fetch anew what is often used and ends soon, while it is answered from the cache."""
        limits, key = self.limits, name.key
        left = kept.until - self._now()
        if (
            kept.uses < limits.prefetch_uses
            or left > limits.prefetch_part * (kept.until - kept.since)
            or kept.values is None
            or key in self._flights
            or len(self._prefetching) >= limits.prefetching
        ):
            return
        self._counters.add("resolver_prefetched")
        self._prefetching.add(key)
        self._begin(name, recursions).add_done_callback(lambda _: self._prefetching.discard(key))

    async def _fly(self, flight: Flight, recursions: int) -> Resolved:
        """Ask, and once more where what was heard may be older than what is known since."""
        try:
            async with asyncio.timeout(self._questioner.patience.total_seconds):
                resolved = await self._descend(flight, recursions)
                if flight.outdated:
                    flight.outdated = False
                    resolved = await self._descend(flight, recursions)
        except TimeoutError:
            resolved = Resolved(code=ResponseCode.SERVER_NOT_RESPONDING, handle=str(flight.name))
        return msgspec.structs.replace(resolved, hops=tuple(flight.hops))

    async def _descend(self, flight: Flight, recursions: int) -> Resolved:
        name = flight.name
        start, fresh = self._descent.start(name)
        arrival = await self._descent.walk(flight, start, fresh, recursions)
        if not fresh and not self._is_believed(arrival):
            self._descent.delegations.forget_below(folded(start.prefix))
            start, fresh = self._descent.start(name, known=False)
            arrival = await self._descent.walk(flight, start, fresh, recursions)
        return self._answered(flight, arrival)

    def _is_believed(self, arrival: Arrival) -> bool:
        """Return whether what came by a service that was known before is taken for true.

        The service may have moved since. That there is nothing, and that there is no answer, is believed only of one
        that was heard of from above just now.
        """
        if arrival.code == ResponseCode.HANDLE_NOT_FOUND:
            return self._now() - arrival.at.since < self.limits.negative_ttl
        return arrival.code in (ResponseCode.SUCCESS, ResponseCode.VALUES_NOT_FOUND)

    def _answered(self, flight: Flight, arrival: Arrival) -> Resolved:
        name, now, limits, code, at = flight.name, self._now(), self.limits, arrival.code, arrival.at
        resolved = Resolved(code=code, handle=str(name), authority=at.prefix, sites=at.values)
        kept = KeptRecord(None, now, now + limits.negative_ttl, at.prefix)
        if code == ResponseCode.SUCCESS and arrival.said is not None:
            try:
                values = _values_of(arrival.said, name)
            except MalformedError as error:
                flight.hops[-1] = msgspec.structs.replace(flight.hops[-1], reason=str(error)[:200])
                return msgspec.structs.replace(resolved, code=ResponseCode.SERVER_NOT_RESPONDING)
            resolved = msgspec.structs.replace(resolved, values=values)
            kept = KeptRecord(values, now, holds_until(values, now, limits.ttl), at.prefix)
        elif code == ResponseCode.VALUES_NOT_FOUND:
            # The handle is there; the public may read nothing of it.
            resolved = msgspec.structs.replace(resolved, code=ResponseCode.SUCCESS)
            kept.values = ()
        elif code != ResponseCode.HANDLE_NOT_FOUND:
            return resolved
        if not flight.outdated:
            self._records.put(name, kept)
        return resolved

    async def _named(
        self, name: HandleName, public: Resolved, indexes: tuple[int, ...], types: tuple[str, ...], recursions: int
    ) -> Resolved:
        """Ask the authority for values that the public may not read: only it can tell whether they are there."""
        flight = Flight(name)
        flight.hops += public.hops
        start, fresh = self._descent.start(name)
        wish = Resolution(str(name), indexes, types)
        code, sites = ResponseCode.VALUES_NOT_FOUND, tuple[HandleValue, ...]()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._questioner.patience.total_seconds):
                arrival = await self._descent.walk(flight, start, fresh, recursions, wish)
                if arrival.code in _REFUSALS:
                    code, sites = ResponseCode.AUTHENTICATION_NEEDED, arrival.at.values
        return msgspec.structs.replace(public, code=code, values=(), sites=sites, hops=tuple(flight.hops))


def _aged(value: HandleValue, age: int) -> HandleValue:
    return msgspec.structs.replace(value, ttl=max(value.ttl - age, 0)) if age and not value.ttl_type else value


def _values_of(said: Message, name: HandleName) -> tuple[HandleValue, ...]:
    """Return the values of an answer, those that the public may read.

    Raises:
        MalformedError: it has none, or those of another handle.
    """
    record = decode_record(said.body)
    if parse_handle(record.handle).key != name.key:
        raise MalformedError("value", "values of another handle")
    return tuple(visible(record.values)[0])
