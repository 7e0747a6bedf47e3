"""One end of a link, frame by frame."""

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.kernel.counters import Counters
from gongfu.tree.link.effects import (
    ClockSkew,
    Deliver,
    Down,
    Effect,
    Forget,
    Load,
    NewEpoch,
    PeerRetired,
    PeerRewound,
    Send,
)
from gongfu.tree.link.frames import VERSION, Ack, Data, Frame, Hello, Ping, Pong, connection_tag
from gongfu.tree.link.limits import FOREVER, Limits
from gongfu.tree.link.position import NOWHERE, Durable, Position, chain
from gongfu.tree.link.session import Session

MS = 1_000_000
PEER_TAG = 999
# The first tag of the session under test is 1.
TAG = connection_tag(1, PEER_TAG)


def sent(effects: list[Effect], kind: type[Frame] | None = None) -> list[Frame]:
    frames = [e.frame for e in effects if isinstance(e, Send)]
    return [f for f in frames if kind is None or isinstance(f, kind)]


def session(durable: Durable | None = None, limits: Limits | None = None) -> tuple[Session, Counters]:
    counters, tags = Counters(), count(1)
    new = Session("a", "b", durable or Durable(), lambda: next(tags), limits=limits or Limits(), counters=counters)
    return new, counters


def met(
    durable: Durable | None = None, have: Position = NOWHERE, limits: Limits | None = None, t: int = 0
) -> tuple[Session, list[Effect], Counters]:
    """Return a session that knows its peer, and what it did when it met it. The round trip is 10 ms."""
    new, counters = session(durable, limits)
    (hello,) = sent(new.connected(t))
    assert isinstance(hello, Hello)
    effects = new.received(t + 10 * MS, Hello(VERSION, "b", PEER_TAG, hello.tag, True, 1, 0, have))
    assert new.up
    return new, effects, counters


def store(link: Session, t: int, *bodies: bytes) -> list[Effect]:
    return link.queued(t, link.outgoing.epoch, link.outgoing.last + 1, bodies)


class TestMeeting:
    def test_hello_is_repeated_ever_more_slowly_until_it_is_answered(self) -> None:
        link, _ = session()
        link.connected(0)
        times: list[int] = []
        for _ in range(8):
            t = link.due
            times.append(t // MS)
            (hello,) = sent(link.tick(t))
            assert isinstance(hello, Hello)
            assert hello.answer
        steps = [b - a for a, b in zip([0, *times], times, strict=False)]
        assert steps == [200, 400, 800, 1600, 3200, 5000, 5000, 5000]

    def test_an_end_that_is_not_active_waits(self) -> None:
        link, _ = session()
        assert link.connected(0, active=False) == []
        assert link.due == FOREVER
        (answer,) = sent(link.received(5, Hello(VERSION, "b", PEER_TAG, 0, True, 1, 0, NOWHERE)))
        assert isinstance(answer, Hello)
        assert answer.to == PEER_TAG
        assert not link.up

    def test_another_node_is_not_listened_to(self) -> None:
        link, counters = session()
        link.connected(0)
        assert link.received(1, Hello(VERSION, "c", PEER_TAG, 1, True, 1, 0, NOWHERE)) == []
        assert counters.snapshot() == {"link_frames_dropped.node-wrong": 1}

    def test_frames_of_an_earlier_connection_do_not_count(self) -> None:
        link, _, counters = met()
        store(link, 20 * MS, b"x")
        link.disconnected()
        assert link.received(30 * MS, Ack(TAG, 1, 1)) == []
        link.connected(40 * MS)
        link.received(50 * MS, Hello(VERSION, "b", PEER_TAG + 1, 2, False, 1, 0, NOWHERE))
        assert link.up
        assert sent(link.received(60 * MS, Ack(TAG, 1, 1)), Data) == []
        assert not link.idle
        assert counters.snapshot()["link_frames_dropped.tag-unknown"] == 1

    def test_frames_of_an_earlier_life_of_the_peer_do_not_count(self) -> None:
        """Found by the simulator (seed 2252): it had answered the same hello, and then was restored."""
        link, counters = session()
        link.connected(0)
        link.received(10 * MS, Hello(VERSION, "b", 5, 0, True, 1, 0, NOWHERE))
        link.received(20 * MS, Hello(VERSION, "b", 6, 1, True, 1, 0, NOWHERE))
        assert link.up
        assert sent(link.received(30 * MS, Data(connection_tag(1, 5), 2, 1, (b"x",))), Ack) == []
        assert counters.snapshot() == {"link_frames_dropped.tag-unknown": 1}
        assert isinstance(link.received(40 * MS, Data(connection_tag(1, 6), 1, 1, (b"x",)))[0], Deliver)

    def test_a_peer_that_started_anew_is_met_under_a_new_tag(self) -> None:
        link, _, _ = met()
        effects = link.received(20 * MS, Hello(VERSION, "b", 5, 0, True, 1, 0, NOWHERE))
        assert Down("reconnected") in effects
        (hello,) = sent(effects)
        assert isinstance(hello, Hello)
        assert (hello.tag, hello.to) == (2, 5)

    def test_a_hello_to_an_earlier_tag_does_not_disturb(self) -> None:
        link, _, counters = met()
        assert link.received(20 * MS, Hello(VERSION, "b", 5, 77, True, 1, 0, NOWHERE)) == []
        assert link.up
        assert counters.snapshot()["link_frames_dropped.hello-stale"] == 1

    def test_no_position_is_claimed_while_something_is_being_delivered(self) -> None:
        link, _, counters = met()
        (deliver,) = link.received(20 * MS, Data(TAG, 1, 1, (b"x",)))
        assert isinstance(deliver, Deliver)
        hello = Hello(VERSION, "b", 5, 0, True, 1, 1, NOWHERE)
        assert sent(link.received(30 * MS, hello)) == []
        assert counters.snapshot()["link_frames_dropped.hello-busy"] == 1
        link.committed(deliver.position)
        (answer,) = sent(link.received(40 * MS, hello))
        assert isinstance(answer, Hello)
        assert answer.have == deliver.position

    def test_a_silent_peer_is_given_up_and_called_again(self) -> None:
        link, _, _ = met()
        effects, t = list[Effect](), 0
        while not any(isinstance(e, Down) for e in effects):
            t = link.due
            effects = link.tick(t)
        assert Down("silent") in effects
        assert isinstance(sent(effects)[0], Hello)
        assert not link.up
        assert 60_000 * MS <= t <= 81_000 * MS


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


class TestRestored:
    def test_a_peer_that_lacks_what_it_had_is_told_everything_again(self) -> None:
        durable = Durable(3, 9, Position(3, 5, 50))
        link, effects, _ = met(durable, Position(3, 2, 20))
        assert effects[-2:] == [
            PeerRewound(Position(3, 5, 50), Position(3, 2, 20)),
            NewEpoch(4, Position(3, 2, 20), "peer-rewound"),
        ]
        assert store(link, 15 * MS, b"ignored until it is numbered anew") == []
        assert link.renewed(20 * MS, 12) == [Load(4, 1, 12, 256 * 1024)]
        (frame,) = sent(link.loaded(20 * MS, 4, 1, [b"again"]), Data)
        assert frame == Data(TAG, 4, 1, (b"again",))

    @pytest.mark.parametrize("have", [Position(3, 10, 1), Position(8, 1, 1)])
    def test_a_peer_that_has_what_was_never_sent_gets_a_new_epoch(self, have: Position) -> None:
        _, effects, _ = met(Durable(3, 9, Position(3, 5, 50)), have)
        assert effects[-1] == NewEpoch(have.epoch + 1, have, "own-rewound")

    @pytest.mark.parametrize("same", [True, False])
    def test_messages_under_numbers_that_the_peer_has_are_compared(self, same: bool) -> None:
        outbox = [f"{n}".encode() for n in range(6, 301)]
        theirs = outbox if same else [*outbox[:100], b"another", *outbox[101:]]
        have = Position(1, 300, chain(50, theirs))
        link, effects, _ = met(Durable(1, 300, Position(1, 5, 50)), have)
        while isinstance(load := effects[-1], Load):
            assert sent(effects, Data) == []
            bodies = outbox[load.first - 6 :][: load.messages]
            effects = link.loaded(20 * MS, 1, load.first, bodies)
        assert effects == ([Forget(have)] if same else [NewEpoch(2, have, "diverged")])

    def test_a_peer_cannot_call_for_new_epochs_without_end(self) -> None:
        link, effects, counters = met(Durable(1, 9, Position(1, 5, 50)), NOWHERE)
        renewals, t = [e for e in effects if isinstance(e, NewEpoch)], 10 * MS
        link.renewed(t, 4)
        for i in range(200):
            t += 10 * MS
            hello = Hello(VERSION, "b", 1000 + i, 0, True, 1, 0, NOWHERE)
            (answer,) = sent(link.received(t, hello))
            assert isinstance(answer, Hello)
            claim = Position(link.outgoing.epoch, 5, 5 + i)
            effects = link.received(t, Hello(VERSION, "b", 1000 + i, answer.tag, True, 1, 0, claim))
            effects += link.tick(t)
            renewals += [e for e in effects if isinstance(e, NewEpoch)]
            link.renewed(t, 4)
        assert len(renewals) == 3
        assert sum(n for name, n in counters.snapshot().items() if "renewed" in name) == 3


class TestClocksAndEnds:
    def test_a_clock_that_is_off_is_told_once(self) -> None:
        link, effects, _ = met()
        (ping,) = sent(effects, Ping)
        assert isinstance(ping, Ping)
        off = 9_000 * MS
        (skew,) = link.received(20 * MS, Pong(TAG, ping.sent, ping.sent + 5 * MS + off))
        assert skew == ClockSkew(off, True)
        assert link.received(21 * MS, Pong(TAG, ping.sent, ping.sent + 5 * MS + off)) == []
        link.wall_changed(off)
        assert not link.clock.skewed
        assert link.received(20 * MS, Ping(TAG, 7)) == [Send(Pong(TAG, 7, 20 * MS + off))]

    def test_the_end_of_a_link_is_told_and_told_again(self) -> None:
        link, _, _ = met()
        (told,) = sent(link.retire(20 * MS))
        assert isinstance(told, Hello)
        assert told.retired
        other, _, _ = met()
        assert other.received(30 * MS, Hello(VERSION, "b", PEER_TAG, 1, False, 1, 0, NOWHERE, True)) == [PeerRetired()]
        assert not other.up
        assert other.due == FOREVER
        # That was lost: whatever the other end says now is answered so, also after a restart.
        (told,) = sent(link.received(40 * MS, Data(TAG, 1, 1, (b"x",))))
        assert isinstance(told, Hello)
        assert told.retired
        again, _ = session(Durable(retired=True))
        assert again.connected(0) == []
        (told,) = sent(again.received(40 * MS, Hello(VERSION, "b", 3, 0, True, 1, 0, NOWHERE)))
        assert isinstance(told, Hello)
        assert (told.to, told.retired) == (3, True)


# Of the connection that is there at first, and of those that the hellos below bring about.
connections = [TAG] * 4 + [connection_tag(a, b) for a in range(1, 4) for b in range(1, 4)]
small = st.integers(0, 12)
hostile: st.SearchStrategy[Frame] = st.one_of(
    st.builds(
        Hello,
        st.just(VERSION),
        st.just("b"),
        st.integers(1, 4),
        st.integers(0, 4),
        st.booleans(),
        small,
        small,
        st.builds(Position, small, small, small),
        st.sampled_from([False] * 9 + [True]),
    ),
    st.builds(
        Data,
        st.sampled_from(connections),
        st.integers(0, 3),
        st.integers(1, 30),
        st.lists(st.binary(max_size=50), min_size=1, max_size=5).map(tuple),
    ),
    st.builds(
        lambda tag, e, n, m, k: Ack(tag, e, n, m, m + k), st.sampled_from(connections), small, small, small, small
    ),
    st.builds(Ping, st.sampled_from(connections), st.integers(-(2**62), 2**62)),
    st.builds(Pong, st.sampled_from(connections), st.integers(-(2**62), 2**62), st.integers(-(2**62), 2**62)),
)


@settings(deadline=None)
@given(st.lists(st.one_of(hostile, st.integers(0, 100 * MS), st.binary(max_size=40)), max_size=60))
def test_a_hostile_peer_can_neither_stop_nor_fill_an_end(events: list[Frame | int | bytes]) -> None:
    """Whatever comes: no exception, one delivery after the other, and never more in memory than the limits say."""
    limits = Limits(window_messages=8, window_bytes=300, held_frames=4)
    link, _, _ = met(limits=limits)
    outbox: list[bytes] = []
    t, taken = 10 * MS, NOWHERE
    for event in events:
        if isinstance(event, int):
            t += event
            effects = link.tick(t)
        elif isinstance(event, bytes):
            outbox.append(event)
            effects = store(link, t, event)
        else:
            effects = link.received(t, event)
        while effects:
            answers: list[Effect] = []
            for effect in effects:
                if isinstance(effect, Deliver):
                    before = taken.number if effect.position.epoch == taken.epoch else 0
                    assert effect.first == before + 1
                    taken = effect.position
                    answers += link.committed(effect.position)
                elif isinstance(effect, NewEpoch):
                    answers += link.renewed(t, len(outbox))
                elif isinstance(effect, Load):
                    bodies = outbox[effect.first - 1 :][: effect.messages]
                    assert bodies
                    answers += link.loaded(t, effect.epoch, effect.first, bodies)
            effects = answers
        messages, size = link.outgoing.on_its_way
        assert messages <= limits.window_messages
        assert size <= limits.window_bytes + 40
