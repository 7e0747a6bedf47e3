"""Which order decides when several are about one thing, compared with a plain list of what stands."""

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from gongfu.node.drivers import standing
from gongfu.node.drivers.standing import Effect, due
from gongfu.node.drivers.tables import driver_effect

ORDERS = ("a", "b", "c", "d")


def test_the_one_before_decides_when_the_last_is_taken_back() -> None:
    items = [Effect("a", "old", "one"), Effect("b", "old", "two")]
    assert due(items) == "two"
    assert due(items, without="b") == "one"
    assert due(items, without="a") == "two"
    assert due(items[:1], without="a") == "old"


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(("stand", "back")), st.sampled_from(ORDERS), st.integers(0, 3)), max_size=30),
    st.integers(10, 12),
)
def test_any_sequence_ends_as_the_plain_list_says(steps: list[tuple[str, str, int]], before: int) -> None:
    engine = create_engine("sqlite://")
    driver_effect.create(engine)
    thing: object = before
    model: dict[str, int] = {}
    with engine.begin() as connection:
        for step, order, wanted in steps:
            if step == "stand":
                thing = standing.stand(connection, "d", "x", order, lambda thing=thing: thing, wanted, 0)
                model.setdefault(order, wanted)
            else:
                for _ in range(2):  # a call that is repeated before it was forgotten
                    for _, wanted_now in standing.things_of(connection, "d", order):
                        thing = wanted_now
                standing.forget(connection, "d", order)
                model.pop(order, None)
            assert thing == (list(model.values())[-1] if model else before)
    engine.dispose()
