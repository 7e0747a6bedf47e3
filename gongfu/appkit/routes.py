"""Calls of routes as an app meets them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """A call of a route. ``user`` and ``role`` are those of the caller; the app gets no credential of anybody.

    Attributes:
        path: values of the ``{name}`` parts of the route.
        query: query parameters, the last of each name.
        body: as it came, at most 1 MiB.
    """

    method: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    user: str
    role: str


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that is not plain JSON: at most 4 MiB."""

    body: bytes
    media_type: str = "application/octet-stream"
    status: int = 200
