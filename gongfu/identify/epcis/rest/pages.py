"""What the resources of the face have in common: a call with its parts, and answers."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import orjson

from gongfu.identify.epcis.answers import query_document
from gongfu.identify.epcis.query import Query, QueryError, parse_query
from gongfu.identify.epcis.rest.parameters import definition, min_record_time, namespaces, per_page
from gongfu.identify.epcis.rest.problems import VERSIONS, EpcisProblem, Kind
from gongfu.identify.epcis.selection import TokenError, TooLargeError, select
from gongfu.identify.epcis.store import EventStore
from gongfu.identify.http.types import Request, Response
from gongfu.kernel.times import Clock, format_rfc3339

T = TypeVar("T")

Headers = Sequence[tuple[str, str]]
# Of definitions of queries and subscriptions.
_MAX_BODY_BYTES = 64 * 1024
# Queries that read at a time; others wait.
_TOGETHER = 4


class Call(NamedTuple):
    """A request with what it is about.

    Attributes:
        request: as it came.
        parts: of the path below the face, decoded.
        owner: who asks.
    """

    request: Request
    parts: tuple[str, ...]
    owner: str


class Reading:
    """Reads the store in threads, few at a time, and makes pages of events."""

    def __init__(self, store: EventStore, clock: Clock, prefix: str) -> None:
        self.store = store
        self.clock = clock
        self.prefix = prefix
        self._together = asyncio.Semaphore(_TOGETHER)

    async def __call__(self, read: Callable[..., T], *args: Any) -> T:
        """Call something that reads."""
        async with self._together:
            return await asyncio.to_thread(read, *args)

    async def events(self, call: Call, fixed: Mapping[str, Any], name: str = "SimpleEventQuery") -> Response:
        """Answer with a page of events.

        Args:
            call: whose URL has parameters.
            fixed: parameters that the resource stands for.
            name: of the query that the answer names.
        """
        given = definition(call.request.query)
        size, token = per_page(given), str(given.pop("nextPageToken", ""))
        for parameter in fixed:
            if parameter in given:
                raise EpcisProblem(Kind.PARAMETER, 400, f"{parameter} is given by the path already")
        query = self.query({**given, **fixed}, call.request.headers)
        return await self.page(call, query, size, token, name)

    def query(self, parameters: Mapping[str, Any], headers: Mapping[str, str]) -> Query:
        """Return the query of parameters.

        Raises:
            EpcisProblem: they are not allowed.
        """
        try:
            query = parse_query(parameters, namespaces(headers))
        except QueryError as error:
            raise EpcisProblem(Kind.PARAMETER, 400, str(error), findings=error.findings) from None
        earliest = min_record_time(headers)
        if earliest is not None:
            query = query._replace(from_record=max(earliest, query.from_record or earliest))
        return query

    async def page(self, call: Call, query: Query, size: int, token: str, name: str) -> Response:
        """Answer with a page of a query's result."""
        try:
            page, body = await self(self._page, query, size, token, name)
        except TokenError as error:
            raise EpcisProblem(Kind.PARAMETER, 400, f"nextPageToken: {error}") from None
        except TooLargeError as error:
            raise EpcisProblem(Kind.TOO_LARGE, 413, str(error)) from None
        return answer(call, body, self.next_link(call, size, page))

    def _page(self, query: Query, size: int, token: str, name: str) -> tuple[str, bytes]:
        page = select(self.store, query, per_page=size, token=token)
        now = format_rfc3339(self.clock.now_ns())
        return page.next, query_document(self.store, page.events, created=now, query_name=name)

    def next_link(self, call: Call, size: int, token: str) -> Headers:
        """Return the header that says where the next page is."""
        if not token:
            return ()
        kept = [part for part in call.request.query.split("&") if part.partition("=")[0] not in _PAGING and part]
        query = "&".join([*kept, f"perPage={size}", f"nextPageToken={token}"])
        return (("Link", f'<{call.request.path}?{query}>; rel="next"'),)

    def path(self, *parts: str) -> str:
        """Return the path of a resource."""
        return self.prefix + "".join("/" + quote(part, safe="") for part in parts)


_PAGING = ("perPage", "nextPageToken")


def answer(call: Call, body: bytes | object, headers: Headers = (), status: int = 200) -> Response:
    """Return an answer in JSON."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    linked = "ld+json" in call.request.headers.get("accept", "")
    kind = "application/ld+json" if linked else "application/json"
    return Response(status, content, (("Content-Type", kind), *VERSIONS, *headers))


def empty(status: int, headers: Headers = ()) -> Response:
    """Return an answer without a body."""
    return Response(status, b"", (*VERSIONS, *headers))


def json_body(call: Call) -> dict[str, Any]:
    """Return the JSON object of a request.

    Raises:
        EpcisProblem: it is none.
    """
    check_media_type(call.request)
    if len(call.request.body) > _MAX_BODY_BYTES:
        raise EpcisProblem(Kind.VALIDATION, 413, f"at most {_MAX_BODY_BYTES} bytes are taken here")
    try:
        value = orjson.loads(call.request.body)
    except ValueError as error:
        raise EpcisProblem(Kind.VALIDATION, 400, f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise EpcisProblem(Kind.VALIDATION, 400, "a JSON object is needed")
    return value


def check_media_type(request: Request) -> None:
    """Check that a body is JSON by what is said of it.

    Raises:
        EpcisProblem: 415 if not.
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind not in ("application/json", "application/ld+json"):
        raise EpcisProblem(Kind.MEDIA_TYPE, 415, f"{kind[:80]}: application/json and application/ld+json are taken")
