"""Requests and answers of the identifier service's HTTP faces, and what answers them."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec


class Request(msgspec.Struct, frozen=True, gc=False):
    """A request, whole.

    Attributes:
        method: in capitals; HEAD comes as GET, and the server sends no body then.
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
        headers: (name, value); length, date and connection are the server's.
        depends: keys of the handles (``HandleName.key``) that the answer to a GET depends on and on nothing else but
            the request: a 200 without credentials in the request is given again until one of them changes.
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    depends: tuple[str, ...] = ()


Face = Callable[[Request], Response | Awaitable[Response]]
"""Answers the requests below a path: at once from memory and store, or later where it writes or asks others."""
