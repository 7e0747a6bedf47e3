"""Token buckets: never more than rate and burst allow, never less than the rate when somebody keeps asking."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.ingest.admission.bucket import TokenBucket
from gongfu.ingest.admission.limiter import Limiter
from gongfu.ingest.admission.quota import NO_OVERRIDE, Override, Policy, Quota

RATES = st.floats(0.1, 1e6)
BURSTS = st.floats(0.5, 1e6)
# What a caller does next: how long it waits, and how much it then has.
STEPS = st.lists(st.tuples(st.floats(0.0, 10.0), st.floats(0.0, 1e4)), max_size=50)


@settings(deadline=None)
@given(RATES, BURSTS, STEPS)
def test_a_caller_that_waits_when_told_never_gets_more_than_rate_and_burst(
    rate: float, burst: float, steps: list[tuple[float, float]]
) -> None:
    now, taken, last = 100.0, 0.0, 0.0
    bucket = TokenBucket(rate, burst, now)
    for pause, amount in steps:
        now += pause
        if bucket.wait(now) == 0.0:
            bucket.take(amount, now)
            taken, last = taken + amount, amount
            assert taken <= (rate * (now - 100.0) + burst + last) * (1 + 1e-9)


@settings(deadline=None)
@given(RATES, BURSTS, st.lists(st.floats(0.01, 1e4), min_size=1, max_size=50))
def test_a_caller_that_comes_as_soon_as_it_may_gets_the_rate(rate: float, burst: float, amounts: list[float]) -> None:
    now, taken = 0.0, 0.0
    bucket = TokenBucket(rate, burst, now)
    for amount in amounts:
        now += bucket.wait(now) * (1 + 1e-9) + 1e-9
        assert bucket.wait(now) == 0.0
        bucket.take(amount, now)
        taken += amount
    # It is never made to wait for longer than its debt needs.
    assert now * rate <= taken * (1 + 1e-6) + rate * 1e-6 * len(amounts) + 1.0


def test_a_bucket_is_full_again_after_burst_by_rate() -> None:
    bucket = TokenBucket(10.0, 50.0, 0.0)
    bucket.take(50.0, 0.0)
    assert not bucket.full(4.99)
    assert bucket.full(5.0)


def test_a_change_keeps_the_debt() -> None:
    bucket = TokenBucket(10.0, 50.0, 0.0)
    bucket.take(150.0, 0.0)
    bucket.change(100.0, 20.0, 0.0)
    assert bucket.wait(0.0) == pytest.approx(1.01)  # until there is a whole token


@dataclass
class _Spent:
    points: float = 0.0
    messages: float = 0.0
    size: float = 0.0


@settings(deadline=None)
@given(
    st.builds(Quota, *[st.one_of(st.just(0.0), st.floats(1.0, 1e5))] * 3, st.floats(0.1, 60.0)),
    st.lists(
        st.tuples(st.floats(0.0, 5.0), st.integers(0, 500), st.integers(1, 50), st.integers(1, 50_000)), max_size=40
    ),
)
def test_every_figure_of_a_quota_holds_at_once(quota: Quota, steps: list[tuple[float, int, int, int]]) -> None:
    now = 0.0
    limiter = Limiter(quota, now)
    spent, last = _Spent(), _Spent()
    for pause, points, messages, size in steps:
        now += pause
        if limiter.shut > now:
            assert limiter.wait(now) > 0.0
            continue
        limiter.take(points, messages, size, now)
        last = _Spent(points, messages, size)
        spent = _Spent(spent.points + points, spent.messages + messages, spent.size + size)
        for rate, total, one in (
            (quota.points, spent.points, last.points),
            (quota.messages, spent.messages, last.messages),
            (quota.bytes, spent.size, last.size),
        ):
            assert rate == 0 or total <= (rate * now + max(1.0, rate * quota.burst_s) + one) * (1 + 1e-9)
    if not quota.limited:
        assert limiter.shut == 0.0


def test_what_the_records_leave_open_is_the_setting() -> None:
    setting = Quota(100.0, 10.0, 0.0, 5.0, Policy.SHED)
    assert NO_OVERRIDE.on(setting) == setting
    assert Override(points=0.0, policy=Policy.DELAY).on(setting) == Quota(0.0, 10.0, 0.0, 5.0, Policy.DELAY)
