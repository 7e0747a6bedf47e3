"""Proofs and passwords against the keys of handles."""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, Sequence

from gongfu.identify.authentication.authorization import Values
from gongfu.identify.authentication.failures import Failures
from gongfu.identify.authentication.public_keys import decode_public_key, is_signed
from gongfu.identify.authentication.secret_keys import is_costly, proves
from gongfu.identify.authentication.types import Asker, Secret
from gongfu.identify.handle.bodies import ChallengeAnswer
from gongfu.identify.handle.codes import ResponseCode
from gongfu.identify.handle.names import HandleName, parse_handle
from gongfu.identify.handle.predefined import HS_PUBKEY, HS_SECKEY
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.handle.wire import MalformedError
from gongfu.kernel.counters import Counters

Elsewhere = Callable[[HandleName], Awaitable[Sequence[HandleValue] | None]]
"""Public values of a handle that is not here, None where there is none: how a public key elsewhere is found."""

# Of one handle, where a proof names no index.
_MOST_KEYS = 8
_COSTLY_AT_ONCE, _MOST_COSTLY = 2, 64


class Refusal(Exception):
    """A proof that does not count.

    Attributes:
        code: what the protocol answers.
    """

    def __init__(self, code: ResponseCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Authenticator:
    """Tells who somebody is."""

    def __init__(
        self,
        values: Values,
        counters: Counters,
        *,
        elsewhere: Elsewhere | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make it.

        Args:
            values: of handles here.
            counters: ``authentications.<how>`` and ``authentications_failed.<how>``.
            elsewhere: of others; without it, only keys that are here count.
            clock: seconds, never backwards.
        """
        self._values = values
        self._counters = counters
        self._elsewhere = elsewhere
        self._failures = Failures(clock)
        self._costly = asyncio.Semaphore(_COSTLY_AT_ONCE)
        self._costly_waiting = 0

    async def by_proof(self, answer: ChallengeAnswer, challenge: bytes) -> Asker:
        """Return who has answered a challenge.

        Args:
            answer: names a key and proves that somebody has it.
            challenge: nonce and digest of the request.

        Raises:
            Refusal: it does not.
        """
        kind = answer.type.upper()
        try:
            name = parse_handle(answer.handle)
            if kind not in (HS_SECKEY, HS_PUBKEY):
                raise Refusal(ResponseCode.UNABLE_TO_AUTHENTICATE, f"keys of type {answer.type[:40]!r} are not known")
            for value in await self._keys(name, kind, answer.index):
                if await self._proves(kind, value.data, answer.response, challenge):
                    self._counters.add(f"authentications.{kind}")
                    return Asker(answer.handle, value.index, kind)
        except MalformedError as error:
            self._counters.add(f"authentications_failed.{kind if kind in (HS_SECKEY, HS_PUBKEY) else 'unknown'}")
            raise Refusal(ResponseCode.INVALID_CREDENTIAL, str(error)) from None
        self._counters.add(f"authentications_failed.{kind}")
        raise Refusal(ResponseCode.AUTHENTICATION_FAILED, "the proof is not of that key")

    async def _keys(self, name: HandleName, kind: str, index: int) -> list[HandleValue]:
        values = self._values(name)
        if values is None and self._elsewhere is not None and kind == HS_PUBKEY:
            values = await self._elsewhere(name)
        keys = [] if values is None else _keys(values, kind, index)
        if not keys:
            self._counters.add(f"authentications_failed.{kind}")
            raise Refusal(ResponseCode.UNABLE_TO_AUTHENTICATE, f"no {kind} {index}:{name} is known here")
        return keys

    async def _proves(self, kind: str, key: bytes, response: bytes, challenge: bytes) -> bool:
        if kind == HS_PUBKEY:
            return is_signed(response, decode_public_key(key), challenge)
        if not is_costly(response):
            return proves(response, key, challenge)
        if self._costly_waiting >= _MOST_COSTLY:
            raise Refusal(ResponseCode.SERVER_BUSY, "too many proofs to check")
        self._costly_waiting += 1
        try:
            async with self._costly:
                return await asyncio.to_thread(proves, response, key, challenge)
        finally:
            self._costly_waiting -= 1

    def by_password(self, secret: Secret, peer: str = "") -> Asker | None:
        """Return who has a secret key as password; None if it is wrong, there is none, or it was guessed too often.

        Args:
            secret: what was given.
            peer: address of the client.
        """
        name = parse_handle(secret.handle)
        if self._failures.too_many(name.key, peer):
            self._counters.add("authentications_failed.too-often")
            return None
        found: Asker | None = None
        for value in _keys(self._values(name) or (), HS_SECKEY, secret.index) or [_NONE]:
            if hmac.compare_digest(value.data, secret.password) and value is not _NONE:
                found = Asker(secret.handle, value.index, "basic")
        if found is None:
            self._failures.add(name.key, peer)
        else:
            self._failures.forget(name.key, peer)
        self._counters.add("authentications.basic" if found else "authentications_failed.basic")
        return found


# Compared where there is no key, so that an answer takes as long.
_NONE = HandleValue(1, HS_SECKEY, bytes(32))


def _keys(values: Sequence[HandleValue], kind: str, index: int) -> list[HandleValue]:
    keys = [value for value in values if value.type.upper() == kind and index in (0, value.index) and value.data]
    return keys[:_MOST_KEYS]
