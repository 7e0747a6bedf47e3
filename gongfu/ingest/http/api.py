"""``POST /v1/telemetry``: telemetry of devices over HTTP (docs/telemetry.md). Devices sign in with HTTP Basic."""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gongfu.ingest.http.gate import HttpGate
from gongfu.ingest.types import Form, Intake, Receipt, Writer
from gongfu.kernel.errors import Problem, invalid, unauthenticated, unavailable
from gongfu.kernel.times import Clock

# Returns the writer for a device name and secret, or None.
Authenticate = Callable[[str, str], Awaitable[Writer | None]]

_FORMS = {
    "application/json": Form.JSON,
    "application/x-ndjson": Form.NDJSON,
    "application/vnd.apache.arrow.stream": Form.ARROW,
}
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="gongfu device", charset="UTF-8"'}
_TOO_LARGE = "payload_too_large"


@dataclass(frozen=True, slots=True)
class HttpTelemetryLimits:
    """Bounds of the endpoint.

    Attributes:
        max_payload_bytes: larger bodies get 413 and are not read to their end.
        body_timeout_s: a body must be there within this time, else 408.
        concurrent_bodies: bodies read at one time; more requests wait.
        retry_after_s: what a 503 tells the sender to wait.
    """

    max_payload_bytes: int = 1_048_576
    body_timeout_s: float = 30.0
    concurrent_bodies: int = 64
    retry_after_s: int = 2


def telemetry_endpoint(
    authenticate: Authenticate,
    intake: Intake,
    clock: Clock,
    limits: HttpTelemetryLimits | None = None,
    gate: HttpGate | None = None,
) -> Callable[[Request], Awaitable[Response]]:
    """Return the Starlette endpoint; mount it for POST. It answers when the points are durable.

    Args:
        authenticate: checks device name and secret.
        intake: where the payloads go.
        clock: time of arrival.
        limits: bounds of the endpoint.
        gate: quotas, default none.
    """
    bounds = limits or HttpTelemetryLimits()
    bodies = asyncio.Semaphore(bounds.concurrent_bodies)

    async def take(request: Request) -> Receipt:
        writer = await _writer(request, authenticate)
        form = _form(request)
        if intake.saturated:
            raise unavailable("more points wait for the log than the node holds; send again later")
        if gate is None:
            return (await deliver(request, writer, form))[0]
        account, receipt, size = gate.enter(writer, bodies.locked()), None, 0
        try:
            receipt, size = await deliver(request, writer, form)
            return receipt
        finally:
            gate.leave(account, receipt, size)

    async def deliver(request: Request, writer: Writer, form: Form) -> tuple[Receipt, int]:
        async with bodies:
            payload = await _body(request, bounds)
        settled: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()

        def done(receipt: Receipt) -> None:
            if not settled.done():
                settled.set_result(receipt)

        intake.submit(writer, form, payload, clock.now_ns(), done)
        return await settled, len(payload)

    async def endpoint(request: Request) -> Response:
        try:
            return _answer(await take(request), bounds)
        except Problem as problem:
            return _problem_response(problem, bounds)
        except ClientDisconnect:
            # Nobody reads this.
            return Response(status_code=400)

    return endpoint


def _credentials(header: str | None) -> tuple[str, str] | None:
    """Return name and secret of an Authorization header (RFC 7617), None when it has none."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, separator, secret = base64.b64decode(token.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (name, secret) if separator else None


async def _writer(request: Request, authenticate: Authenticate) -> Writer:
    credentials = _credentials(request.headers.get("authorization"))
    writer = None if credentials is None else await authenticate(*credentials)
    if writer is None:
        raise unauthenticated("HTTP Basic with device name and secret is needed")
    return writer


def _form(request: Request) -> Form:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    form = _FORMS.get(media_type)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if form is None or encoding != "identity":
        what = f"Content-Type {media_type[:80]!r}" if form is None else f"Content-Encoding {encoding[:40]!r}"
        raise Problem(415, "unsupported-media-type", "This form is not read", what, {"accepted": list(_FORMS)})
    asked = request.query_params.get("form")
    if asked is None:
        return form
    if asked != "gateway" or form is not Form.JSON:
        raise invalid("form can only be gateway, with application/json")
    return Form.JSON_GATEWAY


def _too_large(bounds: HttpTelemetryLimits) -> Problem:
    detail = f"at most {bounds.max_payload_bytes} bytes"
    return Problem(413, "payload-too-large", "The body is too large", detail, {"rejected": {_TOO_LARGE: 1}})


async def _body(request: Request, bounds: HttpTelemetryLimits) -> bytes:
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced[:18]) > bounds.max_payload_bytes:
        raise _too_large(bounds)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(bounds.body_timeout_s):
            async for part in request.stream():
                size += len(part)
                if size > bounds.max_payload_bytes:
                    raise _too_large(bounds)
                parts.append(part)
    except TimeoutError:
        raise Problem(408, "request-timeout", "The body did not arrive in time") from None
    return b"".join(parts)


def _answer(receipt: Receipt, bounds: HttpTelemetryLimits) -> Response:
    outcome = {"accepted": receipt.accepted, "rejected": dict(receipt.rejected), "detail": receipt.detail}
    if receipt.shed:
        extra = outcome | {"shed": dict(receipt.shed)}
        title = "Points were not taken now"
        return _problem_response(Problem(503, "points-shed", title, "send them again later", extra), bounds)
    if receipt.rejected and not receipt.accepted:
        status = 413 if _TOO_LARGE in receipt.rejected else 400
        problem = Problem(status, "telemetry-rejected", "No point was accepted", receipt.detail, outcome)
        return _problem_response(problem, bounds)
    return Response(msgspec.json.encode(outcome), 200, media_type="application/json")


def _problem_response(problem: Problem, bounds: HttpTelemetryLimits) -> Response:
    headers: dict[str, str] = {}
    if problem.status == 401:
        headers |= _CHALLENGE
    if problem.status == 503:
        headers["Retry-After"] = str(bounds.retry_after_s)
    elif problem.status == 429:
        headers["Retry-After"] = str(problem.extra["retry_after"])
    body = msgspec.json.encode(problem.document())
    return Response(body, problem.status, headers, media_type="application/problem+json")
