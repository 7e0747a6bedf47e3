"""``/api/handles``: handles as JSON, read and written, as clients of the Handle System's HTTP interface use it.

- ``GET /api/handles/<handle>?index=…&type=…``: values by index. With credentials also those that their owner may read.
- ``PUT …`` with ``{"values": […]}``: the whole handle; with ``index=<n>`` (or ``various``) only these values.
  ``overwrite=false`` refuses what is there.
- ``DELETE …``: the whole handle; with ``index=<n>`` only these values.

Answers bear ``responseCode`` of the Handle protocol and the handle. The handle in the path is percent-encoded UTF-8.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec

from gongfu.identify.administration.operations import Store
from gongfu.identify.administration.outcomes import RESPONSES, response_of
from gongfu.identify.authentication.authenticator import Authenticator
from gongfu.identify.authentication.authorization import Authorization
from gongfu.identify.authentication.basic import parse_basic
from gongfu.identify.authentication.types import Asker
from gongfu.identify.handle.codes import ResponseCode
from gongfu.identify.handle.json_form import from_json, to_json
from gongfu.identify.handle.names import HandleName, parse_handle
from gongfu.identify.handle.resolution import Elsewhere, Found, Nowhere, visible
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.handle.wire import MalformedError
from gongfu.identify.http.types import Request, Response
from gongfu.identify.service.writes import BatchError, Operation, Outcome, Write, WriteCode

PATH = "/api/handles"
MOST_VALUES = 1000
_MOST_FIELDS = 1000
_MOST_INDEX = 2**32 - 1
_JSON = ("Content-Type", "application/json;charset=UTF-8")
# Browsers of other sites may read what anybody may.
_CORS = ("Access-Control-Allow-Origin", "*")
_SIGN_IN = ("WWW-Authenticate", 'Basic realm="handle", charset="UTF-8"')

_STATUSES = {
    ResponseCode.SUCCESS: 200,
    ResponseCode.HANDLE_NOT_FOUND: 404,
    ResponseCode.HANDLE_ALREADY_EXISTS: 409,
    ResponseCode.VALUE_ALREADY_EXISTS: 409,
    ResponseCode.NOT_AUTHORIZED: 403,
    ResponseCode.ACCESS_DENIED: 403,
    ResponseCode.OPERATION_DENIED: 403,
    ResponseCode.AUTHENTICATION_NEEDED: 401,
    ResponseCode.AUTHENTICATION_FAILED: 401,
    ResponseCode.REGISTRATION_LIMIT: 403,
    ResponseCode.SERVER_BUSY: 503,
    ResponseCode.ERROR: 500,
}

Elsewheres = Callable[[HandleName, Elsewhere], Awaitable[Found | Nowhere | Elsewhere]]
"""Asks the service that a handle is at."""


class _Said(Exception):
    """An answer that ends what is done."""

    def __init__(self, code: ResponseCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Values(msgspec.Struct):
    values: list[object]
    handle: str = ""


class Wish(msgspec.Struct, frozen=True):
    """What the query of a request says.

    Attributes:
        indexes: of values.
        types: of values.
        various: indexes are those of the values in the body.
        overwrite: what is there may be replaced.
        public_only: never ask for credentials.
        mint: a suffix is made by the server.
    """

    indexes: tuple[int, ...] = ()
    types: tuple[str, ...] = ()
    various: bool = False
    overwrite: bool = True
    public_only: bool = False
    mint: bool = False


class HandlesFace:
    """Answers below ``PATH``."""

    def __init__(
        self,
        store: Store,
        authenticator: Authenticator,
        authorization: Authorization,
        *,
        now: Callable[[], int],
        elsewhere: Elsewheres | None = None,
    ) -> None:
        """Make it.

        Args:
            store: the identifiers.
            authenticator: who is who.
            authorization: who may do what.
            now: UTC seconds.
            elsewhere: finds handles of other services; without it, they are said not to be here.
        """
        self._store = store
        self._authenticator = authenticator
        self._authorization = authorization
        self._now = now
        self._elsewhere = elsewhere

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a request."""
        handle = ""
        try:
            handle = _handle_of(request.path)
            if request.method == "OPTIONS":
                return _preflight()
            name = _parse(handle)
            wish = parse_wish(request.query)
            asker = self._asker(request)
            if request.method == "GET":
                return self._get(name, handle, wish, asker)
            if request.method == "PUT":
                return self._put(request, name, handle, wish, asker)
            if request.method == "DELETE":
                return self._delete(name, handle, wish, asker)
            return _said(ResponseCode.OPERATION_DENIED, handle, "GET, PUT and DELETE are offered", 405)
        except _Said as said:
            return _said(said.code, handle, str(said))

    def _asker(self, request: Request) -> Asker | None:
        header = request.headers.get("authorization")
        if header is None:
            return None
        try:
            asker = self._authenticator.by_password(parse_basic(header), request.peer)
        except MalformedError as error:
            raise _Said(ResponseCode.AUTHENTICATION_FAILED, str(error)) from None
        if asker is None:
            raise _Said(ResponseCode.AUTHENTICATION_FAILED, "the secret key is wrong, or not known here")
        return asker

    def _get(self, name: HandleName, handle: str, wish: Wish, asker: Asker | None) -> Response | Awaitable[Response]:
        found = self._store.lookup(name)
        if isinstance(found, Elsewhere) and self._elsewhere is not None:
            return self._far(self._elsewhere(name, found), name, handle, wish)
        return self._shown(found, name, handle, wish, asker)

    async def _far(
        self, answer: Awaitable[Found | Nowhere | Elsewhere], name: HandleName, handle: str, wish: Wish
    ) -> Response:
        try:
            return msgspec.structs.replace(self._shown(await answer, name, handle, wish, None), depends=())
        except _Said as said:
            return _said(said.code, handle, str(said))

    def _shown(
        self, found: Found | Nowhere | Elsewhere, name: HandleName, handle: str, wish: Wish, asker: Asker | None
    ) -> Response:
        if isinstance(found, Nowhere):
            raise _Said(ResponseCode.HANDLE_NOT_FOUND, "no such handle")
        if isinstance(found, Elsewhere):
            raise _Said(
                ResponseCode.SERVER_NOT_RESPONDING, f"that prefix is not here: ask the service of {found.handle}"
            )
        readable = None
        if asker is not None and not wish.public_only:
            readable = self._authorization.readable(asker, name, found.values)
        shown, asks = visible(found.values, wish.indexes, wish.types, readable)
        if asks and not wish.public_only and (readable is None or not shown):
            code = ResponseCode.AUTHENTICATION_NEEDED if readable is None else ResponseCode.ACCESS_DENIED
            raise _Said(code, "these values are for administrators")
        if not shown:
            # As the Handle System's servers say it: the handle is there, so this is no error of HTTP.
            return _said(ResponseCode.VALUES_NOT_FOUND, handle, "no such values", 200)
        document = {
            "responseCode": int(ResponseCode.SUCCESS),
            "handle": handle,
            "values": [to_json(value) for value in shown],
        }
        depends = (name.key,) if asker is None else ()
        return Response(200, msgspec.json.encode(document), (_JSON, _CORS), depends)

    def _put(
        self, request: Request, name: HandleName, handle: str, wish: Wish, asker: Asker | None
    ) -> Response | Awaitable[Response]:
        values = _values_of(request, handle, self._now())
        operation = Operation.PUT if wish.overwrite else Operation.CREATE
        if wish.various or wish.indexes:
            operation = Operation.ADD_VALUES
            if not wish.various:
                values = tuple(value for value in values if value.index in wish.indexes)
            if not values:
                raise _Said(ResponseCode.VALUE_INVALID, "no values with these indexes in the body")
        elif wish.mint:
            handle += secrets.token_hex(16)
            name, operation = _parse(handle), Operation.CREATE
        write = Write(
            operation=operation,
            handle=handle,
            values=values,
            overwrite=wish.overwrite and operation is Operation.ADD_VALUES,
        )
        return self._write(name, handle, write, asker)

    def _delete(self, name: HandleName, handle: str, wish: Wish, asker: Asker | None) -> Awaitable[Response]:
        if wish.various:
            raise _Said(ResponseCode.VALUE_INVALID, "values are deleted by their index")
        operation = Operation.REMOVE_VALUES if wish.indexes else Operation.DELETE
        return self._write(name, handle, Write(operation=operation, handle=handle, indexes=wish.indexes), asker)

    def _write(self, name: HandleName, handle: str, write: Write, asker: Asker | None) -> Awaitable[Response]:
        found = self._store.lookup(name)
        if isinstance(found, Elsewhere):
            raise _Said(
                ResponseCode.SERVER_NOT_RESPONDING, f"that prefix is not here: ask the service of {found.handle}"
            )
        current = found.values if isinstance(found, Found) else None
        if not self._authorization.may_write(asker, name, current, write):
            if asker is None:
                raise _Said(ResponseCode.AUTHENTICATION_NEEDED, "who asks?")
            raise _Said(ResponseCode.ACCESS_DENIED, "the administrator may not do this")
        return self._written(handle, write, asker)

    async def _written(self, handle: str, write: Write, asker: Asker | None) -> Response:
        try:
            outcomes = await self._store.write([write], allowed=self._authorization.allowed(asker))
        except BatchError as error:
            return _said(response_of(error), handle, str(error))
        return _outcome(outcomes[0], handle)


def _handle_of(path: str) -> str:
    encoded = path[len(PATH) :].removeprefix("/")
    try:
        return unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        raise _Said(ResponseCode.INVALID_HANDLE, "a handle is percent-encoded UTF-8") from None


def _parse(handle: str) -> HandleName:
    try:
        return parse_handle(handle)
    except MalformedError as error:
        raise _Said(ResponseCode.INVALID_HANDLE, str(error)) from None


def parse_wish(query: str) -> Wish:
    """Return what a query says; fields that are not known say nothing here.

    Raises:
        _Said: an index or truth value is none, or there are too many fields.
    """
    if not query:
        return _ALL
    try:
        fields = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise _Said(ResponseCode.PROTOCOL_ERROR, "the query is not one") from None
    indexes: list[int] = []
    types: list[str] = []
    truths = {"overwrite": True, "publicOnly": False, "mintNewSuffix": False}
    various = False
    for name, value in fields:
        if name == "index" and value == "various":
            various = True
        elif name == "index":
            indexes.append(_index(value))
        elif name == "type":
            types.append(value)
        elif name == "auth" and value.lower() == "false":
            truths["publicOnly"] = True
        elif name in truths:
            truths[name] = _truth(name, value)
    return Wish(
        tuple(indexes), tuple(types), various, truths["overwrite"], truths["publicOnly"], truths["mintNewSuffix"]
    )


_ALL = Wish()


def _index(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 10 and 1 <= int(value) <= _MOST_INDEX):
        raise _Said(ResponseCode.VALUE_INVALID, "an index is 1 to 4294967295")
    return int(value)


def _truth(name: str, value: str) -> bool:
    if value.lower() not in ("", "true", "false"):
        raise _Said(ResponseCode.PROTOCOL_ERROR, f"{name} is true or false")
    return value.lower() != "false"


def _values_of(request: Request, handle: str, now: int) -> tuple[HandleValue, ...]:
    try:
        body = msgspec.json.decode(request.body, type=_Values)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _Said(ResponseCode.PROTOCOL_ERROR, f"the body is no JSON with values: {error}"[:300]) from None
    if body.handle and _parse(body.handle).key != _parse(handle).key:
        raise _Said(ResponseCode.INVALID_HANDLE, "the handle of the body is another")
    if len(body.values) > MOST_VALUES:
        raise _Said(ResponseCode.VALUE_INVALID, f"a handle has at most {MOST_VALUES:,} values")
    try:
        return tuple(from_json(value, now) for value in body.values)
    except MalformedError as error:
        raise _Said(ResponseCode.VALUE_INVALID, str(error)[:300]) from None


def _outcome(outcome: Outcome, handle: str) -> Response:
    if outcome.code is WriteCode.CREATED:
        return _said(ResponseCode.SUCCESS, handle, "", 201)
    if outcome.done:
        return _said(ResponseCode.SUCCESS, handle, "")
    return _said(RESPONSES[outcome.code], handle, outcome.detail or outcome.code.value)


def _said(code: ResponseCode, handle: str, message: str, status: int = 0) -> Response:
    document: dict[str, object] = {"responseCode": int(code)}
    if message:
        document["message"] = message
    if handle:
        document["handle"] = handle
    headers: Sequence[tuple[str, str]] = (_JSON, _CORS)
    status = status or _STATUSES.get(code, 400)
    if status == 401:
        headers = (*headers, _SIGN_IN)
    if status == 405:
        headers = (*headers, ("Allow", "GET, HEAD, PUT, DELETE, OPTIONS"))
    return Response(status, msgspec.json.encode(document), tuple(headers))


def _preflight() -> Response:
    return Response(
        204,
        b"",
        (
            _CORS,
            ("Access-Control-Allow-Methods", "GET, HEAD, PUT, DELETE, OPTIONS"),
            ("Access-Control-Allow-Headers", "Authorization, Content-Type"),
            ("Access-Control-Max-Age", "86400"),
        ),
    )
