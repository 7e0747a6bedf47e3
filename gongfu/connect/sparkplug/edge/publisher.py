"""The edge node on its connection: births, data by change, rebirths, the primary host, store and forward.

Sparkplug 3.0.0 §5.4 (edge node session), §5.7 (primary host). Data goes with QoS 0, so the server confirms nothing:
after a lost connection what was sent in the last ``REWIND_S`` is sent again as historical.
"""

import asyncio
import contextlib
import logging
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiomqtt

from gongfu.connect.sparkplug.edge.messages import EdgeMessages, Message, Sample, wants_rebirth
from gongfu.connect.sparkplug.edge.progress import ProgressFile
from gongfu.connect.sparkplug.edge.source import EdgeSource, samples_of
from gongfu.ingest.sparkplug.state import read_state, topic_of
from gongfu.kernel.block import decode_block
from gongfu.kernel.counters import Counters

KEEP_ALIVE_S = 15
REWIND_S = 2.0 * KEEP_ALIVE_S
# Positions are written this often at most; what lies between is published twice after a crash.
_SAVE_S = 1.0
_BACKOFF_S = (1.0, 60.0)
_BATCH_S = 0.5

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """Where an edge node publishes.

    Attributes:
        url: ``mqtt://host:port`` or ``mqtts://host:port``.
        group, node: ids.
        primary_host: host id whose STATE decides when there is a session; empty for none.
        client_id, user, password: of the MQTT client; an empty client id is ``<group>-<node>``.
        tls_ca: PEM file with the authorities that are trusted with ``mqtts``; empty for those of the system.
        partitions: partitions of the block log.
        publish_seconds: data is gathered for so long before it is sent.
    """

    url: str
    group: str
    node: str
    primary_host: str = ""
    client_id: str = ""
    user: str = ""
    password: str = ""
    tls_ca: str = ""
    partitions: int = 1
    publish_seconds: float = 1.0


class HostOffline(Exception):
    """The primary host says that it is offline: the session ends until it is back."""


class Stopped(Exception):
    """The edge node is to stop."""


class EdgePublisher:
    """Runs one edge node for ever.

    Counters: ``edge.connections``, ``edge.births``, ``edge.rebirths``, ``edge.samples``, ``edge.unchanged``,
    ``edge.host_offline``, ``edge.connection_lost``.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        source: EdgeSource,
        progress: ProgressFile,
        counters: Counters,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Compose; ``now_ns`` is the present time, UTC ns."""
        self._settings = settings
        self._source = source
        self._file = progress
        self._counters = counters
        self._now = now_ns
        self._messages = EdgeMessages(settings.group, settings.node, [])
        self._sending = asyncio.Lock()
        self._born = 0
        self._published: dict[int, tuple[int, object]] = {}
        self._host_online = asyncio.Event()
        self._host_time = -1
        # (loop time, positions) of what was sent lately, oldest first.
        self._sent: deque[tuple[float, dict[int, int]]] = deque()
        self._stopping = asyncio.Event()
        self.state = "connecting"

    def stop(self) -> None:
        """Let ``run`` end: with an NDEATH when there is a connection."""
        self._stopping.set()

    async def run(self) -> None:
        """Connect, publish, connect again, until ``stop``.

        Raises:
            OSError: the file of the progress cannot be written.
        """
        await self._begin()
        delay = _BACKOFF_S[0]
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                await self._session()
            except Stopped:
                return
            except HostOffline:
                self._counters.add("edge.host_offline")
                logger.info("the primary host is offline: data waits")
                delay = _BACKOFF_S[0]
            except (aiomqtt.MqttError, OSError) as error:
                self._counters.add("edge.connection_lost")
                logger.warning("connection of the edge node: %s; next try in %.0f s", error, delay)
                self._rewind()
            self.state = "connecting"
            if time.monotonic() - began > _BACKOFF_S[1]:
                delay = _BACKOFF_S[0]
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
            delay = min(2 * delay, _BACKOFF_S[1])

    async def _begin(self) -> None:
        positions = self._file.progress.positions
        for partition in range(self._settings.partitions):
            if partition not in positions:
                # A new edge node begins with the present: the latest values are in its birth.
                positions[partition] = await self._source.end(partition)
        self._messages.add(await self._source.metrics())

    # --- session ---------------------------------------------------------------------------------------------------

    def _client(self, death: Message) -> aiomqtt.Client:
        settings = self._settings
        parts = urlsplit(settings.url)
        secure = parts.scheme == "mqtts"
        return aiomqtt.Client(
            parts.hostname or "",
            parts.port or (8883 if secure else 1883),
            identifier=settings.client_id or f"{settings.group}-{settings.node}",
            username=settings.user or None,
            password=settings.password or None,
            keepalive=KEEP_ALIVE_S,
            clean_session=True,
            protocol=aiomqtt.ProtocolVersion.V311,
            will=aiomqtt.Will(death.topic, death.payload, 1, retain=False),
            tls_context=ssl.create_default_context(cafile=settings.tls_ca or None) if secure else None,
        )

    async def _session(self) -> None:
        bd_seq = self._file.next_birth()
        death = self._messages.death(bd_seq, self._now())
        self._host_online.clear()
        async with self._client(death) as client:
            self._counters.add("edge.connections")
            await client.subscribe(self._messages.topic("NCMD"), 1)
            await client.subscribe(self._messages.topic("DCMD") + "/#", 1)
            host = self._settings.primary_host
            if host:
                await client.subscribe(topic_of(host), 1)
                self.state = "waiting for the primary host"
            else:
                self._host_online.set()
            ended: BaseException | None = None
            try:
                await self._live(client, bd_seq)
            except* HostOffline:
                ended = HostOffline()
            except* Stopped:
                ended = Stopped()
            except* aiomqtt.MqttError as lost:
                ended = aiomqtt.MqttError(str(lost.exceptions[0]))
            if isinstance(ended, HostOffline | Stopped):
                await self._die(client, bd_seq)
            if ended is not None:
                raise ended

    async def _live(self, client: aiomqtt.Client, bd_seq: int) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(client, bd_seq))
            tasks.create_task(self._end())
            await self._host_online.wait()
            await self._give_birth(client, bd_seq)
            self.state = "online"
            for partition in range(self._settings.partitions):
                tasks.create_task(self._pump(client, partition))

    async def _end(self) -> None:
        await self._stopping.wait()
        raise Stopped

    async def _die(self, client: aiomqtt.Client, bd_seq: int) -> None:
        """Publish the NDEATH: the server publishes no will after a DISCONNECT (§5.4, intentional disconnect)."""
        death = self._messages.death(bd_seq, self._now())
        with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
            async with asyncio.timeout(5):
                await client.publish(death.topic, death.payload, 0, retain=False)
        self._file.save()

    async def _listen(self, client: aiomqtt.Client, bd_seq: int) -> None:
        commands = self._messages.topic("NCMD")
        async for message in client.messages:
            payload = message.payload if isinstance(message.payload, bytes) else b""
            topic = str(message.topic)
            if topic == commands:
                if wants_rebirth(payload) and self._host_online.is_set():
                    self._counters.add("edge.rebirths")
                    await self._give_birth(client, bd_seq)
            elif (state := read_state(topic, payload)) is not None and state[0] == self._settings.primary_host:
                self._hear_state(state[1], state[2])

    def _hear_state(self, online: bool, timestamp: int) -> None:
        """Take a STATE; one older than the last counts for nothing (§5.7).

        Raises:
            HostOffline: the host was online and is not any more.
        """
        if timestamp < self._host_time:
            return
        self._host_time = timestamp
        if online:
            self._host_online.set()
        elif self._host_online.is_set():
            raise HostOffline

    # --- births and data -------------------------------------------------------------------------------------------

    async def _give_birth(self, client: aiomqtt.Client, bd_seq: int) -> None:
        async with self._sending:
            self._messages.add(await self._source.metrics())
            latest = await self._source.latest(self._messages.series)
            now = self._born = self._now()
            births = [self._messages.node_birth(bd_seq, now)]
            births += [self._messages.device_birth(asset, latest, now) for asset in self._messages.assets]
            self._published = {series: (sample.quality, sample.value) for series, sample in latest.items()}
            await self._send(client, births)
            self._counters.add("edge.births", len(births))

    async def _pump(self, client: aiomqtt.Client, partition: int) -> None:
        positions = self._file.progress.positions
        reader = self._source.reader(partition, positions.get(partition, 0), self._counters)
        saved = 0.0
        try:
            while True:
                batch = await reader.next_batch(_BATCH_S)
                if not batch:
                    continue
                samples: list[Sample] = []
                for _, data in batch:
                    block = decode_block(data)
                    if block.tenant == self._source.tenant:
                        samples += samples_of(block)
                async with self._sending:
                    await self._publish(client, samples)
                positions[partition] = batch[-1][0]
                self._remember()
                if time.monotonic() - saved > _SAVE_S:
                    saved = time.monotonic()
                    self._file.save()
                await asyncio.sleep(self._settings.publish_seconds)
        finally:
            with contextlib.suppress(Exception):
                await reader.close()

    async def _publish(self, client: aiomqtt.Client, samples: list[Sample]) -> None:
        unknown = {sample.series for sample in samples if not self._messages.knows(sample.series)}
        if unknown:
            changed = self._messages.add(await self._source.find(unknown))
            if changed:
                # New points: the births of their assets are given again (§6.4.6).
                now = self._now()
                latest = await self._source.latest(sorted(self._messages.series))
                await self._send(client, [self._messages.device_birth(asset, latest, now) for asset in sorted(changed)])
        changes: list[Sample] = []
        for sample in samples:
            if not self._messages.knows(sample.series):
                continue
            now_is = (sample.quality, sample.value)
            if self._published.get(sample.series) == now_is:
                self._counters.add("edge.unchanged")
                continue
            self._published[sample.series] = now_is
            changes.append(sample)
        if changes:
            await self._send(client, self._messages.data(changes, self._born, self._now()))
            self._counters.add("edge.samples", len(changes))

    async def _send(self, client: aiomqtt.Client, messages: list[Message]) -> None:
        for message in messages:
            await client.publish(message.topic, message.payload, 0, retain=False)

    # --- positions -------------------------------------------------------------------------------------------------

    def _remember(self) -> None:
        now = time.monotonic()
        self._sent.append((now, dict(self._file.progress.positions)))
        while len(self._sent) > 1 and self._sent[1][0] < now - REWIND_S:
            self._sent.popleft()

    def _rewind(self) -> None:
        """Go back to what had been published before the connection may have been dead."""
        if self._sent:
            self._file.progress.positions = dict(self._sent[0][1])
            self._sent.clear()
            self._published.clear()
            self._file.save()
