"""The face: paths and methods to what answers them, permissions, discovery, errors."""

import logging
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Protocol
from urllib.parse import unquote

from gongfu.identify.epcis.capture import Capture
from gongfu.identify.epcis.rest.capturing import Capturing
from gongfu.identify.epcis.rest.pages import Call, Reading, answer, empty
from gongfu.identify.epcis.rest.parameters import check_versions
from gongfu.identify.epcis.rest.problems import EpcisProblem, Kind, no_resource
from gongfu.identify.epcis.rest.querying import Querying
from gongfu.identify.epcis.rest.resources import TOP_LEVEL, Resources
from gongfu.identify.epcis.store import EventStore
from gongfu.identify.epcis.subscriptions import Subscriptions
from gongfu.identify.epcis.vocabulary import CONTEXT
from gongfu.identify.http.types import Request, Response
from gongfu.kernel.errors import Problem
from gongfu.kernel.times import Clock, SystemClock

logger = logging.getLogger(__name__)

Answering = Callable[[Call], Awaitable[Response]]
# Headers of discovery besides the capture limits (EPCIS 2.0 §12.5).
_DISCOVERY = (
    ("GS1-EPCIS-Min", "2.0.0"),
    ("GS1-EPCIS-Max", "2.0.0"),
    ("GS1-CBV-Min", "2.0.0"),
    ("GS1-CBV-Max", "2.0.0"),
    ("GS1-EPC-Format", "Never_Translates"),
    ("GS1-Vendor-Version", "gongfu"),
)


class Access(StrEnum):
    """What somebody wants to do."""

    READ = "read"
    CAPTURE = "capture"
    QUERIES = "queries"


class Authorize(Protocol):
    """Says who asks."""

    async def __call__(self, request: Request, access: Access) -> str:
        """Return the name of who asks.

        Raises:
            Problem: 401 or 403.
        """
        ...


class EpcisFace:
    """Answers requests below a path; see ``gongfu.identify.http.types.Face``."""

    def __init__(
        self,
        store: EventStore,
        capture: Capture,
        authorize: Authorize,
        *,
        subscriptions: Subscriptions | None = None,
        prefix: str = "/epcis",
        clock: Clock | None = None,
    ) -> None:
        """Make it.

        Args:
            store: of events.
            capture: takes documents for the store.
            authorize: says who asks, or refuses.
            subscriptions: serves them; None where the node delivers nothing.
            prefix: path below which it is mounted.
            clock: for dates of answers.
        """
        self._prefix = prefix.rstrip("/")
        self._authorize = authorize
        reading = Reading(store, clock or SystemClock(), self._prefix)
        self._capturing = Capturing(capture, reading)
        self._resources = Resources(reading)
        self._querying = Querying(reading, subscriptions)

    async def __call__(self, request: Request) -> Response:
        """Answer a request."""
        try:
            return await self._answer(request)
        except EpcisProblem as problem:
            return problem.response(request.path)
        except Problem as problem:
            kind = Kind.SECURITY if problem.status in (401, 403) else Kind.IMPLEMENTATION
            challenge = (("WWW-Authenticate", 'Basic realm="epcis"'),) if problem.status == 401 else ()
            detail = problem.detail or problem.title
            return EpcisProblem(kind, problem.status, detail, headers=challenge).response(request.path)
        except Exception:
            logger.exception("a request for %s failed", request.path)
            return EpcisProblem(Kind.IMPLEMENTATION, 500, "see the node's log").response(request.path)

    async def _answer(self, request: Request) -> Response:
        path = request.path.removeprefix(self._prefix).strip("/")
        try:
            parts = tuple(unquote(part, errors="strict") for part in path.split("/")) if path else ()
        except UnicodeDecodeError:
            raise no_resource("the path is not UTF-8") from None
        methods = self._methods(parts)
        if not methods:
            raise no_resource("there is nothing at this path")
        method = "GET" if request.method == "HEAD" else request.method
        allow = ("Allow", ", ".join([*methods, "OPTIONS"]))
        if method == "OPTIONS":
            return empty(204, (allow, *_DISCOVERY, *self._capturing.limits()))
        if method not in methods:
            raise EpcisProblem(Kind.IMPLEMENTATION, 405, f"{request.method[:20]} is not done here", headers=(allow,))
        check_versions(request.headers)
        access, answering = methods[method]
        owner = await self._authorize(request, access)
        return await answering(Call(request, parts, owner))

    def _methods(self, parts: tuple[str, ...]) -> dict[str, tuple[Access, Answering]]:
        """Return what can be done at a path."""
        read, capture, queries = Access.READ, Access.CAPTURE, Access.QUERIES
        capturing, resources, querying = self._capturing, self._resources, self._querying
        match parts:
            case ():
                return {"GET": (read, self._entry)}
            case ("capture",):
                return {"GET": (capture, capturing.jobs), "POST": (capture, capturing.post_document)}
            case ("capture", _):
                return {"GET": (capture, capturing.job)}
            case ("events",):
                return {"GET": (read, resources.events), "POST": (capture, capturing.post_event)}
            case ("events", _):
                return {"GET": (read, resources.event)}
            case (top,) if top in TOP_LEVEL:
                return {"GET": (read, resources.values)}
            case (top, _) if top in TOP_LEVEL:
                return {"GET": (read, resources.value)}
            case (top, _, "events") if top in TOP_LEVEL:
                return {"GET": (read, resources.events_of)}
            case ("queries",):
                return {"GET": (queries, querying.queries), "POST": (queries, querying.create)}
            case ("queries", _):
                return {"GET": (queries, querying.show), "DELETE": (queries, querying.remove)}
            case ("queries", _, "events"):
                return {"GET": (read, querying.events)}
            case ("queries", _, "subscriptions"):
                return {"GET": (queries, querying.subscriptions), "POST": (queries, querying.subscribe)}
            case ("queries", _, "subscriptions", _):
                return {"GET": (queries, querying.subscription), "DELETE": (queries, querying.unsubscribe)}
            case ("queries", _, "subscriptions", _, "resume"):
                return {"POST": (queries, querying.resume)}
            case ("nextPageToken", _):
                return {"DELETE": (read, self._forget_token)}
            case _:
                return {}

    async def _entry(self, call: Call) -> Response:
        members = ["capture", "events", "queries", *TOP_LEVEL]
        return answer(call, {"@context": CONTEXT, "type": "Collection", "member": members})

    async def _forget_token(self, _call: Call) -> Response:
        # Tokens hold all they mean: nothing is kept that could be forgotten.
        return empty(204)
