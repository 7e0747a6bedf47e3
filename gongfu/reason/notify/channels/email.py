"""E-mail by SMTP (RFC 5321, RFC 5322)."""

import smtplib
import socket
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from gongfu.kernel.times import SECOND
from gongfu.reason.notify.channels.destinations import Destinations
from gongfu.reason.notify.channels.posting import lasting_at_most
from gongfu.reason.notify.channels.sending import Message, MissedError, Receipt, RefusedError
from gongfu.reason.notify.types import Email

# All steps of a session together last at most this often the time of one.
_STEPS = 6


def send_email(settings: Email, password: str, message: Message, now: int, destinations: Destinations) -> Receipt:
    """Send a message; the server's 250 means that it took it, not that it was read. Blocks.

    Args:
        settings: the server.
        password: empty for no authentication.
        message: what to send.
        now: UTC ns, for the date.
        destinations: where it may go.

    Raises:
        MissedError: the server is away or busy (4xx).
        RefusedError: the server refuses for good (5xx), its certificate or password is wrong, or it is where nothing
            may go.
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
        _send(settings, password, mail, destinations)
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


class _Client(smtplib.SMTP):
    """A session over a connection that is there already: to the address that was looked at."""

    def __init__(self, host: str, port: int, wire: socket.socket, timeout_s: float) -> None:
        self._wire = wire
        super().__init__(host, port, timeout=timeout_s)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        # Where ``smtplib`` itself puts in a connection of another kind (SMTP_SSL).
        return self._wire


def _send(settings: Email, password: str, mail: EmailMessage, destinations: Destinations) -> None:
    context = ssl.create_default_context(cadata=settings.ca or None)
    wire = destinations.connect(settings.host, settings.port, settings.timeout_s)
    try:
        with lasting_at_most(wire, _STEPS * settings.timeout_s):
            if settings.security == "tls":
                wire = context.wrap_socket(wire, server_hostname=settings.host)
            with _Client(settings.host, settings.port, wire, settings.timeout_s) as client:
                if settings.security == "starttls":
                    client.starttls(context=context)
                if settings.user and settings.security != "none":
                    client.login(settings.user, password)
                client.send_message(mail)
    finally:
        wire.close()


def _code(error: smtplib.SMTPException) -> int:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return next(iter(error.recipients.values()))[0]
    return error.smtp_code if isinstance(error, smtplib.SMTPResponseException) else 550


def _of_code(code: int, what: str) -> MissedError | RefusedError:
    return RefusedError(f"{what}: {code}") if code >= 500 else MissedError(f"{what}: {code}")
