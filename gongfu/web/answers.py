"""Answers of the API: JSON, problem+json (RFC 9457), compression."""

import asyncio
import gzip
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gongfu.kernel.errors import Problem
from gongfu.rest.routing import Raw, Streamed

# Below this gzip saves no packet; above the second bound it is done beside the event loop.
_COMPRESS_FROM = 1400
_COMPRESS_ASIDE_FROM = 262_144
_COMPRESSIBLE = ("application/json", "application/problem+json", "text/")


def _encode(value: Any) -> Any:
    """Encode what msgspec does not know: NumPy scalars, which come out of columns."""
    item = getattr(value, "item", None)
    if callable(item):
        return item()
    raise TypeError(f"{type(value).__name__} is not JSON")


def problem_response(problem: Problem, request_id: str, further: Mapping[str, str] | None = None) -> Response:
    """Return the response for a problem, with the request id in the document."""
    document = {**problem.document(), "request_id": request_id}
    headers = dict(further or {})
    if problem.status == 401:
        headers["www-authenticate"] = "Bearer"
    if "retry_after" in problem.extra:
        headers["retry-after"] = str(problem.extra["retry_after"])
    body = msgspec.json.encode(document, enc_hook=_encode)
    return Response(body, problem.status, headers, "application/problem+json")


async def answer_response(request: Request, result: Any, status: int) -> Response:
    """Return the response for what a handler answered."""
    if result is None:
        return Response(status_code=204)
    if isinstance(result, Raw):
        return await bytes_response(request, result.content, result.media_type, result.status or status, result.headers)
    if isinstance(result, Streamed):
        # As a header, for the same reason as below.
        headers = {**result.headers, "content-type": result.media_type, "x-accel-buffering": "no"}
        return StreamingResponse(result.chunks, status, headers)
    body = msgspec.json.encode(result, enc_hook=_encode)
    return await bytes_response(request, body, "application/json", status)


async def bytes_response(
    request: Request, body: bytes, media_type: str, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a response, compressed when that is worth it and the client can read it."""
    further = dict(headers or {})
    if len(body) >= _COMPRESS_FROM and media_type.startswith(_COMPRESSIBLE) and "content-encoding" not in further:
        further["vary"] = "accept-encoding"
        if accepts_gzip(request):
            if len(body) >= _COMPRESS_ASIDE_FROM:
                body = await asyncio.to_thread(gzip.compress, body, 3)
            else:
                body = gzip.compress(body, 3)
            further["content-encoding"] = "gzip"
    # As a header: Starlette would add a charset to the media types of others.
    if media_type:
        further["content-type"] = media_type
    return Response(body, status, further)


def accepts_gzip(request: Request) -> bool:
    """Return whether the client reads gzip (RFC 9110 §12.5.3; a weight of 0 refuses it)."""
    for item in request.headers.get("accept-encoding", "").lower().split(","):
        name, _, weight = item.strip().partition(";")
        if name.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
