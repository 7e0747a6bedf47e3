"""Who logs in, and the tokens they get.

A user is an application identity (应用标识身份): a handle with a secret key (``HS_SECKEY``), named as ``99.1000.1/APP``
or ``300:99.1000.1/APP``; the key is the password. It comes as it is, or (``/identity/token/v1``) as
``sha256(sha256(password) + "yyyy-MM-dd")`` in hexadecimal, the day being China's.

A token is signed by a key of the process, names the identity and holds for a day; it ends when the secret key is
changed, or the process does.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from gongfu.identify.authentication.authorization import Values
from gongfu.identify.authentication.failures import Failures
from gongfu.identify.authentication.types import Asker
from gongfu.identify.handle.names import HandleName, parse_handle
from gongfu.identify.handle.predefined import HS_SECKEY
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.handle.wire import MalformedError
from gongfu.identify.snms.answers import NOT_LOGGED_IN, WRONG_LOGIN, SnmsError, Status
from gongfu.kernel.counters import Counters

LIFETIME = 86_400
MAX_USER = 300
MAX_PASSWORD = 1024
_CHINA = 8 * 3600
# A client whose clock is wrong, around midnight.
_SKEW = 600
_MOST_KEYS = 8


class _Claims(msgspec.Struct, array_like=True, frozen=True):
    handle: str
    index: int
    ends: int


def day_password(password: bytes, day: str) -> str:
    """Return what is sent for a password on a day, ``yyyy-MM-dd``."""
    return hashlib.sha256((hashlib.sha256(password).hexdigest() + day).encode()).hexdigest()


def days_at(now: int) -> set[str]:
    """Return the days that it is in China, give or take ten minutes."""
    return {_date(now + _CHINA + skew) for skew in (-_SKEW, 0, _SKEW)}


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


class Tokens:
    """Logs in, and tells who a token is of."""

    def __init__(self, values: Values, counters: Counters, now: Callable[[], int]) -> None:
        """Make it.

        Args:
            values: of handles here.
            counters: ``snms_logins``, ``snms_logins_failed.<why>``, ``snms_tokens_rejected``.
            now: UTC seconds.
        """
        self._values = values
        self._counters = counters
        self._now = now
        self._key = secrets.token_bytes(32)
        self._failures = Failures(now)

    def login(self, user: str, password: str, *, hashed: bool, peer: str = "") -> str:
        """Return a token. Who fails too often from an address has to wait; the user from elsewhere has not.

        Raises:
            SnmsError: ``FAILED``: user or password are wrong, or were too often.
        """
        now = self._now()
        name, index = _identity(user)
        who = name.key if name is not None else user
        if self._failures.too_many(who, peer):
            self._counters.add("snms_logins_failed.too-often")
            raise SnmsError("登录失败次数过多，请稍后再试")
        found = None
        for value in self._keys(name, index) or [_NONE]:
            if _is_password(value.data, password, hashed, now) and value is not _NONE:
                found = value
        if found is None or name is None:
            self._failures.add(who, peer)
            self._counters.add("snms_logins_failed.password")
            raise SnmsError(WRONG_LOGIN)
        self._failures.forget(who, peer)
        self._counters.add("snms_logins")
        return self._sealed(_Claims(str(name), found.index, now + LIFETIME), found.data)

    def asker(self, authorization: str) -> Asker:
        """Return who the token of an ``Authorization`` header is of.

        Raises:
            SnmsError: ``NOT_LOGGED_IN``.
        """
        scheme, _, token = authorization.strip().partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise ValueError("no bearer")
            body, _, _ = token.strip().partition(".")
            claims = msgspec.json.decode(base64.urlsafe_b64decode(body.encode()), type=_Claims)
            keys = self._keys(parse_handle(claims.handle), claims.index)
            if claims.ends <= self._now() or not keys:
                raise ValueError("it has ended")
            if not hmac.compare_digest(self._sealed(claims, keys[0].data).encode(), token.strip().encode()):
                raise ValueError("it is not signed")
        except (ValueError, MalformedError, msgspec.DecodeError):
            self._counters.add("snms_tokens_rejected")
            raise SnmsError(NOT_LOGGED_IN, Status.NOT_LOGGED_IN) from None
        return Asker(claims.handle, claims.index, "token")

    def _sealed(self, claims: _Claims, secret: bytes) -> str:
        body = base64.urlsafe_b64encode(msgspec.json.encode(claims))
        seal = hmac.digest(self._key, body + hashlib.sha256(secret).digest(), "sha256")
        return f"{body.decode()}.{base64.urlsafe_b64encode(seal).decode()}"

    def _keys(self, name: HandleName | None, index: int) -> list[HandleValue]:
        values = self._values(name) if name is not None else None
        keys = [v for v in values or () if v.type.upper() == HS_SECKEY and index in (0, v.index) and v.data]
        return keys[:_MOST_KEYS]


# Compared where there is no key, so that an answer takes as long.
_NONE = HandleValue(1, HS_SECKEY, bytes(32))


def _is_password(secret: bytes, given: str, hashed: bool, now: int) -> bool:
    if not hashed:
        return hmac.compare_digest(secret, given.encode())
    sent = given.lower().encode()
    right = [hmac.compare_digest(day_password(secret, day).encode(), sent) for day in sorted(days_at(now))]
    return any(right)


def _identity(user: str) -> tuple[HandleName | None, int]:
    """Return the handle and the index (0 for any) of a user's name; no handle where it is none."""
    index, colon, handle = user.partition(":")
    if not (colon and index.isascii() and index.isdecimal() and len(index) <= 10):
        index, handle = "0", user
    try:
        return parse_handle(handle), int(index)
    except MalformedError:
        return None, 0
