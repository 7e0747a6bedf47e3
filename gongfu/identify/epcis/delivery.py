"""Delivery of results to receivers (webhooks): where they may go, the signature, one attempt."""

import asyncio
import hmac
import socket
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

import httpx

_TIMEOUT_S = 30.0


class DeliveryError(Exception):
    """A receiver did not take what was sent.

    Attributes:
        final: no further attempt will change that.
    """

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


class Deliver(Protocol):
    """Sends a body to a receiver once."""

    async def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Send it.

        Raises:
            DeliveryError: it was not taken.
        """
        ...


def check_destination(url: object) -> str:
    """Return a receiver's URL.

    Raises:
        ValueError: results cannot be posted there.
    """
    if not isinstance(url, str) or len(url) > 2048 or not url.isascii():
        raise ValueError("dest is a URL of at most 2048 characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("dest is not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("dest is an http or https URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("dest has no credentials in it: use signatureToken")
    return url


def signature(token: str, body: bytes) -> str:
    """Return the value of the ``GS1-Signature`` header of a body."""
    return "sha256=" + hmac.digest(token.encode(), body, "sha256").hex()


class WebhookDelivery:
    """Posts over HTTP, once, without following redirects.

    Receivers on the node's own machine are refused unless they are allowed: whoever may subscribe could otherwise reach
    what listens on loopback only. The address that was checked is the one that is connected to.
    """

    def __init__(self, *, allow_loopback: bool = False) -> None:
        self._allow_loopback = allow_loopback
        self._client = httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False)

    async def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Post a body.

        Raises:
            DeliveryError: it was not taken.
        """
        try:
            parts = urlsplit(check_destination(url))
        except ValueError as error:
            raise DeliveryError(str(error), final=True) from None
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        address = await self._address(host, port)
        pinned = f"[{address}]" if ":" in address else address
        sent = {**headers, "Host": parts.netloc.rpartition("@")[2], "Content-Type": "application/ld+json"}
        try:
            async with self._client.stream(
                "POST",
                parts._replace(netloc=f"{pinned}:{port}").geturl(),
                content=body,
                headers=sent,
                extensions={"sni_hostname": host},
            ) as answer:
                status = answer.status_code
        except httpx.HTTPError as error:
            raise DeliveryError(f"{type(error).__name__}: {str(error)[:200]}") from None
        if not 200 <= status < 300:
            # 410: the receiver says that it is gone for good.
            raise DeliveryError(f"the receiver answered {status}", final=status == 410)

    async def _address(self, host: str, port: int) -> str:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise DeliveryError(f"{host} is not found: {error.strerror or error}") from None
        addresses = [str(item[4][0]) for item in found]
        for address in addresses:
            parsed = ip_address(address.partition("%")[0])
            if parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified or parsed.is_reserved:
                raise DeliveryError(f"{host} is no address of a receiver", final=True)
            if parsed.is_loopback and not self._allow_loopback:
                raise DeliveryError(f"{host} is this machine, where receivers are not allowed", final=True)
        return addresses[0]

    async def close(self) -> None:
        """Close connections."""
        await self._client.aclose()
