"""One session with one server: endpoint, certificates, sign-in, renewal of the channel, taking a session up again.

The sequence follows OPC 10000-4 §5.5 to §5.7 and §6.7 (re-establishing connections): after a break the old session is
activated on a new channel; when the server has forgotten it, a new one is made.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import msgspec
from asyncua.client.client import Client
from asyncua.crypto import security_policies
from asyncua.ua.uaerrors import UaError, UaStatusCodeError
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gongfu.connect.kit.types import DriverError, Reason
from gongfu.connect.opcua import failures
from gongfu.connect.opcua.certificates.identity import Identity
from gongfu.connect.opcua.certificates.trust_list import TrustList
from gongfu.connect.opcua.library import ua
from gongfu.connect.opcua.security import (
    NONE,
    Endpoint,
    Security,
    choose,
    require_trust,
    sign_in_is_private,
)
from gongfu.connect.opcua.transport import ask, bound_messages, exchange, send
from gongfu.connect.opcua.wire.responses import ServiceFault
from gongfu.connect.opcua.wire.variants import WireError

DEFAULT_PORT = 4840
SESSION_TIMEOUT = 120_000
"""Milliseconds the server keeps our session without hearing from us: as long as taking it up again is tried."""

_POLICIES = {
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}

T = TypeVar("T")


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """How to connect. ``timeout``: seconds for one answer."""

    url: str
    security: Security = "auto"
    policy: str = "auto"
    username: str = ""
    password: str = ""
    timeout: float = 5.0
    name: str = "gongfu"


def with_port(url: str) -> str:
    """Return the URL with port 4840 where it names none.

    Raises:
        DriverError: it is no opc.tcp URL.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in ("opc.tcp", "opcua") or not host:
        raise DriverError(Reason.PROTOCOL, f"{url!r} is no OPC UA address.", "Write it as opc.tcp://host:4840/path.")
    shown = f"[{host}]" if ":" in host else host
    return f"opc.tcp://{shown}:{port or DEFAULT_PORT}{parts.path}"


class Session:
    """A connection to a server.

    Attributes:
        client: asyncua's client while connected.
        endpoint: the one in use.
        lost: set when the connection broke, until it is there again.
        breaks: how often it broke.
    """

    def __init__(self, sign_in: SignIn, identity: Identity, trust: TrustList) -> None:
        self.sign_in = sign_in
        self.url = with_port(sign_in.url)
        self.endpoint: Endpoint | None = None
        self.lost = asyncio.Event()
        self.breaks = 0
        self._identity = identity
        self._trust = trust
        self._client: Client | None = None
        self._renewing: asyncio.Task[None] | None = None

    @property
    def client(self) -> Client:
        """The connected client.

        Raises:
            DriverError: there is none.
        """
        if self._client is None:
            raise DriverError(Reason.UNREACHABLE, f"The connection to {self.url} is closed.", "Open it first.")
        return self._client

    async def endpoints(self) -> list[Endpoint]:
        """Ask the server for its endpoints, over a channel without security.

        Raises:
            DriverError: it does not answer.
        """
        client = Client(self.url, timeout=self.sign_in.timeout)
        found = await self.guard("Asking for endpoints at " + self.url, client.connect_and_get_server_endpoints())
        return [_endpoint(e) for e in found]

    async def open(self) -> None:
        """Connect, open the channel, create and activate a session.

        Raises:
            DriverError: why not, and what to do.
        """
        endpoint = choose(await self.endpoints(), self.sign_in.security, self.sign_in.policy, self.url)
        self.endpoint = endpoint
        certificate = None
        if endpoint.mode != 1:
            certificate = require_trust(endpoint, self._trust, datetime.now(UTC), self.url)
        self._check_sign_in(endpoint)
        self._client = client = self._new_client(endpoint, certificate)
        try:
            await self._open_channel(client)
            await self.guard("Making a session at " + self.url, client.create_session())
            await self.guard("Signing in at " + self.url, self._activate(client))
        except BaseException:
            self._drop(client)
            raise
        self._established(client)

    async def reopen(self) -> bool:
        """Connect again after a break.

        Returns:
            True when the server still had the session, so that its subscriptions live on.

        Raises:
            DriverError: the server cannot be reached, or does not let us in.
        """
        client = self.client
        await self._stop_renewing()
        if client.uaclient.has_transport:
            client.disconnect_socket()
        await self._open_channel(client)
        client.uaclient.session.rebind_authentication_token()
        try:
            await self._activate(client)
        except (UaError, OSError, TimeoutError):
            self._drop(client)
            await self.open()
            return False
        self._established(client)
        return True

    async def close(self) -> None:
        """End session and connection; nothing is raised."""
        client, self._client = self._client, None
        await self._stop_renewing()
        if client is None:
            return
        with suppress(UaError, OSError, TimeoutError, DriverError):
            await asyncio.wait_for(client.uaclient.close_session(True), self.sign_in.timeout)
        with suppress(UaError, OSError, TimeoutError):
            await client.close_secure_channel()
        self._drop(client)

    async def ask(self, type_id: int, body: bytes, patience: float | None = None) -> bytes:
        """Send an encoded request, return the encoded answer.

        Args:
            type_id: encoding id of the request.
            body: encoded parameters.
            patience: seconds, None for the usual ones.

        Raises:
            DriverError: as ``guard`` does.
        """
        limit = self.sign_in.timeout if patience is None else patience
        return await self.guard("A request to " + self.url, ask(self.client, type_id, body, limit))

    def send(self, type_id: int, body: bytes) -> asyncio.Future[Any]:
        """Send an encoded request that may wait for long (Publish).

        Raises:
            ConnectionError: there is no connection.
        """
        return send(self.client, type_id, body, 0)

    async def exchange(self, what: str, request: Any) -> bytes:
        """Send a request of asyncua's own types and return the encoded answer; ``what`` is named in errors.

        Raises:
            DriverError: as ``guard`` does.
        """
        return await self.guard(f"{what} at {self.url}", exchange(self.client, request, self.sign_in.timeout))

    async def guard(self, what: str, work: Awaitable[T]) -> T:
        """Await ``work`` and turn what goes wrong into ``DriverError``."""
        try:
            return await work
        except DriverError:
            raise
        except UaStatusCodeError as error:
            raise failures.of_status(error.code, what, self._identity.fingerprint) from error
        except ServiceFault as fault:
            raise failures.of_status(fault.status, what, self._identity.fingerprint) from fault
        except (OSError, TimeoutError) as error:
            raise failures.unreachable(self.url, error) from error
        except (UaError, WireError, ValueError) as error:
            raise DriverError(
                Reason.PROTOCOL,
                f"{what} failed: {error}.",
                "Check that an OPC UA server (opc.tcp, binary) listens at this port.",
            ) from error

    def _check_sign_in(self, endpoint: Endpoint) -> None:
        kinds = {kind for kind, _ in endpoint.tokens}
        if not self.sign_in.username and 0 not in kinds:
            raise DriverError(
                Reason.CREDENTIALS,
                f"{self.url} lets nobody in without a name.",
                "Give `username` and `password` of a user of the server.",
            )
        if self.sign_in.username and 1 not in kinds:
            raise DriverError(
                Reason.CREDENTIALS,
                f"{self.url} takes no user names at the endpoint {endpoint}.",
                "Leave `username` away, or choose an endpoint that takes names.",
            )
        if self.sign_in.username and not sign_in_is_private(endpoint):
            raise DriverError(
                Reason.UNSUPPORTED,
                f"At the endpoint {endpoint} of {self.url} the password would be sent in the clear.",
                "Set `security` to auto, so that the channel is encrypted.",
            )
        if self.sign_in.username and endpoint.mode == 1:
            # The password is encrypted for this certificate: it must be the right one.
            require_trust(endpoint, self._trust, datetime.now(UTC), self.url)

    def _new_client(self, endpoint: Endpoint, certificate: bytes | None) -> Client:
        client = Client(self.url, timeout=self.sign_in.timeout)
        client.application_uri = self._identity.uri
        client.product_uri = "urn:gongfu"
        client.name = client.description = self.sign_in.name
        client.session_timeout = SESSION_TIMEOUT
        if self.sign_in.username:
            client.set_user(self.sign_in.username)
            client.set_password(self.sign_in.password)
        if certificate is not None:
            policy = _POLICIES[endpoint.policy_name](
                x509.load_der_x509_certificate(certificate),
                x509.load_der_x509_certificate(self._identity.certificate),
                load_pem_private_key(self._identity.key, None),
                ua.MessageSecurityMode(endpoint.mode),
            )
            client.security_policy = policy
            client.uaclient.set_security(policy)
        return client

    async def _open_channel(self, client: Client) -> None:
        async def work() -> None:
            await client.connect_socket()
            await client.send_hello()
            bound_messages(client)
            await client.open_secure_channel()

        await self.guard("Opening a secure channel to " + self.url, work())
        protocol = client.uaclient.protocol
        assert protocol is not None
        protocol.on_connection_lost = lambda _error: self._broke()

    def _broke(self) -> None:
        self.breaks += 1
        self.lost.set()

    def _established(self, client: Client) -> None:
        if client.uaclient.has_transport:
            self.lost.clear()
        self._renewing = asyncio.create_task(self._renew(client))

    async def _activate(self, client: Client) -> None:
        await client.activate_session(
            cast(str, self.sign_in.username or None), cast(str, self.sign_in.password or None)
        )

    async def _renew(self, client: Client) -> None:
        """Renew the channel's token after three quarters of its life (Part 4 §5.5.2.1)."""
        with suppress(UaError, OSError, TimeoutError):
            while True:
                await asyncio.sleep(client.secure_channel_timeout * 0.75 / 1000)
                await client.open_secure_channel(renew=True)
                client.uaclient.revolve_security_token()
        self.lost.set()

    async def _stop_renewing(self) -> None:
        task, self._renewing = self._renewing, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _drop(self, client: Client) -> None:
        with suppress(UaError, OSError):
            client.disconnect_socket()


def _endpoint(description: Any) -> Endpoint:
    tokens: Sequence[Any] = description.UserIdentityTokens or ()
    return Endpoint(
        url=description.EndpointUrl or "",
        policy=description.SecurityPolicyUri or NONE,
        mode=int(description.SecurityMode),
        certificate=bytes(description.ServerCertificate or b""),
        server_uri=description.Server.ApplicationUri or "",
        server_name=description.Server.ApplicationName.Text or "",
        tokens=tuple((int(t.TokenType), t.SecurityPolicyUri or "") for t in tokens),
    )
