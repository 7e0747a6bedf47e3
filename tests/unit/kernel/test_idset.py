"""Sets of ids against Python's sets."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.kernel.idset import MAX_ID, IdSet, pack_flags, unpack_flags

ids = st.integers(0, 5000)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), ids)), st.sets(ids))
def test_it_is_the_set(steps: list[tuple[bool, int]], others: set[int]) -> None:
    mine, reference = IdSet(), set[int]()
    for put, key in steps:
        (mine.add if put else mine.discard)(key)
        (reference.add if put else reference.discard)(key)
    assert (set(mine), len(mine)) == (reference, len(reference))
    assert set(mine | IdSet(others)) == reference | others
    assert all((key in mine) == (key in reference) for key in range(0, 5000, 97))
    flags = mine.flags(6000)
    assert (unpack_flags(pack_flags(flags), 6000) == flags).all()


def test_ids_that_cannot_be() -> None:
    mine = IdSet([MAX_ID + 1, -1])
    assert len(mine) == 0
    assert -1 not in mine
