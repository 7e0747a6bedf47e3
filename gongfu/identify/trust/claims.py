"""What a signature says: digests of a handle's values (``HS_SIGNATURE``), or whose key may sign what (``HS_CERT``).

The form is the Handle System's (version 8 and later): the claims of a JSON Web Token with ``perms``, ``digests``,
``chain`` and ``publicKey``; issuer and subject are ``index:handle``, or a handle.
"""

import base64
import hashlib
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from gongfu.identify.handle.names import NAMING_AUTHORITY, folded
from gongfu.identify.handle.values import HandleValue, encode_value
from gongfu.identify.trust.keys import KeyFormError, VerifyingKey, parse_key

# A digest is of a value's bytes behind index and time stamp: the index is named beside it, the time is the store's.
_DIGEST_FROM = 8
MAX_VALUES = 10_000
MAX_CHAIN = 50
# How far the clock of who signs may be ahead of that of who verifies, s.
LEEWAY = 60


class Scope(StrEnum):
    """What a certificate lets its key sign, relative to ``handle`` of the permission."""

    EVERYTHING = "everything"
    THIS_HANDLE = "thisHandle"
    DERIVED_PREFIXES = "derivedPrefixes"
    HANDLES_UNDER_THIS_PREFIX = "handlesUnderThisPrefix"


class Permission(msgspec.Struct, frozen=True):
    """A permission of a certificate; an unknown ``perm`` permits nothing."""

    perm: str
    handle: str = ""


class Digest(msgspec.Struct, frozen=True):
    """The digest of the value at an index, base64."""

    index: int
    digest: str


class Digests(msgspec.Struct, frozen=True):
    """Digests of values, all with one algorithm: ``SHA-256``."""

    alg: str
    digests: Annotated[tuple[Digest, ...], Meta(max_length=MAX_VALUES)]


class MerkleRoot(msgspec.Struct, frozen=True):
    """The root over a batch of records (ours, no standard's): ``alg`` ``SHA-256``, root in base64, number of leaves."""

    alg: str
    root: str
    size: int


class Claims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The payload of a signature. Times are seconds since 1970, UTC.

    Attributes:
        iss: who signs.
        sub: the handle whose values are signed, or whose key is certified.
        iat: when.
        nbf: valid from.
        exp: valid until, with that second.
        digests: of values.
        perms: what the certified key may sign.
        chain: where the certificates are that authorise the issuer, nearest first.
        public_key: the certified key, as JWK.
        merkle: root of a batch.
    """

    iss: str
    sub: str
    iat: int | None = None
    nbf: int | None = None
    exp: int | None = None
    digests: Digests | None = None
    perms: Annotated[tuple[Permission, ...], Meta(max_length=100)] = ()
    chain: Annotated[tuple[str, ...], Meta(max_length=MAX_CHAIN)] = ()
    public_key: VerifyingKey | None = msgspec.field(default=None, name="publicKey")
    merkle: MerkleRoot | None = None

    @property
    def self_issued(self) -> bool:
        """Whether it is a root's."""
        return self.sub == self.iss

    def valid_at(self, now: int) -> bool:
        """Return whether a time (UTC seconds) is in its time; it may begin up to ``LEEWAY`` later."""
        return (self.exp is None or now <= self.exp) and (self.nbf is None or now >= self.nbf - LEEWAY)


_decoder = msgspec.json.Decoder(Claims)


def encode_claims(claims: Claims) -> bytes:
    """Return the claims as JSON."""
    return msgspec.json.encode(claims)


def decode_claims(payload: bytes) -> Claims:
    """Return the claims of a payload.

    Raises:
        ValueError: they are none, or the key in them is none.
    """
    try:
        claims = _decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"no claims: {error}") from None
    if claims.public_key is None:
        return claims
    try:
        return msgspec.structs.replace(claims, public_key=parse_key(msgspec.to_builtins(claims.public_key)))
    except KeyFormError as error:
        raise ValueError(f"no claims: {error}") from None


def value_digest(value: HandleValue) -> bytes:
    """Return the SHA-256 of a value: of type, data, permissions, TTL and references."""
    return hashlib.sha256(encode_value(value)[_DIGEST_FROM:]).digest()


def digests_of(values: Iterable[HandleValue]) -> Digests:
    """Return the digests of values."""
    return Digests(
        "SHA-256", tuple(Digest(value.index, base64.b64encode(value_digest(value)).decode()) for value in values)
    )


def handle_of(reference: str) -> tuple[int, str]:
    """Return index (0 for none) and handle of ``index:handle`` or ``handle``."""
    index, colon, handle = reference.partition(":")
    if colon and index.isascii() and index.isdigit() and len(index) < 11:
        return int(index), handle
    return 0, reference


def same_handle(one: str, other: str) -> bool:
    """Return whether two texts name one handle, whatever the case of their prefixes."""
    return _key(one) == _key(other)


def _key(handle: str) -> tuple[str, str]:
    prefix, _, suffix = handle.partition("/")
    prefix = folded(prefix)
    return prefix, folded(suffix) if prefix == NAMING_AUTHORITY else suffix


def permits(permissions: Iterable[Permission], handle: str) -> bool:
    """Return whether a certificate with these permissions lets its key sign a handle.

    ``handlesUnderThisPrefix`` of ``0.NA/99.1`` covers ``99.1/…``, ``derivedPrefixes`` covers ``0.NA/99.1.…`` and what
    is under them, ``thisHandle`` the handle itself, and what is under it where it is a prefix.
    """
    return any(_covers(permission, handle) for permission in permissions)


def _covers(permission: Permission, handle: str) -> bool:
    if permission.perm == Scope.EVERYTHING:
        return True
    authority, base = _key(permission.handle)
    if permission.perm == Scope.THIS_HANDLE and (authority, base) == _key(handle):
        return True
    if authority != NAMING_AUTHORITY or not base:
        return False
    prefix, suffix = _key(handle)
    if permission.perm in (Scope.THIS_HANDLE, Scope.HANDLES_UNDER_THIS_PREFIX):
        return prefix == base
    if permission.perm == Scope.DERIVED_PREFIXES:
        owner = suffix if prefix == NAMING_AUTHORITY else prefix
        return owner.startswith(f"{base}.")
    return False
