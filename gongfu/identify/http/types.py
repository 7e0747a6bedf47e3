"""Requests and answers of the identifier service's HTTP faces, and what answers them."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec


class Request(msgspec.Struct, frozen=True, gc=False):
    """A request, whole.

    Attributes:
        method: in capitals.
        target: path and query as they came, percent-encoded: what is in a path is decoded by the face that knows where
            its parts end.
        headers: by name in lower case; a repeated one's values are joined by ``, ``.
        body: bytes; "" without one.
        peer: address of the client.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    peer: str = ""

    @property
    def path(self) -> str:
        """The target before the first ``?``, percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The target behind the first ``?``, percent-encoded."""
        return self.target.partition("?")[2]


class Response(msgspec.Struct, frozen=True, gc=False):
    """An answer.

    Attributes:
        status: of HTTP.
        body: bytes.
        headers: (name, value); length and connection are the server's.
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


Face = Callable[[Request], Response | Awaitable[Response]]
"""Answers the requests below a path: at once from memory and store, or later where it writes or asks others."""
