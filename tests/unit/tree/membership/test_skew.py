"""Clock offset: exact examples, and that the error is never larger than the stated uncertainty."""

from hypothesis import given
from hypothesis import strategies as st

from gongfu.kernel.times import MILLISECOND, SECOND
from gongfu.tree.membership.skew import ClockOffset, ClockSample, estimate_offset
from tests.unit.tree.membership.trees import NOW


def sample(at: int, offset: int, out: int, back: int) -> ClockSample:
    """Return a ping at ``at`` to a clock that is ``offset`` ahead, with the durations of both ways. All ns."""
    return ClockSample(at, at + out + offset, at + out + back)


def test_nothing_is_known_without_samples() -> None:
    assert estimate_offset([]) is None
    # The own clock was set back while the pong was on its way.
    assert estimate_offset([ClockSample(NOW, NOW, NOW - 1)]) is None


def test_equal_ways_give_the_offset() -> None:
    estimate = estimate_offset([sample(NOW, -7 * SECOND, 20 * MILLISECOND, 20 * MILLISECOND)])
    assert estimate == ClockOffset(-7 * SECOND, 20 * MILLISECOND + 1, 1)


def test_exchanges_that_waited_in_a_queue_do_not_count() -> None:
    quick = [sample(NOW + n * SECOND, 3 * SECOND, MILLISECOND, MILLISECOND) for n in range(5)]
    slow = [sample(NOW + n * SECOND, 3 * SECOND, 4 * SECOND, MILLISECOND) for n in range(20)]
    assert estimate_offset([*slow, *quick, *slow]) == ClockOffset(3 * SECOND, MILLISECOND + 1, 5)


def test_one_wild_sample_among_the_shortest_does_not_count() -> None:
    good = [sample(NOW, 3 * SECOND, MILLISECOND, MILLISECOND)] * 4
    # The own clock was set back by nearly the round trip.
    wild = ClockSample(NOW, NOW + 60 * SECOND, NOW)
    assert estimate_offset([wild, *good]) == ClockOffset(3 * SECOND, MILLISECOND + 1, 5)


def test_skewed_is_said_only_when_it_is_sure() -> None:
    limit = 5 * SECOND
    assert not ClockOffset(limit, 0, 5).skewed(limit)
    assert ClockOffset(limit + 1, 0, 5).skewed(limit)
    assert ClockOffset(-limit - 1, 0, 5).skewed(limit)
    assert not ClockOffset(limit + SECOND, SECOND, 1).skewed(limit)
    assert ClockOffset(limit + SECOND + 1, SECOND, 1).skewed(limit)


@given(
    offset=st.integers(-(10**15), 10**15),
    ways=st.lists(st.tuples(st.integers(0, 10**11), st.integers(0, 10**11)), min_size=1, max_size=30),
    nearest=st.integers(1, 10),
)
def test_the_error_is_within_the_uncertainty(offset: int, ways: list[tuple[int, int]], nearest: int) -> None:
    samples = [sample(NOW + n, offset, out, back) for n, (out, back) in enumerate(ways)]
    estimate = estimate_offset(samples, nearest)
    assert estimate is not None
    assert abs(estimate.offset - offset) <= estimate.uncertainty
    assert estimate.samples == min(nearest, len(ways))
