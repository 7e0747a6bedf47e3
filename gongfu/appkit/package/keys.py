"""Files of publishers' keys: a private one for its owner, a public one to give away."""

import os
import re
from pathlib import Path

import msgspec

from gongfu.appkit.package.refusal import PackageError, Reason
from gongfu.appkit.package.types import key_id
from gongfu.tree.membership.keys import NodeKey

_FORMAT = "gongfu-publisher-key/1"
_PUBLISHER = re.compile(r"[^\x00-\x1f\x7f]{1,200}\Z")


class PublicKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A public key as a publisher gives it away: ``<name>.pub``, JSON.

    Attributes:
        publisher: what the publisher calls itself.
        id: of the key; who trusts it compares this with what the publisher says by another way.
        key: 32 bytes.
    """

    format: str = _FORMAT
    publisher: str
    id: str
    key: bytes


class PublisherKeyError(Exception):
    """A key file cannot be made, read or used; the text says why and names no secret."""


def new_key(path: Path, publisher: str, passphrase: str = "") -> PublicKey:
    """Make a key: ``path`` (PKCS #8 PEM, RFC 5958, mode 0600) and ``path`` with ``.pub``.

    Args:
        path: of the private key; there must be nothing.
        publisher: what the publisher calls itself.
        passphrase: encrypts the private key; empty leaves it unencrypted.

    Raises:
        PublisherKeyError: the name, or a file is there already, or cannot be written.
    """
    import secrets

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    if not _PUBLISHER.match(publisher):
        raise PublisherKeyError("a publisher's name has 1 to 200 characters on one line")
    key = NodeKey(secrets.token_bytes(32))
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    pem = Ed25519PrivateKey.from_private_bytes(key.seed).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    public = PublicKey(publisher=publisher, id=key_id(key.public_key), key=key.public_key)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_new(path, pem, 0o600)
        _write_new(public_path(path), msgspec.json.format(msgspec.json.encode(public), indent=2) + b"\n", 0o644)
    except OSError as error:
        raise PublisherKeyError(f"{error.filename}: {error.strerror}") from None
    return public


def load_key(path: Path, passphrase: str = "") -> NodeKey:
    """Return the private key in a file.

    Raises:
        PublisherKeyError: it cannot be read, others may read it, the passphrase is missing or wrong, or it is another
            kind of key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            pem = file.read(1 << 16)
    except OSError as error:
        raise PublisherKeyError(f"{path}: {error.strerror}") from None
    if mode & 0o077:
        raise PublisherKeyError(f"{path} can be read by others (mode {mode & 0o777:04o}): chmod 600 {path}")
    encrypted = b"ENCRYPTED" in pem[:100]
    if encrypted and not passphrase:
        raise PublisherKeyError(f"{path} needs its passphrase")
    try:
        private = load_pem_private_key(pem, passphrase.encode() if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's words may quote the file.
        raise PublisherKeyError(
            f"{path}: the passphrase is wrong" if encrypted else f"{path} is not a private key in PEM"
        ) from None
    if not isinstance(private, Ed25519PrivateKey):
        raise PublisherKeyError(f"{path} is not an Ed25519 key")
    return NodeKey(private.private_bytes_raw())


def public_path(path: Path) -> Path:
    """Return where the public key of a private one is."""
    return path.with_name(f"{path.name}.pub")


def load_public_key(path: Path) -> PublicKey:
    """Return the public key in a file.

    Raises:
        PublisherKeyError: it cannot be read, or is not what ``new_key`` writes.
    """
    try:
        with path.open("rb") as file:
            return read_public_key(file.read(1 << 16))
    except OSError as error:
        raise PublisherKeyError(f"{path}: {error.strerror}") from None
    except PackageError as error:
        raise PublisherKeyError(f"{path}: {error.detail}") from None


def read_public_key(document: bytes) -> PublicKey:
    """Return the public key in a document.

    Raises:
        PackageError: ``signature-malformed``; it is not one, or its id is not that of the key.
    """
    try:
        public = msgspec.json.decode(document, type=PublicKey)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise PackageError(Reason.SIGNATURE_MALFORMED, f"not a public key: {str(error)[:200]}") from None
    if public.format != _FORMAT or len(public.key) != 32 or not _PUBLISHER.match(public.publisher):
        raise PackageError(Reason.SIGNATURE_MALFORMED, "not a public key of a publisher")
    if public.id != key_id(public.key):
        raise PackageError(Reason.SIGNATURE_MALFORMED, f"the id {public.id[:60]!r} is not that of the key")
    return public


def _write_new(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
