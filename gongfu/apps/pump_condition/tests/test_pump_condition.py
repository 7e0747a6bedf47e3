"""The app on a recording (made up, see demonstration.py): pump 1 has four faults one after the other, pump 2 none."""

from functools import cache
from math import isclose
from pathlib import Path

from gongfu.appkit.testing import START_NS, Bench

FOLDER = Path(__file__).parents[1]
# Key, and from which to which minute it is there.
FAULTS = (("wear", 30, 50), ("leakage", 65, 80), ("cavitation", 95, 110), ("valve erosion", 125, 140))
MINUTE = 60 * 10**9


@cache
def replayed() -> Bench:
    """Return the app after the whole recording."""
    made = Bench.load(FOLDER, types={"pump 1": "CentrifugalPump", "pump 2": "CentrifugalPump"})
    made.replay("data/pump.csv")
    return made


def test_each_fault_is_told_and_nothing_else() -> None:
    """Within three minutes, by its name; it returns within five minutes after the fault."""
    bench = replayed()
    assert [(alarm.key, alarm.asset) for alarm in bench.alarms] == [(key, "pump 1") for key, _, _ in FAULTS]
    for alarm, (_, begin, end) in zip(bench.alarms, FAULTS, strict=True):
        assert begin <= (alarm.raised - START_NS) / MINUTE <= begin + 3
        assert alarm.returned is not None
        assert end <= (alarm.returned - START_NS) / MINUTE <= end + 5


def test_the_page_has_its_figures() -> None:
    """Both pumps are listed; curve, windows and findings of one are there."""
    bench = replayed()
    listed = bench.request("GET", "/pumps").json()["pumps"]
    assert [row["asset"] for row in listed] == ["pump 1", "pump 2"]
    answer = bench.request("GET", "/pump", query={"asset": "pump 1", "windows": "1000"}).json()
    assert len(answer["windows"]) == 450
    assert isclose(answer["windows"][10]["efficiency"], 0.78, abs_tol=0.02)
    assert len(answer["findings"]) == 4
    assert len(answer["curve"]) == 33
    assert bench.request("GET", "/pump", query={"asset": "pump 1", "windows": "x"}).status == 400


def test_deviations_are_points() -> None:
    """A worn pump is about 10 % below its curve; a good one is on it."""
    bench = replayed()
    for asset, low, high in (("pump 1", -11.0, -9.0), ("pump 2", -1.0, 1.0)):
        deviation = bench.written(asset, "pump head deviation")
        worn = (deviation.times > START_NS + 35 * MINUTE) & (deviation.times < START_NS + 50 * MINUTE)
        assert low < deviation.values[worn].mean() < high


def test_the_models_give_the_same_as_the_app() -> None:
    """The mechanism model, invoked through the platform, agrees with the window's figures."""
    bench = replayed()
    row = bench.request("GET", "/pump", query={"asset": "pump 2", "windows": "1"}).json()["windows"][0]
    means = {
        port: [float(bench.written("pump 2", point).values[-2:].mean())]
        for port, point in (
            ("flow", "flow"),
            ("suction", "suction pressure"),
            ("discharge", "discharge pressure"),
            ("power", "power"),
            ("temperature", "temperature"),
        )
    }
    found = bench.context.invoke("pump.energy-balance", means)
    assert isclose(found["head"][0], row["head"])
    assert isclose(found["efficiency"][0], 100.0 * row["efficiency"])


def test_a_nameplate_changes_what_is_expected() -> None:
    """Only an engineer may set it; what is wrong in it is told."""
    bench = replayed()
    path, query = "/nameplate", {"asset": "pump 2"}
    assert bench.request("PUT", path, query=query, body={"speed": 1480}, role="viewer").status == 403
    assert bench.request("PUT", path, query=query, body={"speeed": 1480}).status == 400
    assert bench.request("PUT", path, body={"speed": 1480}).status == 400
    assert bench.request("PUT", path, query=query, body={"speed": 1480, "flow": 80}).json()["flow"] == 80
    assert bench.request("GET", "/pump", query=query).json()["nameplate"]["speed"] == 1480
