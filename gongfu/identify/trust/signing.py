"""Signatures of values and certificates of keys, as handle values."""

from collections.abc import Sequence

from gongfu.identify.handle.names import NAMING_AUTHORITY
from gongfu.identify.handle.predefined import HS_SECKEY
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.trust.claims import Claims, Permission, Scope, digests_of, encode_claims
from gongfu.identify.trust.jws import sign
from gongfu.identify.trust.keys import SigningKey, VerifyingKey

HS_SIGNATURE = "HS_SIGNATURE"
HS_CERT = "HS_CERT"
SIGNATURE_INDEX = 400
CERTIFICATE_INDEX = 401


def signable(values: Sequence[HandleValue]) -> list[HandleValue]:
    """Return the values that a signature is of: neither other signatures nor secret keys, by index."""
    left_out = (HS_SIGNATURE, HS_SECKEY)
    return sorted((one for one in values if one.type.upper() not in left_out), key=lambda one: one.index)


def sign_values(
    handle: str,
    values: Sequence[HandleValue],
    key: SigningKey,
    issuer: str,
    *,
    now: int,
    expires: int | None = None,
    index: int = SIGNATURE_INDEX,
) -> HandleValue:
    """Return an ``HS_SIGNATURE`` value over the values of a handle.

    Args:
        handle: whose values they are.
        values: all of them; see ``signable``.
        key: that signs.
        issuer: ``index:handle`` where the key's public part is known.
        now: UTC seconds.
        expires: UTC seconds.
        index: of the value.
    """
    claims = Claims(iss=issuer, sub=handle, iat=now, nbf=now, exp=expires, digests=digests_of(signable(values)))
    return HandleValue(index, HS_SIGNATURE, sign(encode_claims(claims), key).encode(), timestamp=now)


def certify(
    subject: str,
    public_key: VerifyingKey,
    permissions: Sequence[Permission],
    key: SigningKey,
    issuer: str,
    *,
    now: int,
    expires: int | None = None,
    chain: Sequence[str] = (),
    index: int = CERTIFICATE_INDEX,
) -> HandleValue:
    """Return an ``HS_CERT`` value: the subject's key may sign what the permissions say. A root certifies itself.

    Args:
        subject: ``index:handle`` of the certified key.
        public_key: that key.
        permissions: what it may sign.
        key: that signs.
        issuer: ``index:handle`` of ``key``; the subject itself for a root.
        now: UTC seconds.
        expires: UTC seconds.
        chain: where the issuer's own certificate is; by default at the issuer's handle.
        index: of the value.
    """
    claims = Claims(
        iss=issuer,
        sub=subject,
        iat=now,
        nbf=now,
        exp=expires,
        perms=tuple(permissions),
        chain=tuple(chain),
        public_key=public_key,
    )
    return HandleValue(index, HS_CERT, sign(encode_claims(claims), key).encode(), timestamp=now)


def prefix_permissions(prefix: str) -> tuple[Permission, ...]:
    """Return what the key of a prefix may sign: the prefix, what is under it, and what is derived from it."""
    handle = f"{NAMING_AUTHORITY}/{prefix}"
    return tuple(
        Permission(scope, handle)
        for scope in (Scope.THIS_HANDLE, Scope.HANDLES_UNDER_THIS_PREFIX, Scope.DERIVED_PREFIXES)
    )
