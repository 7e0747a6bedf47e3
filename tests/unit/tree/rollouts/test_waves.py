"""Waves: how targets are split, when the next wave goes, and what is taken back."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.tree.rollouts import waves
from gongfu.tree.rollouts.waves import Act, Counts, Gate, Rollout, State, Wave, split

HOUR = 3_600_000_000_000


def rollout(*targets: int, **options: Any) -> Rollout:
    made = tuple(Wave(order=f"order-{index}", targets=count) for index, count in enumerate(targets))
    gate = options.pop("gate", Gate(share=0.8, within=HOUR, soak=0))
    return Rollout(waves=made, gate=gate, **options)


def issued(present: Rollout, now: int) -> Rollout:
    """Do what is pending, as the shell does."""
    for act, order in waves.pending(present):
        present = waves.done(present, act, order, now)
    return present


def test_canaries_then_shares_then_the_rest() -> None:
    assert [len(wave) for wave in split(range(100), 2, (0.1, 0.5))] == [2, 8, 40, 50]
    assert [len(wave) for wave in split(range(3), 2, (0.1, 0.5))] == [2, 1]
    assert [len(wave) for wave in split(range(1), 5, ())] == [1]
    assert split(range(0), 1, ()) == []


@settings(deadline=None)
@given(st.integers(0, 500), st.integers(0, 600), st.lists(st.floats(0.001, 1), max_size=6))
def test_every_target_is_in_exactly_one_wave(count: int, canaries: int, shares: list[float]) -> None:
    parts = split(range(count), canaries, shares)
    assert [target for part in parts for target in part] == list(range(count))
    assert all(parts)


def test_the_next_wave_waits_for_the_gate_and_the_soak() -> None:
    present = rollout(10, 90, gate=Gate(share=0.8, within=HOUR, soak=60))
    present = waves.advance(present, {}, 0)
    assert waves.pending(present) == [(Act.ISSUE, "order-0")]
    assert waves.advance(present, {"order-0": Counts(10, 0)}, 1) == present, "not before it was issued"
    present = issued(present, 100)
    present = waves.advance(present, {"order-0": Counts(7, 3)}, 200)
    assert waves.pending(present) == []
    present = waves.advance(present, {"order-0": Counts(8, 2)}, 300)
    assert (present.waves[0].passed_at, waves.pending(present)) == (300, [])
    assert waves.pending(waves.advance(present, {"order-0": Counts(8, 2)}, 359)) == []
    present = waves.advance(present, {"order-0": Counts(8, 2)}, 360)
    assert waves.pending(present) == [(Act.ISSUE, "order-1")]


def test_a_wave_that_falls_back_while_it_soaks_soaks_again() -> None:
    present = issued(waves.advance(rollout(10, 90, gate=Gate(share=0.8, within=HOUR, soak=60)), {}, 0), 1)
    present = waves.advance(present, {"order-0": Counts(8, 2)}, 300)
    present = waves.advance(present, {"order-0": Counts(7, 3)}, 330)
    present = waves.advance(present, {"order-0": Counts(8, 2)}, 350)
    assert waves.pending(waves.advance(present, {"order-0": Counts(8, 2)}, 409)) == []


@pytest.mark.parametrize(
    ("policy", "ends"),
    [
        ("all", [(Act.REVOKE, "order-0"), (Act.REVOKE, "order-1"), (Act.DISCARD, "order-2")]),
        ("wave", [(Act.REVOKE, "order-1"), (Act.DISCARD, "order-2")]),
        ("none", [(Act.DISCARD, "order-2")]),
    ],
)
def test_a_gate_that_cannot_be_passed_any_more_ends_it(policy: str, ends: list[tuple[Act, str]]) -> None:
    present = issued(waves.advance(rollout(2, 10, 88, on_failure=policy), {}, 0), 1)
    present = issued(waves.advance(present, {"order-0": Counts(2, 0)}, 2), 3)
    present = waves.advance(present, {"order-0": Counts(2, 0), "order-1": Counts(5, 2)}, 4)
    assert (present.state, present.reason) == (State.FAILED, "wave 2: at most 7 of 8")
    assert waves.pending(present) == ends
    assert waves.pending(issued(present, 5)) == []


def test_a_gate_that_is_not_passed_in_time_ends_it() -> None:
    present = issued(waves.advance(rollout(10, 90), {}, 0), 5)
    assert waves.advance(present, {"order-0": Counts(7, 3)}, 4 + HOUR).state is State.RUNNING
    assert waves.advance(present, {"order-0": Counts(7, 3)}, 5 + HOUR).reason == "wave 1: 7 of 8 in time"


def test_a_paused_one_issues_nothing_and_still_fails() -> None:
    present = issued(waves.advance(rollout(10, 90), {}, 0), 5)
    paused = waves.pause(present, "lunch")
    assert paused is not None
    assert waves.pending(waves.advance(paused, {"order-0": Counts(10, 0)}, 9)) == []
    assert waves.advance(paused, {"order-0": Counts(1, 0)}, 9).state is State.FAILED
    again = waves.resume(waves.advance(paused, {"order-0": Counts(10, 0)}, 9))
    assert again is not None
    assert waves.pending(waves.advance(again, {"order-0": Counts(10, 0)}, 10)) == [(Act.ISSUE, "order-1")]


def test_an_order_that_may_not_be_issued_pauses_and_is_tried_again() -> None:
    present = waves.refused(waves.advance(rollout(10), {}, 0), "approvals-missing")
    assert (present.state, waves.pending(present)) == (State.PAUSED, [])
    again = waves.resume(present)
    assert again is not None
    assert waves.pending(again) == [(Act.ISSUE, "order-0")]


def test_what_is_over_stays_over() -> None:
    present = issued(waves.advance(rollout(10), {}, 0), 5)
    present = waves.advance(present, {"order-0": Counts(9, 1)}, 6)
    assert present.state is State.DONE
    assert waves.advance(present, {"order-0": Counts(0, 0)}, 7) == present
    assert waves.stop(present, "", take_back=True) is None
    assert waves.pause(present, "") is None
    assert waves.resume(present) is None


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 8), min_size=1, max_size=5),
    st.floats(0.1, 1),
    st.integers(0, 20),
    st.sampled_from(("all", "wave", "none")),
    st.integers(0, 2**32),
)
def test_whatever_happens_no_wave_goes_before_the_one_before_it_passed(
    sizes: list[int], share: float, soak: int, policy: str, seed: int
) -> None:
    chance = random.Random(seed)
    present = rollout(*sizes, gate=Gate(share=share, within=50, soak=soak), on_failure=policy)
    verified = [0] * len(sizes)
    bad = [0] * len(sizes)
    went: list[str] = []
    revoked: set[str] = set()
    for now in range(1, 200):
        for index, wave in enumerate(present.waves):
            if wave.issued_at and verified[index] + bad[index] < sizes[index] and chance.random() < 0.5:
                (verified if chance.random() < 0.8 else bad)[index] += 1
        counts = {
            f"order-{index}": Counts(verified[index], sizes[index] - verified[index] - bad[index])
            for index in range(len(sizes))
        }
        before = present
        if chance.random() < 0.03:
            present = waves.pause(present, "x") or waves.resume(present) or present
        if chance.random() < 0.005:
            present = waves.stop(present, "x", take_back=chance.random() < 0.5) or present
        present = waves.advance(present, counts, now)
        for act, order in waves.pending(present):
            if chance.random() < 0.7:  # a crash before it was done, or before that was noted
                if act is Act.ISSUE:
                    assert present.state is State.RUNNING
                    number = int(order.removeprefix("order-"))
                    assert all(verified[i] >= share * sizes[i] - 1e-9 for i in range(number))
                    if order not in went:
                        went.append(order)
                else:
                    revoked.add(order)
                if chance.random() < 0.8:
                    present = waves.done(present, act, order, now)
        assert before.state in waves.OPEN or present.state is before.state
    assert went == [f"order-{index}" for index in range(len(went))]
    if present.state is State.DONE:
        assert len(went) == len(sizes)
        assert not revoked
        assert all(verified[i] >= share * sizes[i] - 1e-9 for i in range(len(sizes)))
    for _ in range(3):
        for act, order in waves.pending(present):
            if act is not Act.ISSUE:
                revoked.add(order)
            present = waves.done(present, act, order, 1000)
    if present.state in (State.FAILED, State.STOPPED) and present.on_failure == "all":
        assert revoked == {wave.order for wave in present.waves}
