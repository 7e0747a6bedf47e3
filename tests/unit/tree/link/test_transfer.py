"""What one end sends, sends again, takes and delivers."""

from gongfu.tree.link.effects import Deliver, Forget, Load, NewEpoch, Send
from gongfu.tree.link.frames import VERSION, Ack, Data, Hello, connection_tag
from gongfu.tree.link.limits import FOREVER, Limits
from gongfu.tree.link.position import NOWHERE, Durable, Position, chain
from tests.unit.tree.link.ends import MS, PEER_TAG, TAG, met, sent, store


class TestSending:
    def test_messages_and_bytes_on_their_way_are_bounded(self) -> None:
        limits = Limits(window_messages=10, window_bytes=1000, frame_messages=4, frame_bytes=300)
        link, _, _ = met(limits=limits)
        effects = store(link, 20 * MS, *[b"x" * 60] * 50)
        frames = [f for f in sent(effects) if isinstance(f, Data)]
        assert [(f.first, len(f.bodies)) for f in frames] == [(1, 4), (5, 4), (9, 2)]
        assert link.outgoing.on_its_way == (10, 600)
        assert not any(isinstance(e, Load) for e in effects)
        effects = link.received(30 * MS, Ack(TAG, 1, 8))
        load = effects[-1]
        assert load == Load(1, 11, 8, 1000 - 120)
        effects = link.loaded(30 * MS, 1, 11, [b"y" * 400] * 8)
        assert [len(f.bodies) for f in sent(effects) if isinstance(f, Data)] == [1, 1, 1]
        messages, size = link.outgoing.on_its_way
        assert (messages, size) == (5, 1320)

    def test_nothing_acknowledged_is_sent_again_ever_more_slowly(self) -> None:
        link, _, _ = met(limits=Limits(silent_after=FOREVER))
        store(link, 20 * MS, b"x")
        times: list[int] = []
        while len(times) < 8:
            t = link.due
            times += [t // MS for f in sent(link.tick(t), Data)]
        steps = [b - a for a, b in zip([20, *times], times, strict=False)]
        assert steps == [200, 400, 800, 1600, 3200, 5000, 5000, 5000]

    def test_a_gap_that_is_asked_for_twice_is_filled_at_once(self) -> None:
        link, _, counters = met(limits=Limits(frame_messages=1))
        store(link, 20 * MS, b"1", b"2", b"3", b"4")
        assert sent(link.received(31 * MS, Ack(TAG, 1, 1, 2, 2)), Data) == []
        (frame,) = sent(link.received(32 * MS, Ack(TAG, 1, 1, 2, 2)), Data)
        assert isinstance(frame, Data)
        assert (frame.first, frame.bodies) == (2, (b"2",))
        # Not again within the round trip, then again.
        assert sent(link.received(33 * MS, Ack(TAG, 1, 1, 2, 2)), Data) == []
        assert len(sent(link.received(50 * MS, Ack(TAG, 1, 1, 2, 2)), Data)) == 1
        assert counters.snapshot()["link_frames_resent"] == 2

    def test_after_a_time_out_the_rest_follows_with_the_acknowledgements(self) -> None:
        link, _, _ = met(limits=Limits(frame_messages=1))
        store(link, 20 * MS, *[b"x"] * 8)
        t = link.due
        resent = [f.first for f in sent(link.tick(t)) if isinstance(f, Data)]
        for number in (1, 3, 7):
            t += 10 * MS
            resent += [f.first for f in sent(link.received(t, Ack(TAG, 1, number))) if isinstance(f, Data)]
        assert resent == [1, 2, 3, 4, 5, 6, 7, 8]

    def test_what_is_acknowledged_is_forgotten_with_its_digest(self) -> None:
        link, _, _ = met()
        store(link, 20 * MS, b"1", b"2", b"3")
        effects = link.received(30 * MS, Ack(TAG, 1, 2))
        assert effects == [Forget(Position(1, 2, chain(0, [b"1", b"2"])))]
        assert link.durable() == Durable(1, 3, Position(1, 2, chain(0, [b"1", b"2"])))
        assert not link.idle
        link.received(40 * MS, Ack(TAG, 1, 3))
        assert link.idle
        assert link.outgoing.due == FOREVER

    def test_what_was_never_sent_cannot_be_acknowledged(self) -> None:
        link, _, counters = met()
        store(link, 20 * MS, b"1")
        assert link.received(30 * MS, Ack(TAG, 1, 2)) == []
        assert link.received(30 * MS, Ack(TAG, 7, 1)) == []
        assert counters.snapshot()["link_frames_dropped.ack-unexpected"] == 2

    def test_an_outbox_that_lacks_messages_is_numbered_anew(self) -> None:
        link, effects, _ = met(Durable(1, 9, Position(1, 3, 55)), Position(1, 3, 55))
        assert effects[-1] == Load(1, 4, 6, 256 * 1024)
        assert link.loaded(20 * MS, 1, 4, []) == [NewEpoch(2, Position(1, 3, 55), "outbox-gap")]


class TestReceiving:
    def test_messages_are_acknowledged_once_they_are_committed(self) -> None:
        link, _, _ = met()
        (deliver,) = link.received(20 * MS, Data(TAG, 1, 1, (b"1", b"2")))
        assert deliver == Deliver(1, (b"1", b"2"), Position(1, 2, chain(0, [b"1", b"2"])))
        # It comes again before the commit: no answer yet. After it: an answer, no delivery.
        assert link.received(21 * MS, Data(TAG, 1, 1, (b"1", b"2"))) == []
        assert isinstance(deliver, Deliver)
        assert link.committed(deliver.position) == [Send(Ack(TAG, 1, 2))]
        assert link.received(22 * MS, Data(TAG, 1, 1, (b"1", b"2"))) == [Send(Ack(TAG, 1, 2))]
        assert link.durable().received == deliver.position

    def test_what_comes_too_early_waits_and_the_gap_is_asked_for(self) -> None:
        link, _, _ = met()
        assert link.received(20 * MS, Data(TAG, 1, 4, (b"4", b"5"))) == [Send(Ack(TAG, 1, 0, 1, 3))]
        assert link.received(21 * MS, Data(TAG, 1, 7, (b"7",))) == [Send(Ack(TAG, 1, 0, 1, 3))]
        # Other frames than the first time: they overlap.
        (deliver,) = link.received(22 * MS, Data(TAG, 1, 1, (b"1", b"2", b"3", b"4")))
        assert isinstance(deliver, Deliver)
        assert (deliver.first, deliver.bodies) == (1, (b"1", b"2", b"3", b"4", b"5"))
        (deliver,) = link.received(23 * MS, Data(TAG, 1, 5, (b"5", b"6")))
        assert isinstance(deliver, Deliver)
        assert (deliver.first, deliver.bodies) == (6, (b"6", b"7"))

    def test_what_was_rolled_back_comes_again(self) -> None:
        link, _, _ = met()
        link.received(20 * MS, Data(TAG, 1, 1, (b"1",)))
        link.failed()
        (deliver,) = link.received(200 * MS, Data(TAG, 1, 1, (b"1", b"2")))
        assert isinstance(deliver, Deliver)
        assert (deliver.first, deliver.bodies) == (1, (b"1", b"2"))

    def test_a_new_epoch_begins_at_one_and_the_old_one_is_over(self) -> None:
        link, _, counters = met(Durable(received=Position(1, 7, 70)))
        assert link.received(20 * MS, Data(TAG, 2, 3, (b"x",))) == [Send(Ack(TAG, 2, 0, 1, 2))]
        (deliver,) = link.received(30 * MS, Data(TAG, 2, 1, (b"1", b"2")))
        assert isinstance(deliver, Deliver)
        assert deliver.position == Position(2, 3, chain(0, [b"1", b"2", b"x"]))
        assert link.received(40 * MS, Data(TAG, 1, 8, (b"old",))) == []
        assert counters.snapshot()["link_frames_dropped.data-stale"] == 1

    def test_what_came_too_early_over_an_earlier_connection_is_let_go(self) -> None:
        link, _, _ = met()
        link.received(20 * MS, Data(TAG, 1, 2, (b"of an outbox that was restored since",)))
        link.disconnected()
        link.connected(30 * MS)
        link.received(40 * MS, Hello(VERSION, "b", PEER_TAG + 1, 2, False, 1, 2, NOWHERE))
        (deliver,) = link.received(50 * MS, Data(connection_tag(2, PEER_TAG + 1), 1, 1, (b"1",)))
        assert isinstance(deliver, Deliver)
        assert deliver.bodies == (b"1",)

    def test_an_epoch_of_which_nothing_was_committed_does_not_outlive_the_connection(self) -> None:
        """Found by the simulator (seed 2159): the sender was restored to an epoch between the two."""
        link, _, _ = met()
        link.received(20 * MS, Data(TAG, 3, 2, (b"too early",)))
        link.disconnected()
        link.connected(30 * MS)
        link.received(40 * MS, Hello(VERSION, "b", PEER_TAG, 2, False, 2, 2, NOWHERE))
        (deliver,) = link.received(50 * MS, Data(connection_tag(2, PEER_TAG), 2, 1, (b"1",)))
        assert isinstance(deliver, Deliver)
        assert deliver.position.epoch == 2

    def test_what_is_not_taken_in_time_is_bounded(self) -> None:
        limits = Limits(window_messages=10, window_bytes=1000, held_frames=5)
        link, _, counters = met(limits=limits)
        number = 1
        while link.received(20 * MS, Data(TAG, 1, number, (b"",))):
            number += 1
        assert number <= 13
        for i in range(100):
            link.received(20 * MS, Data(TAG, 1, 1000 + i, (b"",)))
        assert counters.snapshot()["link_frames_dropped.data-early"] == 95
