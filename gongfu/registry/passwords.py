"""Passwords of users: Argon2id (RFC 9106) and what a password must be."""

import secrets
import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gongfu.kernel.errors import invalid

MIN_LENGTH = 10
MAX_LENGTH = 256

# OWASP Password Storage Cheat Sheet, Argon2id: 19 MiB, 2 passes, 1 lane. About 20 ms on one core.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# Bounds what a flood of sign-ins can take: 2 × 19 MiB and both cores for a moment.
_SLOTS = threading.BoundedSemaphore(2)


def hash_password(password: str) -> str:
    """Return the encoded Argon2id hash."""
    with _SLOTS:
        return _HASHER.hash(password)


def verify_password(encoded: str, password: str) -> bool:
    """Return whether the password is the one hashed; takes the same time for an unknown user's empty hash."""
    with _SLOTS:
        try:
            return _HASHER.verify(encoded or _nobody(), password) and bool(encoded)
        except (VerificationError, InvalidHashError):
            return False


def one_time_password() -> str:
    """Return a random password of 96 bits that the user must change at first sign-in."""
    return secrets.token_urlsafe(12)


def check_password(password: str, user_name: str) -> str:
    """Return a password a user may choose.

    Raises:
        Problem: 400; too short, too long, or the user's own name.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise invalid(f"password must have {MIN_LENGTH} to {MAX_LENGTH} characters")
    if password.lower() == user_name.lower():
        raise invalid("password must not be the user name")
    return password


_nobody_hash: list[str] = []


def _nobody() -> str:
    if not _nobody_hash:
        _nobody_hash.append(_HASHER.hash(secrets.token_urlsafe(16)))
    return _nobody_hash[0]
