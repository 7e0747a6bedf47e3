"""Which function sends by which channel."""

from gongfu.reason.notify.channels.destinations import PUBLIC_ONLY, Destinations
from gongfu.reason.notify.channels.email import send_email
from gongfu.reason.notify.channels.sending import Message, Receipt
from gongfu.reason.notify.channels.sms import send_sms
from gongfu.reason.notify.channels.webhook import send_webhook
from gongfu.reason.notify.types import Email, Settings, Webhook


def send_message(
    settings: Settings, secret: str, message: Message, now: int, destinations: Destinations = PUBLIC_ONLY
) -> Receipt:
    """Send a message by a channel. Blocks.

    Args:
        settings: of the channel.
        secret: its secret, empty for none.
        message: what to send.
        now: UTC ns.
        destinations: where it may go.

    Raises:
        MissedError: try again.
        RefusedError: do not.
    """
    if isinstance(settings, Email):
        return send_email(settings, secret, message, now, destinations)
    if isinstance(settings, Webhook):
        return send_webhook(settings, secret, message, now, destinations)
    return send_sms(settings, secret, message, now, destinations)
