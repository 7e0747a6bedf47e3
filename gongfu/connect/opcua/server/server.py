"""An OPC UA server with the node's assets: read only, signed and encrypted, with names and passwords.

asyncua does the protocol. Values are asked from the source once a period and written where they changed, so that
subscriptions of clients see them; one server is meant for some thousand points.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.server import Server
from cryptography.hazmat.primitives.serialization import Encoding

from gongfu.connect.opcua.certificates import identity
from gongfu.connect.opcua.certificates.trust_list import TrustList
from gongfu.connect.opcua.library import ua
from gongfu.connect.opcua.server.source import LatestPoint, Source
from gongfu.connect.opcua.server.space import Space, data_value

logger = logging.getLogger(__name__)
# It tells of every request; what an operator needs is counted and logged here.
logging.getLogger("asyncua").setLevel(logging.CRITICAL)

MAX_POINTS = 20_000
_BATCH = 5_000


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the server listens.

    Attributes:
        host: address to listen on.
        port: TCP port.
        anonymous: whether clients may read without a name.
        open_channel: whether a channel without signing and encryption is offered.
        every: seconds between two looks at the values.
        structure_every: seconds between two looks at assets and points.
    """

    host: str = "127.0.0.1"
    port: int = 4840
    anonymous: bool = False
    open_channel: bool = False
    every: float = 1.0
    structure_every: float = 30.0


class _SignIn:
    """Decides who may read: the certificate of the channel must be trusted, then name and password must be right."""

    def __init__(self, settings: ServerSettings, source: Source, trust: TrustList) -> None:
        self._settings = settings
        self._source = source
        self._trust = trust

    def get_user(self, iserver: Any, username: Any = None, password: Any = None, certificate: Any = None) -> Any:
        """Return the user, None when it may not sign in; asyncua asks without awaiting."""
        if certificate is None and not self._settings.open_channel:
            return None
        if certificate is not None and self._trust.judge(certificate, datetime.now(UTC)) != "trusted":
            return None
        if username is None:
            return User(role=UserRole.User) if self._settings.anonymous else None
        if isinstance(password, bytes):
            password = password.decode("utf-8", "replace")
        allowed = isinstance(password, str) and self._source.may_sign_in(username, password)
        return User(role=UserRole.User, name=username) if allowed else None


class AssetServer:
    """The server.

    Attributes:
        counts: changes of nodes, values written, clients refused, points left out.
    """

    def __init__(self, settings: ServerSettings, source: Source, pki: Path) -> None:
        self.counts = dict.fromkeys(("nodes", "values", "refused", "left_out", "failures"), 0)
        self._settings = settings
        self._source = source
        self._pki = pki
        self._trust = TrustList(pki)
        self._users = _SignIn(settings, source, self._trust)
        self._server: Any = None
        self._space: Space | None = None
        self._seen: dict[int, LatestPoint] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        settings = self._settings
        own = identity.load(self._pki, datetime.now(UTC))
        server: Any = Server(user_manager=self._users)  # pyright: ignore[reportArgumentType]
        await server.init()
        server.set_server_name("Gongfu")
        server.set_endpoint(f"opc.tcp://{settings.host}:{settings.port}/gongfu")
        await server.set_application_uri(own.uri)
        await server.load_certificate(own.certificate, "der")
        await server.load_private_key(own.key, format="pem")
        kinds = ua.SecurityPolicyType
        policies = [kinds.Basic256Sha256_SignAndEncrypt, kinds.Basic256Sha256_Sign]
        policies += [kinds.Aes256Sha256RsaPss_SignAndEncrypt, kinds.Aes128Sha256RsaOaep_SignAndEncrypt]
        server.set_security_policy([*policies, *([kinds.NoSecurity] if settings.open_channel else [])])
        tokens = [ua.UserNameIdentityToken]
        server.set_identity_tokens([*tokens, *([ua.AnonymousIdentityToken] if settings.anonymous else [])])
        server.set_certificate_validator(self._check_certificate)
        self._server = server
        self._space = Space(server)
        await self._space.prepare()
        await self._match()
        await self._write_latest()
        await server.start()
        self._tasks = [
            asyncio.create_task(self._again(settings.every, self._write_latest)),
            asyncio.create_task(self._again(settings.structure_every, self._match)),
        ]

    async def stop(self) -> None:
        """Stop listening; clients are disconnected."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        server, self._server = self._server, None
        if server is not None:
            with suppress(OSError, RuntimeError):
                await server.stop()

    async def _again(self, every: float, work: Any) -> None:
        while True:
            await asyncio.sleep(every)
            try:
                await work()
            except Exception:
                self.counts["failures"] += 1
                logger.exception("the OPC UA server could not be brought up to date; it is tried again")

    async def _match(self) -> None:
        """Bring nodes in line with assets and points."""
        assert self._space is not None
        assets, points = await self._source.assets(), await self._source.points()
        self.counts["left_out"] = max(0, len(points) - MAX_POINTS)
        changed = await self._space.match(assets, points[:MAX_POINTS])
        self.counts["nodes"] += changed
        if changed:
            self._seen = {series: seen for series, seen in self._seen.items() if series in self._space.points}

    async def _write_latest(self) -> None:
        """Write the values that changed."""
        assert self._space is not None
        series = list(self._space.points)
        for start in range(0, len(series), _BATCH):
            found: Mapping[int, LatestPoint] = await self._source.latest(series[start : start + _BATCH])
            for key, latest in found.items():
                known = self._space.points.get(key)
                if known is None or self._seen.get(key) == latest:
                    continue
                node, value_type = known
                await self._server.write_attribute_value(node, data_value(value_type, latest))
                self._seen[key] = latest
                self.counts["values"] += 1
            await asyncio.sleep(0)

    async def _check_certificate(self, certificate: Any, _application: Any) -> None:
        """Refuse clients whose certificate is not in the trust list; strangers are noted there."""
        der = certificate.public_bytes(Encoding.DER)
        verdict = self._trust.judge(der, datetime.now(UTC))
        if verdict == "trusted":
            return
        self.counts["refused"] += 1
        if verdict == "untrusted":
            with suppress(OSError, ValueError):
                self._trust.note_stranger(der)
            raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)
        raise ServiceError(ua.StatusCodes.BadCertificateTimeInvalid)
