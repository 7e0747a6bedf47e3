"""E-mail by SMTP (RFC 5321, RFC 5322)."""

import smtplib
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from gongfu.kernel.times import SECOND
from gongfu.reason.notify.channels.posting import lasting_at_most
from gongfu.reason.notify.channels.sending import Message, MissedError, Receipt, RefusedError
from gongfu.reason.notify.types import Email

# All steps of a session together last at most this often the time of one.
_STEPS = 6


def send_email(settings: Email, password: str, message: Message, now: int) -> Receipt:
    """Send a message; the server's 250 means that it took it, not that it was read. Blocks.

    Args:
        settings: the server.
        password: empty for no authentication.
        message: what to send.
        now: UTC ns, for the date.

    Raises:
        MissedError: the server is away or busy (4xx).
        RefusedError: the server refuses for good (5xx), or its certificate or password is wrong.
    """
    mail = EmailMessage()
    mail["Subject"] = " ".join(message.subject.split())[:400]
    try:
        mail["From"] = settings.sender
        mail["To"] = message.recipient
    except ValueError:
        raise RefusedError("the sender or the recipient is no e-mail address") from None
    mail["Date"] = format_datetime(datetime.fromtimestamp(now // SECOND, UTC))
    mail["Message-ID"] = f"<{message.id}@{settings.sender.rpartition('@')[2]}>"
    mail["X-Gongfu-Message-Id"] = message.id
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    try:
        _send(settings, password, mail)
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        raise _of_code(_code(error), type(error).__name__) from None
    except smtplib.SMTPAuthenticationError:
        raise RefusedError("the server refuses user and password") from None
    except smtplib.SMTPResponseException as error:
        raise _of_code(error.smtp_code, "the server") from None
    except ssl.SSLCertVerificationError as error:
        raise RefusedError(f"the server's certificate: {error.verify_message}") from None
    except smtplib.SMTPNotSupportedError as error:
        raise RefusedError(str(error)) from None
    except (OSError, smtplib.SMTPException) as error:
        raise MissedError(f"{settings.host}:{settings.port}: {type(error).__name__}") from None
    return Receipt(reached=False, reference=message.id)


def _send(settings: Email, password: str, mail: EmailMessage) -> None:
    context = ssl.create_default_context(cadata=settings.ca or None)
    client: smtplib.SMTP
    if settings.security == "tls":
        client = smtplib.SMTP_SSL(settings.host, settings.port, timeout=settings.timeout_s, context=context)
    else:
        client = smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout_s)
    assert client.sock is not None
    with client, lasting_at_most(client.sock, _STEPS * settings.timeout_s):
        if settings.security == "starttls":
            client.starttls(context=context)
        if settings.user and settings.security != "none":
            client.login(settings.user, password)
        client.send_message(mail)


def _code(error: smtplib.SMTPException) -> int:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return next(iter(error.recipients.values()))[0]
    return error.smtp_code if isinstance(error, smtplib.SMTPResponseException) else 550


def _of_code(code: int, what: str) -> MissedError | RefusedError:
    return RefusedError(f"{what}: {code}") if code >= 500 else MissedError(f"{what}: {code}")
