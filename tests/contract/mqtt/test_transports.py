"""WebSocket and TLS at the level of bytes: what is refused, fragments, client certificates."""

import asyncio
import hashlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from gongfu.ingest.mqtt.codec.decoding import decode
from gongfu.ingest.mqtt.codec.encoding import encode
from gongfu.ingest.mqtt.codec.packets import MQTT_5, Connack, Connect, Packet, Pingreq, Pingresp, Publish
from gongfu.ingest.mqtt.codec.splitter import Splitter
from tests.contract.mqtt.conftest import DEVICES, Door
from tests.fixtures.nats import free_port

CONNECT = encode(Connect(MQTT_5, "ws", username="dev", password=b"secret-of-dev"), MQTT_5)


class WebSocket:
    """A WebSocket client that sends what a test says."""

    def __init__(self) -> None:
        self.protocol = WSConnection(ConnectionType.CLIENT)
        self.splitter = Splitter(10_000_000)
        self.packets: list[Packet] = []

    async def open(self, door: Door, path: str = "/mqtt", subprotocols: tuple[str, ...] = ("mqtt",)) -> Event:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", door.settings["websocket"])
        self.send(Request(host="localhost", target=path, subprotocols=list(subprotocols)))
        return await self.event()

    def send(self, event: Event) -> None:
        self.writer.write(self.protocol.send(event))

    async def event(self) -> Event:
        async with asyncio.timeout(60):
            while True:
                for event in self.protocol.events():
                    return event
                data = await self.reader.read(65_536)
                self.protocol.receive_data(data or None)

    async def packet(self) -> Packet:
        while not self.packets:
            event = await self.event()
            assert isinstance(event, BytesMessage), event
            self.packets += [decode(first, body, MQTT_5) for first, body in self.splitter.feed(bytes(event.data))]
        return self.packets.pop(0)


async def test_frames_need_not_match_packets(door: Door) -> None:
    client = WebSocket()
    answer = await client.open(door)
    assert isinstance(answer, AcceptConnection)
    assert answer.subprotocol == "mqtt"
    stream = CONNECT + encode(Pingreq(), MQTT_5) * 3 + encode(Publish("plain", b"x" * 1000, 1, packet_id=5), MQTT_5)
    for position in range(0, len(stream), 7):
        client.send(BytesMessage(stream[position : position + 7]))
    assert isinstance(await client.packet(), Connack)
    for _ in range(3):
        assert isinstance(await client.packet(), Pingresp)
    assert getattr(await client.packet(), "packet_id", 0) == 5
    client.send(Ping(b"still there"))
    event = await client.event()
    assert isinstance(event, Pong)
    client.writer.close()


@pytest.mark.parametrize(
    ("path", "subprotocols", "status"), [("/other", ("mqtt",), 404), ("/mqtt", (), 400), ("/mqtt", ("chat",), 400)]
)
async def test_other_requests_are_rejected(door: Door, path: str, subprotocols: tuple[str, ...], status: int) -> None:
    answer = await WebSocket().open(door, path, subprotocols)
    assert isinstance(answer, RejectConnection)
    assert answer.status_code == status


async def test_text_frames_are_refused(door: Door) -> None:
    client = WebSocket()
    await client.open(door)
    client.send(TextMessage("hello"))
    event = await client.event()
    assert isinstance(event, CloseConnection)
    assert event.code == 1003


async def test_bytes_that_are_not_http_are_refused(door: Door) -> None:
    before = door.count("packets_refused.websocket")
    reader, writer = await asyncio.open_connection("127.0.0.1", door.settings["websocket"])
    writer.write(CONNECT + b"\r\n\r\n")
    async with asyncio.timeout(60):
        await reader.read()
    assert door.count("packets_refused.websocket") == before + 1
    writer.close()


async def test_a_client_certificate_stands_for_a_device(own_door: Callable[..., Door], tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    server = authority.issue_cert("localhost")
    machine, unknown, foreign = (
        authority.issue_cert("machine"),
        authority.issue_cert("unknown"),
        stranger.issue_cert("machine"),
    )
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server.private_key_pem.write_to_path(tmp_path / "key.pem")
    server.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    der = ssl.PEM_cert_to_DER_cert(machine.cert_chain_pems[0].bytes().decode())
    devices = {"machine": {**DEVICES["limited"], "certificate": hashlib.sha256(der).hexdigest()}}
    door = own_door(
        tls=free_port(),
        certificate=str(tmp_path / "cert.pem"),
        key=str(tmp_path / "key.pem"),
        ca=str(tmp_path / "ca.pem"),
        devices={**DEVICES, **devices},
    )

    async def connect(certificate: Any, **credentials: Any) -> int | None:
        """Return the reason of CONNACK, None when the connection is closed before."""
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        if certificate is not None:
            certificate.configure_cert(context)
        try:
            reader, writer = await asyncio.open_connection("localhost", door.settings["tls"], ssl=context)
            writer.write(encode(Connect(MQTT_5, "tls", **credentials), MQTT_5))
            async with asyncio.timeout(60):
                data = await reader.read(1000)
        except (ssl.SSLError, ConnectionError):
            return None
        writer.close()
        return data[3] if data else None

    assert await connect(machine) == 0
    assert await connect(None, username="dev", password=b"secret-of-dev") == 0
    assert await connect(unknown) == 0x86
    assert await connect(None) == 0x86
    assert await connect(foreign) is None
