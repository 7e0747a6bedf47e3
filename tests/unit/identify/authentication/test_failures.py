"""Wrong passwords, counted."""

from gongfu.identify.authentication.failures import MOST_FAILURES, SECONDS, Failures


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_who_guesses_waits() -> None:
    clock = Clock()
    failures = Failures(clock)
    for _ in range(MOST_FAILURES):
        assert not failures.too_many("99/a", "127.0.0.1")
        failures.add("99/a", "127.0.0.1")
    assert failures.too_many("99/a", "127.0.0.1")
    assert not failures.too_many("99/a", "127.0.0.2")
    assert not failures.too_many("99/b", "127.0.0.1")
    clock.now = SECONDS
    assert not failures.too_many("99/a", "127.0.0.1")
    failures.add("99/a", "127.0.0.1")
    assert not failures.too_many("99/a", "127.0.0.1")


def test_a_success_forgets() -> None:
    failures = Failures(Clock(), most=1)
    failures.add("99/a", "")
    assert failures.too_many("99/a", "")
    failures.forget("99/a", "")
    assert not failures.too_many("99/a", "")


def test_what_is_remembered_is_bounded() -> None:
    failures = Failures(Clock(), most=1)
    for number in range(10_001):
        failures.add(str(number), "")
    assert not failures.too_many("0", "")
    assert failures.too_many("10000", "")
