"""The ASGI application: turns the nouns' routes into HTTP, and every failure into problem+json."""

import logging
import re
import secrets
from collections.abc import Sequence
from typing import Any, TypeGuard

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Router
from starlette.routing import Route as HttpRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gongfu.kernel.errors import Problem, invalid
from gongfu.rest.routing import ANONYMOUS, Call, Incoming, Route
from gongfu.web.answers import answer_response, problem_response
from gongfu.web.authentication import Identify, authenticate, authorise, check_origin
from gongfu.web.headers import SECURITY_HEADERS
from gongfu.web.paths import http_path
from gongfu.web.whole_numbers import check_whole_numbers

PREFIX = "/v1"
MAX_BODY_BYTES = 1_048_576
_READ_ON_BYTES = 4_194_304

# The escape of U+0000 in JSON, and not an escaped backslash before "u0000".
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

log = logging.getLogger("gongfu.web")


def create_app(
    routes: Sequence[Route],
    identify: Identify,
    *,
    further: Sequence[BaseRoute] = (),
    max_body_bytes: int = MAX_BODY_BYTES,
) -> ASGIApp:
    """Return the application.

    Args:
        routes: operations of the API, mounted below ``/v1``.
        identify: who a token stands for; called in a thread.
        further: Starlette routes beside the API (stream, metrics, console), tried after it in this order.
        max_body_bytes: greatest request body; more is 413.
    """
    by_path: dict[str, list[Route]] = {}
    for route in routes:
        by_path.setdefault(route.path, []).append(route)
    mounted: list[BaseRoute] = [
        _Operations(path, group, identify, max_body_bytes).http_route() for path, group in by_path.items()
    ]
    return _Shell(Router([*mounted, *further], redirect_slashes=False))


class _Operations:
    """All operations of one path, by method."""

    def __init__(self, path: str, routes: Sequence[Route], identify: Identify, max_body_bytes: int) -> None:
        self._path = path
        self._by_method = {route.method: route for route in routes}
        if len(self._by_method) != len(routes):
            raise ValueError(f"{path} is mounted twice for one method")
        self._decoders = {
            route.method: msgspec.json.Decoder(route.request)
            for route in routes
            if route.request not in (None, bytes, Incoming)
        }
        self._identify = identify
        self._max_body_bytes = max_body_bytes

    def http_route(self) -> HttpRoute:
        return HttpRoute(PREFIX + http_path(self._path), self._answer, methods=list(self._by_method))

    async def _answer(self, request: Request) -> Response:
        route = self._by_method.get("GET" if request.method == "HEAD" else request.method)
        assert route is not None  # Starlette answers 405 for other methods.
        check_origin(request)
        subject, session = ANONYMOUS, ""
        if route.action is not None:
            identity = await authenticate(request, self._identify)
            authorise(identity, route.action, own_session=route.own_session)
            subject, session = identity.subject, identity.token_hash
        query = dict(request.query_params)
        # PostgreSQL cannot hold this character in a text, and nothing needs it in one.
        if any("\0" in text for text in (*query.values(), *request.path_params.values())):
            raise invalid("text must not contain the character U+0000")
        body = await self._body(request, route)
        call = Call(
            subject=subject,
            path=request.path_params,
            query=query,
            body=body,
            accept=request.headers.get("accept", "*/*").lower(),
            headers=dict(request.headers),
            address=request.client.host if request.client else "",
            session=session,
        )
        return await answer_response(request, await route.answer(call), route.status)

    async def _body(self, request: Request, route: Route) -> Any:
        if route.request is None:
            return None
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if route.request is Incoming:
            length = request.headers.get("content-length", "")
            return Incoming(request.stream(), media_type, int(length[:18]) if length.isdigit() else None)
        raw = await _read_body(request, self._max_body_bytes)
        if route.request is bytes:
            return raw
        if media_type != "application/json":
            raise Problem(415, "unsupported-media-type", "Media type not supported", "send it as application/json")
        if _NUL.search(raw):
            raise invalid("text must not contain the character U+0000")
        try:
            body = self._decoders[route.method].decode(raw)
        except msgspec.ValidationError as error:
            raise invalid(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(400, "malformed-json", "The body is not JSON", str(error)[:200]) from None
        if too_large := check_whole_numbers(raw, body):
            raise invalid(f"{too_large} must fit in 64 bits")
        return body


async def _read_body(request: Request, bound: int) -> bytes:
    """Return the body.

    A body beyond the bound is read on for a while and forgotten: a server that closes while the client still sends
    makes many clients see a broken connection instead of the answer.

    Raises:
        Problem: 413 when it has more than ``bound`` bytes.
    """
    length = request.headers.get("content-length", "")
    chunks: list[bytes] = []
    size = 0
    if not length.isdigit() or int(length[:18]) <= bound + _READ_ON_BYTES:
        async for chunk in request.stream():
            size += len(chunk)
            if size > bound + _READ_ON_BYTES:
                break
            if size <= bound:
                chunks.append(chunk)
            else:
                chunks.clear()
    if size > bound or (length.isdigit() and int(length[:18]) > bound):
        raise Problem(413, "body-too-large", "The body is too large", f"at most {bound} bytes")
    return b"".join(chunks)


class _Shell:
    """Around everything: request id, security headers, and the answer for whatever was raised."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        request_id = secrets.token_hex(8)
        # Starlette's router answers 404 and 405 itself unless it believes that an application is around it.
        scope["app"] = self
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                present = {name for name, _ in message["headers"]}
                added = [item for item in SECURITY_HEADERS if item[0] not in present]
                message["headers"] = [*message["headers"], *added, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._inner(scope, receive, send_with_headers)
        except ClientDisconnect:
            return
        except Exception as error:
            if not _is_expected(error):
                log.exception("request %s: %s %s failed", request_id, scope["method"], scope["path"])
            if started:
                raise
            allowed = error.headers if isinstance(error, HTTPException) else None
            answer = problem_response(_problem_of(error, scope), request_id, allowed)
            await answer(scope, receive, send_with_headers)


def _is_expected(error: Exception) -> TypeGuard[Problem | HTTPException]:
    return isinstance(error, (Problem, HTTPException))


def _problem_of(error: Exception, scope: Scope) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException) and error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return Problem(
            405, "method-not-allowed", "Method not allowed here", f"{scope['method']} is not one of {allowed}"
        )
    if isinstance(error, HTTPException):
        return Problem(error.status_code, "not-found", "Not found", f"there is nothing at {scope['path'][:200]}")
    return Problem(500, "internal", "Internal error", "the node's log has the cause under this request id")


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
