"""Challenges: once, in time, bounded."""

import itertools

from gongfu.identify.authentication.challenges import NONCE_BYTES, SECONDS, Challenges


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def make(clock: Clock, most: int = 100, most_bytes: int = 10_000) -> Challenges:
    numbers = itertools.count(1)
    return Challenges(
        clock=clock, draw=lambda size: next(numbers).to_bytes(size, "big"), most=most, most_bytes=most_bytes
    )


def test_a_challenge_is_taken_once() -> None:
    challenges = make(Clock())
    made = challenges.make(b"request", b"digest")
    assert len(made.nonce) == NONCE_BYTES
    assert made.proved == made.nonce + b"digest"
    assert challenges.take(made.session + 1) is None
    assert challenges.take(made.session) == made
    assert challenges.take(made.session) is None


def test_a_challenge_ends() -> None:
    clock = Clock()
    challenges = make(clock)
    made = challenges.make(b"request", b"digest")
    clock.now = SECONDS
    assert challenges.take(made.session) is None


def test_challenges_that_nobody_answers_are_forgotten() -> None:
    clock = Clock()
    challenges = make(clock, most=3)
    sessions = [challenges.make(b"r", b"d").session for _ in range(5)]
    assert len(challenges) == 3
    assert [challenges.take(session) is not None for session in sessions] == [False, False, True, True, True]
    challenges.make(b"r", b"d")
    clock.now = SECONDS
    challenges.make(b"r", b"d")
    assert len(challenges) == 1


def test_their_requests_have_bounded_bytes() -> None:
    challenges = make(Clock(), most_bytes=100)
    first, second, third = (challenges.make(bytes(40), b"d") for _ in range(3))
    assert challenges.take(first.session) is None
    assert challenges.take(second.session) is not None
    assert challenges.take(third.session) is not None
    challenges.make(bytes(90), b"d")
    assert len(challenges) == 1


def test_sessions_are_never_zero_or_taken_twice() -> None:
    drawn = iter([0, 7, 1, 7, 8, 2])
    challenges = Challenges(clock=Clock(), draw=lambda size: next(drawn).to_bytes(size, "big"))
    assert [challenges.make(b"r", b"d").session for _ in range(2)] == [7, 8]
