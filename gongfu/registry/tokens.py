"""Tokens of sessions and of the command line. They have 256 random bits, so a fast hash is enough."""

import hashlib
import secrets


def hash_token(token: str) -> str:
    """Return the SHA-256 of a token, hex."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_token() -> str:
    """Return a new token; the prefix lets secret scanners find it."""
    return "gongfu_" + secrets.token_urlsafe(32)
