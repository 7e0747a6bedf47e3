"""The trust of a node's identifier service: where its key is, whom it trusts, where certificates are found."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from gongfu.identify.handle.codes import ResponseCode
from gongfu.identify.handle.names import NAMING_AUTHORITY, HandleName, parse_handle
from gongfu.identify.handle.predefined import HS_PUBKEY
from gongfu.identify.handle.resolution import Elsewhere, Found, Nowhere
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.handle.wire import MalformedError
from gongfu.identify.management.signing import Signing
from gongfu.identify.resolver.resolver import Resolver
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.trust.batch_files import BatchFiles
from gongfu.identify.trust.keys import Algorithm, KeyFormError, SigningKey, parse_key
from gongfu.identify.trust.public_key_values import decode_key
from gongfu.identify.trust.verification import Root
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem
from gongfu.kernel.times import Clock
from gongfu.node.data_directory import write_private

KEY_FILE = "identifier-signing-key"
BATCHES, ROOTS = "batches", "roots.json"
_ROOT_HANDLE = f"{NAMING_AUTHORITY}/{NAMING_AUTHORITY}"
_RETRY_S, _AGAIN_S = 20.0, 600.0

logger = logging.getLogger(__name__)


class _RootText(msgspec.Struct, forbid_unknown_fields=True):
    """A line of ``roots.json``: handle that has the key, and the key as JWK."""

    subject: str
    key: dict[str, str]


def signing_key(path: Path, algorithm: Algorithm) -> SigningKey:
    """Return the key that a file has; it is made when it is not there.

    Raises:
        OSError: it cannot be read or made, or has no key.
    """
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        key = SigningKey.generate(algorithm)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, key.to_text().encode())
        return key
    try:
        return SigningKey.from_text(text)
    except KeyFormError as error:
        raise OSError(f"{path}: {error}") from None


def pinned_roots(path: Path) -> list[Root]:
    """Return the keys that the operator of this node trusts: a JSON list of ``{"subject", "key"}``.

    Raises:
        OSError: the file is there and cannot be read, or says something else.
    """
    try:
        told = msgspec.json.decode(path.read_bytes(), type=list[_RootText])
        return [Root(one.subject, parse_key(one.key)) for one in told]
    except FileNotFoundError:
        return []
    except (msgspec.MsgspecError, KeyFormError) as error:
        raise OSError(f"{path}: {error}") from None


class IdentifierTrust:
    """Puts ``Signing`` into a node."""

    def __init__(
        self,
        key: SigningKey,
        folder: Path,
        root: str,
        identifiers: Identifiers,
        resolver: Resolver,
        above: Callable[[], tuple[HandleValue, ...]],
        clock: Clock,
        counters: Counters,
    ) -> None:
        """Make it.

        Args:
            key: of the service.
            folder: of signed batches and pinned roots.
            root: prefix of the service.
            identifiers: the store.
            resolver: finds what other services have.
            above: values of the service that resolution begins with; none at the top.
            clock: present time.
            counters: of the resolver that asks the services above for what is here.

        Raises:
            OSError: a file cannot be read.
        """
        self._identifiers = identifiers
        self._resolver = resolver
        self._above = above
        self._holder = HandleName(NAMING_AUTHORITY, root)
        self._task: asyncio.Task[None] | None = None
        self._pinned = pinned_roots(folder / ROOTS)
        self._outer = Resolver(self._from_above, above, counters)
        self.signing = Signing(
            identifiers, key, root, BatchFiles(folder / BATCHES), clock, find=self._find, roots=self._roots
        )

    async def start(self) -> None:
        """Put the key into the values of the prefix, and look for the certificate of the service above."""
        await self.signing.begin()
        self._task = asyncio.create_task(self._follow(), name="certificate of the identifier service")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> bool:
        """Ask the services above for the certificate of the key; returns whether there is one."""
        if not self._above():
            return False
        found = await self._outer.resolve(self._holder, fresh=True)
        return found.code == ResponseCode.SUCCESS and await self.signing.adopt(found.values)

    async def _follow(self) -> None:
        while True:
            found = False
            try:
                found = await self.look()
            except Problem as problem:
                logger.warning("the certificate of the service is not kept: %s", problem.detail)
            except Exception:
                logger.exception("certificate of the identifier service")
            await asyncio.sleep(_AGAIN_S if found or not self._above() else _RETRY_S)

    def _from_above(self, _: HandleName) -> Found | Elsewhere | Nowhere:
        values = self._above()
        return Elsewhere(_ROOT_HANDLE, values, delegated=False) if values else Nowhere()

    async def _find(self, handle: str) -> Sequence[HandleValue] | None:
        """Return the values of a handle, wherever it is."""
        try:
            name = parse_handle(handle)
        except MalformedError:
            return None
        here = self._identifiers.lookup(name)
        return here.values if isinstance(here, Found) else await self._resolver.values(handle)

    def _roots(self) -> list[Root]:
        """Return what is pinned, and the key of the highest service of the tree, which the parent has told."""
        found = list(self._pinned)
        for value in self._above():
            if value.type.upper() == HS_PUBKEY:
                try:
                    found.append(Root("", decode_key(value.data)))
                except KeyFormError:
                    logger.warning("the service above has a key that may not sign")
        return found
