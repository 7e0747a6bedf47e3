"""Secrets of devices: random, so a fast keyed hash is enough, and a storm of connects costs microseconds each."""

import contextlib
import hmac
import os
import secrets
from hashlib import blake2b
from pathlib import Path

from gongfu.kernel.errors import invalid

MIN_IMPORTED = 16
MAX_IMPORTED = 256
_KEY_BYTES = 32


def load_device_key(data_dir: str | Path) -> bytes:
    """Return the key of the hash, 32 bytes kept as hexadecimal text in ``<data_dir>/secrets/device-key`` (mode 0600).

    The supervisor makes the file; it is made here too, for commands that run without one. A backup of the records
    without this file does not let anybody in, and lets nobody try secrets offline.

    Raises:
        RuntimeError: the file does not hold a key.
    """
    path = Path(data_dir) / "secrets" / "device-key"
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        scratch = path.with_name(f".device-key.{os.getpid()}")
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_hex(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        # A process that was first keeps its key.
        with contextlib.suppress(FileExistsError):
            os.link(scratch, path)
        scratch.unlink()
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise RuntimeError(f"{path} is damaged: it does not hold {2 * _KEY_BYTES} hexadecimal digits")
    return key


def new_secret() -> str:
    """Return a secret of 192 random bits."""
    return secrets.token_urlsafe(24)


def check_imported(secret: str) -> str:
    """Return a secret brought along by the caller.

    Raises:
        Problem: 400; fewer than 16 or more than 256 characters, or control characters.
    """
    if not MIN_IMPORTED <= len(secret) <= MAX_IMPORTED or not secret.isprintable():
        raise invalid(f"secret must have {MIN_IMPORTED} to {MAX_IMPORTED} printable characters")
    return secret


def hash_secret(key: bytes, secret: str) -> str:
    """Return the BLAKE2b-256 of a secret keyed with the node's key, hex."""
    return blake2b(secret.encode("utf-8", "surrogatepass"), key=key, digest_size=32).hexdigest()


def matches(key: bytes, stored: str, secret: str) -> bool:
    """Return whether a secret is the stored one, in constant time."""
    return hmac.compare_digest(hash_secret(key, secret), stored)
