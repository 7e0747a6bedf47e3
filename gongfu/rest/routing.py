"""Routes as data: method, path, permission, request and response types, and the function that answers."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Action, Subject


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request, decoded.

    Attributes:
        subject: who calls.
        path: path parameters as text.
        query: query parameters, the last of each name.
        body: the decoded request, an instance of the route's ``request`` type, or None.
        accept: the Accept header in lower case, ``*/*`` when absent.
    """

    subject: Subject
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any = None
    accept: str = "*/*"

    def integer(self, name: str) -> int:
        """Return an integer path parameter.

        Raises:
            Problem: 400 when it is not an integer of at most 18 digits.
        """
        text = self.path[name]
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise invalid(f"{name} must be an integer, not {text[:40]!r}")
        return int(text)


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer that is not JSON: bytes with a media type."""

    content: bytes
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the API, below ``/v1``.

    ``answer`` returns a msgspec-encodable object (JSON), a ``Raw``, or None (204). Problems raised become problem+json.
    """

    method: str
    path: str
    action: Action
    answer: Handler
    summary: str
    request: Any = None
    response: Any = None
    status: int = 200
