"""Other people's MQTT clients behind one small interface, so that every scenario is written once."""

import asyncio
import base64
import contextlib
import json
import shutil
import socket
import ssl
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import gmqtt
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.contract.mqtt.conftest import DEVICES, Door

PATIENCE_S = 60.0
END_S = 5.0
NODE_DIRECTORY = Path(__file__).parent / "node"
REFUSED = 255
LONGEST_LINE = 8_000_000


@dataclass
class Will:
    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    delay: int = 0


@dataclass
class Options:
    """How to connect. ``transport`` is tcp, websocket or tls; ``expiry`` > 0 keeps the session."""

    version: int
    client_id: str
    device: str = "dev"
    secret: str | None = None
    clean: bool = True
    expiry: int = 0
    will: Will | None = None
    transport: str = "tcp"
    receive_maximum: int = 0
    topic_alias_maximum: int = 0

    @property
    def password(self) -> str:
        return DEVICES[self.device]["secret"] if self.secret is None else self.secret

    @property
    def kept(self) -> bool:
        return self.expiry > 0


@dataclass
class Message:
    topic: str
    payload: bytes
    qos: int
    retain: bool


class Client:
    """One client. ``connect`` returns 0 or a failure code."""

    name = ""
    transports: tuple[str, ...] = ("tcp", "websocket", "tls")

    def __init__(self, door: Door, options: Options) -> None:
        self.door = door
        self.options = options
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.loop = asyncio.get_running_loop()

    @property
    def port(self) -> int:
        return self.door.settings[self.options.transport]

    @property
    def five(self) -> bool:
        return self.options.version == 5

    @property
    def authority(self) -> str:
        return self.door.settings["authority"]

    async def connect(self) -> int:
        raise AssertionError

    async def subscribe(self, topic_filter: str, qos: int) -> int:
        raise AssertionError

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        raise AssertionError

    async def disconnect(self) -> None:
        raise AssertionError

    async def vanish(self) -> None:
        raise AssertionError

    async def message(self, patience: float = PATIENCE_S) -> Message:
        async with asyncio.timeout(patience):
            return await self.inbox.get()

    async def messages(self, n: int) -> list[Message]:
        return [await self.message() for _ in range(n)]


def _paho_properties(kind: int, **values: int) -> Properties | None:
    properties = Properties(kind)
    for name, value in values.items():
        if value:
            setattr(properties, name, value)
    return properties


def _connect_properties(options: Options) -> Properties | None:
    return _paho_properties(
        PacketTypes.CONNECT,
        SessionExpiryInterval=options.expiry,
        ReceiveMaximum=options.receive_maximum,
        TopicAliasMaximum=options.topic_alias_maximum,
    )


class Paho(Client):
    name = "paho-mqtt"

    async def connect(self) -> int:
        options = self.options
        self.client = client = paho.Client(
            CallbackAPIVersion.VERSION2,
            options.client_id,
            clean_session=None if self.five else not options.kept,
            protocol=paho.MQTTv5 if self.five else paho.MQTTv311,
            transport="websockets" if options.transport == "websocket" else "tcp",
            reconnect_on_failure=False,
        )
        client.username_pw_set(options.device, options.password)
        if options.transport == "tls":
            client.tls_set(self.authority)
        if options.will:
            will = options.will
            properties = _paho_properties(PacketTypes.WILLMESSAGE, WillDelayInterval=will.delay) if self.five else None
            client.will_set(will.topic, will.payload, will.qos, will.retain, properties)
        answer: asyncio.Future[int] = self.loop.create_future()
        self.subscribed: dict[int, asyncio.Future[int]] = {}
        self.gone: asyncio.Future[None] = self.loop.create_future()

        def connected(_c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
            self.loop.call_soon_threadsafe(_settle, answer, reason.value)

        def disconnected(*_: Any) -> None:
            self.loop.call_soon_threadsafe(_settle, self.gone, None)

        def subscribed(_c: Any, _u: Any, mid: int, reasons: Any, _p: Any) -> None:
            self.loop.call_soon_threadsafe(lambda: _settle(self.subscribed[mid], reasons[0].value))

        def arrived(_c: Any, _u: Any, item: paho.MQTTMessage) -> None:
            message = Message(item.topic, item.payload, item.qos, item.retain)
            self.loop.call_soon_threadsafe(self.inbox.put_nowait, message)

        client.on_connect, client.on_disconnect = connected, disconnected
        client.on_subscribe, client.on_message = subscribed, arrived
        extra: dict[str, Any] = {}
        if self.five:
            extra = {"clean_start": options.clean, "properties": _connect_properties(options)}
        await asyncio.to_thread(client.connect, "localhost", self.port, **extra)
        client.loop_start()
        async with asyncio.timeout(PATIENCE_S):
            return await answer

    async def subscribe(self, topic_filter: str, qos: int) -> int:
        _, mid = self.client.subscribe(topic_filter, qos)
        assert mid is not None
        self.subscribed[mid] = self.loop.create_future()
        return await self.subscribed[mid]

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        item = self.client.publish(topic, payload, qos, retain)
        await asyncio.to_thread(item.wait_for_publish, PATIENCE_S)
        assert item.is_published()

    async def disconnect(self) -> None:
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)

    async def vanish(self) -> None:
        sock = self.client.socket()
        assert sock is not None
        _cut(sock)
        await self.gone
        await asyncio.to_thread(self.client.loop_stop)


def _cut(sock: Any) -> None:
    """Shut a socket down below any TLS, without a word of MQTT."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _settle(future: "asyncio.Future[Any]", value: Any) -> None:
    if not future.done():
        future.set_result(value)


class Aiomqtt(Client):
    name = "aiomqtt"
    transports = ("tcp", "tls")

    async def connect(self) -> int:
        options = self.options
        will = options.will
        will_properties = (
            _paho_properties(PacketTypes.WILLMESSAGE, WillDelayInterval=will.delay) if will and self.five else None
        )
        extra: dict[str, Any] = {"clean_session": not options.kept}
        if self.five:
            extra = {"clean_start": options.clean, "properties": _connect_properties(options)}
        self.client = aiomqtt.Client(
            "localhost",
            self.port,
            username=options.device,
            password=options.password,
            identifier=options.client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if self.five else aiomqtt.ProtocolVersion.V311,
            will=will and aiomqtt.Will(will.topic, will.payload, will.qos, will.retain, will_properties),
            tls_context=ssl.create_default_context(cafile=self.authority) if options.transport == "tls" else None,
            **extra,
        )
        try:
            await self.client.__aenter__()
        except aiomqtt.MqttCodeError as error:
            value = getattr(error.rc, "value", error.rc)
            return value if isinstance(value, int) else REFUSED
        except aiomqtt.MqttError:
            return REFUSED
        self.reader = asyncio.create_task(self._read())
        return 0

    async def _read(self) -> None:
        with contextlib.suppress(aiomqtt.MqttError):
            async for item in self.client.messages:
                assert isinstance(item.payload, bytes)
                self.inbox.put_nowait(Message(str(item.topic), item.payload, item.qos, item.retain))

    async def subscribe(self, topic_filter: str, qos: int) -> int:
        [reason] = await self.client.subscribe(topic_filter, qos)
        return reason if isinstance(reason, int) else reason.value

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        await self.client.publish(topic, payload, qos, retain)

    async def disconnect(self) -> None:
        self.reader.cancel()
        await self.client.__aexit__(None, None, None)

    async def vanish(self) -> None:
        _cut(self.client._client.socket())
        await self.reader
        with contextlib.suppress(aiomqtt.MqttError):
            await self.client.__aexit__(None, None, None)


class Gmqtt(Client):
    name = "gmqtt"
    transports = ("tcp", "tls")

    async def connect(self) -> int:
        options = self.options
        extra: dict[str, Any] = {}
        if self.five:
            for name in ("receive_maximum", "topic_alias_maximum"):
                if getattr(options, name):
                    extra[name] = getattr(options, name)
            extra["session_expiry_interval"] = options.expiry
        if options.will:
            will = options.will
            delay = {"will_delay_interval": will.delay} if self.five else {}
            extra["will_message"] = gmqtt.Message(will.topic, will.payload, will.qos, will.retain, **delay)
        clean = options.clean if self.five else not options.kept
        self.client = client = gmqtt.Client(options.client_id, clean_session=clean, **extra)
        client.set_config({"reconnect_retries": 0, "reconnect_delay": 0})
        client.set_auth_credentials(options.device, options.password)
        self.subscribed: dict[int, asyncio.Future[int]] = {}

        def arrived(_c: Any, topic: str, payload: bytes, qos: int, properties: dict[str, Any]) -> int:
            self.inbox.put_nowait(Message(topic, payload, qos, bool(properties.get("retain"))))
            return 0

        def subscribed(_c: Any, mid: int, reasons: Any, _p: Any) -> None:
            _settle(self.subscribed[mid], reasons[0])

        client.on_message, client.on_subscribe = arrived, subscribed
        context = ssl.create_default_context(cafile=self.authority) if options.transport == "tls" else False
        version = gmqtt.constants.MQTTv50 if self.five else gmqtt.constants.MQTTv311
        try:
            async with asyncio.timeout(PATIENCE_S):
                await client.connect("localhost", self.port, ssl=context, version=version)
        except gmqtt.mqtt.handler.MQTTConnectError as error:
            return getattr(error, "_code", REFUSED) or REFUSED
        return 0

    async def subscribe(self, topic_filter: str, qos: int) -> int:
        mid = self.client.subscribe(topic_filter, qos)
        self.subscribed[mid] = self.loop.create_future()
        return await self.subscribed[mid]

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        self.client.publish(topic, payload, qos, retain)
        async with asyncio.timeout(PATIENCE_S):
            await self.client._persistent_storage.wait_empty()

    async def disconnect(self) -> None:
        await self.client.disconnect()

    async def vanish(self) -> None:
        self.client._is_active = False
        self.client._connection._transport.abort()


@dataclass
class _Lines:
    """A child process and the lines it writes."""

    process: Process
    lines: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.put_nowait(line.decode().rstrip("\n"))


class Mosquitto(Client):
    """``mosquitto_sub`` for subscriptions (one a connection), ``mosquitto_pub`` for every publish."""

    name = "mosquitto"
    transports = ("tcp", "tls")

    def __init__(self, door: Door, options: Options) -> None:
        super().__init__(door, options)
        self.process: Process | None = None

    def _arguments(self) -> list[str]:
        options = self.options
        arguments = ["-h", "localhost", "-p", str(self.port), "-u", options.device, "-P", options.password]
        arguments += ["-V", "5" if self.five else "311"]
        if options.transport == "tls":
            arguments += ["--cafile", self.authority]
        return arguments

    async def connect(self) -> int:
        if self.options.will is not None:
            return await self._listen("unused/by/this/client", 0)
        process = await asyncio.create_subprocess_exec(
            "mosquitto_pub", *self._arguments(), "-t", "v1/devices/me/rpc/response/0", "-n", stderr=PIPE
        )
        _, error = await process.communicate()
        return 0 if b"Connection error" not in error else 134 if b"bad user" in error.lower() else 135

    async def subscribe(self, topic_filter: str, qos: int) -> int:
        return await self._listen(topic_filter, qos)

    async def _listen(self, topic_filter: str, qos: int) -> int:
        options = self.options
        arguments = [*self._arguments(), "-i", options.client_id, "-t", topic_filter, "-q", str(qos)]
        if options.kept:
            arguments += ["-c", *(["-x", str(options.expiry)] if self.five else [])]
        if self.five and options.receive_maximum:
            arguments += ["-D", "connect", "receive-maximum", str(options.receive_maximum)]
        if options.will:
            will = options.will
            arguments += [
                "--will-topic",
                will.topic,
                "--will-payload",
                will.payload.decode(),
                "--will-qos",
                str(will.qos),
            ]
            if self.five and will.delay:
                arguments += ["-D", "will", "will-delay-interval", str(will.delay)]
        self.process = await asyncio.create_subprocess_exec(
            *("stdbuf", "-oL", "mosquitto_sub", *arguments),
            "-d",
            "-F",
            "MSG %q %r %x %t",
            stdout=PIPE,
            stderr=DEVNULL,
            limit=LONGEST_LINE,
        )
        lines = _Lines(self.process)
        self.reader = asyncio.create_task(lines.read())
        ready: asyncio.Future[int] = self.loop.create_future()
        self.sorter = asyncio.create_task(self._sort(lines, ready))
        async with asyncio.timeout(PATIENCE_S):
            return await ready

    async def _sort(self, lines: _Lines, ready: "asyncio.Future[int]") -> None:
        while True:
            line = await lines.lines.get()
            if line.startswith("MSG "):
                _, qos, retain, payload, topic = line.split(" ", 4)
                self.inbox.put_nowait(Message(topic, bytes.fromhex(payload), int(qos), retain == "1"))
            elif line.startswith("Subscribed (mid: "):
                _settle(ready, int(line.rsplit(" ", 1)[1]))

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        arguments = [*self._arguments(), "-t", topic, "-q", str(qos), *(["-r"] if retain else [])]
        process = await asyncio.create_subprocess_exec(
            "mosquitto_pub", *arguments, "-s" if payload else "-n", stdin=PIPE
        )
        await process.communicate(payload)
        assert process.returncode == 0

    async def _end(self, kill: bool) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):  # mosquitto_sub ends when its subscription is refused
                self.process.kill() if kill else self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), END_S)
            except TimeoutError:
                # mosquitto_sub 2.0 disconnects inside its signal handler, and now and then meets its own mutex there.
                self.process.kill()
                await self.process.wait()
            self.reader.cancel()
            self.sorter.cancel()
            self.process = None

    async def disconnect(self) -> None:
        await self._end(False)

    async def vanish(self) -> None:
        await self._end(True)


class Npm(Client):
    """The npm package ``mqtt`` under the system's Node."""

    name = "mqtt (npm)"

    async def connect(self) -> int:
        self.process = await asyncio.create_subprocess_exec(
            "node", "driver.mjs", cwd=NODE_DIRECTORY, stdin=PIPE, stdout=PIPE, limit=LONGEST_LINE
        )
        self.answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.reader = asyncio.create_task(self._read())
        options, properties = self.options, {}
        if options.expiry:
            properties["sessionExpiryInterval"] = options.expiry
        if options.receive_maximum:
            properties["receiveMaximum"] = options.receive_maximum
        if options.topic_alias_maximum:
            properties["topicAliasMaximum"] = options.topic_alias_maximum
        will = options.will and {
            **vars(options.will),
            "payload": base64.b64encode(options.will.payload).decode(),
        }
        answer = await self._ask(
            op="connect",
            port=self.port,
            transport=options.transport,
            version=options.version,
            client_id=options.client_id,
            username=options.device,
            password=options.password,
            clean=options.clean if self.five else not options.kept,
            properties=properties,
            will=will,
            ca=self.authority if options.transport == "tls" else None,
        )
        reason = answer["reason"]
        if reason:
            self.process.kill()
            await self.process.wait()
        return reason if isinstance(reason, int) else REFUSED

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            event = json.loads(line)
            if event["event"] == "message":
                payload = base64.b64decode(event["payload"])
                self.inbox.put_nowait(Message(event["topic"], payload, event["qos"], event["retain"]))
            else:
                self.answers.put_nowait(event)

    def _tell(self, **command: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")

    async def _ask(self, **command: Any) -> dict[str, Any]:
        self._tell(**command)
        async with asyncio.timeout(PATIENCE_S):
            return await self.answers.get()

    async def subscribe(self, topic_filter: str, qos: int) -> int:
        return (await self._ask(op="subscribe", filter=topic_filter, qos=qos))["reason"]

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        encoded = base64.b64encode(payload).decode()
        answer = await self._ask(op="publish", topic=topic, payload=encoded, qos=qos, retain=retain)
        assert answer["reason"] == 0, answer

    async def disconnect(self) -> None:
        await self._ask(op="disconnect")
        await self.process.wait()

    async def vanish(self) -> None:
        self.process.kill()
        await self.process.wait()


CLIENTS: tuple[type[Client], ...] = (Paho, Aiomqtt, Gmqtt, Mosquitto, Npm)


def missing(kind: type[Client]) -> str:
    """Return why a client cannot be run on this machine, or an empty string."""
    if kind is Mosquitto and not shutil.which("mosquitto_sub"):
        return "mosquitto_sub is not installed (Debian: mosquitto-clients)"
    if kind is Npm:
        if not (shutil.which("node") and shutil.which("npm")):
            return "node and npm are not installed (Debian: nodejs, npm)"
        if not (NODE_DIRECTORY / "node_modules" / "mqtt").exists():
            return f"npm packages are not installed (npm ci in {NODE_DIRECTORY})"
    return ""
