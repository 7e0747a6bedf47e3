"""Deliveries to one client: order, receive maximum, redelivery, exactly once, bounds."""

import pytest

from gongfu.ingest.mqtt.broker.limits import Limits
from gongfu.ingest.mqtt.codec.packets import Acknowledgement, Publish
from gongfu.ingest.mqtt.codec.reasons import PacketType, Reason
from gongfu.kernel.times import SECOND
from tests.unit.mqtt.workbench import Link, Workbench


def payloads(link: Link) -> list[bytes]:
    return [packet.payload for packet in link.published()]


def test_receive_maximum_holds_messages_back_in_order() -> None:
    bench = Workbench()
    session, link, _ = bench.connect("a", Link(send_maximum=2))
    bench.subscribe(session, "t", qos=1)
    for n in range(5):
        bench.publish("t", b"%d" % n, qos=1)
    first, second = link.published()
    assert (first.payload, second.payload) == (b"0", b"1")
    session.outbox.acknowledge(second.packet_id)
    [third] = link.published()
    assert third.payload == b"2"
    session.outbox.acknowledge(first.packet_id)
    session.outbox.acknowledge(third.packet_id)
    assert payloads(link) == [b"3", b"4"]


def test_unacknowledged_messages_come_again_with_their_ids() -> None:
    bench = Workbench()
    session, link, _ = bench.connect("a", Link(send_maximum=2), expiry=100)
    bench.subscribe(session, "t", qos=2)
    for n in range(3):
        bench.publish("t", b"%d" % n, qos=1 + n % 2)
    one, two = link.published()
    session.outbox.receive(two.packet_id, 0)
    assert link.take() == [Acknowledgement(PacketType.PUBREL, two.packet_id)]
    bench.broker.detach(session, link, True)
    _, link, _ = bench.connect("a", Link(send_maximum=2), clean=False, expiry=100)
    release, again = link.take()
    assert release == Acknowledgement(PacketType.PUBREL, two.packet_id)
    assert isinstance(again, Publish)
    assert (again.payload, again.packet_id, again.duplicate) == (b"0", one.packet_id, True)
    session.outbox.finish(two.packet_id)
    [third] = link.published()
    assert (third.payload, third.duplicate) == (b"2", False)
    assert third.packet_id not in (one.packet_id,)


def test_qos_2_to_a_kept_session_waits_for_the_disk_at_each_step() -> None:
    bench = Workbench(automatic=False)
    session, link, _ = bench.connect("a", expiry=100)
    bench.subscribe(session, "t", qos=2)
    bench.publish("t", qos=2)
    assert link.take() == []
    bench.ledger.commit()
    [packet] = link.published()
    session.outbox.receive(packet.packet_id, 0)
    assert link.take() == []
    assert bench.ledger.writes[-1] == ("delivery", 1, packet.packet_id, True)
    bench.ledger.commit()
    assert link.take() == [Acknowledgement(PacketType.PUBREL, packet.packet_id)]
    session.outbox.finish(packet.packet_id)
    assert bench.ledger.writes[-2:] == [("no delivery", 1), ("no message", 2)]


def test_a_pubrec_that_refuses_ends_the_exchange() -> None:
    bench = Workbench()
    session, link, _ = bench.connect("a")
    bench.subscribe(session, "t", qos=2)
    bench.publish("t", qos=2)
    [packet] = link.published()
    session.outbox.receive(packet.packet_id, Reason.NOT_AUTHORIZED)
    assert link.take() == []
    assert not session.outbox.flight


def test_a_pubrec_for_an_unknown_id_is_answered() -> None:
    bench = Workbench()
    session, link, _ = bench.connect("a")
    session.outbox.receive(9, 0)
    assert link.take() == [Acknowledgement(PacketType.PUBREL, 9, Reason.PACKET_IDENTIFIER_NOT_FOUND)]


def test_acknowledgements_of_the_wrong_kind_change_nothing() -> None:
    bench = Workbench()
    session, link, _ = bench.connect("a")
    bench.subscribe(session, "t", qos=2)
    bench.publish("t", qos=2)
    [packet] = link.published()
    session.outbox.acknowledge(packet.packet_id)
    session.outbox.finish(packet.packet_id)
    session.outbox.acknowledge(777)
    assert list(session.outbox.flight) == [packet.packet_id]


def test_a_full_queue_drops_the_oldest_qos_0_then_the_new_message() -> None:
    bench = Workbench(Limits(max_queued=3))
    session, link, _ = bench.connect("a")
    bench.subscribe(session, "t", qos=1)
    link.congested = True
    for n, qos in enumerate((0, 1, 0, 1, 1, 1)):
        bench.publish("t", b"%d" % n, qos=qos)
    assert bench.dropped("slow_subscriber") == 2
    assert bench.dropped("queue_full") == 1
    link.congested = False
    session.outbox.drain()
    assert payloads(link) == [b"1", b"3", b"4"]


def test_the_queue_is_bounded_in_bytes() -> None:
    bench = Workbench(Limits(max_queued_bytes=10_000))
    session, link, _ = bench.connect("a")
    bench.subscribe(session, "t", qos=1)
    link.congested = True
    for _ in range(10):
        bench.publish("t", b"x" * 2000, qos=1)
    assert session.outbox.bytes <= 10_000
    assert bench.dropped("queue_full") == 10 - len(session.outbox.queue)
    link.congested = False
    session.outbox.drain()
    for packet in link.published():
        session.outbox.acknowledge(packet.packet_id)
    assert session.outbox.bytes == 0


def test_expired_messages_are_not_sent_and_the_rest_says_what_is_left() -> None:
    bench = Workbench()
    session, link, _ = bench.connect("a", expiry=100)
    bench.subscribe(session, "t", qos=1)
    bench.broker.detach(session, link, True)
    bench.publish("t", b"short", qos=1, expires=bench.clock.now + 2 * SECOND)
    bench.publish("t", b"long", qos=1, expires=bench.clock.now + 10 * SECOND)
    bench.clock.forward(3)
    _, link, _ = bench.connect("a", clean=False, expiry=100)
    [packet] = link.published()
    assert packet.payload == b"long"
    assert packet.properties["message_expiry_interval"] == 7
    assert bench.dropped("expired") == 1


@pytest.mark.parametrize("qos", [0, 1])
def test_packets_above_the_clients_maximum_are_dropped(qos: int) -> None:
    bench = Workbench()
    session, link, _ = bench.connect("a", Link(maximum_packet=64))
    bench.subscribe(session, "t", qos=1)
    bench.publish("t", b"x" * 64, qos=qos)
    bench.publish("t", b"small", qos=qos)
    assert payloads(link) == [b"small"]
    assert bench.dropped("packet_too_large") == 1
    assert len(session.outbox.flight) == qos


def test_packet_ids_are_not_reused_while_in_flight() -> None:
    bench = Workbench()
    session, link, _ = bench.connect("a", Link(send_maximum=65_535))
    bench.subscribe(session, "t", qos=1)
    bench.publish("t", b"stays", qos=1)
    [stays] = link.published()
    for _ in range(65_540):
        bench.publish("t", qos=1)
        [packet] = link.published()
        assert packet.packet_id != stays.packet_id
        session.outbox.acknowledge(packet.packet_id)


def test_qos_0_overtakes_nothing_while_the_client_is_slow() -> None:
    bench = Workbench()
    session, link, _ = bench.connect("a")
    bench.subscribe(session, "t")
    link.congested = True
    bench.publish("t", b"1")
    link.congested = False
    bench.publish("t", b"2")
    session.outbox.drain()
    assert payloads(link) == [b"1", b"2"]
