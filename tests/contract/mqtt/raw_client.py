"""A client on the project's codec that does exactly what a test says and nothing by itself."""

import asyncio
from typing import Any, TypeVar

from gongfu.ingest.mqtt.codec.decoding import decode
from gongfu.ingest.mqtt.codec.encoding import encode
from gongfu.ingest.mqtt.codec.packets import (
    Acknowledgement,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Publish,
    Request,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
)
from gongfu.ingest.mqtt.codec.reasons import PacketType
from gongfu.ingest.mqtt.codec.splitter import Splitter

P = TypeVar("P")
PATIENCE_S = 60.0


class RawClient:
    """Speaks MQTT packet by packet. Use as ``async with await client.connect():`` or close it."""

    def __init__(self, port: int, version: int, client_id: str = "", **connect: Any) -> None:
        self.port = port
        self.version = version
        self.client_id = client_id
        self.options = connect
        self.connack: Connack | None = None
        self._splitter = Splitter(300_000_000)
        self._waiting: list[Packet] = []
        self._id = 0
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def open(self) -> "RawClient":
        """Open the socket only."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def connect(self, **changes: Any) -> "RawClient":
        """Open the socket, send CONNECT, wait for CONNACK."""
        await self.open()
        self._splitter = Splitter(300_000_000)
        self._waiting = []
        self.send(Connect(self.version, self.client_id, **{**self.options, **changes}))
        self.connack = await self.expect(Connack)
        return self

    async def __aenter__(self) -> "RawClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.disconnect()

    def send(self, packet: Packet) -> None:
        self.writer.write(encode(packet, self.version))

    def send_bytes(self, data: bytes) -> None:
        self.writer.write(data)

    async def next(self, patience: float = PATIENCE_S) -> Packet | None:
        """Return the next packet, None at the end of the stream. Raises TimeoutError."""
        async with asyncio.timeout(patience):
            while not self._waiting:
                try:
                    data = await self.reader.read(262_144)
                except ConnectionError:
                    return None
                if not data:
                    return None
                for first, body in self._splitter.feed(data):
                    self._waiting.append(decode(first, body, self.version))
        return self._waiting.pop(0)

    async def expect(self, kind: type[P], patience: float = PATIENCE_S) -> P:
        """Return the next packet, which must be of a kind."""
        packet = await self.next(patience)
        assert isinstance(packet, kind), f"expected {kind.__name__}, got {packet}"
        return packet

    async def ended(self) -> None:
        """Check that the server closes the connection."""
        assert await self.next() is None

    async def refused(self, reason: int) -> None:
        """Check that the server disconnects, with a reason in MQTT 5."""
        if self.version == 5:
            packet = await self.expect(Disconnect)
            assert packet.reason == reason, f"{packet.reason:#x}: {packet.properties}"
        await self.ended()

    def new_id(self) -> int:
        self._id = self._id % 65_535 + 1
        return self._id

    async def subscribe(self, topic_filter: str, qos: int = 0, **options: Any) -> int:
        """Subscribe and return the reason; PUBLISH packets that come before SUBACK are kept."""
        properties = options.pop("properties", {})
        self.send(Subscribe(self.new_id(), [Request(topic_filter, qos, **options)], properties))
        early: list[Packet] = []
        while not isinstance(packet := await self.next(), Suback):
            assert isinstance(packet, Publish)
            early.append(packet)
        self._waiting = early + self._waiting
        return packet.reasons[0]

    async def unsubscribe(self, topic_filter: str) -> Unsuback:
        self.send(Unsubscribe(self.new_id(), [topic_filter]))
        return await self.expect(Unsuback)

    async def publish(self, topic: str, payload: bytes = b"", qos: int = 0, **options: Any) -> int:
        """Publish and complete the exchange; return the reason of PUBACK or PUBREC. Keeps PUBLISH packets that come."""
        packet_id = self.new_id() if qos else 0
        self.send(Publish(topic, payload, qos, packet_id=packet_id, **options))
        if not qos:
            return 0
        first = await self.acknowledged(PacketType.PUBACK if qos == 1 else PacketType.PUBREC, packet_id)
        if qos == 2 and first.reason < 0x80:
            self.send(Acknowledgement(PacketType.PUBREL, packet_id))
            await self.acknowledged(PacketType.PUBCOMP, packet_id)
        return first.reason

    async def acknowledged(self, kind: PacketType, packet_id: int) -> Acknowledgement:
        """Return an acknowledgement; packets that come before it are kept."""
        others: list[Packet] = []
        while True:
            packet = await self.next()
            assert packet is not None, "the server closed the connection"
            if isinstance(packet, Acknowledgement) and (packet.kind, packet.packet_id) == (kind, packet_id):
                self._waiting = others + self._waiting
                return packet
            others.append(packet)

    async def message(self, patience: float = PATIENCE_S) -> Publish:
        """Return the next message and complete its exchange."""
        packet = await self.expect(Publish, patience)
        if packet.qos == 1:
            self.send(Acknowledgement(PacketType.PUBACK, packet.packet_id))
        elif packet.qos == 2:
            self.send(Acknowledgement(PacketType.PUBREC, packet.packet_id))
            await self.acknowledged(PacketType.PUBREL, packet.packet_id)
            self.send(Acknowledgement(PacketType.PUBCOMP, packet.packet_id))
        return packet

    async def messages(self, n: int) -> list[Publish]:
        return [await self.message() for _ in range(n)]

    async def silence(self) -> None:
        """Check that nothing is on its way: the answer to a ping comes first."""
        self.send(Pingreq())
        await self.expect(Pingresp)

    async def disconnect(self, **properties: Any) -> None:
        """Say goodbye and close."""
        if not self.writer.is_closing():
            self.send(Disconnect(0, properties))
        await self.close()

    async def close(self) -> None:
        """Close the socket; without DISCONNECT this is a lost connection."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return

    def vanish(self) -> None:
        """Reset the connection."""
        self.writer.transport.abort()
