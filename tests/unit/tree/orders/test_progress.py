from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.tree.orders.combined import TERMINAL, Shown
from gongfu.tree.orders.kinds import Step
from gongfu.tree.orders.progress import STATES, Cell, Group, Progress
from gongfu.tree.orders.timers import late

GROUPS: list[Group] = [("site", "a"), ("site", "b"), ("enterprise", "a")]
targets_of = st.dictionaries(st.integers(0, 9), st.sampled_from(GROUPS), min_size=1)


@given(targets_of, st.data())
def test_counting_as_it_moves_comes_to_counting_at_the_end(targets: dict[int, Group], data: st.DataObject) -> None:
    progress = Progress()
    states = dict.fromkeys(targets, Shown.ISSUED)
    for group in targets.values():
        progress.expect(group)
    moves = data.draw(st.lists(st.tuples(st.sampled_from(sorted(targets)), st.sampled_from(Shown)), max_size=30))
    for target, new in moves:
        progress.move(targets[target], states[target], new)
        states[target] = new
    assert progress.totals() == Counter(states.values())
    for tier, child in {(tier, child) for tier, child in targets.values()}:
        inside = [target for target in targets if targets[target] == (tier, child)]
        assert progress.totals(tier, child) == Counter(states[target] for target in inside)
        assert progress.totals(tier) == Counter(state for target, state in states.items() if targets[target][0] == tier)
        assert progress.totals(child=child) == Counter(
            state for target, state in states.items() if targets[target][1] == child
        )
    assert progress.targets() == len(targets)
    assert progress.open() == sum(state not in TERMINAL for state in states.values())
    for step in Step:
        assert progress.late(step) == sum(late(step, state) for state in states.values())


cells = st.lists(
    st.builds(
        Cell,
        st.sampled_from(["site", "enterprise"]),
        st.sampled_from("abc"),
        st.lists(st.integers(0, 5), min_size=len(STATES), max_size=len(STATES)).map(tuple),
    ),
    max_size=4,
)


@given(cells, cells, cells)
def test_progresses_of_different_targets_add_up(first: list[Cell], second: list[Cell], third: list[Cell]) -> None:
    one, two, three = Progress(first), Progress(second), Progress(third)
    assert one.merged(two).cells() == two.merged(one).cells()
    assert one.merged(two).merged(three).cells() == one.merged(two.merged(three)).cells()
    assert one.merged(Progress()).cells() == one.cells() == Progress(one.cells()).cells()
    assert one.merged(two).targets() == one.targets() + two.targets()
    # A child's newer progress takes the place of its older one.
    known = one.as_child("x").merged(two.as_child("y"))
    assert (
        known.without("x").merged(three.as_child("x")).cells() == three.as_child("x").merged(two.as_child("y")).cells()
    )
    assert one.as_child("x").totals() == one.totals()


def test_a_target_cannot_leave_a_state_it_is_not_in() -> None:
    progress = Progress()
    progress.expect(("site", "a"))
    with pytest.raises(ValueError, match="no target"):
        progress.move(("site", "a"), Shown.DELIVERED, Shown.ACCEPTED)
    with pytest.raises(ValueError, match="no target"):
        progress.move(("site", "b"), Shown.ISSUED, Shown.ACCEPTED)


@pytest.mark.parametrize("counts", [(1,), (*[0] * (len(STATES) - 1), -1)])
def test_cells_that_are_none(counts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="counts"):
        Progress([Cell("site", "a", counts)])
