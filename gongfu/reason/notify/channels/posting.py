"""A POST to an address that a user wrote: to the network address that was looked at, with bounds.

Policy: a name that resolves to any address that is not public (private, loopback, link-local, and the like) is refused
unless the node's administrator allows it, so that a channel is no way into the node's own network. The connection goes
to the address that was checked; redirects are not followed.
"""

import http.client
import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from gongfu.reason.notify.channels.destinations import Destinations
from gongfu.reason.notify.channels.sending import MissedError, RefusedError

MAX_ANSWER = 64 * 1024
# All steps of a POST together last at most this often the time of one.
_STEPS = 4


def post(
    url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float, destinations: Destinations, ca: str = ""
) -> bytes:
    """POST and return the answer of a 2xx, cut at 64 KiB. Blocks.

    Args:
        url: ``http`` or ``https``.
        body: the content.
        headers: with the content type.
        timeout_s: of each step; all together end after four times as long.
        destinations: where it may go.
        ca: PEM of the authority of the server's certificate, empty for those of the system.

    Raises:
        MissedError: no connection, 408, 425, 429 or 5xx: try again.
        RefusedError: the address or certificate is refused, or any other status.
    """
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        plain = destinations.connect(host, port, timeout_s)
        with lasting_at_most(plain, _STEPS * timeout_s):
            try:
                wire = (
                    ssl.create_default_context(cadata=ca or None).wrap_socket(plain, server_hostname=host)
                    if secure
                    else plain
                )
            except BaseException:
                plain.close()
                raise
            connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
            connection.sock = wire
            try:
                connection.request(
                    "POST", target, body, {**headers, "Host": _host(host, parts.port), "Connection": "close"}
                )
                answer = connection.getresponse()
                content = answer.read(MAX_ANSWER)
            finally:
                connection.close()
    except ssl.SSLCertVerificationError as error:
        raise RefusedError(f"the server's certificate: {error.verify_message}") from None
    except (OSError, http.client.HTTPException) as error:
        raise MissedError(f"{host}:{port}: {type(error).__name__}") from None
    if 200 <= answer.status < 300:
        return content
    if answer.status in (408, 425, 429) or answer.status >= 500:
        raise MissedError(f"{host} answered {answer.status}")
    raise RefusedError(f"{host} answered {answer.status}")


@contextmanager
def lasting_at_most(wire: socket.socket, seconds: float) -> Iterator[None]:
    """Cut a connection that lasts longer: a peer that sends a byte now and then must hold up nobody.

    Raises:
        TimeoutError: it was cut.
    """
    # A second handle, since TLS takes the first one away; of the descriptor, since a TLS socket gives none.
    spare = socket.socket(wire.family, wire.type, wire.proto, os.dup(wire.fileno()))
    over = threading.Event()

    def cut() -> None:
        over.set()
        with suppress(OSError):
            spare.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        spare.close()
    if over.is_set():
        raise TimeoutError  # what came may look whole


def _host(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"{name}:{port}" if port else name
