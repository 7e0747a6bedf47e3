"""Routes as data: method, path, permission, request and response types, and the function that answers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Action, Role, Subject


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request, decoded.

    Attributes:
        subject: who calls; ``ANONYMOUS`` when the route needs no sign-in and nobody is signed in.
        path: path parameters as text.
        query: query parameters, the last of each name.
        body: the decoded request, an instance of the route's ``request`` type, or None.
        accept: the Accept header in lower case, ``*/*`` when absent.
        headers: request headers by name in lower case.
        address: network address of the caller, empty when unknown.
        session: SHA-256 of the access token that authenticated the call, empty without one.
    """

    subject: Subject
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any = None
    accept: str = "*/*"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    address: str = ""
    session: str = ""

    def integer(self, name: str) -> int:
        """Return an integer path parameter.

        Raises:
            Problem: 400 when it is not an integer of at most 18 digits.
        """
        text = self.path[name]
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise invalid(f"{name} must be an integer, not {text[:40]!r}")
        return int(text)


ANONYMOUS = Subject(user=0, name="", tenant=0, role=Role.VIEWER)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request body that is read while it comes: of any length, so whoever reads it sets a bound. A route that
    answers before the body has ended leaves the rest unread."""

    chunks: AsyncIterator[bytes]
    media_type: str
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer that is not plain JSON: bytes with a media type, further headers, or a status of its own."""

    content: bytes
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer that is made while it is sent. ``chunks`` is closed when the caller goes away.

    What fails after the first chunk breaks the connection off: a caller never takes a part for the whole.
    """

    chunks: AsyncIterator[bytes]
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the API, below ``/v1``.

    ``answer`` returns a msgspec-encodable object (JSON), a ``Raw``, a ``Streamed``, or None (204). Problems raised
    become problem+json.
    ``path`` has parameters as ``{name}`` and may end in ``:verb``. ``action`` None means that no sign-in is needed.
    ``request`` is the msgspec type of the JSON body, ``bytes`` for a body taken as it came, ``Incoming`` for one that
    the handler reads while it comes, or None for no body.
    ``own_session`` marks what a user may still do whose one-time password must be changed first.
    """

    method: str
    path: str
    action: Action | None
    answer: Handler
    summary: str
    request: Any = None
    response: Any = None
    status: int = 200
    own_session: bool = False
