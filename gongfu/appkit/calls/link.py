"""The way to another node: one POST over HTTP(S). What travels is signed, so the way only has to be private."""

import asyncio
import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from gongfu.appkit.calls.documents import MAX_PAYLOAD
from gongfu.appkit.calls.signing import denied
from gongfu.kernel.errors import Problem, invalid

if TYPE_CHECKING:
    import httpx

PATH = "/v1/calls:receive"
MEDIA_TYPE = "application/vnd.gongfu.call"
_CONNECT_S = 10.0
# An answer: payload, receipt, signature.
MAX_MESSAGE = MAX_PAYLOAD + 64 * 1024


class NotSentError(Exception):
    """The other node did not get the request; the text says why."""


class NoAnswerError(Exception):
    """Nobody knows whether the other node has carried the request out."""


def check_url(url: str) -> str:
    """Return the address of a node without a trailing slash.

    Raises:
        Problem: 400; no address, or not private: plain ``http`` is for this machine only.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise invalid("url has a port that is none") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise invalid("url is https://host:port, without path, query or password")
    if parts.path.strip("/"):
        raise invalid("url has no path")
    if parts.scheme == "http" and not _is_here(parts.hostname):
        raise invalid("plain http is for this machine only; use https")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}"


class Link:
    """Sends requests to other nodes; one for the process."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    async def post(self, url: str, data: bytes, timeout_s: float) -> bytes:
        """Return the answer of a node to a signed request.

        Raises:
            NotSentError: it was not reached.
            NoAnswerError: it was reached, and did not answer in time or wholly; or something between here and there
                answered for it (a gateway's 502 or 504).
            Problem: it answered with one, without signature: it did not take the request.
        """
        import httpx

        if self._client is None:
            # No proxy and no credentials of the environment: what is called is what the contract says.
            self._client = httpx.AsyncClient(trust_env=False, follow_redirects=False)
        timeout = httpx.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_S))
        # Raw bytes: what grows when it is unpacked is not let in.
        headers = {"content-type": MEDIA_TYPE, "accept": MEDIA_TYPE, "accept-encoding": "identity"}
        post = self._client.stream("POST", url + PATH, content=data, headers=headers, timeout=timeout)
        try:
            # The client's own times are between two pieces: one that trickles would never end.
            async with asyncio.timeout(timeout_s + min(timeout_s, _CONNECT_S)), post as answer:
                content = bytearray()
                async for chunk in answer.aiter_raw():
                    content += chunk
                    if len(content) > MAX_MESSAGE:
                        raise NoAnswerError(f"an answer of more than {MAX_MESSAGE} bytes")
                status, kind = answer.status_code, answer.headers.get("content-type", "")
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise NotSentError(f"{url}: {error}") from None
        except TimeoutError:
            raise NoAnswerError(f"{url}: no whole answer in {timeout_s:g} s") from None
        except httpx.HTTPError as error:
            raise NoAnswerError(f"{url}: {type(error).__name__} {error}".strip()) from None
        if status == 200 and kind.startswith(MEDIA_TYPE):
            return bytes(content)
        if status >= 500:
            raise NoAnswerError(f"{url} answers with status {status}, without a signature")
        raise _problem(status, bytes(content), url)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def _problem(status: int, content: bytes, url: str) -> Problem:
    try:
        document = msgspec.json.decode(content, type=dict[str, object])
    except (msgspec.MsgspecError, ValueError):
        document = {}
    code, detail = str(document.get("code", "")), str(document.get("detail", ""))[:500]
    if not code:
        return denied("not-a-node", f"{url} answers with status {status}, not like a Gongfu node", 502)
    return denied(code[:60], detail, status if 400 <= status < 500 else 502)


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
