"""The child's way to its parent when it joins: HTTPS, believed by the fingerprint in the token.

Two requests to the address in the token. The first asks for the certificate of the parent's authority and believes
nothing; what comes is believed when it has the fingerprint that the token says. The second brings the request over TLS
that is verified against that authority, which issues server certificates to its own node only: the name in the
address need not be in it. So one address, which the operator was given with the token, is all a child needs.
"""

import http.client
import json
import ssl
from typing import Any

from gongfu.kernel.errors import Problem
from gongfu.tree.membership.certificates import PEM_LIMIT, fingerprint
from gongfu.tree.membership.join_documents import MESSAGE_LIMIT
from gongfu.tree.membership.refusals import Reason, Refused
from gongfu.tree.membership.token import JoinToken

AUTHORITY_PATH = "/v1/tree/authority"
JOIN_PATH = "/v1/tree/join"
MEDIA_TYPE = "application/octet-stream"
TIMEOUT_S = 6.0


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``host:port`` or ``[v6]:port``.

    Raises:
        Refused: ``token-malformed``.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 65_536:
        raise Refused(Reason.TOKEN_MALFORMED, f"the address is {address[:100]!r}, not host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def exchange(token: JoinToken, request: bytes) -> bytes:
    """Bring a request to the parent and return its answer; it is not verified yet.

    Raises:
        Refused: what the parent says; ``certificate-wrong``, somebody else is at that address.
        Problem: 503 ``parent-unreachable``; another problem of the parent.
    """
    host, port = split_address(token.address)
    status, content = _call(host, port, _unverified(), "GET", AUTHORITY_PATH, b"", PEM_LIMIT + 100)
    if status != 200:
        raise _problem(status, content)
    authority = content.decode("ascii", "replace")
    if fingerprint(authority) != token.authority:
        raise Refused(Reason.CERTIFICATE_WRONG, f"{token.address} is not the node that made the token")
    status, content = _call(host, port, _verified(authority), "POST", JOIN_PATH, request, MESSAGE_LIMIT)
    if status != 200:
        raise _problem(status, content)
    return content


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    # What is asked over it is public and compared with the fingerprint.
    context.verify_mode = ssl.CERT_NONE
    return context


def _verified(authority: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.load_verify_locations(cadata=authority)
    return context


def _call(
    host: str, port: int, context: ssl.SSLContext, method: str, path: str, body: bytes, limit: int
) -> tuple[int, bytes]:
    connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
    try:
        connection.request(method, path, body or None, {"Content-Type": MEDIA_TYPE} if body else {})
        response = connection.getresponse()
        content = response.read(limit + 1)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
        text = f"{host}:{port}: {str(reason)[:200] or type(error).__name__}"
        raise Problem(503, "parent-unreachable", "The parent cannot be reached", text) from None
    finally:
        connection.close()
    if len(content) > limit:
        raise Refused(Reason.ANSWER_MALFORMED, f"more than {limit} bytes")
    return response.status, content


def _problem(status: int, content: bytes) -> Problem:
    try:
        document: dict[str, Any] = dict(json.loads(content))
    except ValueError:
        document = {}
    code, detail = str(document.get("code", "bad-answer"))[:60], str(document.get("detail", ""))[:500]
    if code in {reason.value for reason in Reason}:
        return Refused(Reason(code), detail)
    title = str(document.get("title", "The parent answered wrongly"))[:200]
    return Problem(status if status in (429, 503) else 502, code, title, detail)
