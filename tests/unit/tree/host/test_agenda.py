"""What is due at a time."""

import random

from gongfu.tree.host.agenda import Agenda


def test_what_is_due_is_done_in_order_and_once() -> None:
    rng, agenda, done = random.Random(5), Agenda(), list[int]()
    times = [rng.randrange(1000) for _ in range(300)]
    cancels = [agenda.add(when, lambda when=when: done.append(when)) for when in times]
    left = []
    for when, cancel in zip(times, cancels, strict=True):
        if rng.random() < 0.5:
            cancel()
            cancel()
        else:
            left.append(when)
    agenda.run(499)
    assert done == sorted(when for when in left if when <= 499)
    assert agenda.next == min(when for when in left if when > 499)
    agenda.run(1000)
    assert done == sorted(left)
    assert agenda.next is None
    assert len(agenda) == 0


def test_an_action_may_add_another_and_one_that_fails_stops_none() -> None:
    agenda, done = Agenda(), list[str]()
    agenda.add(1, lambda: done.append(str(1 // 0)))
    agenda.add(2, lambda: agenda.add(2, lambda: done.append("second")) and None)
    agenda.run(2)
    assert done == ["second"]


def test_cancelled_entries_take_no_memory_for_long() -> None:
    agenda = Agenda()
    for i in range(100_000):
        agenda.add(10**18 + i, lambda: None)()
    assert len(agenda._heap) < 5_000
