"""``GET /v1/health``: whether the node serves, for probes; needs no sign-in and tells nothing else."""

from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as HttpRoute

from gongfu.web.answers import bytes_response
from gongfu.web.app import PREFIX


class Health(msgspec.Struct, frozen=True):
    """``ok``, or ``degraded`` while this role has no connection to the others."""

    status: str


def health_route(is_connected: Callable[[], bool]) -> HttpRoute:
    """Return the route; the status is 200 in both cases, because the API itself answers."""

    async def serve(request: Request) -> Response:
        health = Health("ok" if is_connected() else "degraded")
        return await bytes_response(request, msgspec.json.encode(health), "application/json")

    return HttpRoute(f"{PREFIX}/health", serve, methods=["GET"])
