"""Channels against real servers: SMTP with TLS and passwords, HTTP with signatures."""

import asyncio
import hashlib
import hmac
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword

from gongfu.kernel.errors import Problem
from gongfu.reason.notify.channels.catalogue import send_message
from gongfu.reason.notify.channels.destinations import Destinations
from gongfu.reason.notify.channels.sending import Message, MissedError, RefusedError
from gongfu.reason.notify.types import ChannelBody, Email, Settings, Sms, Webhook, check_channel
from tests.fixtures.nats import free_port

NOW = 1_700_000_000 * 10**9
# What the administrator of this machine allows.
HERE = Destinations.of(["localhost", "127.0.0.1"])
MESSAGE = Message("00ff" * 8, "anna@example.org", "[高 high] 泵 / 振动\r\nBcc: x@y", "振动过大\n", {"kind": "test"})


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class Mailbox:
    """What an SMTP server does with mail."""

    def __init__(self) -> None:
        self.got: list[Envelope] = []
        self.answer = "250 OK"

    async def take(self, server: Any, session: Any, envelope: Envelope) -> str:
        self.got.append(envelope)
        return self.answer


pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")


@pytest.fixture(params=["starttls", "tls"])
def mail(request: pytest.FixtureRequest, authority: trustme.CA) -> Iterator[tuple[Mailbox, Email]]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    box, port = Mailbox(), free_port()

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and data.password == b"right"
        return AuthResult(success=right, handled=right)

    # A busy machine takes longer than the 5 s that aiosmtpd gives itself to answer.
    options: dict[str, Any] = {"auth_required": True, "authenticator": check, "ready_timeout": 60.0}
    if request.param == "tls":
        # The whole connection is TLS already, which aiosmtpd does not count.
        options |= {"ssl_context": context, "auth_require_tls": False}
    else:
        options |= {"tls_context": context, "require_starttls": True}
    # The name by which aiosmtpd calls it.
    handler = type("Handler", (), {"handle_DATA": staticmethod(box.take)})()
    controller = Controller(handler, hostname="localhost", port=port, loop=asyncio.new_event_loop(), **options)
    controller.start()
    ca = authority.cert_pem.bytes().decode()
    yield (
        box,
        Email(
            host="localhost",
            port=port,
            sender="node@example.org",
            security=request.param,
            user="node",
            ca=ca,
            timeout_s=30,
        ),
    )
    controller.stop()


def change(settings: Any, **members: Any) -> Any:
    from msgspec.structs import replace

    return replace(settings, **members)


def test_mail_arrives_and_says_who_it_is(mail: tuple[Mailbox, Email]) -> None:
    box, settings = mail
    receipt = send_message(settings, "right", MESSAGE, NOW, HERE)
    assert not receipt.reached
    (envelope,) = box.got
    content = envelope.content
    assert isinstance(content, bytes)
    text = content.decode()
    assert envelope.rcpt_tos == ["anna@example.org"]
    assert f"Message-ID: <{MESSAGE.id}@example.org>" in text
    assert "\nBcc:" not in text


def test_mail_is_refused_or_missed_as_the_server_says(mail: tuple[Mailbox, Email]) -> None:
    box, settings = mail
    with pytest.raises(RefusedError, match="user and password"):
        send_message(settings, "wrong", MESSAGE, NOW, HERE)
    other = change(settings, ca=trustme.CA().cert_pem.bytes().decode())
    with pytest.raises(RefusedError, match="certificate"):
        send_message(other, "right", MESSAGE, NOW, HERE)
    box.answer = "451 busy"
    with pytest.raises(MissedError, match="451"):
        send_message(settings, "right", MESSAGE, NOW, HERE)
    box.answer = "554 no"
    with pytest.raises(RefusedError, match="554"):
        send_message(settings, "right", MESSAGE, NOW, HERE)
    with pytest.raises(RefusedError):
        send_message(settings, "right", Message("0" * 32, "a\nb", "s", "t", {}), NOW, HERE)


def test_a_mail_server_that_is_away_is_missed() -> None:
    settings = Email(host="127.0.0.1", port=free_port(), sender="node@example.org", security="none")
    with pytest.raises(MissedError, match="ConnectionRefused"):
        send_message(settings, "", MESSAGE, NOW, HERE)


class Receiver(BaseHTTPRequestHandler):
    """A server of webhooks."""

    got: list[tuple[dict[str, str], bytes]]
    status: int

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).got.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(type(self).status)
        self.end_headers()
        self.wfile.write(b'{"id": "sms-7"}')

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[tuple[type[Receiver], str]]:
    kind = type("OneReceiver", (Receiver,), {"got": [], "status": 200})
    server = HTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield kind, f"http://127.0.0.1:{server.server_port}/in?x=1"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_is_signed_and_its_answer_is_the_receipt(hook: tuple[type[Receiver], str]) -> None:
    kind, url = hook
    settings = Webhook(url=url)
    assert send_message(settings, "key", MESSAGE, NOW, HERE).reached
    ((headers, body),) = kind.got
    told = dict(part.split("=") for part in headers["gongfu-signature"].split(","))
    expected = hmac.new(b"key", f"{told['t']}.".encode() + body, hashlib.sha256).hexdigest()
    assert (told["v1"], told["t"]) == (expected, "1700000000")
    assert json.loads(body)["id"] == MESSAGE.id == headers["gongfu-message-id"]
    for status, error in ((500, MissedError), (429, MissedError), (404, RefusedError), (302, RefusedError)):
        kind.status = status
        with pytest.raises(error, match=str(status)):
            send_message(settings, "key", MESSAGE, NOW, HERE)


@pytest.mark.parametrize("kind", [Webhook, Sms])
def test_addresses_that_are_not_public_are_refused(hook: tuple[type[Receiver], str], kind: Any) -> None:
    receiver, url = hook
    for address in (url, url.replace("127.0.0.1", "localhost"), "http://169.254.169.254/", "http://[::1]:1/"):
        with pytest.raises(RefusedError, match="not public"):
            send_message(kind(url=address, allow_private=True), "", MESSAGE_FOR_SMS, NOW)
    assert receiver.got == []


def test_a_mail_server_that_is_not_public_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        for host in ("127.0.0.1", "localhost"):
            port = server.getsockname()[1]
            settings = Email(host=host, port=port, sender="node@example.org", security="none")
            with pytest.raises(RefusedError, match=rf"names no {host}:{port}"):
                send_message(settings, "", MESSAGE, NOW, Destinations.of(["10.0.0.0/8", f"127.0.0.1:{port + 1}"]))
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("kind", ["email", "webhook"])
def test_a_name_that_leads_elsewhere_the_second_time_is_asked_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the first answer is an allowed address, each further one is not."""
    answers = ["127.0.0.2"]
    with socket.create_server(("127.0.0.1", 0)) as trap:
        port = trap.getsockname()[1]
        resolve = socket.getaddrinfo

        def turncoat(host: Any, *arguments: Any, **further: Any) -> Any:
            if host == "turncoat.example":
                host = answers.pop() if answers else "127.0.0.1"
            return resolve(host, *arguments, **further)

        monkeypatch.setattr(socket, "getaddrinfo", turncoat)
        settings: Settings = Webhook(url=f"http://turncoat.example:{port}/", timeout_s=2)
        if kind == "email":
            settings = Email(host="turncoat.example", port=port, sender="a@example.org", security="none", timeout_s=2)
        with pytest.raises(MissedError):  # nobody listens at the allowed address
            send_message(settings, "", MESSAGE, NOW, Destinations.of(["127.0.0.2"]))
        trap.settimeout(0)
        with pytest.raises(BlockingIOError):
            trap.accept()
    assert answers == []


MESSAGE_FOR_SMS = Message(MESSAGE.id, "+86 138-0000-0000", "s", "t" * 5000, {})


def change_message(recipient: str) -> Message:
    return Message(MESSAGE.id, recipient, "s", "t", {})


def test_a_text_message_goes_to_the_gateway_and_its_number_is_kept(hook: tuple[type[Receiver], str]) -> None:
    kind, url = hook
    settings = Sms(url=url, extra={"from": "gongfu"})
    receipt = send_message(settings, "tok", MESSAGE_FOR_SMS, NOW, HERE)
    assert (receipt.reached, receipt.reference) == (False, "sms-7")
    ((headers, body),) = kind.got
    document = json.loads(body)
    assert (headers["authorization"], headers["idempotency-key"]) == ("Bearer tok", MESSAGE.id)
    assert (document["to"], document["from"], len(document["text"])) == ("+8613800000000", "gongfu", 670)
    with pytest.raises(RefusedError, match="telephone"):
        send_message(settings, "tok", change_message("anna"), NOW, HERE)


@pytest.mark.parametrize(
    "settings",
    [
        Webhook(url="ftp://example.org/"),
        Webhook(url="https://u:p@example.org/"),
        Webhook(url="https://example.org:99999/"),
        Webhook(url="https:///x"),
        Email(host="h", port=25, sender="a@b", security="none", user="u"),
    ],
)
def test_channels_that_make_no_sense_are_refused(settings: Settings) -> None:
    with pytest.raises(Problem) as caught:
        check_channel(ChannelBody(name="x", settings=settings))
    assert caught.value.status == 400
