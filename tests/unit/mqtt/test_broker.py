"""Broker state: sessions, routing, wills, expiry, shared groups. No sockets, no disk, time is set."""

from gongfu.ingest.mqtt.broker.limits import Limits
from gongfu.ingest.mqtt.codec.packets import MQTT_3_1_1
from gongfu.ingest.mqtt.codec.reasons import Reason
from gongfu.ingest.types import Form
from gongfu.kernel.times import SECOND
from tests.unit.mqtt.workbench import Link, Workbench, will_of


def test_a_message_reaches_each_subscriber_once_at_the_highest_qos() -> None:
    bench = Workbench()
    session, link, _ = bench.connect("a")
    bench.subscribe(session, "t/#", qos=1, identifier=5)
    bench.subscribe(session, "t/+", qos=2, identifier=6)
    bench.publish("t/x", qos=2)
    [packet] = link.published()
    assert (packet.topic, packet.qos, packet.retain) == ("t/x", 2, False)
    assert sorted(packet.properties["subscription_identifier"]) == [5, 6]


def test_no_local_and_retain_as_published() -> None:
    bench = Workbench()
    mine, my_link, _ = bench.connect("a")
    other, other_link, _ = bench.connect("b")
    bench.subscribe(mine, "t", no_local=True)
    bench.subscribe(other, "t", retain_as_published=True)
    bench.publish("t", publisher=mine, retain=True)
    assert my_link.published() == []
    [packet] = other_link.published()
    assert packet.retain


def test_tenants_are_closed_to_each_other() -> None:
    bench = Workbench()
    session, link, _ = bench.connect("a")
    other_link = Link()
    other, _ = bench.broker.open((9, "b"), 2, "v1/devices/d9/", True, 0, None, other_link)
    bench.subscribe(session, "#")
    bench.subscribe(other, "#")
    bench.publish("t")
    assert len(link.published()) == 1
    assert other_link.published() == []


def test_own_topics_are_rewritten_back() -> None:
    bench = Workbench()
    session, link, _ = bench.connect("a")
    bench.subscribe(session, "v1/devices/d1/rpc/#", own=True, qos=1)
    bench.publish("v1/devices/d1/rpc/request/1", qos=1)
    assert link.published()[0].topic == "v1/devices/me/rpc/request/1"


def test_retain_handling() -> None:
    bench = Workbench()
    bench.publish("t", b"kept", retain=True, qos=1)
    session, link, _ = bench.connect("a")
    bench.subscribe(session, "t", qos=1, retain_handling=1)
    [packet] = link.published()
    assert packet.retain
    assert packet.payload == b"kept"
    bench.subscribe(session, "t", qos=1, retain_handling=1)
    bench.subscribe(session, "t", qos=1, retain_handling=2)
    assert link.published() == []
    bench.subscribe(session, "t", qos=1, retain_handling=0)
    assert len(link.published()) == 1
    bench.publish("t", b"", retain=True)
    link.take()
    bench.subscribe(session, "t", qos=1)
    assert link.published() == []


def test_retained_messages_expire_and_are_bounded() -> None:
    bench = Workbench(Limits(max_retained=2))
    bench.publish("a", retain=True, expires=bench.clock.now + 5 * SECOND)
    bench.publish("b", retain=True)
    bench.publish("c", retain=True)
    assert bench.dropped("retained_full") == 1
    bench.publish("b", b"newer", retain=True)  # takes the place of one that is there
    kept = bench.broker.router.tenant(1).retained.get("b")
    assert kept is not None
    assert kept.payload == b"newer"
    bench.clock.forward(61)
    bench.broker.tick()
    assert bench.broker.router.tenant(1).retained.get("a") is None
    assert ("no retained", "a") in bench.ledger.writes


def test_a_session_is_kept_for_its_expiry_and_then_ends() -> None:
    bench = Workbench()
    session, link, _ = bench.connect("a", expiry=10)
    bench.subscribe(session, "t", qos=1)
    bench.broker.detach(session, link, True)
    bench.publish("t", b"1", qos=1)
    bench.publish("t", b"0", qos=0)
    bench.clock.forward(9)
    bench.broker.tick()
    session, link, present = bench.connect("a", clean=False, expiry=10)
    assert present
    assert [packet.payload for packet in link.published()] == [b"1"]
    assert bench.dropped("offline") == 1
    bench.broker.detach(session, link, True)
    bench.clock.forward(10)
    bench.broker.tick()
    assert bench.broker.sessions == {}
    _, _, present = bench.connect("a", clean=False, expiry=10)
    assert not present
    assert bench.broker.router.tenant(1).trie.match("t").empty


def test_takeover_disconnects_the_old_connection_and_keeps_the_session() -> None:
    bench = Workbench()
    session, first, _ = bench.connect("a", expiry=10)
    bench.subscribe(session, "t")
    again, second, present = bench.connect("a", clean=False, expiry=10)
    assert first.closed is Reason.SESSION_TAKEN_OVER
    assert present
    assert again is session
    bench.publish("t")
    assert first.published() == []
    assert len(second.published()) == 1
    # The late news of the old socket changes nothing.
    bench.broker.detach(session, first, True)
    assert session.link is second


def test_another_device_cannot_take_a_session() -> None:
    bench = Workbench()
    _, link, _ = bench.connect("a", expiry=10)
    _, _, present = bench.connect("a", clean=False, expiry=10, device=2)
    assert link.closed is None
    assert not present


def test_clean_start_ends_the_session_before() -> None:
    bench = Workbench()
    session, link, _ = bench.connect("a", expiry=10)
    bench.subscribe(session, "t", qos=1)
    bench.broker.detach(session, link, True)
    bench.publish("t", qos=1)
    _, link, present = bench.connect("a", clean=True)
    assert not present
    assert link.published() == []
    assert bench.dropped("session_ended") == 1


def watcher(bench: Workbench) -> Link:
    session, link, _ = bench.connect("watcher")
    bench.subscribe(session, "w")
    return link


def test_a_will_goes_out_unless_the_client_says_goodbye() -> None:
    bench = Workbench()
    link = watcher(bench)
    session, mine, _ = bench.connect("a", will=will_of("a"))
    bench.broker.detach(session, mine, False)
    assert link.published() == []
    session, mine, _ = bench.connect("a", will=will_of("a"))
    bench.broker.detach(session, mine, True)
    assert [packet.payload for packet in link.published()] == [b"gone"]


def test_a_delayed_will_waits_and_a_reconnect_cancels_it() -> None:
    bench = Workbench()
    link = watcher(bench)
    session, mine, _ = bench.connect("a", expiry=100, will=will_of("a", delay=5))
    bench.broker.detach(session, mine, True)
    bench.clock.forward(4)
    bench.broker.tick()
    session, mine, _ = bench.connect("a", clean=False, expiry=100, will=will_of("a", delay=5))
    bench.clock.forward(10)
    bench.broker.tick()
    assert link.published() == []
    bench.broker.detach(session, mine, True)
    bench.clock.forward(5)
    bench.broker.tick()
    assert len(link.published()) == 1


def test_a_delayed_will_goes_out_when_its_session_ends_first() -> None:
    bench = Workbench()
    link = watcher(bench)
    session, mine, _ = bench.connect("a", expiry=3, will=will_of("a", delay=50))
    bench.broker.detach(session, mine, True)
    bench.clock.forward(3)
    bench.broker.tick()
    assert len(link.published()) == 1
    # And a clean start ends it too.
    session, mine, _ = bench.connect("a", expiry=30, will=will_of("a", delay=50))
    bench.broker.detach(session, mine, True)
    bench.connect("a", clean=True)
    assert len(link.published()) == 1


def test_a_sparkplug_death_is_telemetry() -> None:
    bench = Workbench()
    session, link, _ = bench.connect("a", will=will_of("a", "spBv1.0/g/NDEATH/e"))
    bench.broker.detach(session, link, True)
    [(form, payload, _, _, context)] = bench.intake.taken
    assert (form, payload, context) == (Form.SPARKPLUG, b"gone", "spBv1.0/g/NDEATH/e")


def test_a_will_expiry_counts_from_its_publication() -> None:
    bench = Workbench()
    keeper, keeper_link, _ = bench.connect("k", expiry=100)
    bench.subscribe(keeper, "w", qos=1)
    bench.broker.detach(keeper, keeper_link, True)
    will = will_of("a", qos=1)
    will.message.expires = 5 * SECOND
    session, link, _ = bench.connect("a", will=will)
    bench.clock.forward(60)
    bench.broker.detach(session, link, True)
    bench.clock.forward(2)
    _, keeper_link, _ = bench.connect("k", clean=False, expiry=100)
    [packet] = keeper_link.published()
    assert packet.properties["message_expiry_interval"] == 3


def test_the_publisher_waits_for_the_disk_only_when_something_must_be_kept() -> None:
    bench = Workbench(automatic=False)
    online, _, _ = bench.connect("a")
    bench.subscribe(online, "t", qos=2)
    assert bench.publish("t", qos=1) == ["done"]
    kept, _, _ = bench.connect("b", expiry=10)
    bench.subscribe(kept, "t", qos=1)
    done = bench.publish("t", qos=1)
    assert done == []
    bench.ledger.commit()
    assert done == ["done"]
    done = bench.publish("u", qos=1, retain=True)
    assert done == []
    bench.ledger.commit()
    assert done == ["done"]


def test_each_message_of_a_shared_group_goes_to_one_member() -> None:
    bench = Workbench()
    links = []
    for name in "abc":
        session, link, _ = bench.connect(name)
        bench.subscribe(session, "t", share="g", qos=1)
        links.append(link)
    for n in range(9):
        bench.publish("t", b"%d" % n, qos=1)
    got = [[packet.payload for packet in link.published()] for link in links]
    assert sorted(payload for part in got for payload in part) == [b"%d" % n for n in range(9)]
    assert [len(part) for part in got] == [3, 3, 3]


def test_unsent_messages_of_a_member_that_ends_go_to_another() -> None:
    bench = Workbench()
    slow, slow_link, _ = bench.connect("a", Link(send_maximum=1))
    bench.subscribe(slow, "t", share="g", qos=1)
    for n in range(4):
        bench.publish("t", b"%d" % n, qos=1)
    other, other_link, _ = bench.connect("b")
    bench.subscribe(other, "t", share="g", qos=1)
    assert [packet.payload for packet in slow_link.published()] == [b"0"]
    bench.broker.detach(slow, slow_link, True)
    assert [packet.payload for packet in other_link.published()] == [b"1", b"2", b"3"]


def test_sessions_per_device_are_bounded() -> None:
    bench = Workbench(Limits(max_sessions_per_device=2))
    bench.connect("a")
    bench.connect("b")
    assert not bench.broker.admits((1, "c"))
    assert bench.broker.admits((1, "a"))
    assert bench.broker.admits((2, "c"))


def test_mqtt_3_1_1_subscribers_get_no_properties() -> None:
    bench = Workbench()
    session, link, _ = bench.connect("a", Link(version=MQTT_3_1_1))
    bench.subscribe(session, "t", qos=1, identifier=3)
    bench.publish("t", qos=1, fields=b"\x01\x01")
    [packet] = link.published()
    assert packet.properties == {}
    assert packet.payload == b"x"
