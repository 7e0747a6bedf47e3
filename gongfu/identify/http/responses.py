"""Bytes of responses (RFC 9112)."""

import re
from http import HTTPStatus

import msgspec

from gongfu.identify.http.types import Response
from gongfu.kernel.errors import Problem

_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_NO_BODY = frozenset({204, 304})
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t !-~]*")


def status_line(status: int) -> bytes:
    """Return the first line of a response."""
    return _LINES.get(status) or f"HTTP/1.1 {status} \r\n".encode()


def rest_of(response: Response, *, without_body: bool = False, closes: bool = False) -> bytes:
    """Return what follows the date line: the other headers and the body.

    Args:
        response: what is answered.
        without_body: to a HEAD.
        closes: the connection ends behind it.

    Raises:
        ValueError: a header cannot be sent.
    """
    lines: list[str] = []
    for name, value in response.headers:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"header {name!r}")
        lines.append(f"{name}: {value}\r\n")
    if response.status not in _NO_BODY:
        lines.append(f"Content-Length: {len(response.body)}\r\n")
    if closes:
        lines.append("Connection: close\r\n")
    lines.append("\r\n")
    head = "".join(lines).encode("ascii")
    return head if without_body or response.status in _NO_BODY else head + response.body


def of_problem(problem: Problem, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Return the response that says a problem (RFC 9457)."""
    body = msgspec.json.encode(problem.document())
    return Response(problem.status, body, (("Content-Type", "application/problem+json"), *headers))
