"""Points of every type, exactly: columns, windows over a crash, recordings, and an app on the bench."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.appkit.context.messages import SampleColumns, packed, unpacked
from gongfu.appkit.declarations import OnPoints
from gongfu.appkit.recordings import RecordingError, read_recording
from gongfu.appkit.samples import Samples, Window
from gongfu.appkit.testing import Bench, Failed
from gongfu.appkit.value_columns import fitted, kind_named, of_stored, qualities_of, type_of
from gongfu.appkit.value_columns import given as taken
from gongfu.appkit.windowing import MAX_SAMPLES, OpenAsset, Windowing
from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import Quality

S = 10**9
BIG = 2**53 + 1
INTEGERS = st.integers(-(2**63), 2**63 - 1)
COLUMNS = st.one_of(
    st.tuples(st.just(ValueType.DOUBLE), st.lists(st.floats(allow_nan=False), min_size=1, max_size=8)),
    st.tuples(st.just(ValueType.INT64), st.lists(INTEGERS, min_size=1, max_size=8)),
    st.tuples(st.just(ValueType.BOOLEAN), st.lists(st.booleans(), min_size=1, max_size=8)),
    st.tuples(st.just(ValueType.STRING), st.lists(st.text(max_size=5), min_size=1, max_size=8)),
)


def fit(values: list[Any], value_type: ValueType) -> np.ndarray[Any, Any]:
    column, absent = taken(values)
    return fitted(column, absent, value_type)


@settings(deadline=None)
@given(COLUMNS, st.integers(0, 8))
def test_a_column_is_the_same_after_window_crash_and_channel(case: tuple[ValueType, list[Any]], cut: int) -> None:
    value_type, values = case
    times = np.arange(len(values), dtype=np.int64)
    qualities = np.resize(np.array([0, 0x40, 0x84], np.uint8), len(values))
    wanted = OnPoints(("*",), "**", "", 10 * S, 10 * S, 0, by_arrival=False)
    windowing = Windowing(wanted)
    for part in (slice(0, cut), slice(cut, None)):
        column = of_stored(values[part], value_type)
        if len(column):
            windowing.add("m", "p", Samples(times[part], column, qualities[part], "1"), 0)
        stored = msgspec.msgpack.encode(windowing.assets)
        windowing = Windowing(wanted)
        windowing.restore(msgspec.msgpack.decode(stored, type=dict[str, OpenAsset]))
    (window,) = windowing.ready(10**15)
    sent = msgspec.msgpack.encode(packed(window.points["p"]))
    found = unpacked(msgspec.msgpack.decode(sent, type=SampleColumns))
    assert found.values.tolist() == values
    assert found.values.dtype == of_stored(values, value_type).dtype
    assert found.qualities.tolist() == qualities.tolist()
    assert not found.values.flags.writeable


def test_long_texts_take_more_room_and_are_shed_and_counted() -> None:
    windowing = Windowing(OnPoints(("*",), "**", "", 10 * S, 10 * S, 0, by_arrival=False))
    text = of_stored(["x" * (15 * MAX_SAMPLES)], ValueType.STRING)
    for time in range(2):
        windowing.add("m", "p", Samples(np.array([time]), text, np.zeros(1, np.uint8)), 0)
    assert windowing.shed == 1
    (window,) = windowing.ready(10**15)
    assert window.points["p"].times.tolist() == [0]
    windowing.add("m", "p", Samples(np.array([20 * S]), text, np.zeros(1, np.uint8)), 0)
    assert windowing.shed == 1, "the room of what was given is free again"


def test_numbers_that_an_earlier_version_stored_as_doubles_go_on_as_their_type() -> None:
    old = OpenAsset(watermark=1, samples=2)
    times, doubles = np.array([0, 1]), np.array([3.0, np.nan])
    earlier = {"point": "p", "unit": "1", "times": times.tobytes(), "values": doubles.tobytes(), "qualities": b"\0\x81"}
    assets = msgspec.convert({"m": {**msgspec.to_builtins(old), "pieces": [earlier]}}, dict[str, OpenAsset])
    windowing = Windowing(OnPoints(("*",), "**", "", 10 * S, 10 * S, 0, by_arrival=False))
    windowing.restore(assets)
    windowing.add("m", "p", Samples(np.array([2]), np.array([BIG]), np.zeros(1, np.uint8), "1"), 0)
    (window,) = windowing.ready(10**15)
    assert window.points["p"].values.tolist() == [3, 0, BIG]


@pytest.mark.parametrize(
    ("values", "kind", "stored"),
    [
        ([1, None, BIG], ValueType.INT64, [1, 0, BIG]),
        ([1.0, 2.0], ValueType.INT64, [1, 2]),
        ([1, 2], ValueType.DOUBLE, [1.0, 2.0]),
        ([True, 2], ValueType.DOUBLE, [1.0, 2.0]),
        ([True, None], ValueType.BOOLEAN, [True, False]),
        (["a", None], ValueType.STRING, ["a", ""]),
        (["[1]", None], ValueType.JSON, ["[1]", "null"]),
        ([None], ValueType.STRING, [""]),
        (np.array([BIG]), ValueType.INT64, [BIG]),
        (np.array(["a"]), ValueType.STRING, ["a"]),
    ],
)
def test_values_are_stored_exactly(values: Any, kind: ValueType, stored: list[Any]) -> None:
    found = fit(values, kind)
    assert found.tolist() == stored
    assert found.dtype == of_stored(stored, kind).dtype


@pytest.mark.parametrize(
    ("values", "kind", "says"),
    [
        ([1.5], ValueType.INT64, "whole numbers"),
        ([np.nan], ValueType.INT64, "whole numbers"),
        ([float(2**60)], ValueType.INT64, "through a float"),
        ([BIG], ValueType.DOUBLE, "exactly"),
        ([1], ValueType.BOOLEAN, "true or false"),
        (["a"], ValueType.DOUBLE, "takes numbers"),
        ([1], ValueType.STRING, "takes text"),
        (["{"], ValueType.JSON, "JSON text"),
        (["\ud800"], ValueType.STRING, "Unicode"),
        ([1, "a"], ValueType.STRING, "all numbers"),
        ([b"a"], ValueType.STRING, "all numbers"),
        ([2**63], ValueType.INT64, "beyond 64 bits"),
        (np.array([[1.0]]), ValueType.DOUBLE, "shape"),
    ],
)
def test_what_does_not_fit_is_refused(values: Any, kind: ValueType, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        fit(values, kind)


def test_the_type_of_a_new_point() -> None:
    made = [type_of(taken(values)[0]) for values in ([1], [1.5], [True], ["a"])]
    assert made == [ValueType.DOUBLE, ValueType.DOUBLE, ValueType.BOOLEAN, ValueType.STRING]
    assert type_of(taken([1])[0], "int64") is ValueType.INT64
    with pytest.raises(ValueError, match="type is one of"):
        type_of(taken([1])[0], "float")


def test_what_has_no_value_is_bad() -> None:
    column, absent = taken([1.0, None, np.inf])
    found = qualities_of(column, absent, Quality.UNCERTAIN).tolist()
    assert found == [Quality.UNCERTAIN, Quality.BAD_NO_DATA, Quality.BAD_NOT_A_NUMBER]
    assert [kind_named(kind) for kind in ValueType] == ["double", "int64", "boolean", "text", "text"]


def test_a_table_is_of_numbers() -> None:
    times, zeros = np.array([1, 2]), np.zeros(2, np.uint8)
    points = {
        "on": Samples(times, np.array([True, False]), zeros),
        "count": Samples(times, np.array([3, 4]), np.array([0, 0x80], np.uint8)),
        "mode": Samples(times, of_stored(["a", "b"], ValueType.STRING), zeros),
    }
    window = Window("m", 0, 10, points)
    assert window.table(["on", "count"])[1].tolist() == [[1.0, 3.0], [0.0, 3.0]]
    with pytest.raises(ValueError, match="'mode' is a point of text"):
        window.table(["on", "mode"])


LONG = """\
time,asset,point,value,unit,type,quality
0,m 1,total,9007199254740993,1,int64,
1,m 1,total,,1,int64,
2,m 1,total,9007199254740995,1,int64,bad
0,m 1,on,true,,boolean,
0,m 1,mode,自动,,string,uncertain
0,m 1,level,nan,m,,
"""
WIDE = """\
time,asset,level [m],total {int64} [1],mode {string},lid {open}
0,m 1,1.5,9007199254740993,auto,1
1,m 1,,,,
"""


def test_recordings_name_the_types_of_their_points(tmp_path: Path) -> None:
    (tmp_path / "long.csv").write_text(LONG)
    (long,) = read_recording(tmp_path / "long.csv", 0)
    assert {p: (k.label, s.values.tolist(), s.qualities.tolist()) for _, p, k, s in long if p != "level"} == {
        "total": ("int64", [BIG, 0, BIG + 2], [0, Quality.BAD_NO_DATA, Quality.BAD]),
        "on": ("boolean", [True], [0]),
        "mode": ("string", ["自动"], [Quality.UNCERTAIN]),
    }
    assert [s.qualities.tolist() for _, p, _, s in long if p == "level"] == [[Quality.BAD_NOT_A_NUMBER]]
    (tmp_path / "wide.csv").write_text(WIDE)
    (wide,) = read_recording(tmp_path / "wide.csv", 0)
    assert [(p, k.label, s.unit, s.values.tolist()) for _, p, k, s in wide] == [
        ("level", "double", "m", [1.5]),
        ("total", "int64", "1", [BIG]),
        ("mode", "string", "", ["auto"]),
        ("lid {open}", "double", "", [1.0]),
    ]


@pytest.mark.parametrize(
    ("row", "says"), [("0,p,yes,boolean", "true or false"), ("0,p,1.5,int64", "line 2"), ("0,p,1,float", "type is one")]
)
def test_a_recording_that_is_of_another_type_is_refused(tmp_path: Path, row: str, says: str) -> None:
    (tmp_path / "r.csv").write_text(f"time,point,value,type\n{row}\n")
    with pytest.raises(RecordingError, match=says):
        list(read_recording(tmp_path / "r.csv", 0))


APP = """\
from gongfu.appkit.contract import App, AppError, Context, Window

app = App()


@app.on("in *", window="10s")
def watch(context: Context, window: Window) -> None:
    mode = window["in mode"].good
    if len(mode) and mode.values[-1] == "manual" and not window["in on"].values[-1]:
        context.raise_alarm("mode", window.asset, "manual and off", time=window.end)
    total = window["in total"]
    context.write(window.asset, "total", total.times, total.values, type="int64")
    context.write(window.asset, "mode", mode.times, mode.values)
    try:
        context.write(window.asset, "mode", [window.end], [1.0])
    except AppError as error:
        context.log(str(error))
"""
TOML = """\
[app]
id = "test.typed"
version = "1.0.0"
title = { zh = "型", en = "Typed" }
[[needs.points]]
point = "in *"
[[needs.points]]
point = "total"
access = "write"
[[needs.points]]
point = "mode"
access = "write"
[needs.alarms]
"""


def test_a_test_of_an_app_has_points_of_every_type(tmp_path: Path) -> None:
    (tmp_path / "app.toml").write_text(TOML)
    (tmp_path / "app.py").write_text(APP)
    bench = Bench.load(tmp_path)
    start = bench.now
    times = [start + n * S for n in range(3)]
    bench.feed(
        "m 1",
        {"in mode": ["auto", "manual", None], "in on": [True, False, False], "in total": [BIG, None, BIG + 2]},
        times,
        types={"in total": "int64"},
    )
    bench.settle()
    assert [alarm.key for alarm in bench.alarms] == ["mode"]
    total = bench.written("m 1", "total")
    assert (total.values.dtype, total.values.tolist()) == (np.int64, [BIG, 0, BIG + 2])
    assert bench.written("m 1", "mode").values.tolist() == ["auto", "manual"]
    assert bench.log == ["info: write: the point is string and takes text"]
    assert [(one.point, one.value_type) for one in bench.context.points(point="in *")] == [
        ("in mode", "string"),
        ("in on", "boolean"),
        ("in total", "int64"),
    ]
    with pytest.raises(Failed, match="takes text"):
        bench.feed("m 1", {"in mode": [1.0]}, [start])
