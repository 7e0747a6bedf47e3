"""Records all Sparkplug traffic of a tenant at a front door, as another host would."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gongfu.ingest.columnise.sparkplug_schema import Payload
from gongfu.ingest.mqtt.codec.packets import MQTT_5, Publish
from tests.contract.mqtt.raw_client import RawClient
from tests.contract.sparkplug.conftest import PATIENCE_S, HostDoor


@dataclass
class Recorded:
    """One message of an edge node."""

    topic: str
    payload: Any
    qos: int
    retain: bool

    @property
    def kind(self) -> str:
        return self.topic.split("/")[2]

    def metric(self, name: str) -> Any:
        return next(metric for metric in self.payload.metrics if metric.name == name)


class Recorder:
    """Messages of births, data and deaths in order."""

    def __init__(self, reading: RawClient, writing: RawClient) -> None:
        self.messages: list[Recorded] = []
        self._reading = reading
        self._writing = writing
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, door: HostDoor) -> "Recorder":
        reading = await door.client("watcher", "recorder", MQTT_5).connect()
        for kind in ("NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH"):
            assert await reading.subscribe(f"spBv1.0/+/{kind}/#") == 0
        return cls(reading, await door.client("watcher", "commands", MQTT_5).connect())

    async def _read(self) -> None:
        while (packet := await self._reading.next(10 * PATIENCE_S)) is not None:
            if isinstance(packet, Publish):
                payload = Payload.FromString(packet.payload)
                self.messages.append(Recorded(packet.topic, payload, packet.qos, packet.retain))
                self._changed.set()

    async def until(self, condition: Callable[[list[Recorded]], bool]) -> list[Recorded]:
        async with asyncio.timeout(PATIENCE_S):
            while not (self.messages and condition(self.messages)):
                self._changed.clear()
                await self._changed.wait()
        return self.messages

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        await self._writing.publish(topic, payload, 1, retain=retain)

    def check_sequences(self) -> None:
        """Every message follows the one before; births begin at 0."""
        expected = 0
        for one in self.messages:
            if one.kind == "NDEATH":
                continue
            if one.kind == "NBIRTH":
                expected = 0
            assert one.payload.seq == expected, one.topic
            expected = (expected + 1) % 256

    async def close(self) -> None:
        self._task.cancel()
        await self._reading.close()
        await self._writing.close()
