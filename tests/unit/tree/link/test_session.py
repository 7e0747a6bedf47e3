"""Connections, restored databases, clocks and ends of a link; frame by frame."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from tests.unit.tree.link.ends import MS, PEER_TAG, TAG, met, sent, session, store


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
