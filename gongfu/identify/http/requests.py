"""Requests with a body, or otherwise not simple, read by h11 one at a time."""

from collections.abc import Callable

import h11

from gongfu.identify.http.heads import MAX_HEAD_BYTES
from gongfu.identify.http.types import Request
from gongfu.kernel.errors import Problem


class Whole:
    """A request that is whole.

    Attributes:
        request: what is asked.
        is_head: its method was HEAD.
        keeps: the connection may go on behind it.
        rest: bytes behind it.
    """

    __slots__ = ("is_head", "keeps", "request", "rest")

    def __init__(self, request: Request, is_head: bool, keeps: bool, rest: bytes) -> None:
        self.request = request
        self.is_head = is_head
        self.keeps = keeps
        self.rest = rest


class RequestReader:
    """Reads one request."""

    def __init__(self, peer: str, most: Callable[[str], int]) -> None:
        """Make it.

        Args:
            peer: address of the client.
            most: bytes that a body may have, by path.
        """
        self._peer = peer
        self._most = most
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._limit = 0

    @property
    def size(self) -> int:
        """Bytes of the body that are there."""
        return len(self._body)

    def feed(self, data: bytes, write: Callable[[bytes], None]) -> Whole | None:
        """Read on; returns the request once it is whole.

        Args:
            data: what came; empty where the client ends.
            write: sends the client what it waits for before it goes on.

        Raises:
            Problem: it is no request, or too large.
        """
        try:
            self._h11.receive_data(data)
            while True:
                event = self._h11.next_event()
                if isinstance(event, h11.Request):
                    self._begin(event)
                    if self._h11.they_are_waiting_for_100_continue:
                        write(self._h11.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    if len(self._body) > self._limit:
                        raise self._too_large()
                elif isinstance(event, h11.EndOfMessage):
                    return self._whole()
                else:
                    return None
        except h11.RemoteProtocolError as error:
            status = error.error_status_hint if 400 <= error.error_status_hint < 500 else 400
            raise Problem(status, "malformed-request", "The request is not HTTP/1.1", str(error)[:200]) from None

    def _begin(self, head: h11.Request) -> None:
        self._head = head
        lengths = [name for name, _ in head.headers if name in (b"content-length", b"transfer-encoding")]
        if len(lengths) > 1:
            # One of them is believed by somebody on the way, perhaps, and the other by us (RFC 9112 §6.3).
            raise Problem(400, "malformed-request", "The request is not HTTP/1.1", "two lengths")
        self._limit = self._most(_target(head).partition("?")[0])
        for name, value in head.headers:
            # h11 has checked that there is one, and that it is a number.
            if name == b"content-length" and int(value) > self._limit:
                raise self._too_large()

    def _too_large(self) -> Problem:
        return Problem(413, "too-large", "The body is too large", f"at most {self._limit:,} bytes")

    def _whole(self) -> Whole:
        head = self._head
        assert head is not None
        headers: dict[str, str] = {}
        for raw_name, raw_value in head.headers:
            name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        method = head.method.decode("ascii").upper()
        is_head = method == "HEAD"
        request = Request("GET" if is_head else method, _target(head), headers, bytes(self._body), self._peer)
        tokens = {token.strip().lower() for token in headers.get("connection", "").split(",")}
        keeps = head.http_version == b"1.1" and "close" not in tokens
        return Whole(request, is_head, keeps, self._h11.trailing_data[0])


def _target(head: h11.Request) -> str:
    target = head.target.decode("latin-1")
    if not target.startswith("/") and "://" in target:
        # Absolute form, as clients of proxies send it.
        _, slash, path = target.partition("://")[2].partition("/")
        target = slash + path or "/"
    return target
