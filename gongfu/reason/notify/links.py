"""Links that acknowledge one notification, once: signed, with an end."""

import base64
import binascii
import hashlib
import hmac

from gongfu.kernel.times import SECOND

VALID = 7 * 86_400 * SECOND
_MAC = 16


def token(key: bytes, message: str, now: int) -> str:
    """Return the token of a notification.

    Args:
        key: secret of the node.
        message: its id, 32 hex digits.
        now: UTC ns; the token ends 7 days later.
    """
    body = bytes.fromhex(message) + ((now + VALID) // SECOND).to_bytes(6, "big")
    return base64.urlsafe_b64encode(body + _mac(key, body)).rstrip(b"=").decode()


def message_of(key: bytes, text: str, now: int) -> str | None:
    """Return the id in a token, None when it is forged or has ended."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    if len(raw) != 16 + 6 + _MAC:
        return None
    body, mac = raw[:-_MAC], raw[-_MAC:]
    if not hmac.compare_digest(mac, _mac(key, body)):
        return None
    return body[:16].hex() if int.from_bytes(body[16:], "big") * SECOND > now else None


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, b"acknowledge\0" + body, hashlib.sha256).digest()[:_MAC]
