from itertools import pairwise

import msgspec
import pytest

from gongfu.tree.orders.combined import TERMINAL, Shown
from gongfu.tree.orders.kinds import Clock, Step
from gongfu.tree.orders.timers import Flags, Timer, due, flags, late, timers
from tests.unit.tree.orders.nodes import NOW, SECOND, order, order_kind

START = NOW + 100 * SECOND
DOCUMENT = order(not_before=START)
KIND = order_kind(
    clocks={
        Step.DELIVER: Clock(10 * SECOND, 5 * SECOND, "province"),
        Step.ACCEPT: Clock(20 * SECOND),
        Step.EXECUTE: Clock(30 * SECOND, 0, "duty officer"),
        Step.VERIFY: Clock(0),
    }
)


def test_timers_follow_from_document_and_kind() -> None:
    assert timers(DOCUMENT, KIND) == (
        Timer(NOW + 10 * SECOND, DOCUMENT.id, Step.DELIVER),
        Timer(NOW + 15 * SECOND, DOCUMENT.id, Step.DELIVER, True, "province"),
        Timer(NOW + 20 * SECOND, DOCUMENT.id, Step.ACCEPT),
        Timer(START + 30 * SECOND, DOCUMENT.id, Step.EXECUTE),
        Timer(START + 30 * SECOND, DOCUMENT.id, Step.EXECUTE, True, "duty officer"),
    )


def test_timers_are_values_that_survive_a_restart() -> None:
    fired, rest = due(timers(DOCUMENT, KIND), NOW + 15 * SECOND)
    assert [timer.due for timer in fired] == [NOW + 10 * SECOND, NOW + 15 * SECOND]
    stored = msgspec.json.decode(msgspec.json.encode(rest), type=list[Timer])
    # After a long stop everything that is due fires, earliest first, and nothing again.
    again, rest = due(reversed(stored), START + 999 * SECOND)
    assert [timer.step for timer in again] == [Step.ACCEPT, Step.EXECUTE, Step.EXECUTE]
    assert rest == []


@pytest.mark.parametrize("state", list(Shown))
def test_who_is_late_for_a_step_is_late_for_the_next(state: Shown) -> None:
    found = [late(step, state) for step in Step]
    assert all(following or not step for step, following in pairwise(found))
    assert (found == [False] * 4) is (state in TERMINAL)


@pytest.mark.parametrize(
    ("state", "after", "expected"),
    [
        (Shown.ISSUED, 9, Flags()),
        (Shown.ISSUED, 10, Flags(Step.DELIVER)),
        (Shown.ISSUED, 15, Flags(Step.DELIVER, Step.DELIVER)),
        (Shown.DELIVERED, 19, Flags()),
        (Shown.DELIVERED, 20, Flags(Step.ACCEPT)),
        (Shown.ACCEPTED, 129, Flags()),
        (Shown.EXECUTING, 130, Flags(Step.EXECUTE, Step.EXECUTE)),
        (Shown.DELIVERED, 130, Flags(Step.ACCEPT, Step.EXECUTE)),
        (Shown.EXECUTED, 999, Flags()),
        (Shown.REFUSED, 999, Flags()),
    ],
)
def test_flags(state: Shown, after: int, expected: Flags) -> None:
    assert flags(DOCUMENT, KIND, state, NOW + after * SECOND) == expected


def test_an_effect_without_a_verdict_is_overdue_where_that_has_a_clock() -> None:
    kind = order_kind(clocks={Step.VERIFY: Clock(SECOND)})
    for state in (Shown.EXECUTED, Shown.ROLLED_BACK, Shown.ROLLING_BACK):
        assert flags(DOCUMENT, kind, state, START + SECOND) == Flags(Step.VERIFY)
    assert flags(DOCUMENT, kind, Shown.VERIFIED, START + SECOND) == Flags()
