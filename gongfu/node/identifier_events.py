"""Traceability on this node: the store of EPCIS events, its face, and the commands that trace."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import Engine

from gongfu.bus.commands import Command
from gongfu.identify.administration.handle_service import HandleService
from gongfu.identify.authentication.basic import parse_basic
from gongfu.identify.epcis.capture import Capture
from gongfu.identify.epcis.delivery import WebhookDelivery
from gongfu.identify.epcis.rest.face import Access, EpcisFace
from gongfu.identify.epcis.store import EventStore
from gongfu.identify.epcis.subscriptions import Subscriptions
from gongfu.identify.epcis.traceability import Traceability
from gongfu.identify.handle.codes import AdminPermission
from gongfu.identify.handle.names import parse_handle
from gongfu.identify.handle.wire import MalformedError
from gongfu.identify.http.types import Request
from gongfu.kernel.errors import forbidden, invalid, unauthenticated
from gongfu.kernel.permissions import NODE_TENANT, Action, Subject, can
from gongfu.kernel.times import Clock
from gongfu.registry.sessions import Sessions
from gongfu.registry.sign_in_limit import SignInLimit

PATH = "/epcis"
BODY_BYTES = 16 * 1024 * 1024
_BEARER = "bearer "
_TOKEN_LIMIT = 200

Thing = Annotated[str, Meta(min_length=1, max_length=2048)]


class TraceWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The graph of a thing: where it comes from (``backward``), where it went (``forward``), or both."""

    thing: Thing
    direction: str = "both"
    depth: Annotated[int, Meta(ge=1, le=100)] = 32
    limit: Annotated[int, Meta(ge=1, le=1000)] = 1000


class ThingWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A thing, and how much is told of it."""

    thing: Thing
    limit: Annotated[int, Meta(ge=1, le=1000)] = 1000


class EventService:
    """Store and face; opened and closed with the role."""

    def __init__(self, path: Path, engine: Engine, clock: Clock, handle: HandleService) -> None:
        """Open the store.

        Args:
            path: its directory.
            engine: migrated records, for tokens of the node's users.
            clock: present time.
            handle: who is who among the clients of the service.

        Raises:
            OSError: it cannot be opened.
        """
        self.store = EventStore(path, cache_bytes=32 << 20)
        self._delivery = WebhookDelivery()
        self._subscriptions = Subscriptions(self.store, self._delivery, clock=clock)
        self._capture = Capture(self.store, clock=clock, on_stored=self._subscriptions.stored)
        self._traceability = Traceability(self.store)
        self._sessions = Sessions(engine, clock, SignInLimit())
        self._handle = handle
        self.face = EpcisFace(
            self.store, self._capture, self._authorize, subscriptions=self._subscriptions, prefix=PATH, clock=clock
        )

    def start(self) -> None:
        """Serve subscriptions."""
        self._subscriptions.start()

    async def close(self) -> None:
        """End what runs, and close the store."""
        await self._subscriptions.close()
        await self._delivery.close()
        await self._capture.close()
        await asyncio.to_thread(self.store.close)

    async def _authorize(self, request: Request, access: Access) -> str:
        """Return who asks: a user of the node by token, or whoever has the secret key of a handle.

        Users read; engineers and administrators capture and subscribe. Of handles, those that administer a prefix of
        this service do all of it, others read.

        Raises:
            Problem: 401, 403.
        """
        header = request.headers.get("authorization", "")
        if header.lower().startswith(_BEARER):
            return await self._user(header[len(_BEARER) :].strip(), access)
        if not header:
            raise unauthenticated(
                "send Authorization: Basic (index:handle and its secret key), or a user's Bearer token"
            )
        try:
            asker = self._handle.authenticator.by_password(parse_basic(header))
        except MalformedError as error:
            raise unauthenticated(str(error)) from None
        if asker is None:
            raise unauthenticated("handle or secret key is wrong")
        prefix = parse_handle(asker.handle)
        of = prefix.suffix if prefix.prefix == "0.NA" else prefix.prefix
        rights = self._handle.authorization.prefix_rights(asker, of)
        if access is not Access.READ and not rights & AdminPermission.ADD_HANDLE:
            raise forbidden(f"{asker} does not administer {of}")
        return str(asker)

    async def _user(self, token: str, access: Access) -> str:
        identity = await asyncio.to_thread(self._sessions.identify, token) if len(token) <= _TOKEN_LIMIT else None
        if identity is None or identity.must_change_password:
            raise unauthenticated("the session has ended")
        action = Action.READ if access is Access.READ else Action.IDENTIFIER_WRITE
        if identity.subject.tenant != NODE_TENANT or not can(identity.subject, action):
            raise forbidden(f"the role {identity.subject.role.value} does not include {action.value}")
        return identity.subject.name

    def commands(self) -> list[Command]:
        """Return the commands that trace."""

        async def trace(_: Subject, wish: TraceWish) -> Any:
            return await _told(
                lambda: self._traceability.trace(wish.thing, wish.direction, limit=wish.limit, depth=wish.depth)
            )

        async def recall(_: Subject, wish: ThingWish) -> Any:
            return await _told(lambda: self._traceability.recall(wish.thing, limit=wish.limit))

        async def timeline(_: Subject, wish: ThingWish) -> Any:
            return await _told(lambda: self._traceability.timeline(wish.thing, limit=wish.limit))

        return [
            Command("trace", TraceWish, trace),
            Command("recall", ThingWish, recall),
            Command("timeline", ThingWish, timeline),
        ]


def _told(ask: Callable[[], Any]) -> Coroutine[Any, Any, Any]:
    async def answer() -> Any:
        try:
            return await asyncio.to_thread(ask)
        except ValueError as error:
            raise invalid(str(error)) from None

    return answer()
