"""However fast writers are, the spare comes to be empty after a number of turns that is bounded by what was in it."""

from hypothesis import given
from hypothesis import strategies as st

from gongfu.bus.spare_turns import TURN_S, hold_time, is_time_to_hold


@given(
    backlog=st.integers(0, 200_000),
    moved_per_s=st.integers(100, 5000),
    writers=st.floats(0, 2),
    shared=st.floats(0.1, 1),
    in_hold=st.integers(0, 300),
)
def test_the_spare_comes_to_be_empty(
    backlog: int, moved_per_s: int, writers: float, shared: float, in_hold: int
) -> None:
    """``writers`` is their rate over the mover's, ``shared`` what the mover gets while they write; so many blocks come
    at once when a hold has not sufficed."""
    in_hold = min(in_hold, moved_per_s // 2)
    left, holds, seconds = float(backlog), 0, 0.0
    while True:
        before = left
        moved = min(before, moved_per_s * shared * TURN_S)
        left = before - moved + moved_per_s * writers * TURN_S
        seconds += TURN_S
        if is_time_to_hold(int(left), int(before), int(moved)):
            hold = hold_time(holds)
            holds += 1
            if left <= moved_per_s * hold:
                break
            left += in_hold - moved_per_s * hold
            seconds += hold
        # At least a sixth of what a mover does alone.
        assert seconds <= 60 + 6 * backlog / moved_per_s
        assert hold_time(holds) <= 2


def test_nothing_is_held_while_a_great_deal_gets_less_by_itself() -> None:
    assert not is_time_to_hold(left=10_000, left_before=20_000, moved=9_000)
    assert is_time_to_hold(left=1_000, left_before=10_000, moved=9_000)
    assert is_time_to_hold(left=19_000, left_before=20_000, moved=9_000)
