"""What is wrong with a series query is told with what would be right."""

from typing import Any

import msgspec
import pytest

from gongfu.kernel.aggregates.types import AggregateFunction
from gongfu.kernel.errors import Problem
from gongfu.kernel.points import ValueType
from gongfu.store.history.documents import SeriesQuery
from gongfu.store.history.requests import Wanted, aggregate_named, wanted
from gongfu.store.history.types import Aggregate

NOW = 1_000_000 * 10**9


def ask(n: int = 1, **document: Any) -> Wanted:
    return wanted(msgspec.convert({"series": [1], "from": 0, **document}, SeriesQuery), n, NOW)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"from": 5, "to": 4}, "swap them"),
        ({"from": None}, "from is missing"),
        ({"aggregate": "avgerage", "step": 1}, "did you mean Average or TimeAverage"),
        ({"aggregate": "timeaverage2", "step": 1}, "did you mean TimeAverage2"),
        ({"aggregate": "duration_good", "step": 1}, "DurationGood"),
        ({"aggregate": "?", "step": 1}, "there are avg, min"),
        ({"aggregate": "Average"}, "go together"),
        ({"step": 60}, "go together"),
        ({"aggregate": "Average", "step": 0}, "step must be"),
        ({"aggregate": "Average", "step": -60}, "step must be"),
        ({"aggregate": "Average", "step": 1, "to": 86_400_000},
         "86400 intervals .* more than 10000: take a step of 8.64 s"),
        ({"aggregate": "Average", "step": 1, "to": 0}, "must differ"),
        ({"aggregate": "Average", "step": 9, "to": 9000, "percent_data_bad": 101}, "percent_data_bad must be 0 to 100"),
        ({"aggregate": "Average", "step": 9, "to": 9000, "percent_data_good": -1},
         "percent_data_good must be 0 to 100"),
        ({"at": [1], "aggregate": "avg", "step": 1}, "exclude each other"),
        ({"at": [1] * 10_001}, "at most 10000"),
        ({"at": ["noon"]}, "at: not an RFC 3339"),
        ({"gaps": {}}, "longer_than"),
        ({"gaps": {"longer_than": 0}}, "more than 0"),
        ({"gaps": {"times_usual": 0.5}}, "times_usual must be"),
        ({"as_of": "yesterday"}, "as_of"),
    ],
)  # fmt: skip
def test_problems(document: dict[str, Any], words: str) -> None:
    with pytest.raises(Problem, match=words) as caught:
        ask(**document)
    assert caught.value.status == 400


def test_names_of_aggregates() -> None:
    for name in [*Aggregate, *AggregateFunction]:
        assert aggregate_named(name.value) is name
    with pytest.raises(Problem) as caught:
        aggregate_named("Maximun")
    assert caught.value.document()["did_you_mean"][0] == "Maximum"


def test_opc_ua_intervals_end_now_when_no_end_is_given() -> None:
    asked = ask(aggregate="Count", step=1000)
    assert (asked.time_to, asked.function, asked.how) == (NOW, AggregateFunction.COUNT, None)
    assert ask(aggregate="count", step=1000).how is Aggregate.COUNT


def test_the_share_of_many_series_bounds_the_intervals() -> None:
    ask(n=200, aggregate="Count", step=1, to=10_000_000)
    with pytest.raises(Problem, match="more than 9950"):
        ask(n=201, aggregate="Count", step=1, to=10_000_000)


def test_lines_between_held_values_are_refused() -> None:
    assert ask().configuration_for(ValueType.BOOLEAN).stepped is True
    assert ask().configuration_for(ValueType.INT64).stepped is False
    assert ask(stepped=True).configuration_for(ValueType.DOUBLE).stepped is True
    for value_type in (ValueType.BOOLEAN, ValueType.STRING, ValueType.JSON):
        with pytest.raises(Problem, match="leave stepped out"):
            ask(stepped=False).configuration_for(value_type)
