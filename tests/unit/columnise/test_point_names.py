"""Compact names against a dictionary."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.ingest.columnise.point_names import MAX_SHARED, PointNames
from gongfu.kernel.points import Series, ValueType

updates = st.lists(
    st.dictionaries(st.sampled_from("abcdefghij"), st.tuples(st.integers(1, 2**32 - 1), st.sampled_from(ValueType))),
    max_size=5,
)


@settings(deadline=None)
@given(updates)
def test_it_is_the_dictionary(given: list[dict[str, tuple[int, ValueType]]]) -> None:
    names, reference = PointNames(), dict[str, Series]()
    for update in given:
        points = {name: Series(series, value_type) for name, (series, value_type) in update.items()}
        names.update(points)
        # A point keeps its series and type for ever.
        reference = {**points, **reference}
        assert dict(names) == reference
        assert len(names) == len(reference)
        for name in "abcdefghijk":
            assert (name in names) == (name in reference)
            assert names.get(name) == reference.get(name)


def test_assets_with_the_same_points_share_their_names() -> None:
    one, other = PointNames(), PointNames()
    for first, names in ((10, one), (500, other)):
        names.update({f"p{n}": Series(first + n, ValueType.DOUBLE) for n in range(3)})
    assert one._shape is other._shape  # pyright: ignore[reportPrivateUsage]
    assert (one["p2"].series, other["p2"].series) == (12, 502)


def test_many_points() -> None:
    points = {f"p{n}": Series(2 * n + 1, ValueType.INT64) for n in range(MAX_SHARED + 10)}
    names = PointNames()
    names.update(points)
    assert dict(names) == points
