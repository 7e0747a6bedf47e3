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
CACHE_ENTRIES = 100_000
LONGEST_SECRET = 1024


@dataclass(slots=True)
class _Entry:
    access: DeviceAccess
    until: float


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
        self._of_device: dict[int, set[bytes]] = {}

    async def check(
        self, username: str | None, password: bytes | None, certificate_sha256: str | None
    ) -> DeviceAccess | Refusal | None:
        """Return the device, a refusal, or None for wrong or missing credentials (see ``Authenticator``).

        A client certificate counts when there is no password; a user name beside it must then be the device's name.
        """
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
            found = await self._loop.run_in_executor(
                self._executor, self._look_up, username, password, certificate_sha256
            )
        except SQLAlchemyError as error:
            log.error("credentials cannot be checked: %s", type(error).__name__)
            return Refusal.UNAVAILABLE
        if isinstance(found, DeviceAccess):
            self._keep(key, found)
        return found

    def _look_up(
        self, username: str | None, password: bytes | None, certificate: str | None
    ) -> DeviceAccess | Refusal | None:
        if password is not None and username is not None:
            try:
                secret = password.decode()
            except UnicodeDecodeError:
                return None
            grant = self._credentials.check(username, secret)
            if grant is None and self._credentials.is_disabled(username, secret):
                return Refusal.DISABLED
        else:
            grant = self._credentials.check_fingerprint(certificate or "")
            if grant is not None and username and username != grant.name:
                return None
        return None if grant is None else _access(grant)

    def _keep(self, key: bytes, access: DeviceAccess) -> None:
        if len(self._cache) >= CACHE_ENTRIES:
            self._cache.clear()
            self._of_device.clear()
        self._cache[key] = _Entry(access, self._loop.time() + CACHE_SECONDS)
        self._of_device.setdefault(access.writer.device, set()).add(key)

    def forget(self, device: int) -> None:
        """The device has changed: ask the registry again."""
        for key in self._of_device.pop(device, ()):
            self._cache.pop(key, None)


def _access(grant: DeviceGrant) -> DeviceAccess:
    writer = Writer(grant.tenant, grant.device, grant.name, grant.asset, grant.asset_path)
    return DeviceAccess(writer, usable_filters(grant.publish_filters), usable_filters(grant.subscribe_filters))
