"""Accounts and pacing with a clock that is set."""

from dataclasses import dataclass

import pytest

from gongfu.ingest.admission.account import DEVICE_QUOTA, TENANT_QUOTA
from gongfu.ingest.admission.admission import Admission
from gongfu.ingest.admission.pacer import FIRST_SHARE, MIN_SHARE, Pacer
from gongfu.ingest.admission.quota import Defaults, Override, Policy, Quota
from gongfu.ingest.types import Writer

D1, D2 = Writer(1, 1, "d1", 1, "a1"), Writer(1, 2, "d2", 2, "a2")


@dataclass
class Seconds:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def test_all_connections_of_a_device_share_one_account_and_one_quota() -> None:
    seconds = Seconds()
    admission = Admission(Defaults(device=Quota(points=100.0, burst_s=1.0)), seconds)
    first, second = admission.join(D1), admission.join(D1)
    assert first is second
    first.take(100, 1, 1000, seconds.now)
    assert second.over_quota(seconds.now) == DEVICE_QUOTA
    assert admission.join(D2).over_quota(seconds.now) == ""
    assert second.wait(seconds.now) == pytest.approx(0.01)  # until there is a whole token
    first.take(50, 1, 1000, seconds.now)
    assert second.wait(seconds.now) == pytest.approx(0.51)


def test_a_tenant_quota_is_shared_by_its_devices() -> None:
    seconds = Seconds()
    admission = Admission(Defaults(tenant=Quota(messages=10.0, burst_s=1.0)), seconds)
    one, other = admission.join(D1), admission.join(D2)
    stranger = admission.join(Writer(2, 3, "d3", 3, "a3"))
    one.take(1, 20, 100, seconds.now)
    assert other.over_quota(seconds.now) == TENANT_QUOTA
    assert stranger.over_quota(seconds.now) == ""
    assert other.messages_left(seconds.now + 1.5, 64) == 5


def test_coming_back_does_not_fill_a_quota() -> None:
    seconds = Seconds()
    admission = Admission(Defaults(device=Quota(points=10.0, burst_s=1.0)), seconds)
    account = admission.join(D1)
    account.take(110, 1, 10, seconds.now)
    admission.leave(account)
    again = admission.join(D1)
    assert again.wait(seconds.now) == pytest.approx(10.1)
    admission.leave(again)
    seconds.now += 11.0
    admission.sweep()
    assert admission.join(D1) is not again


def test_an_override_takes_effect_at_once_and_ends_with_it() -> None:
    seconds = Seconds()
    admission = Admission(Defaults(), seconds)
    account = admission.join(D1)
    account.take(1_000_000, 1000, 10**8, seconds.now)
    assert not account.counts
    admission.change((1, 1), Override(points=10.0, burst_s=1.0, policy=Policy.SHED))
    account.take(100, 1, 1, seconds.now)
    assert account.over_quota(seconds.now) == DEVICE_QUOTA
    assert account.sheds(DEVICE_QUOTA)
    admission.change((1, 1), None)
    assert account.over_quota(seconds.now) == ""
    admission.change((1, 0), Override(points=1.0, burst_s=1.0))
    account.take(2, 1, 1, seconds.now)
    assert account.over_quota(seconds.now) == TENANT_QUOTA
    assert not account.sheds(TENANT_QUOTA)


def test_rates_are_those_of_the_last_second() -> None:
    seconds = Seconds()
    account = Admission(Defaults(), seconds).join(D1)
    for _ in range(30):
        seconds.now += 0.1
        account.take(20, 2, 500, seconds.now)
        account.roll(seconds.now)
    points, messages, size = account.rates(seconds.now)
    assert (points, messages, size) == (
        pytest.approx(200.0, rel=0.2),
        pytest.approx(20.0, rel=0.2),
        pytest.approx(5000.0, rel=0.2),
    )


def test_the_first_rate_does_not_count_the_time_before_the_first_message() -> None:
    seconds = Seconds()
    account = Admission(Defaults(), seconds).join(D1)
    seconds.now += 1000.0
    for _ in range(11):
        account.roll(seconds.now)
        account.take(20, 1, 100, seconds.now)
        seconds.now += 0.1
    assert account.rates(seconds.now)[1] == pytest.approx(10.0, rel=0.2)


def calm_pacer() -> Pacer:
    pacer = Pacer()
    for _ in range(50):
        pacer.committed(0.003, calm=True)
    return pacer


def test_who_is_alone_gets_everything() -> None:
    pacer = calm_pacer()
    pacer.committed(0.5, calm=False)
    assert pacer.share == FIRST_SHARE
    assert pacer.adjust(0.0, 0.5, others=False) == 1.0


def test_the_share_falls_while_the_others_feel_it_and_rises_again() -> None:
    pacer, now = calm_pacer(), 0.0
    for _ in range(40):
        now += 0.05
        pacer.committed(0.020, calm=False)
        pacer.adjust(now, 0.0, others=True)
    assert pacer.share == MIN_SHARE
    for _ in range(400):
        now += 0.05
        pacer.committed(0.003, calm=False)
        pacer.adjust(now, 0.0, others=True)
    assert pacer.share == 1.0
    pacer.adjust(now, 0.050, others=True)  # the loop is late: the cores are taken
    assert pacer.share == pytest.approx(0.8)


def test_a_disk_that_became_slow_is_not_blamed_on_the_greedy_for_ever() -> None:
    pacer, now = calm_pacer(), 0.0
    least = 1.0
    for _ in range(1000):
        now += 0.05
        for _ in range(10):
            pacer.committed(0.030, calm=False)
        pacer.adjust(now, 0.0, others=True)
        least = min(least, pacer.share)
    assert least == MIN_SHARE
    assert pacer.share == 1.0
    assert pacer.target > 0.030
