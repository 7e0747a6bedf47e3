"""The same scenarios with every foreign client, in MQTT 3.1.1 and 5."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.contract.mqtt.conftest import Door, until
from tests.contract.mqtt.foreign import (
    CLIENTS,
    NODE_DIRECTORY,
    REFUSED,
    Client,
    Gmqtt,
    Mosquitto,
    Npm,
    Options,
    Will,
    missing,
)
from tests.fixtures.nats import free_port

TELEMETRY = "v1/devices/me/telemetry"


@pytest.fixture(scope="module", autouse=True)
def npm_packages() -> None:
    """Install the locked packages when there is an npm and they are not there."""
    if shutil.which("npm") and not (NODE_DIRECTORY / "node_modules" / "mqtt").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=NODE_DIRECTORY, check=True)


@pytest.fixture(scope="module")
def tls_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A front door on TCP, WebSocket and TLS, for a module."""
    directory = tmp_path_factory.mktemp("door")
    authority = trustme.CA()
    server = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(directory / "ca.pem")
    server.private_key_pem.write_to_path(directory / "key.pem")
    for index, blob in enumerate(server.cert_chain_pems):
        blob.write_to_path(directory / "cert.pem", append=index > 0)
    door = Door(
        directory,
        {
            "tls": free_port(),
            "certificate": str(directory / "cert.pem"),
            "key": str(directory / "key.pem"),
            "ca": str(directory / "ca.pem"),
            "authority": str(directory / "ca.pem"),
        },
    )
    door.start()
    yield door
    if door.process is not None:
        door.stop()


Connect = Callable[..., Awaitable[Client]]


@pytest.fixture(params=CLIENTS, ids=[kind.name for kind in CLIENTS])
def kind(request: pytest.FixtureRequest) -> type[Client]:
    if reason := missing(request.param):
        pytest.skip(reason)
    return request.param


@pytest.fixture(params=[4, 5], ids=["3.1.1", "5"])
def version(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """Topics and client ids of one test."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name)


@pytest.fixture
async def connect(tls_door: Door, kind: type[Client], version: int) -> AsyncIterator[Connect]:
    """Connects clients of one kind and version, and ends them after the test."""
    clients: list[Client] = []

    async def make(client_id: str, **options: Any) -> Client:
        client = kind(tls_door, Options(version, client_id, **options))
        assert await client.connect() == 0
        clients.append(client)
        return client

    yield make
    for client in clients:
        if not getattr(client, "over", False):
            await client.disconnect()


async def leave(client: Client, *, vanish: bool = False) -> None:
    client.over = True  # type: ignore[attr-defined]
    await (client.vanish() if vanish else client.disconnect())


async def test_messages_at_each_qos(connect: Connect, prefix: str) -> None:
    client = await connect(prefix)
    topic = f"{prefix}/工厂 1/泵"
    assert await client.subscribe(f"{prefix}/#", 2) == 2
    for qos in range(3):
        await client.publish(topic, b"at %d" % qos, qos)
    found = await client.messages(3)
    assert {(m.topic, m.payload, m.qos) for m in found} == {(topic, b"at %d" % qos, qos) for qos in range(3)}


UNUSUAL = {
    "space": "a b",
    "chinese": "工厂/泵 1/温度",
    "dot": "a.b",
    "empty-level": "a//b",
    "trailing": "a/",
    "nats": "a>b/*/c",
    "long-level": "x" * 300 + "/y",
}


async def test_unusual_topics(connect: Connect, prefix: str) -> None:
    client = await connect(prefix)
    await client.subscribe(f"{prefix}/#", 1)
    for topic in UNUSUAL.values():
        await client.publish(f"{prefix}/{topic}", b"x", 1)
    arrived = [message.topic for message in await client.messages(len(UNUSUAL))]
    assert arrived == [f"{prefix}/{topic}" for topic in UNUSUAL.values()]


async def test_a_topic_with_a_leading_dollar(connect: Connect) -> None:
    client = await connect("dollar")
    await client.subscribe("$x/y", 1)
    await client.publish("$x/y", b"x", 1)
    assert (await client.message()).topic == "$x/y"


async def test_subscriptions_outside_the_permissions_are_refused(connect: Connect, prefix: str, version: int) -> None:
    client = await connect(prefix, device="limited", secret="secret-of-limited")
    # The npm client tells an error without the code.
    assert await client.subscribe("other/#", 1) in (0x87 if version == 5 else 0x80, REFUSED)


async def test_telemetry_at_each_qos(connect: Connect, tls_door: Door, prefix: str) -> None:
    client = await connect(prefix)
    for qos in range(3):
        await client.publish(TELEMETRY, b'{"%s": %d}' % (prefix.encode(), qos), qos)
    mine = [b'{"%s": %d}' % (prefix.encode(), qos) for qos in range(3)]
    until(lambda: [r["payload"].encode() for r in tls_door.taken() if prefix in r["payload"]] == mine)


@pytest.mark.parametrize(("device", "secret", "reason"), [("dev", "wrong", 134), ("disabled", None, 135)])
async def test_wrong_credentials(
    tls_door: Door, kind: type[Client], version: int, device: str, secret: str | None, reason: int
) -> None:
    client = kind(tls_door, Options(version, "refused", device=device, secret=secret))
    found = await client.connect()
    # Clients tell the MQTT 3.1.1 return code, the MQTT 5 reason code, or only that it failed.
    assert found in (reason, {134: 4, 135: 5}[reason], 255)


async def test_retained_messages_and_clearing(connect: Connect, prefix: str) -> None:
    first = await connect(prefix + "1")
    await first.publish(f"{prefix}/r", b"kept", 1, retain=True)
    second = await connect(prefix + "2")
    await second.subscribe(f"{prefix}/#", 1)
    message = await second.message()
    assert (message.topic, message.payload, message.retain) == (f"{prefix}/r", b"kept", True)
    await first.publish(f"{prefix}/r", b"", 1, retain=True)
    assert (await second.message()).payload == b""
    third = await connect(prefix + "3")
    await third.subscribe(f"{prefix}/#", 1)
    await first.publish(f"{prefix}/after", b"nothing before me", 1)
    assert (await third.message()).payload == b"nothing before me"


async def test_wills(kind: type[Client], version: int, connect: Connect, prefix: str) -> None:
    watcher = await connect(prefix + "w")
    await watcher.subscribe(f"{prefix}/will", 1)
    polite = await connect(prefix + "p", will=Will(f"{prefix}/will", b"polite"))
    await leave(polite)
    if kind is Mosquitto and version == 5:
        # mosquitto_sub says goodbye with reason 0x04, disconnect with will message.
        assert (await watcher.message()).payload == b"polite"
    lost = await connect(prefix + "l", will=Will(f"{prefix}/will", b"lost"))
    await leave(lost, vanish=True)
    assert (await watcher.message()).payload == b"lost"


async def test_will_delay(connect: Connect, version: int, prefix: str) -> None:
    delay = 2 if version == 5 else 0
    watcher = await connect(prefix + "w")
    await watcher.subscribe(f"{prefix}/will", 1)
    lost = await connect(prefix + "l", expiry=60, will=Will(f"{prefix}/will", b"late", delay=delay))
    began = asyncio.get_running_loop().time()
    await leave(lost, vanish=True)
    assert (await watcher.message()).payload == b"late"
    assert delay - 0.1 <= asyncio.get_running_loop().time() - began < delay + 3


async def test_a_session_survives_a_crash_of_the_server(
    tls_door: Door, kind: type[Client], connect: Connect, prefix: str
) -> None:
    client = await connect(prefix, expiry=600)
    await client.subscribe(f"{prefix}/#", 2)
    await leave(client)
    sender = tls_door.client(5, prefix + "-sender")
    await sender.connect()
    assert await sender.publish(f"{prefix}/1", b"one", 1) == 0
    tls_door.restart()
    await sender.connect()
    assert await sender.publish(f"{prefix}/2", b"two", 2) == 0
    await sender.publish(f"{prefix}/3", b"three", 1)
    tls_door.restart()
    again = await connect(prefix, expiry=600, clean=False)
    if kind is Mosquitto:
        await again.subscribe(f"{prefix}/#", 2)
    found = {(m.topic, m.payload) for m in await again.messages(3)}
    assert found == {(f"{prefix}/1", b"one"), (f"{prefix}/2", b"two"), (f"{prefix}/3", b"three")}


async def test_shared_subscriptions(connect: Connect, prefix: str) -> None:
    members = [await connect(f"{prefix}{n}") for n in range(3)]
    for member in members:
        assert await member.subscribe(f"$share/group/{prefix}/#", 1) == 1
    sender = members[0] if not isinstance(members[0], Mosquitto) else await connect(prefix + "s")
    for n in range(9):
        await sender.publish(f"{prefix}/x", b"%d" % n, 1)
    found: list[bytes] = []
    for member in members:
        found += [message.payload for message in await member.messages(3)]
    assert sorted(found) == [b"%d" % n for n in range(9)]
    assert all(member.inbox.empty() for member in members)


async def test_receive_maximum(tls_door: Door, connect: Connect, version: int, prefix: str) -> None:
    client = await connect(prefix, receive_maximum=1 if version == 5 else 0)
    await client.subscribe(prefix, 1)
    async with await tls_door.client(5, prefix + "-s").connect() as sender:
        for n in range(30):
            await sender.publish(prefix, b"%d" % n, 1)
    assert [m.payload for m in await client.messages(30)] == [b"%d" % n for n in range(30)]


@pytest.mark.parametrize("transport", ["websocket", "tls"])
async def test_other_transports(
    tls_door: Door, kind: type[Client], connect: Connect, prefix: str, transport: str
) -> None:
    if transport not in kind.transports:
        return  # the client does not speak it
    client = await connect(prefix, transport=transport)
    await client.subscribe(f"{prefix}/#", 1)
    payload = bytes(range(256)) * 2000
    await client.publish(f"{prefix}/large", payload, 1)
    message = await client.message()
    assert message.payload == payload


async def test_topic_aliases_of_the_server_are_understood(
    kind: type[Client], connect: Connect, version: int, prefix: str
) -> None:
    if kind not in (Gmqtt, Npm) or version != 5:
        return  # the others leave aliases to the caller
    client = await connect(prefix, topic_alias_maximum=4)
    await client.subscribe(f"{prefix}/#", 1)
    for n in range(12):
        await client.publish(f"{prefix}/{n % 6}", b"%d" % n, 1)
    assert [m.topic for m in await client.messages(12)] == [f"{prefix}/{n % 6}" for n in range(12)]


def test_the_npm_lock_names_no_registry() -> None:
    assert "resolved" not in (Path(NODE_DIRECTORY) / "package-lock.json").read_text()
