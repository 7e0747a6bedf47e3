"""Text messages by a gateway's HTTP interface. Another kind of gateway (SMPP) is another function of this form."""

import msgspec

from gongfu.reason.notify.channels.destinations import Destinations
from gongfu.reason.notify.channels.posting import post
from gongfu.reason.notify.channels.sending import Message, Receipt, RefusedError
from gongfu.reason.notify.types import Sms

# Ten parts of 67 characters of UCS-2 (3GPP TS 23.040 §9.2.3.24.1).
MAX_CHARACTERS = 670


def send_sms(settings: Sms, token: str, message: Message, now: int, destinations: Destinations) -> Receipt:
    """Hand a message to the gateway; that it took it does not mean that it arrived. Blocks.

    Raises:
        MissedError: try again.
        RefusedError: do not.
    """
    number = "".join(message.recipient.split()).replace("-", "")
    if not number.removeprefix("+").isdigit():
        raise RefusedError("the recipient is no telephone number")
    text = f"{message.subject}\n{message.text}"[:MAX_CHARACTERS]
    body = msgspec.json.encode({**settings.extra, settings.number_member: number, settings.text_member: text})
    headers = {"Content-Type": "application/json", "User-Agent": "gongfu", "Idempotency-Key": message.id}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    answer = post(settings.url, body, headers, timeout_s=settings.timeout_s, destinations=destinations, ca=settings.ca)
    try:
        document = msgspec.json.decode(answer or b"{}")
    except msgspec.DecodeError:
        document = {}
    found = document.get(settings.receipt_member, "") if isinstance(document, dict) else ""
    return Receipt(reached=False, reference=str(found)[:300])
