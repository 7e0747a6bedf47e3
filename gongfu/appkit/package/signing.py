"""Signatures of packages: Ed25519 (RFC 8032) over the sums and the publisher's name."""

import msgspec

from gongfu.appkit.package.refusal import PackageError, Reason
from gongfu.appkit.package.types import FORMAT, Signature, TrustedKeys, key_id
from gongfu.tree.membership.keys import NodeKey, verify_bytes
from gongfu.tree.membership.refusals import Refused

ALGORITHM = "Ed25519"
# Ends with its only line feed, as all contexts do that Gongfu signs in: no key signs the same bytes for two purposes.
CONTEXT = b"gongfu/app-package/1\n"


def signed_bytes(publisher: str, sums: bytes) -> bytes:
    """Return what is signed: context, the publisher's name on a line, the sums."""
    return CONTEXT + msgspec.json.encode(publisher) + b"\n" + sums


def sign_sums(key: NodeKey, publisher: str, sums: bytes) -> bytes:
    """Return ``signature.json`` of a package.

    Args:
        key: of the publisher.
        publisher: what it calls itself, 1 to 200 characters.
        sums: content of ``SHA256SUMS``.
    """
    signature = Signature(
        format=FORMAT,
        algorithm=ALGORITHM,
        publisher=publisher,
        key=key.public_key,
        signature=key.sign(signed_bytes(publisher, sums)),
    )
    return msgspec.json.format(msgspec.json.encode(signature), indent=2) + b"\n"


def read_signature(document: bytes, sums: bytes) -> Signature:
    """Return the signature of a package whose sums it fits; whether the key is trusted is not asked.

    Raises:
        PackageError: ``signature-malformed``, ``signature-wrong``.
    """
    try:
        signature = msgspec.json.decode(document, type=Signature)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise PackageError(Reason.SIGNATURE_MALFORMED, str(error)[:200]) from None
    if signature.format != FORMAT or signature.algorithm != ALGORITHM:
        raise PackageError(Reason.SIGNATURE_MALFORMED, f"{signature.format[:40]!r}, {signature.algorithm[:40]!r}")
    # One way to write it: a signature that says the same in other bytes is another package.
    if msgspec.json.format(msgspec.json.encode(signature), indent=2) + b"\n" != document:
        raise PackageError(Reason.SIGNATURE_MALFORMED, "not in the form that `gongfu app pack` writes")
    try:
        verify_bytes(signature.key, signed_bytes(signature.publisher, sums), signature.signature)
    except Refused as error:
        raise PackageError(Reason.SIGNATURE_WRONG, f"of {key_id(signature.key)}: {error}") from None
    return signature


def check_trust(signature: Signature, trusted: TrustedKeys) -> str:
    """Return what this node calls the publisher.

    Raises:
        PackageError: ``key-revoked``, ``key-unknown``.
    """
    identifier = key_id(signature.key)
    if identifier in trusted.revoked:
        raise PackageError(Reason.KEY_REVOKED, f"{identifier} ({signature.publisher}): {trusted.revoked[identifier]}")
    if identifier not in trusted.trusted:
        raise PackageError(
            Reason.KEY_UNKNOWN,
            f"{identifier}, which calls itself {signature.publisher!r}, is not trusted here: `gongfu app key trust`",
        )
    return trusted.trusted[identifier]
