"""The identifier service follows the tree: delegations to nodes below, the service above, and what has changed there.

What the tree says is read from the records database, at the start before anybody is answered, and again whenever the
tree role says that it has changed. NATS carries the news; no resolution waits for it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from sqlalchemy import Engine

from gongfu.bus.commands import asked_by
from gongfu.bus.connection import subscribe
from gongfu.bus.requests import NobodyServesError, request
from gongfu.identify.handle.names import HandleName, folded
from gongfu.identify.handle.resolution import Elsewhere, Nowhere
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.namespace.types import Delegation, PrefixState
from gongfu.identify.resolver.resolver import Resolver
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.service.writes import BatchError, Operation, Write
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import NODE_TENANT, Role, Subject
from gongfu.kernel.subjects import Subjects
from gongfu.store.records.engine import reading
from gongfu.tree.services.delegating import Around, read_around
from gongfu.tree.services.messages import PrefixesChanged, encode_values
from gongfu.tree.services.section import NUDGE, OwnService

# The prefix of all prefixes: what is above a service is asked for there.
_ROOT = "0.NA/0.NA"
_SERVICE = Subject(0, "identifier", NODE_TENANT, Role.ADMIN)
_ANSWER_S = 15.0
_RETRY_S, _AGAIN_S = 15.0, 600.0
# Changes that come soon after one another are told together.
_TOGETHER_S = 0.5
_CONCERNED = frozenset({"nodes", NUDGE})

logger = logging.getLogger(__name__)

Certify = Callable[[str, Sequence[HandleValue]], HandleValue | None]
"""Returns the certificate that the values of a delegated prefix still need; None where they need none."""

_State = tuple[PrefixState, tuple[HandleValue, ...]]


class _Nudge(msgspec.Struct):
    changed: list[str] = []


class IdentifierDelegations:
    """Keeps the identifiers of a node in step with its tree."""

    def __init__(
        self,
        engine: Engine,
        identifiers: Identifiers,
        resolver: Resolver,
        own: Sequence[HandleValue],
        counters: Counters,
        certify: Certify | None = None,
    ) -> None:
        """Make it; see ``start``.

        Args:
            engine: migrated records.
            identifiers: of the node.
            resolver: of the node.
            own: what this service says of itself: where it is.
            counters: ``identifier_tree_failed.<what>``.
            certify: makes the certificate that the values of a delegated prefix need.
        """
        self._engine = engine
        self._identifiers = identifiers
        self._resolver = resolver
        self._own = OwnService(encode_values(tuple(own)))
        self._counters = counters
        self._certify = certify or (lambda prefix, values: None)
        self._from_tree: dict[str, Delegation] = {}
        self._known: dict[str, _State] = {}
        self._look_again = asyncio.Event()
        self._announce = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._subscriptions: list[Subscription] = []
        self.roots: tuple[HandleValue, ...] = ()

    async def look(self) -> None:
        """Take what the tree says now.

        Raises:
            BatchError: the identifiers cannot be changed.
        """

        def read() -> Around:
            with reading(self._engine) as connection:
                return read_around(connection)

        around = await asyncio.to_thread(read)
        if around.above != self.roots:
            self.roots = around.above
            await self._identifiers.set_above(_above(around.above))
            self._resolver.forget((), ("",))
        told = {delegation.key: delegation for delegation in around.delegations}
        for key, before in self._from_tree.items():
            told.setdefault(key, msgspec.structs.replace(before, state=PrefixState.REVOKED))
        for delegation in told.values():
            await self._take(delegation)
        self._from_tree = told

    async def _take(self, delegation: Delegation) -> None:
        known = self._identifiers.namespace.delegations.get(delegation.key)
        if known is None or known.state is not delegation.state or known.name != delegation.name:
            await self._identifiers.set_delegation(delegation)
            known = self._identifiers.namespace.delegations[delegation.key]
        # What else its owner has registered of the prefix stays.
        there = {value.index: value for value in known.values}
        changed = tuple(v for v in delegation.values if not _same(v, there.get(v.index)))
        stated = {value.index: value for value in delegation.values}
        certificate = self._certify(delegation.name, [*({**there, **stated}.values())])
        if certificate is not None:
            changed = (*changed, certificate)
        if changed:
            handle = f"0.NA/{delegation.name}"
            operation = Operation.ADD_VALUES if known.values else Operation.PUT
            write = Write(operation=operation, handle=handle, values=changed, overwrite=True)
            (outcome,) = await self._identifiers.write([write])
            if not outcome.done:
                self._counters.add("identifier_tree_failed.delegation")
                logger.warning("the service of %s is not taken: %s %s", delegation.name, outcome.code, outcome.detail)

    async def start(self, bus: Client, subjects: Subjects) -> None:
        """Take what the tree says, and follow it."""
        await self.look()
        self._known = self._states()
        self._identifiers.watch(self._watched)
        self._subscriptions = [
            await subscribe(bus, subjects.event("tree"), self._nudged),
            await subscribe(bus, subjects.event("identifier-change"), self._changed),
        ]
        self._look_again.set()
        self._tasks = [
            asyncio.create_task(self._follow(), name="identifier delegations"),
            asyncio.create_task(self._state_own(bus, subjects), name="identifier service"),
            asyncio.create_task(self._announce_changes(bus, subjects), name="identifier changes"),
        ]

    async def stop(self) -> None:
        """End."""
        for subscription in self._subscriptions:
            await subscription.unsubscribe()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _nudged(self, message: Msg) -> None:
        try:
            nudge = msgspec.json.decode(message.data, type=_Nudge)
        except (msgspec.MsgspecError, RecursionError):
            return
        if not _CONCERNED.isdisjoint(nudge.changed):
            self._look_again.set()

    async def _changed(self, message: Msg) -> None:
        try:
            change = msgspec.json.decode(message.data, type=PrefixesChanged)
        except (msgspec.MsgspecError, RecursionError):
            self._counters.add("identifier_tree_failed.change")
            return
        self._resolver.forget(change.handles, change.prefixes)

    async def _follow(self) -> None:
        while True:
            await self._look_again.wait()
            self._look_again.clear()
            try:
                await self.look()
            except BatchError as error:
                self._counters.add("identifier_tree_failed.look")
                logger.warning("what the tree says is not taken: %s", error)
                self._look_again.set()
                await asyncio.sleep(_RETRY_S)
            except Exception:
                self._counters.add("identifier_tree_failed.look")
                logger.exception("identifier delegations")
                await asyncio.sleep(_RETRY_S)

    # What this node says.

    async def _state_own(self, bus: Client, subjects: Subjects) -> None:
        while True:
            done = await self._tell(bus, subjects, "identifier-service", self._own)
            await asyncio.sleep(_AGAIN_S if done else _RETRY_S)

    async def _announce_changes(self, bus: Client, subjects: Subjects) -> None:
        while True:
            await self._announce.wait()
            await asyncio.sleep(_TOGETHER_S)
            self._announce.clear()
            now = self._states()
            keys = now.keys() | self._known.keys()
            changed = sorted(key.lower() for key in keys if now.get(key) != self._known.get(key))
            self._known = now
            for start in range(0, len(changed), 1000):
                part = PrefixesChanged(prefixes=tuple(changed[start : start + 1000]))
                await self._tell(bus, subjects, "identifier-change", part)

    async def _tell(self, bus: Client, subjects: Subjects, command: str, body: Any) -> bool:
        try:
            await request(bus, subjects.service(f"tree.{command}"), asked_by(_SERVICE, body), _ANSWER_S)
        except NobodyServesError:
            # The node is in no tree, or the tree is being started.
            return False
        except Problem as problem:
            self._counters.add(f"identifier_tree_failed.{command}")
            logger.warning("the tree does not take %s: %s", command, problem.detail)
            return False
        return True

    def _watched(self, _: frozenset[str], prefixes: frozenset[str]) -> None:
        if prefixes:
            self._announce.set()

    def _states(self) -> dict[str, _State]:
        """Return what others keep of prefixes: whether they are there, and where their service is."""
        space = self._identifiers.namespace
        known: Mapping[str, Any] = {**space.delegations, **space.prefixes}
        return {folded(key): (one.state, tuple(one.values)) for key, one in known.items()}


def _same(stated: HandleValue, there: HandleValue | None) -> bool:
    return there is not None and (there.type, there.data) == (stated.type, stated.data)


def _above(values: tuple[HandleValue, ...]) -> Callable[[HandleName], Elsewhere | Nowhere]:
    def above(_: HandleName) -> Elsewhere | Nowhere:
        return Elsewhere(_ROOT, values, delegated=False) if values else Nowhere()

    return above
