"""Windows: the same for any order of arrival within the lateness, and over a crash at any moment."""

from collections.abc import Sequence

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.appkit.declarations import OnPoints
from gongfu.appkit.samples import Samples, Window
from gongfu.appkit.windowing import IDLE_NS, MAX_SAMPLES, MAX_WAITING, OpenAsset, Ready, Waiting, Windowing

S = 10**9
Told = list[tuple[int, int, dict[str, list[tuple[int, float]]]]]


def handler(window: int = 10 * S, slide: int = 0, lateness: int = 3 * S) -> OnPoints:
    return OnPoints(("*",), "**", "", window, slide or window, lateness, by_arrival=False)


def samples(pairs: Sequence[tuple[int, float]]) -> Samples:
    times = np.array([time for time, _ in pairs], np.int64)
    return Samples(times, np.array([value for _, value in pairs]), np.zeros(len(pairs), np.uint8), "mm/s")


def told(ready: Sequence[Ready]) -> Told:
    return [
        (r.start, r.end, {p: list(zip(s.times.tolist(), s.values.tolist(), strict=True)) for p, s in r.points.items()})
        for r in ready
    ]


def windows_of(events: Sequence[tuple[str, int, float]], wanted: OnPoints) -> Told:
    """The slow reference: every window that has samples, from all of them at once."""
    ends = {end for _, time, _ in events for end in range(time // wanted.slide * wanted.slide + wanted.slide,
            time // wanted.slide * wanted.slide + wanted.window + 1, wanted.slide)}  # fmt: skip
    found: Told = []
    for end in sorted(ends):
        inside = sorted((p, t, v) for p, t, v in events if end - wanted.window <= t < end)
        points: dict[str, list[tuple[int, float]]] = {}
        for point, time, value in inside:
            points.setdefault(point, []).append((time, value))
        found.append((end - wanted.window, end, points))
    return found


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[OnPoints, list[tuple[str, int, float]], list[tuple[str, int, float]]]:
    """A handler, events by time, and the same in an order of arrival disturbed by less than the lateness."""
    lateness = draw(st.integers(0, 5))
    slide = draw(st.sampled_from([0, 2, 5]))
    wanted = handler(slide=slide * S, lateness=lateness * S)
    times = sorted(draw(st.sets(st.integers(0, 120), min_size=1, max_size=40)))
    events = [
        (draw(st.sampled_from("ab")), 1_000_000 * S + time * S, float(number)) for number, time in enumerate(times)
    ]
    delay = [draw(st.integers(0, max(lateness - 1, 0))) for _ in events]
    order = sorted(range(len(events)), key=lambda i: (events[i][1] // S + delay[i], i))
    return wanted, events, [events[i] for i in order]


@settings(max_examples=150, deadline=None)
@given(arrivals(), st.data())
def test_order_of_arrival_and_crashes_change_nothing(
    case: tuple[OnPoints, list[tuple[str, int, float]], list[tuple[str, int, float]]], data: st.DataObject
) -> None:
    wanted, events, arrived = case
    windowing, found = Windowing(wanted), []
    crash = data.draw(st.integers(0, len(arrived)))
    stored, stored_at = b"", 0
    log = 2_000_000 * S
    index, crashed = 0, False
    while index < len(arrived):
        if index == crash and not crashed:
            # What was given since the last store is given again, and is the same: keep it once.
            crashed, windowing = True, Windowing(wanted)
            if stored:
                windowing.restore(msgspec.msgpack.decode(stored, type=dict[str, OpenAsset]))
            again, index = found[:], stored_at
            found = again
            continue
        point, time, value = arrived[index]
        windowing.add("m", point, samples([(time, value)]), log + index)
        for one in told(windowing.ready(log + index)):
            if one in found:
                continue
            found.append(one)
        index += 1
        if data.draw(st.booleans()) and not crashed:
            stored, stored_at = msgspec.msgpack.encode(windowing.assets), index
    found += [one for one in told(windowing.ready(log + 10**15)) if one not in found]
    expected = windows_of(events, wanted)
    assert [one for one in found if one in expected] == found
    # A sliding window closes at the idle end for all that began before the last sample.
    assert [one for one in expected if one not in found] == []
    assert windowing.late == 0


def test_a_late_sample_is_left_out_and_counted() -> None:
    windowing = Windowing(handler())
    windowing.add("m", "a", samples([(100 * S, 1.0), (114 * S, 2.0)]), 0)
    (first,) = windowing.ready(0)
    assert (first.start, first.end) == (100 * S, 110 * S)
    windowing.add("m", "a", samples([(109 * S, 9.0), (111 * S, 3.0), (124 * S, 4.0)]), 0)
    (second,) = windowing.ready(0)
    assert second.points["a"].times.tolist() == [111 * S, 114 * S]
    assert second.late == windowing.late == 1


def test_an_asset_that_falls_silent_closes_its_windows_by_the_clock() -> None:
    windowing = Windowing(handler())
    windowing.add("m", "a", samples([(1000 * S, 1.0)]), 1000 * S)
    assert windowing.ready(1012 * S) == []
    (only,) = windowing.ready(1010 * S + 3 * S + IDLE_NS)
    assert only.end == 1010 * S


def test_groups_by_arrival_come_at_most_so_often() -> None:
    windowing = Windowing(OnPoints(("a",), "**", "", S, S, 0, by_arrival=True))
    windowing.add("m", "a", samples([(5 * S, 1.0)]), 100 * S)
    assert windowing.ready(100 * S) == []
    windowing.add("m", "a", samples([(4 * S, 2.0)]), 100 * S + 1)
    (group,) = windowing.ready(101 * S)
    assert group.points["a"].values.tolist() == [2.0, 1.0]
    assert windowing.ready(105 * S) == []


def test_all_functions_of_an_app_share_what_may_wait() -> None:
    waiting = Waiting()
    functions = [
        Windowing(handler(), waiting),
        Windowing(OnPoints(("a",), "**", "", S, S, 0, by_arrival=True), waiting),
    ]
    many = samples([(time, 0.0) for time in range(MAX_SAMPLES)])
    for asset in range(MAX_WAITING // MAX_SAMPLES // 2):
        for one in functions:
            one.add(f"m{asset}", "a", many, 0)
    assert (waiting.samples, functions[0].shed) == (MAX_WAITING, 0)
    functions[0].add("other", "a", samples([(0, 1.0)]), 0)
    assert functions[0].shed == 1
    # What is given waits no more.
    assert len(functions[1].ready(2 * S)) == len(functions[0].ready(10**15)) == MAX_WAITING // MAX_SAMPLES // 2
    assert waiting.samples == 0
    functions[0].add("other", "a", samples([(10**15, 1.0)]), 0)
    again = Waiting()
    Windowing(handler(), again).restore(functions[0].assets)
    assert (waiting.samples, again.samples) == (1, 1)


def test_a_point_that_was_made_anew_of_another_type_stops_no_window() -> None:
    text = Samples(np.array([2 * S]), np.array(["on"], object), np.zeros(1, np.uint8))
    number = samples([(1 * S, 1.0)])
    for first, second in ((number, text), (text, number)):
        windowing = Windowing(handler())
        windowing.add("m", "a", first, 3 * S)
        windowing.add("m", "a", second, 3 * S)
        windowing.add("m", "a", Samples(np.array([20 * S]), second.values, second.qualities), 21 * S)
        (ready,) = windowing.ready(21 * S)
        assert ready.points["a"].values.tolist() == second.values.tolist()


def test_a_table_holds_last_values() -> None:
    points = {"a": samples([(1, 10.0), (5, 11.0)]), "b": samples([(3, 20.0)])}
    times, table = Window("m", 0, 10, points).table(["a", "b", "none"])
    assert times.tolist() == [1, 3, 5]
    np.testing.assert_array_equal(table[:, :2], [[10.0, np.nan], [10.0, 20.0], [11.0, 20.0]])
    assert np.isnan(table[:, 2]).all()
