"""Which requests are simple, and that all others are left to h11."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.identify.http.heads import simple_request

HOST = b"Host: a\r\n"


def test_a_simple_request() -> None:
    head = (
        b"GET /api/handles/99.1/%E6%B3%B5?index=1 HTTP/1.1\r\nHOST:a:80 \r\naccept:  x\r\nAccept: y\r\nX-Empty:\r\n\r\n"
    )
    found = simple_request(head, "127.0.0.1")
    assert found is not None
    request, is_head = found
    assert (request.method, request.path, request.query) == ("GET", "/api/handles/99.1/%E6%B3%B5", "index=1")
    assert request.headers == {"host": "a:80", "accept": "x, y", "x-empty": ""}
    assert not is_head
    found = simple_request(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", "")
    assert found is not None
    assert found[1]


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.0\r\n" + HOST + b"\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET http://a/ HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b" folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"A: b\0\r\n\r\n",
    ],
)
def test_requests_that_are_not_simple(head: bytes) -> None:
    assert simple_request(head, "") is None


@given(
    st.lists(
        st.sampled_from(
            [b"GET ", b"/a", b"?b=%20", b" HTTP/1.1", b"\r\n", HOST, b"X: y", b":", b" ", b"\t", b"\xe6", b"\0"]
        )
    )
)
def test_what_is_simple_is_the_same_to_h11(parts: list[bytes]) -> None:
    head = b"GET / HTTP/1.1\r\n" + HOST + b"".join(parts) + b"\r\n\r\n"
    head = head[: head.find(b"\r\n\r\n") + 4]
    found = simple_request(head, "")
    if found is None:
        return
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(head)
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    headers: dict[str, str] = {}
    for name, value in event.headers:
        key, text = name.decode(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    assert (event.target.decode(), headers) == (found[0].target, dict(found[0].headers))
    assert isinstance(connection.next_event(), h11.EndOfMessage)
