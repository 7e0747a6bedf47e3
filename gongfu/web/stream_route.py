"""HTTP of the stream: ``GET /v1/stream?series=1,2,3``."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route as HttpRoute

from gongfu.kernel.errors import invalid, not_found
from gongfu.kernel.permissions import Action
from gongfu.registry.points import Points
from gongfu.web.app import PREFIX
from gongfu.web.authentication import Identify, authenticate, authorise, bearer_of
from gongfu.web.stream import MAX_SERIES, Hub


def stream_route(hub: Hub, identify: Identify, points: Points) -> HttpRoute:
    """Return the route; its events are ``overview``, ``alarm``, ``tree``, ``latest``, and ``end`` of the session."""

    async def serve(request: Request) -> Response:
        identity = await authenticate(request, identify)
        authorise(identity, Action.READ)
        series = _series_of(request.query_params.get("series", ""))
        if series:
            known = await asyncio.to_thread(points.some, identity.subject, series)
            if len(known) != len(series):
                missing = series - {point.series for point in known}
                raise not_found(f"point {min(missing)}")
        client = hub.open(identity.subject, series)

        async def still_valid() -> bool:
            token = bearer_of(request) or request.cookies.get("gongfu_session", "")
            return await asyncio.to_thread(identify, token) is not None

        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(hub.events(client, still_valid), headers=headers, media_type="text/event-stream")

    return HttpRoute(f"{PREFIX}/stream", serve, methods=["GET"])


def _series_of(text: str) -> frozenset[int]:
    if not text:
        return frozenset()
    parts = text.split(",")
    if len(parts) > MAX_SERIES or not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in parts):
        raise invalid(f"series must be 1 to {MAX_SERIES} ids with commas between them")
    return frozenset(int(part) for part in parts)
