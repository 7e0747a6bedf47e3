"""Causes are found by place as they would be by looking at all of them."""

from hypothesis import given
from hypothesis import strategies as st

from gongfu.reason.alarms.causes import LAST, Causes, Standing
from gongfu.reason.alarms.suppression.matching import in_scope
from gongfu.reason.alarms.suppression.types import Place, Scope

paths = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=4).map("/".join)
places = st.builds(Place, st.just(1), st.integers(1, 2), paths, st.sampled_from(["p", "q"]))
orders = st.one_of(st.tuples(st.integers(0, 5), st.sampled_from("xyz")), st.just(LAST))
standings = st.lists(st.builds(Standing, orders, places), max_size=12)


@given(st.sampled_from(Scope), standings, places, st.one_of(st.none(), orders))
def test_a_cause_holds_where_one_of_all_does(
    scope: Scope, standing: list[Standing], place: Place, before: tuple[int, str] | None
) -> None:
    expected = any(
        one.place != place and in_scope(scope, one.place.asset, place.asset) and (before is None or one.order < before)
        for one in standing
    )
    assert Causes(scope, standing).hold_for(place, before) is expected
