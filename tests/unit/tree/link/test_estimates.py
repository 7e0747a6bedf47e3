"""Claims, round trips and clock offsets."""

import random

import pytest

from gongfu.tree.link.claims import judge
from gongfu.tree.link.clock import SKEW_BOUND, ClockOffset
from gongfu.tree.link.position import NOWHERE, Position, chain
from gongfu.tree.link.roundtrip import CEILING, FLOOR, RoundTrip

MS = 1_000_000


@pytest.mark.parametrize(
    ("epoch", "last", "acknowledged", "claim", "verdict"),
    [
        (1, 0, NOWHERE, NOWHERE, "agreed"),
        (1, 9, NOWHERE, NOWHERE, "agreed"),
        (1, 9, Position(1, 5, 77), Position(1, 5, 77), "agreed"),
        # The acknowledgement was lost, or the messages behind are others than these.
        (1, 9, Position(1, 5, 77), Position(1, 7, 78), "check"),
        (1, 9, NOWHERE, Position(1, 7, 78), "check"),
        (1, 9, Position(1, 5, 77), Position(1, 5, 76), "diverged"),
        (1, 9, Position(1, 5, 77), Position(1, 4, 70), "peer-rewound"),
        (2, 9, Position(2, 5, 77), Position(1, 500, 70), "peer-rewound"),
        (2, 9, Position(1, 5, 77), Position(1, 4, 70), "peer-rewound"),
        (1, 9, Position(1, 5, 77), NOWHERE, "peer-rewound"),
        (1, 9, Position(1, 5, 77), Position(1, 10, 80), "own-rewound"),
        (1, 9, Position(1, 5, 77), Position(2, 0, 0), "own-rewound"),
        # Nothing of the new epoch has arrived; of the old one, what was on its way.
        (2, 9, Position(1, 5, 77), Position(1, 5, 77), "agreed"),
        (2, 9, Position(1, 5, 77), Position(1, 8, 79), "agreed"),
        (2, 9, Position(1, 5, 77), Position(2, 0, 0), "agreed"),
        (2, 9, Position(1, 5, 77), Position(2, 3, 5), "check"),
    ],
)
def test_claims(epoch: int, last: int, acknowledged: Position, claim: Position, verdict: str) -> None:
    assert judge(epoch, last, acknowledged, claim) == verdict


def test_the_digest_tells_bodies_and_their_limits_apart() -> None:
    seen = {chain(0, bodies) for bodies in ((), (b"",), (b"", b""), (b"ab",), (b"a", b"b"), (b"b", b"a"), (b"ba",))}
    assert len(seen) == 7
    assert chain(chain(0, [b"a"]), [b"b", b"c"]) == chain(0, [b"a", b"b", b"c"])
    assert all(0 <= digest < 2**63 for digest in seen)


def test_the_time_out_follows_the_round_trips_within_bounds() -> None:
    trip = RoundTrip()
    assert trip.timeout == 1_000 * MS
    trip.sample(300 * MS)
    assert trip.timeout == 900 * MS  # RFC 6298 (2.2): R + 4 * R/2
    for _ in range(200):
        trip.sample(300 * MS)
    assert 300 * MS <= trip.timeout < 310 * MS
    for _ in range(200):
        trip.sample(10 * MS)
    assert trip.timeout == FLOOR
    waits: list[int] = []
    for _ in range(8):
        waits.append(trip.timeout // MS)
        trip.expired()
    assert waits == [200, 400, 800, 1600, 3200, 5000, 5000, 5000]
    trip.progress()
    assert trip.timeout == FLOOR
    trip.sample(60_000 * MS)
    assert trip.timeout == CEILING


def test_the_offset_is_that_of_the_shortest_round_trips() -> None:
    clock, rng, true = ClockOffset(), random.Random(3), -7_000 * MS
    assert clock.offset is None
    assert not clock.skewed
    now = 10**18
    for _ in range(200):
        # Now and then one way takes long, which pulls the offset of this ping away.
        there, back = (5 * MS + (rng.randrange(900 * MS) if rng.random() < 0.4 else 0) for _ in range(2))
        now += 1_000 * MS
        clock.sample(now, now + there + true, now + there + back)
    assert clock.offset is not None
    assert abs(clock.offset - true) < 20 * MS
    assert clock.skewed
    clock.stepped(true)
    assert abs(clock.offset) < 20 * MS
    assert not clock.skewed


def test_a_ping_over_a_clock_that_was_set_back_says_nothing() -> None:
    clock = ClockOffset(5)
    clock.sample(100, 7, 99)
    assert clock.offset == 5
    assert not ClockOffset(SKEW_BOUND).skewed
    assert ClockOffset(SKEW_BOUND + 1).skewed


def test_a_clock_that_was_set_is_noticed_with_the_next_ping() -> None:
    clock, now = ClockOffset(), 10**18
    for _ in range(20):
        now += 1_000 * MS
        clock.sample(now, now + 2 * MS, now + 4 * MS)
    assert clock.offset == 0
    # One that took long may be wrong by half a second, and drops nothing.
    clock.sample(now, now + 1_000 * MS, now + 1_010 * MS)
    assert clock.offset == 0
    # The other clock is set by a minute; this ping was slower than all before.
    clock.sample(now, now + 60_000 * MS, now + 100 * MS)
    assert clock.offset == 60_000 * MS - 50 * MS
