"""``Authenticator`` on the registry: checks in a thread, keeps what succeeded for a short while."""

import asyncio
import logging
import secrets
from concurrent.futures import Executor
from dataclasses import dataclass
from hashlib import blake2b

from sqlalchemy.exc import SQLAlchemyError

from gongfu.ingest.mqtt.access import DeviceAccess, Refusal, usable_filters
from gongfu.ingest.types import Writer
from gongfu.registry.credentials import Credentials, DeviceGrant
from gongfu.registry.names import NAME_LIMIT

log = logging.getLogger(__name__)

CACHE_SECONDS = 60.0
CACHE_ENTRIES = 2048
LONGEST_SECRET = 1024
# Credentials looked up by one query.
MOST_AT_ONCE = 256


@dataclass(slots=True)
class _Entry:
    access: DeviceAccess
    until: float


@dataclass(slots=True)
class _Asked:
    name: str
    secret: str
    grant: "asyncio.Future[DeviceGrant | None]"


class RegistryAuthenticator:
    """Checks MQTT credentials with the registry.

    A success is kept for a minute or until the registry announces a change of the device, so that a storm of
    reconnects costs no queries. The cache holds a keyed hash, never a secret.

    Args:
        credentials: the registry's check; it blocks.
        executor: where it runs.
        loop: the event loop of all calls.
    """

    def __init__(self, credentials: Credentials, executor: Executor, loop: asyncio.AbstractEventLoop) -> None:
        self._credentials = credentials
        self._executor = executor
        self._loop = loop
        self._key = secrets.token_bytes(32)
        self._cache: dict[bytes, _Entry] = {}
        self._of_device: dict[int, tuple[bytes, ...]] = {}
        self._asked: list[_Asked] = []
        self._asking: asyncio.Task[None] | None = None

    async def check(
        self, username: str | None, password: bytes | None, certificate_sha256: str | None
    ) -> DeviceAccess | Refusal | None:
        """Return the device, a refusal, or None for wrong or missing credentials (see ``Authenticator``).

        A client certificate counts when there is no password; a user name beside it must then be the device's name.
        A user name ``device:secret`` without a password is what clients of ThingsBoard send, whose access token is all
        they have; no device has a colon in its name.
        """
        if password is None and username and ":" in username:
            username, _, token = username.partition(":")
            password = token.encode()
        if password is not None:
            if not username or len(username) > NAME_LIMIT or len(password) > LONGEST_SECRET:
                return None
            identity = b"p" + len(username.encode()).to_bytes(4, "big") + username.encode() + password
        elif certificate_sha256 is not None:
            identity = b"c" + certificate_sha256.encode() + (username or "").encode()
        else:
            return None
        key = blake2b(identity, key=self._key, digest_size=24).digest()
        entry = self._cache.get(key)
        if entry is not None and entry.until > self._loop.time():
            return entry.access
        try:
            if password is not None and username:
                grant = await self._by_secret(username, password)
            else:
                grant = await self._loop.run_in_executor(
                    self._executor, self._credentials.check_fingerprint, certificate_sha256 or ""
                )
                if grant is not None and username and username != grant.name:
                    return None
        except UnicodeDecodeError:
            return None
        except SQLAlchemyError as error:
            log.error("credentials cannot be checked: %s", type(error).__name__)
            return Refusal.UNAVAILABLE
        if grant is None:
            return None
        if not grant.enabled:
            return Refusal.DISABLED
        found = _access(grant)
        self._keep(key, found)
        return found

    async def _by_secret(self, name: str, password: bytes) -> DeviceGrant | None:
        """Ask together with all that come while the one before asks: a storm of clients costs few queries.

        Raises:
            UnicodeDecodeError: the password is none of ours.
            SQLAlchemyError: the records cannot be read.
        """
        asked = _Asked(name, password.decode(), self._loop.create_future())
        self._asked.append(asked)
        if self._asking is None:
            self._asking = self._loop.create_task(self._ask_all())
        return await asked.grant

    async def _ask_all(self) -> None:
        try:
            while batch := self._asked[:MOST_AT_ONCE]:
                del self._asked[: len(batch)]
                await self._ask(batch)
        finally:
            self._asking = None

    async def _ask(self, batch: list[_Asked]) -> None:
        pairs = [(asked.name, asked.secret) for asked in batch]
        try:
            grants = await self._loop.run_in_executor(self._executor, self._credentials.check_all, pairs)
        except Exception as error:
            for asked in batch:
                if not asked.grant.done():
                    asked.grant.set_exception(error)
        else:
            for asked, grant in zip(batch, grants, strict=True):
                if not asked.grant.done():
                    asked.grant.set_result(grant)

    def _keep(self, key: bytes, access: DeviceAccess) -> None:
        if len(self._cache) >= CACHE_ENTRIES:
            oldest = next(iter(self._cache))
            self.forget(self._cache[oldest].access.writer.device)
        self._cache[key] = _Entry(access, self._loop.time() + CACHE_SECONDS)
        device = access.writer.device
        self._of_device[device] = (*(k for k in self._of_device.get(device, ()) if k != key), key)

    def forget(self, device: int) -> None:
        """The device has changed: ask the registry again."""
        for key in self._of_device.pop(device, ()):
            self._cache.pop(key, None)


def _access(grant: DeviceGrant) -> DeviceAccess:
    writer = Writer(grant.tenant, grant.device, grant.name, grant.asset, grant.asset_path)
    return DeviceAccess(writer, usable_filters(grant.publish_filters), usable_filters(grant.subscribe_filters))
