"""Heads of requests as most are: GET without a body. All others go to h11, which knows the rest of RFC 9112."""

import re

from gongfu.identify.http.types import Request

MAX_HEAD_BYTES = 16 * 1024
END = b"\r\n\r\n"

_HEAD = re.compile(rb"(GET|HEAD) (/[!-~]*) HTTP/1\.1\r\n((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t !-~\x80-\xff]*\r\n)+)\r\n")
_HOP = frozenset({"content-length", "transfer-encoding", "expect", "upgrade", "connection", "te", "trailer"})


def simple_request(head: bytes, peer: str) -> tuple[Request, bool] | None:
    """Return the request of a head that ends in an empty line and has no body, and whether its method was HEAD; None
    where it is another.

    Args:
        head: bytes of the whole head.
        peer: address of the client.
    """
    match = _HEAD.fullmatch(head)
    if match is None:
        return None
    method, target, lines = match.groups()
    headers: dict[str, str] = {}
    for line in lines.decode("latin-1").split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        name = name.lower()
        if name in _HOP:
            if name == "connection" and value.strip().lower() == "keep-alive":
                continue
            return None
        if name in headers:
            if name == "host":
                return None
            headers[name] += ", " + value.strip(" \t")
        else:
            headers[name] = value.strip(" \t")
    if "host" not in headers:
        return None
    return Request("GET", target.decode("ascii"), headers, b"", peer), method == b"HEAD"
