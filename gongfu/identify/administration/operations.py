"""The operations, each as a function of a request and of who asks; None where that has to be proved first."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

from gongfu.identify.administration.outcomes import RESPONSES, response_of
from gongfu.identify.authentication.authorization import Authorization
from gongfu.identify.authentication.types import Asker
from gongfu.identify.handle.answering import Asked
from gongfu.identify.handle.bodies import (
    decode_handle,
    decode_record,
    decode_removal,
    decode_resolution,
    encode_error,
    encode_handle,
    encode_handles,
)
from gongfu.identify.handle.codes import OpCode, OpFlag, ResponseCode
from gongfu.identify.handle.envelope import MAX_MESSAGE_BYTES, Message
from gongfu.identify.handle.names import NAMING_AUTHORITY, HandleName, folded, parse_handle
from gongfu.identify.handle.predefined import Site, encode_site
from gongfu.identify.handle.resolution import Elsewhere, Found, Nowhere, answer_found, refer, respond
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.handle.wire import MalformedError
from gongfu.identify.service.writes import Allowed, BatchError, Operation, Outcome, Write

# Handles of a prefix that a client may list; for more there is the node's own interface.
MOST_LISTED = 10_000
_MOST_RECURSIONS = 10
_RECURSIVE = int(OpFlag.RECURSIVE)

Answer = Message | Awaitable[Message] | None
GuardedOperation = Callable[[Asked, Asker | None], Answer]

Recurse = Callable[[Asked, HandleName, Elsewhere], Awaitable[Message]]
"""Asks another service for a client that wishes it (RECURSIVE)."""


class Store(Protocol):
    """Where identifiers are (``service.identifiers.Identifiers``)."""

    def lookup(self, name: HandleName) -> Found | Elsewhere | Nowhere:
        """Return what there is of a handle."""
        ...

    async def write(
        self, writes: Sequence[Write], *, key: bytes = b"", allowed: Allowed | None = None
    ) -> list[Outcome]:
        """Change handles."""
        ...

    def handles(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]:
        """Return handles of a prefix."""
        ...


def values_here(store: Store) -> Callable[[HandleName], Sequence[HandleValue] | None]:
    """Return what gives all values of a handle that is in a store, secret ones too."""

    def values(name: HandleName) -> Sequence[HandleValue] | None:
        found = store.lookup(name)
        return found.values if isinstance(found, Found) else None

    return values


class Operations:
    """What the Handle protocol does with the identifiers of a node."""

    def __init__(
        self,
        store: Store,
        authorization: Authorization,
        *,
        site: Callable[[], Site | None] = lambda: None,
        recurse: Recurse | None = None,
    ) -> None:
        """Make it.

        Args:
            store: the identifiers.
            authorization: who may do what.
            site: where this service is, told to whoever asks.
            recurse: asks others; without it, clients are referred to them.
        """
        self._store = store
        self._values = values_here(store)
        self._authorization = authorization
        self._site = site
        self._recurse = recurse
        self.by_code: dict[int, GuardedOperation] = {
            OpCode.RESOLUTION: self._resolve,
            OpCode.GET_SITE_INFO: self._site_information,
            OpCode.CREATE_HANDLE: self._create,
            OpCode.DELETE_HANDLE: self._delete,
            OpCode.ADD_VALUE: self._add,
            OpCode.REMOVE_VALUE: self._remove,
            OpCode.MODIFY_VALUE: self._modify,
            OpCode.LIST_HANDLE: self._list,
        }

    def _resolve(self, asked: Asked, asker: Asker | None) -> Answer:
        request = asked.message
        try:
            wish = decode_resolution(request.body)
        except MalformedError as error:
            return _malformed(request, error)
        try:
            name = parse_handle(wish.handle)
        except MalformedError as error:
            return respond(request, ResponseCode.INVALID_HANDLE, encode_error(str(error)))
        found = self._store.lookup(name)
        if isinstance(found, Found):
            readable = None if asker is None else partial(self._authorization.readable, asker)
            return answer_found(request, wish, name, found.values, readable)
        if isinstance(found, Nowhere):
            return respond(request, ResponseCode.HANDLE_NOT_FOUND, encode_error(f"no handle {wish.handle}"))
        if self._recurse is not None and request.header.flags & _RECURSIVE:
            if request.header.recursions >= _MOST_RECURSIONS:
                return respond(request, ResponseCode.RECURSION_LIMIT_EXCEEDED, encode_error("passed on too often"))
            return self._recurse(asked, name, found)
        return refer(request, found)

    def _site_information(self, asked: Asked, asker: Asker | None) -> Answer:
        site = self._site()
        if site is None:
            return respond(asked.message, ResponseCode.VALUES_NOT_FOUND, encode_error("this site has no HS_SITE yet"))
        return respond(asked.message, ResponseCode.SUCCESS, encode_site(site))

    def _create(self, asked: Asked, asker: Asker | None) -> Answer:
        request = asked.message
        try:
            body = decode_record(request.body)
        except MalformedError as error:
            return _malformed(request, error)
        handle, said = body.handle, b""
        if request.header.flags & OpFlag.MINT_SUFFIX:
            # Drawn again when a client proves who it is; what it was told before was a challenge.
            handle += str(uuid.uuid4())
            said = encode_handle(handle)
        overwrite = bool(request.header.flags & OpFlag.OVERWRITE)
        write = Write(operation=Operation.CREATE, handle=handle, values=body.values, overwrite=overwrite)
        return self._write(request, asker, write, said)

    def _delete(self, asked: Asked, asker: Asker | None) -> Answer:
        try:
            handle = decode_handle(asked.message.body)
        except MalformedError as error:
            return _malformed(asked.message, error)
        return self._write(asked.message, asker, Write(operation=Operation.DELETE, handle=handle))

    def _add(self, asked: Asked, asker: Asker | None) -> Answer:
        overwrite = bool(asked.message.header.flags & OpFlag.OVERWRITE)
        return self._change(asked.message, asker, Operation.ADD_VALUES, overwrite)

    def _modify(self, asked: Asked, asker: Asker | None) -> Answer:
        return self._change(asked.message, asker, Operation.MODIFY_VALUES, False)

    def _change(self, request: Message, asker: Asker | None, operation: Operation, overwrite: bool) -> Answer:
        try:
            body = decode_record(request.body)
        except MalformedError as error:
            return _malformed(request, error)
        write = Write(operation=operation, handle=body.handle, values=body.values, overwrite=overwrite)
        return self._write(request, asker, write)

    def _remove(self, asked: Asked, asker: Asker | None) -> Answer:
        try:
            body = decode_removal(asked.message.body)
        except MalformedError as error:
            return _malformed(asked.message, error)
        write = Write(operation=Operation.REMOVE_VALUES, handle=body.handle, indexes=body.indexes)
        return self._write(asked.message, asker, write)

    def _list(self, asked: Asked, asker: Asker | None) -> Answer:
        request = asked.message
        try:
            name = parse_handle(decode_handle(request.body))
        except MalformedError as error:
            return _malformed(request, error)
        if folded(name.prefix) != NAMING_AUTHORITY:
            return respond(request, ResponseCode.INVALID_HANDLE, encode_error("a prefix is 0.NA/prefix"))
        found = self._store.lookup(name)
        if isinstance(found, Nowhere):
            return respond(request, ResponseCode.HANDLE_NOT_FOUND, encode_error(f"no prefix {name.suffix}"))
        if isinstance(found, Elsewhere):
            return refer(request, found)
        if asker is None:
            return None
        if not self._authorization.may_list(asker, name.suffix):
            return _denied(request, self._authorization.prefix_rights(asker, name.suffix))
        handles = self._store.handles(name.suffix, limit=MOST_LISTED + 1)
        body = encode_handles(tuple(handles))
        if len(handles) > MOST_LISTED or len(body) > MAX_MESSAGE_BYTES // 2:
            words = encode_error(f"more than {MOST_LISTED:,} handles: the node's own interface lists them by pages")
            return respond(request, ResponseCode.ERROR, words)
        return respond(request, ResponseCode.SUCCESS, body)

    def _write(self, request: Message, asker: Asker | None, write: Write, said: bytes = b"") -> Answer:
        try:
            name = parse_handle(write.handle)
        except MalformedError as error:
            return respond(request, ResponseCode.INVALID_HANDLE, encode_error(str(error)))
        found = self._store.lookup(name)
        if isinstance(found, Elsewhere):
            return refer(request, found)
        current = found.values if isinstance(found, Found) else None
        if not self._authorization.may_write(asker, name, current, write):
            if asker is None:
                return None
            creates = current is None or write.operation is Operation.CREATE
            rights = self._authorization.prefix_rights(asker, name.prefix) if creates else 0
            if current is not None:
                rights |= self._authorization.rights(asker, name, current)
            return _denied(request, rights)
        return self._written(request, asker, write, said)

    async def _written(self, request: Message, asker: Asker | None, write: Write, said: bytes) -> Message:
        try:
            # Asked again by the writer: what was true a moment ago need not be when it writes.
            outcomes = await self._store.write([write], allowed=self._authorization.allowed(asker))
        except BatchError as error:
            return respond(request, response_of(error), encode_error(str(error)))
        outcome = outcomes[0]
        if outcome.done:
            return respond(request, ResponseCode.SUCCESS, said)
        return respond(request, RESPONSES[outcome.code], encode_error(outcome.detail or outcome.code.value))


def _malformed(request: Message, error: MalformedError) -> Message:
    return respond(request, ResponseCode.PROTOCOL_ERROR, encode_error(str(error)))


def _denied(request: Message, rights: int) -> Message:
    """Return the answer to somebody who is no administrator, or one without the right."""
    if rights:
        return respond(request, ResponseCode.ACCESS_DENIED, encode_error("the administrator may not do this"))
    return respond(request, ResponseCode.NOT_AUTHORIZED, encode_error("not an administrator of this handle"))
