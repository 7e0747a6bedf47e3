"""Three front doors behave as one broker: every publisher and subscriber here is at a door of its own."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gongfu.bus.connection import open_bus
from gongfu.bus.gather import gather
from gongfu.bus.requests import request
from gongfu.ingest.mqtt.codec.packets import MQTT_3_1_1, MQTT_5, Acknowledgement, Publish, Will
from gongfu.ingest.mqtt.codec.reasons import PacketType, Reason
from gongfu.kernel.subjects import Subjects
from tests.contract.mqtt.conftest import Door, until
from tests.contract.mqtt.foreign import Aiomqtt, Client, Gmqtt, Mosquitto, Options, Paho, missing
from tests.contract.mqtt.raw_client import RawClient
from tests.contract.mqtt.several import Doors, several_doors
from tests.fixtures.nats import NatsServer

both = pytest.mark.parametrize("version", [MQTT_3_1_1, MQTT_5])
KEPT = {"session_expiry_interval": 3600}
TORTURE = [
    *("with space", "中文/主题", "a.b/c.d", "a//b", "a/", "/a", "$x/y", "a>b/>", "a*b/*", "x" * 300),
    "emoji 🚀/ü",
]


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with several_doors(tmp_path_factory.mktemp("doors")) as made:
        yield made


def kept(door: Door, version: int, client_id: str, **options: Any) -> RawClient:
    """A client whose session outlives its connection."""
    properties = {**KEPT, **options.pop("properties", {})} if version == MQTT_5 else {}
    return door.client(version, client_id, clean_start=False, properties=properties, **options)


def present(client: RawClient) -> bool:
    assert client.connack is not None
    return client.connack.session_present


@both
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_message_reaches_subscribers_at_every_door(doors: Doors, version: int, qos: int) -> None:
    topic = f"reach/{version}/{qos}"
    readers = [await door.client(version, f"reader {n}").connect() for n, door in enumerate(doors.doors)]
    for reader in readers:
        assert await reader.subscribe(topic, qos) == qos
    sender = await doors[1].client(version, "common sender").connect()
    for n in range(20):
        await sender.publish(topic, b"%d" % n, qos)
    for reader in readers:
        assert [(m.payload, m.qos) for m in await reader.messages(20)] == [(b"%d" % n, qos) for n in range(20)]
    await readers[0].unsubscribe(topic)
    await sender.publish(topic, b"last", qos)
    for reader in readers[1:]:
        assert (await reader.message()).payload == b"last"
    for client in (*readers, sender):
        await client.silence()
        await client.disconnect()


async def test_topics_of_every_kind_go_from_door_to_door(doors: Doors) -> None:
    reader = await doors[0].client(MQTT_5, "torture reader").connect()
    sender = await doors[2].client(MQTT_5, "torture sender").connect()
    for topic in TORTURE:
        assert await reader.subscribe(topic, 1) == 1
        assert await sender.publish(topic, topic.encode(), 1) in (0, Reason.NO_MATCHING_SUBSCRIBERS)
        message = await reader.message()
        assert (message.topic, message.payload) == (topic, topic.encode())
    for topic_filter, topic in (("deep/#", "deep/a/b"), ("+/plus/+", "a/plus/b"), ("#", "anything")):
        await reader.subscribe(topic_filter)
        await sender.publish(topic, b"x")
        assert (await reader.message()).topic == topic
        await reader.unsubscribe(topic_filter)
    await reader.disconnect()
    await sender.disconnect()


async def test_subscription_identifiers_properties_and_flags_survive_the_way(doors: Doors) -> None:
    reader = await doors[0].client(MQTT_5, "identifiers").connect()
    await reader.subscribe("ids/#", 1, properties={"subscription_identifier": [7]}, retain_as_published=True)
    await reader.subscribe("ids/+", 2, properties={"subscription_identifier": [9]})
    sender = await doors[1].client(MQTT_5, "sender of identifiers").connect()
    given = {"content_type": "文本", "user_property": [("a", "b"), ("a", "c")], "message_expiry_interval": 100}
    await sender.publish("ids/x", b"1", 2, retain=True, properties=given)
    message = await reader.message()
    assert sorted(message.properties.pop("subscription_identifier")) == [7, 9]
    assert 95 <= message.properties.pop("message_expiry_interval") <= 100
    assert message.properties == {k: v for k, v in given.items() if k != "message_expiry_interval"}
    assert (message.qos, message.retain) == (2, True)
    await sender.publish("ids/x", b"", 1, retain=True)
    await reader.disconnect()
    await sender.disconnect()


@both
async def test_takeover_wherever_the_old_connection_is(doors: Doors, version: int) -> None:
    client_id = f"taken {version}"
    clients: list[RawClient] = []
    for n in range(6):
        clients.append(await doors[n % 3].client(version, client_id).connect())
        if n:
            await clients[n - 1].refused(Reason.SESSION_TAKEN_OVER)
    await clients[-1].silence()
    await clients[-1].disconnect()


@both
async def test_a_session_resumes_at_another_door_with_what_waited(doors: Doors, version: int) -> None:
    name = f"resume {version}"
    topic = f"resume/{version}"
    client = await kept(doors[0], version, name).connect()
    await client.subscribe(topic, 2)
    await client.disconnect()
    sender = await doors[1].client(MQTT_5, f"sender {name}").connect()
    expected: list[bytes] = []
    for turn in range(1, 7):
        for n in range(20):
            expected.append(b"%d %d" % (turn, n))
            await sender.publish(topic, expected[-1], 1 + n % 2)
        client = await kept(doors[turn % 3], version, name).connect()
        assert present(client)
        taken = await client.messages(13)
        assert [m.payload for m in taken] == expected[:13]
        del expected[:13]
        if turn == 6:
            assert [m.payload for m in await client.messages(len(expected))] == expected
            await client.silence()
        await client.disconnect()
    await sender.disconnect()
    client = await doors[0].client(version, name).connect()  # clean start
    assert not present(client)
    await client.disconnect()
    client = await kept(doors[1], version, name).connect()
    assert not present(client)
    await client.disconnect()


async def test_qos_2_in_flight_goes_on_at_another_door(doors: Doors) -> None:
    client = await kept(doors[0], MQTT_5, "in flight").connect()
    await client.subscribe("flight", 2)
    sender = await doors[1].client(MQTT_5, "sender in flight").connect()
    await sender.publish("flight", b"first", 2)
    await sender.publish("flight", b"second", 2)
    first, second = await client.expect(Publish), await client.expect(Publish)
    client.send(Acknowledgement(PacketType.PUBREC, first.packet_id))
    await client.acknowledged(PacketType.PUBREL, first.packet_id)
    client.vanish()
    client = await kept(doors[2], MQTT_5, "in flight").connect()
    released = await client.expect(Acknowledgement)
    assert (released.kind, released.packet_id) == (PacketType.PUBREL, first.packet_id)
    again = await client.expect(Publish)
    assert (again.packet_id, again.payload, again.duplicate) == (second.packet_id, b"second", True)
    for packet_id in (first.packet_id, second.packet_id):
        client.send(Acknowledgement(PacketType.PUBREC, packet_id))
        await client.acknowledged(PacketType.PUBREL, packet_id)
        client.send(Acknowledgement(PacketType.PUBCOMP, packet_id))
    await client.silence()
    await client.disconnect()
    await sender.disconnect()


async def test_inbound_qos_2_is_taken_once_over_doors(doors: Doors) -> None:
    reader = await doors[1].client(MQTT_5, "reader of once").connect()
    await reader.subscribe("once", 2)
    client = await kept(doors[0], MQTT_5, "sender of once").connect()
    client.send(Publish("once", b"1", 2, packet_id=7))
    await client.acknowledged(PacketType.PUBREC, 7)
    client.vanish()
    client = await kept(doors[2], MQTT_5, "sender of once").connect()
    client.send(Publish("once", b"1", 2, packet_id=7, duplicate=True))
    await client.acknowledged(PacketType.PUBREC, 7)
    client.send(Acknowledgement(PacketType.PUBREL, 7))
    await client.acknowledged(PacketType.PUBCOMP, 7)
    assert (await reader.message()).payload == b"1"
    await client.publish("once", b"2", 2)
    assert (await reader.message()).payload == b"2"
    await reader.silence()
    for item in (client, reader):
        await item.disconnect()


async def test_retained_messages_are_everywhere_and_so_is_their_end(doors: Doors) -> None:
    sender = await doors[0].client(MQTT_5, "retainer").connect()
    for n in range(10):
        await sender.publish(f"kept/{n}", b"%d" % n, n % 3, retain=True)
    for door in doors.doors:
        async with await door.client(MQTT_5, "looks").connect() as reader:
            await reader.subscribe("kept/+", 1)
            found = await reader.messages(10)
            assert sorted(m.payload for m in found) == [b"%d" % n for n in range(10)]
            assert all(m.retain for m in found)
    other = await doors[2].client(MQTT_5, "clearer").connect()
    for n in range(10):
        await other.publish(f"kept/{n}", b"", 1, retain=True)
    for door in doors.doors:
        async with await door.client(MQTT_5, "looks").connect() as reader:
            await reader.subscribe("kept/+", 1)
            await reader.silence()
    await sender.disconnect()
    await other.disconnect()


async def test_a_will_reaches_every_door_and_a_delayed_one_is_cancelled_elsewhere(doors: Doors) -> None:
    reader = await doors[0].client(MQTT_5, "reader of wills").connect()
    await reader.subscribe("will/#", 1)
    client = await doors[1].client(MQTT_5, "dies", will=Will("will/now", b"gone", 1)).connect()
    client.vanish()
    assert (await reader.message()).payload == b"gone"
    will = Will("will/later", b"late", 1, properties={"will_delay_interval": 1})
    client = await kept(doors[1], MQTT_5, "returns", will=will).connect()
    client.vanish()
    client = await kept(doors[2], MQTT_5, "returns").connect()
    assert present(client)
    # A will of the same delay that nobody cancels comes; the cancelled one would have come before it.
    last = await kept(
        doors[1], MQTT_5, "does not return", will=Will("will/last", b"last", 1, properties=will.properties)
    ).connect()
    last.vanish()
    assert (await reader.message()).payload == b"last"
    await reader.silence()
    # Taken over at another door: published once, at once, since the session is not resumed.
    client2 = await doors[0].client(MQTT_5, "taken over", will=Will("will/taken", b"t", 1)).connect()
    again = await doors[1].client(MQTT_5, "taken over").connect()
    await client2.refused(Reason.SESSION_TAKEN_OVER)
    assert (await reader.message()).payload == b"t"
    await reader.silence()
    for item in (reader, client, again):
        await item.disconnect()


async def test_shared_subscriptions_go_to_one_member_of_all_doors_in_turn(doors: Doors) -> None:
    places = [0, 0, 1, 2]  # two members at the first door
    members = [await doors[at].client(MQTT_5, f"member {n}").connect() for n, at in enumerate(places)]
    for member in members:
        await member.subscribe("$share/g/work/#", 1)
    sender = await doors[1].client(MQTT_5, "employer").connect()
    for n in range(80):
        await sender.publish(f"work/{n}", b"%d" % n, 1)
    marker = await doors[0].client(MQTT_5, "marker").connect()
    got: list[list[bytes]] = []
    for n, member in enumerate(members):
        await member.subscribe(f"marker/{n}", 1)
        await sender.publish(f"marker/{n}", b"end", 1)
        found: list[bytes] = []
        while (message := await member.message()).payload != b"end":
            found.append(message.payload)
        got.append(found)
    assert sorted(int(p) for found in got for p in found) == list(range(80))
    assert [len(found) for found in got] == [20, 20, 20, 20]
    for item in (*members, sender, marker):
        await item.disconnect()


async def test_tenants_are_closed_to_each_other_over_doors(doors: Doors) -> None:
    reader = await doors[0].client(MQTT_5, "all of tenant 1").connect()
    await reader.subscribe("#", 1)
    stranger = await doors[1].client(MQTT_5, "stranger", device="foreign").connect()
    own = await doors[2].client(MQTT_5, "own").connect()
    await stranger.publish("x", b"foreign", 1, retain=True)
    await own.publish("x", b"own", 1)
    assert (await reader.message()).payload == b"own"
    await reader.silence()
    await stranger.publish("x", b"", 1, retain=True)
    for item in (reader, stranger, own):
        await item.disconnect()


async def test_no_local_over_doors(doors: Doors) -> None:
    client = await kept(doors[0], MQTT_5, "no local").connect()
    await client.subscribe("echo", 1, no_local=True)
    await client.disconnect()
    client = await kept(doors[1], MQTT_5, "no local").connect()
    await client.publish("echo", b"mine", 1)
    other = await doors[2].client(MQTT_5, "speaks").connect()
    await other.publish("echo", b"other", 1)
    assert (await client.message()).payload == b"other"
    await client.silence()
    await client.disconnect()
    await other.disconnect()


async def test_a_killed_door_loses_nothing_acknowledged(doors: Doors) -> None:
    """The subscriber's door is killed again and again; it goes on at another one. Nothing lost, QoS 2 not twice."""
    client = await kept(doors[0], MQTT_5, "survivor").connect()
    await client.subscribe("s", 2)
    sender = await doors[2].client(MQTT_5, "common sender").connect()
    sent = 0
    got: list[bytes] = []
    for turn in range(4):
        at, other = turn % 2, (turn + 1) % 2
        for _ in range(10):
            assert await sender.publish("s", b"%d" % sent, 2) == 0
            sent += 1
        got += [m.payload for m in await client.messages(10)]
        await sender.publish("s", b"%d" % sent, 2)
        sent += 1
        await client.expect(Publish)  # not acknowledged
        doors[at].kill()
        for _ in range(10):  # acknowledged while the door is down
            assert await sender.publish("s", b"%d" % sent, 2) == 0
            sent += 1
        doors[at].start()
        client = await kept(doors[other], MQTT_5, "survivor").connect()
        assert present(client)
        got += [m.payload for m in await client.messages(11)]
    assert got == [b"%d" % n for n in range(sent)]
    await client.silence()
    for item in (client, sender):
        await item.disconnect()


async def test_a_client_that_comes_while_its_door_is_down_gets_what_waited_there(doors: Doors) -> None:
    client = await kept(doors[0], MQTT_5, "early").connect()
    await client.subscribe("e", 2)
    await client.disconnect()
    sender = await doors[2].client(MQTT_5, "common sender").connect()
    for n in range(5):
        await sender.publish("e", b"%d" % n, 1 + n % 2)
    doors[0].kill()
    until(lambda: doors[1].ask("counters")["doors_up"] == 2)
    client = await kept(doors[1], MQTT_5, "early").connect()
    assert not present(client)  # nobody there knows of it; the door is waited for a short while only
    await sender.publish("e", b"5", 2)
    doors[0].start()
    found = [m.payload for m in await client.messages(6)]
    assert sorted(found) == [b"%d" % n for n in range(6)]
    until(lambda: doors.total("sessions_leaving") == 0)
    await sender.publish("e", b"6", 2)  # its subscription has come too
    assert (await client.message()).payload == b"6"
    await client.silence()
    for item in (client, sender):
        await item.disconnect()


async def test_a_killed_publishers_door_forwards_what_it_acknowledged(doors: Doors) -> None:
    reader = await kept(doors[0], MQTT_5, "common reader").connect()
    await reader.subscribe("f", 2)
    doors[0].kill()
    sender = await kept(doors[1], MQTT_5, "common sender").connect()
    for n in range(20):
        assert await sender.publish("f", b"%d" % n, 1 + n % 2) == 0
    sender.send(Publish("f", b"20", 2, packet_id=500))
    await sender.acknowledged(PacketType.PUBREC, 500)
    doors[1].kill()
    doors[1].start()  # knows from its journal that the other has a subscriber
    sender = await kept(doors[1], MQTT_5, "common sender").connect()
    sender.send(Publish("f", b"20", 2, packet_id=500, duplicate=True))
    await sender.acknowledged(PacketType.PUBREC, 500)
    assert await sender.publish("f", b"21", 2) == 0
    doors[0].start()
    reader = await kept(doors[0], MQTT_5, "common reader").connect()
    assert [m.payload for m in await reader.messages(22)] == [b"%d" % n for n in range(22)]
    await reader.silence()
    for item in (reader, sender):
        await item.disconnect()


async def test_retained_messages_changed_while_a_door_was_down(doors: Doors) -> None:
    sender = await doors[0].client(MQTT_5, "common sender").connect()
    for name in ("stays", "changes", "goes"):
        await sender.publish(f"r/{name}", b"1", 1, retain=True)
    doors[2].kill()
    await sender.publish("r/changes", b"2", 1, retain=True)
    await sender.publish("r/goes", b"", 1, retain=True)
    await sender.publish("r/new", b"3", 1, retain=True)
    await sender.disconnect()
    doors[0].kill()
    doors[2].start()
    doors[0].start()
    doors.together()
    until(lambda: len({door.count("retained") for door in doors.doors}) == 1)
    for door in doors.doors:
        async with await door.client(MQTT_5, "looks").connect() as reader:
            await reader.subscribe("r/+")
            found = {m.topic: m.payload for m in await reader.messages(3)}
            assert found == {"r/stays": b"1", "r/changes": b"2", "r/new": b"3"}


async def test_nats_may_be_killed_too(doors: Doors) -> None:
    reader = await kept(doors[0], MQTT_5, "common reader").connect()
    await reader.subscribe("n", 2)
    sender = await doors[1].client(MQTT_5, "common sender").connect()
    for n in range(30):
        if n == 10:
            doors.server.kill()
        if n == 20:
            doors.server.start()
        assert await sender.publish("n", b"%d" % n, 1 + n % 2) == 0
    assert [m.payload for m in await reader.messages(30)] == [b"%d" % n for n in range(30)]
    await reader.silence()
    for item in (reader, sender):
        await item.disconnect()


async def test_more_and_fewer_doors_between_starts_lose_no_session(tmp_path: Path) -> None:
    (tmp_path / "nats").mkdir()
    server = NatsServer(tmp_path / "nats")
    server.start()
    running: list[Door] = []
    try:
        for turn, count in enumerate((1, 3, 2, 1)):
            doors = Doors(tmp_path, server, count)
            running = doors.doors
            doors.start()
            for name in range(turn):
                client = await kept(doors[name % count], MQTT_5, f"client {name}").connect()
                assert present(client)
                assert (await client.message()).payload == b"%d" % turn
                await client.silence()
                await client.disconnect()
            client = await kept(doors[-1], MQTT_5, f"client {turn}").connect()
            await client.subscribe("all", 2)
            await client.disconnect()
            sender = await doors[0].client(MQTT_5, "common sender").connect()
            await sender.publish("all", b"%d" % (turn + 1), 2)
            await sender.disconnect()
            for door in reversed(doors.doors):
                door.kill()
    finally:
        for door in running:
            if door.process is not None:
                door.kill()
        server.kill()


async def test_storm_of_reconnects_at_other_doors(doors: Doors) -> None:
    clients = [kept(doors[n % 3], MQTT_5, f"storm {n}") for n in range(240)]
    for turn in range(2):
        for n, client in enumerate(clients):
            client.port = doors[(n + turn) % 3].port
        await asyncio.gather(*(client.connect() for client in clients))
        assert {present(client) for client in clients} == {turn > 0}
        for client in clients:
            client.vanish()


@both
@pytest.mark.parametrize("kind", [Paho, Aiomqtt, Gmqtt, Mosquitto])
async def test_foreign_clients_wander_among_doors(doors: Doors, kind: type[Client], version: int) -> None:
    if missing(kind):
        pytest.fail(missing(kind))
    name = f"{kind.name}-{version}"
    topic = f"foreign/{name}/中文"
    reader = kind(doors[0], Options(version, name, expiry=600))
    await reader.connect()
    await reader.subscribe(topic, 2)
    await reader.disconnect()
    sender = kind(doors[1], Options(version, f"{name}-sender"))
    await sender.connect()
    for n in range(6):
        await sender.publish(topic, b"%d" % n, 1 + n % 2)
    await sender.disconnect()
    reader = kind(doors[2], Options(version, name, expiry=600, clean=False))
    await reader.connect()
    if kind is Mosquitto:  # connects when it subscribes
        await reader.subscribe(topic, 2)
    # Some hand QoS 2 on only when it is complete: in order within a QoS.
    assert sorted(m.payload for m in await reader.messages(6)) == [b"%d" % n for n in range(6)]
    await reader.disconnect()


async def test_a_session_with_much_that_waits_travels_in_parts(doors: Doors) -> None:
    client = await kept(doors[0], MQTT_5, "much").connect()
    await client.subscribe("much", 1)
    await client.disconnect()
    sender = await doors[1].client(MQTT_5, "sender of much").connect()
    payload = b"x" * 200_000
    for n in range(12):
        await sender.publish("much", b"%d " % n + payload, 1)
    client = await kept(doors[2], MQTT_5, "much").connect()
    assert [m.payload for m in await client.messages(12)] == [b"%d " % n + payload for n in range(12)]
    await client.disconnect()
    await sender.disconnect()


async def test_a_message_from_inside_the_node_reaches_every_door(doors: Doors) -> None:
    bus = await open_bus(doors.server.address, "test")
    readers = [await door.client(MQTT_5, f"inside {n}").connect() for n, door in enumerate(doors.doors)]
    for reader in readers:
        await reader.subscribe("inside", 1)
    for qos in (0, 1):
        body = {"tenant": 1, "topic": "inside", "payload": "eA==", "qos": qos}
        answer = await request(bus, Subjects("test").door("publish"), body)
        assert answer == {"delivered": True, "subscribers": 3}
        for reader in readers:
            assert (await reader.message()).payload == b"x"
    answers = await gather(bus, Subjects("test").service("connections"), {"devices": [1]}, 10.0, 3)
    found = {item["client_id"] for answer in answers for item in answer["items"]}
    assert found >= {"inside 0", "inside 1", "inside 2"}
    for reader in readers:
        await reader.disconnect()
    await bus.close()
