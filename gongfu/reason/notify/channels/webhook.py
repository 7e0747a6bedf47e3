"""Webhook: JSON by POST, signed.

``Gongfu-Signature: t=<unix seconds>,v1=<hex HMAC-SHA-256 of "<t>.<body>">``; a receiver compares in constant time and
refuses a ``t`` that is more than some minutes off.
"""

import hashlib
import hmac

import msgspec

from gongfu.kernel.times import SECOND
from gongfu.reason.notify.channels.destinations import Destinations
from gongfu.reason.notify.channels.posting import post
from gongfu.reason.notify.channels.sending import Message, Receipt
from gongfu.reason.notify.types import Webhook


def signature(secret: str, now: int, body: bytes) -> str:
    """Return the header's value; ``now`` is UTC ns."""
    seconds = now // SECOND
    mac = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={mac}"


def send_webhook(settings: Webhook, secret: str, message: Message, now: int, destinations: Destinations) -> Receipt:
    """Post a message; a 2xx means that the receiver has it. Blocks.

    Raises:
        MissedError: try again.
        RefusedError: do not.
    """
    body = msgspec.json.encode({
        "id": message.id,
        "recipient": message.recipient,
        "subject": message.subject,
        "text": message.text,
        **message.document,
    })  # fmt: skip
    headers = {"Content-Type": "application/json", "User-Agent": "gongfu", "Gongfu-Message-Id": message.id}
    if secret:
        headers["Gongfu-Signature"] = signature(secret, now, body)
    post(settings.url, body, headers, timeout_s=settings.timeout_s, destinations=destinations, ca=settings.ca)
    return Receipt(reached=True)
