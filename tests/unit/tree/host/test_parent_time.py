"""The parent's time."""

from gongfu.tree.host.parent_time import ParentTime

SECOND = 1_000_000_000


class Clocks:
    """Monotonic time and an own clock that a test moves."""

    def __init__(self) -> None:
        self.monotonic = 50 * SECOND
        self.set_by = 10**18

    def now_ns(self) -> int:
        return self.monotonic + self.set_by

    def passed(self) -> int:
        return self.monotonic


def test_a_root_goes_by_its_own_clock() -> None:
    clocks = Clocks()
    time = ParentTime(clocks, clocks.passed)
    clocks.set_by += 5 * SECOND
    assert time.now() == time.wall() == clocks.now_ns()
    assert time.look()
    assert not time.look()
    assert time.base == clocks.set_by


def test_the_parents_time_goes_on_when_the_own_clock_is_set() -> None:
    clocks = Clocks()
    time = ParentTime(clocks, clocks.passed)
    assert time.set_offset(-7 * SECOND)
    assert not time.set_offset(-7 * SECOND)
    before = time.now()
    assert before == clocks.now_ns() - 7 * SECOND
    clocks.set_by += 86_400 * SECOND
    clocks.monotonic += SECOND
    assert time.now() == before + SECOND
    assert time.look()
    assert time.wall_base == clocks.set_by
    assert time.now() == before + SECOND
    # What the link then knows of the offset is smaller by what the clock was set forward.
    assert not time.set_offset(-7 * SECOND - 86_400 * SECOND)
