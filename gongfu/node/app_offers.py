"""The kinds of orders that installed apps offer, and what the order engine calls for them.

The records say which apps are installed and what was granted; they are read when the role ``apps`` says that something
has changed, and every few seconds besides, since an announcement can be missed.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterable

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gongfu.appkit.host.order_calls import ORDER, PROBE, OrderAnswer, OrderCall, ProbeQuestion, SeenTold
from gongfu.appkit.installed.records import InstalledRecords
from gongfu.appkit.installed.types import InstalledApp
from gongfu.appkit.provided_kinds import order_kind_of
from gongfu.bus.connection import subscribe
from gongfu.bus.requests import request
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import NODE_TENANT
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import Clock
from gongfu.tree.orders.kinds import KindError, OrderKind
from gongfu.tree.orders.plugins import DriverCall, DriverResult, ProbeCall, Seen
from gongfu.tree.orders.verification import Sight

log = logging.getLogger("gongfu.tree")

EVENT = "apps"
_EVERY_S = 5.0
# One request waits so long; then it is asked again, with the same key.
_ANSWER_S = 10.0
_AGAIN_S = 0.5
# In all; the order engine gives a driver 600 s.
_IN_ALL_S = 570.0
_LOOK_S = 50.0
_NOT_NOW = 503
_GONE = ("installing", "removing")


class AppOffers:
    """Kinds of the apps of this node, and their driver and probe (both are this object's).

    Args:
        engine: migrated records.
        bus: an open connection.
        subjects: names on the bus.
        clock: this node's own time.
    """

    def __init__(self, engine: Engine, bus: Client, subjects: Subjects, clock: Clock) -> None:
        self._records = InstalledRecords(engine, clock)
        self._bus = bus
        self._service = subjects.service("apps")
        self._event = subjects.event(EVENT)
        # Kinds that the node has without apps: no app can bring one of these names.
        self.taken: Collection[str] = ()
        self._said: frozenset[str] = frozenset()
        self._reading = asyncio.Lock()
        self._apps: dict[str, str] = {}
        self._kinds: dict[str, OrderKind] = {}
        self._offer: Callable[[Iterable[OrderKind]], None] = lambda kinds: None
        self._task: asyncio.Task[None] | None = None
        self._subscription: Subscription | None = None
        self._changed = asyncio.Event()

    def read(self) -> list[OrderKind]:
        """Return the kinds that are offered now. Blocks on the records.

        Raises:
            SQLAlchemyError: they do not answer.
        """
        apps: dict[str, str] = {}
        kinds: dict[str, OrderKind] = {}
        left_out: set[str] = set()
        for app in self._records.all(NODE_TENANT):
            for kind in offered_by(app):
                if kind.name in kinds or kind.name in self.taken:
                    whose = apps.get(kind.name, "the node itself")
                    left_out.add(f"orders {kind.name} of {app.app} are left out: {whose} offers them")
                    continue
                apps[kind.name], kinds[kind.name] = app.app, kind
        for text in sorted(left_out - self._said):
            log.error("%s", text)
        self._said = frozenset(left_out)
        self._apps, self._kinds = apps, kinds
        return list(kinds.values())

    async def start(self, offer: Callable[[Iterable[OrderKind]], None]) -> None:
        """Tell what is offered, now and whenever it changes."""
        self._offer = offer
        await self._refresh()
        self._subscription = await subscribe(self._bus, self._event, self._told)
        self._task = asyncio.create_task(self._keep(), name="offers of apps")

    async def stop(self) -> None:
        """End."""
        if self._subscription is not None:
            with contextlib.suppress(Exception):
                await self._subscription.unsubscribe()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def run(self, call: DriverCall) -> DriverResult:
        """Let the app carry out an order; asked again with the same key until it has, or nobody offers the kind."""
        began = time.monotonic()
        while True:
            app = self._apps.get(call.kind)
            if app is None:
                return DriverResult(False, f"no app offers orders {call.kind} here any more")
            left = _IN_ALL_S - (time.monotonic() - began)
            if left <= 0:
                return DriverResult(False, f"{app} did not carry it out within {_IN_ALL_S:g} s")
            asked = OrderCall(
                app=app,
                key=call.key,
                order=call.order,
                kind=call.kind,
                body=call.payload,
                issued=call.issued_at,
                issuer=call.issuer,
                attempt=call.attempt,
                rollback=call.rollback,
                seconds=left,
            )
            try:
                answer = await request(self._bus, f"{self._service}.{ORDER}", asked, _ANSWER_S, OrderAnswer)
                return DriverResult(answer.succeeded, answer.detail)
            except Problem as problem:
                if problem.status != _NOT_NOW:
                    return DriverResult(False, f"{app}: {problem.detail or problem.title}")
            await asyncio.sleep(_AGAIN_S)
            await self._refresh()

    async def look(self, call: ProbeCall) -> Seen:
        """Ask the probe of the app for the effect of an order. A ``Problem`` counts as nothing seen."""
        app = self._apps.get(call.kind)
        if app is None:
            return Seen(Sight.UNKNOWN, f"no app offers orders {call.kind} here any more")
        question = ProbeQuestion(
            app=app, kind=call.kind, order=call.order, body=call.payload, since=max(call.claimed_at, 0)
        )
        try:
            told = await request(self._bus, f"{self._service}.{PROBE}", question, _LOOK_S, SeenTold)
        except Problem as problem:
            return Seen(Sight.UNKNOWN, f"{app}: {problem.detail or problem.title}")
        return Seen(Sight(told.sight), told.evidence)

    async def _told(self, message: Msg) -> None:
        self._changed.set()

    async def _keep(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _EVERY_S)
            self._changed.clear()
            await self._refresh()

    async def _refresh(self) -> None:
        # One after another: what was read first must not be offered last.
        async with self._reading:
            await self._read_and_offer()

    async def _read_and_offer(self) -> None:
        before = self._kinds
        try:
            kinds = await asyncio.to_thread(self.read)
        except SQLAlchemyError as error:
            log.warning("offers of apps cannot be read, tried again: %s", type(error).__name__)
            return
        except Exception:
            log.exception("offers of apps cannot be read, tried again")
            return
        if self._kinds != before:
            try:
                self._offer(kinds)
            except KindError as error:
                log.error("offers of apps: %s", error)
                return
            log.info("apps offer orders: %s", ", ".join(sorted(self._kinds)) or "none")


def offered_by(app: InstalledApp) -> list[OrderKind]:
    """Return the kinds an installed app offers: those it was granted, while it is enabled."""
    if not app.enabled or app.status in _GONE:
        return []
    version, found = app.current, list[OrderKind]()
    for provided in version.manifest.provides.order_kinds:
        if provided.name not in version.granted.orders:
            continue
        try:
            found.append(order_kind_of(provided))
        except (ValueError, msgspec.MsgspecError) as error:
            log.error("%s: orders %s are left out: %s", app.app, provided.name, error)
    return found
