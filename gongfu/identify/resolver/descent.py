"""The way down: from one service to the next, until one answers for the handle itself."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from gongfu.identify.handle.bodies import Record, Resolution, decode_record
from gongfu.identify.handle.codes import ResponseCode
from gongfu.identify.handle.envelope import Message
from gongfu.identify.handle.names import NAMING_AUTHORITY, HandleName, folded, parents, parse_handle
from gongfu.identify.handle.predefined import HS_SITE
from gongfu.identify.handle.resolution import Elsewhere, Lookup
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.handle.wire import MalformedError
from gongfu.identify.resolver.asking import Questioner
from gongfu.identify.resolver.caches import DelegationCache, KeptDelegation, covers, holds_until, prefix_asked
from gongfu.identify.resolver.limits import ResolverLimits
from gongfu.identify.resolver.sites import endpoints, sites_of
from gongfu.identify.resolver.types import LOCAL, CacheState, Hop, Resolved
from gongfu.kernel.counters import Counters

_REFERRALS = frozenset({ResponseCode.PREFIX_REFERRAL, ResponseCode.SERVICE_REFERRAL})


class Flight:
    """A resolution that is under way; ``outdated`` once something that it may have heard is known to be wrong."""

    def __init__(self, name: HandleName) -> None:
        self.name = name
        self.outdated = False
        self.hops: list[Hop] = []
        self.task: asyncio.Task[Resolved] | None = None


class Arrival(msgspec.Struct, frozen=True):
    """Where a way has ended.

    Attributes:
        said: the last answer, which is no referral; None where there is none.
        code: of the answer, or why there is none.
        at: the service that gave it.
    """

    said: Message | None
    code: ResponseCode
    at: KeptDelegation


class Descent:
    """Finds the service that answers for a handle, and its answer."""

    def __init__(
        self,
        lookup: Lookup,
        roots: Callable[[], Sequence[HandleValue]],
        counters: Counters,
        questioner: Questioner,
        limits: ResolverLimits,
        now: Callable[[], float],
    ) -> None:
        """Make it; see ``Resolver``."""
        self._lookup = lookup
        self._roots = roots
        self._counters = counters
        self._questioner = questioner
        self._limits = limits
        self._now = now
        self.delegations = DelegationCache(limits.delegations)

    def start(self, name: HandleName, *, known: bool = True) -> tuple[KeptDelegation, bool]:
        """Return the service to begin with, and whether it is one that this node is told of, not one it has heard."""
        now = self._now()
        prefix = prefix_asked(name)
        here = self._lookup(name)
        base = KeptDelegation("", sites_of(self._roots()))
        if isinstance(here, Elsewhere) and here.values:
            told = _prefix_of(here.handle) if here.delegated else ""
            base = KeptDelegation(told, sites_of(here.values), tuple(here.values))
        nearest = self.delegations.nearest(prefix, now) if known else None
        if nearest is not None and _depth(nearest.prefix) > _depth(base.prefix):
            return nearest, False
        return base, True

    def forget_way(self, name: HandleName) -> None:
        """Forget where the services on the way to a handle are."""
        prefix = prefix_asked(name)
        for known in (prefix, *parents(prefix)):
            self.delegations.forget(known)

    async def walk(
        self,
        flight: Flight,
        at: KeptDelegation,
        fresh: bool,
        recursions: int,
        wish: Resolution | None = None,
    ) -> Arrival:
        """Ask from one service to the next.

        Args:
            flight: its trace grows.
            at: the service to begin with.
            fresh: see ``start``.
            recursions: how often the question was passed on before.
            wish: what to ask; the handle as a whole without it.
        """
        question = wish or Resolution(str(flight.name))
        seen = {(at.prefix, at.sites)}
        state = CacheState.MISS if fresh else CacheState.DELEGATION
        going_down = bool(at.prefix)
        while True:
            said = await self.question(flight, at, question, recursions, state)
            if isinstance(said, ResponseCode):
                return Arrival(None, said, at)
            code = ResponseCode(said.header.response)
            if code not in _REFERRALS:
                return Arrival(said, code, at)
            following = await self._follow(flight, at, said, recursions, going_down=going_down)
            if following is None or (following.prefix, following.sites) in seen:
                return Arrival(None, ResponseCode.SERVER_NOT_RESPONDING, at)
            seen.add((following.prefix, following.sites))
            going_down = going_down or bool(following.prefix)
            if following.prefix and not flight.outdated:
                self.delegations.put(following)
            at, state = following, CacheState.MISS

    async def question(
        self, flight: Flight, at: KeptDelegation, question: Resolution, recursions: int, state: CacheState
    ) -> Message | ResponseCode:
        """Ask one service one thing; returns why there is no answer where there is none."""
        if sum(hop.asked for hop in flight.hops) >= self._limits.questions:
            return ResponseCode.RECURSION_LIMIT_EXCEEDED
        servers = endpoints(at.sites, parse_handle(question.handle))
        if not servers:
            reason = f"no address of the service of {at.prefix or 'the roots'} is known"
            flight.hops.append(Hop(server=LOCAL, question=question.handle, reason=reason, cache=state))
        passed_on = min(recursions + 1, 255)
        answer = await self._questioner.ask(servers, question, flight.hops, recursions=passed_on, cache=state)
        return ResponseCode.SERVER_NOT_RESPONDING if answer is None else answer

    async def _follow(
        self, flight: Flight, at: KeptDelegation, said: Message, recursions: int, *, going_down: bool
    ) -> KeptDelegation | None:
        """Return the service that an answer refers to; None where it must not, or names none.

        A service may refer to what is below its own prefix on the way to the one that is asked for, and nowhere else;
        only before the first step down may one refer upwards or aside. So nobody can answer for a stranger's prefix,
        and no way is endless.
        """
        try:
            record = decode_record(said.body)
            prefix = folded(_prefix_of(record.handle))
        except MalformedError:
            return None
        asked, base = prefix_asked(flight.name), folded(at.prefix)
        upward = said.header.response == ResponseCode.SERVICE_REFERRAL
        if upward and going_down:
            self._counters.add("resolver_referrals_refused")
            return None
        if not upward and not (covers(prefix, asked) and prefix and covers(base, prefix) and prefix != base):
            self._counters.add("resolver_referrals_refused")
            return None
        _refer_to(flight, prefix)
        values: Sequence[HandleValue] = record.values
        if not sites_of(values):
            values = await self._sites(flight, at, record, recursions)
        now = self._now()
        values = tuple(value for value in values if value.type.upper() == HS_SITE)
        until = holds_until(values, now, self._limits.delegation_ttl)
        sites = sites_of(values)
        return KeptDelegation("" if upward else prefix, sites, values, now, until) if sites else None

    async def _sites(
        self, flight: Flight, at: KeptDelegation, record: Record, recursions: int
    ) -> Sequence[HandleValue]:
        """Ask for the sites of a prefix that a referral has only named."""
        question = Resolution(record.handle, types=(HS_SITE,))
        said = await self.question(flight, at, question, recursions, CacheState.MISS)
        if isinstance(said, ResponseCode) or said.header.response != ResponseCode.SUCCESS:
            return ()
        try:
            return decode_record(said.body).values
        except MalformedError:
            return ()


def _refer_to(flight: Flight, prefix: str) -> None:
    flight.hops[-1] = msgspec.structs.replace(flight.hops[-1], referral=prefix)


def _depth(prefix: str) -> int:
    return prefix.count(".") + 1 if prefix else 0


def _prefix_of(handle: str) -> str:
    """Return the prefix that ``0.NA/<prefix>`` names; "" for the naming authority itself.

    Raises:
        MalformedError: the handle is none of a prefix.
    """
    if folded(handle).rstrip("/") == NAMING_AUTHORITY:
        return ""
    name = parse_handle(handle)
    if folded(name.prefix) != NAMING_AUTHORITY:
        raise MalformedError("value", "a referral names a prefix")
    return name.suffix
