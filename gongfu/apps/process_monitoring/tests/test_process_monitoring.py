"""The app on a made-up plant: six variables in two assets that follow two sources, a sample a second."""

from math import isclose
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gongfu.appkit.testing import Bench

FOLDER = Path(__file__).parents[1]
SECOND = 10**9
NAMES = {"plant/reactor": ("pressure", "temperature", "level"), "plant/column": ("flow", "reflux", "steam")}


class Plant:
    """Gives its samples to a bench; what is added to a variable is a fault."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._random = np.random.default_rng(0)
        self._mixing = np.random.default_rng(1).standard_normal((2, 6))
        self._source = np.zeros(2)

    def run(self, seconds: int, fault: NDArray[np.float64] | None = None) -> None:
        """Let the plant run; the app works in between."""
        for begin in range(0, seconds, 30):
            rows = np.empty((min(30, seconds - begin), 6))
            for row in rows:
                self._source = 0.7 * self._source + self._random.standard_normal(2)
                row[:] = 50.0 + self._source @ self._mixing + 0.3 * self._random.standard_normal(6)
            if fault is not None:
                rows += fault
            times = self.bench.now + (np.arange(len(rows)) + 1) * SECOND
            for place, (asset, names) in enumerate(NAMES.items()):
                columns = {name: rows[:, 3 * place + one] for one, name in enumerate(names)}
                self.bench.feed(asset, columns, times)
            self.bench.feed("plant", {"constant": np.full(len(rows), 3.0), "hours run": times / 3.6e12}, times)
            self.bench.advance("1s")

    def settle(self) -> None:
        """Let the app judge all there is."""
        for _ in range(3):
            self.bench.advance("5s")


def trained() -> Plant:
    """Return a plant that ran for 400 s, with a monitor that learnt from them."""
    made = Plant(Bench.load(FOLDER))
    made.run(400)
    body = {"asset": "plant", "period_s": 1.0}
    assert made.bench.request("PUT", "/monitors/all of it", body=body, role="engineer").status == 200
    assert made.bench.request("POST", "/monitors/all of it/train", body={"last_s": 390}).status == 200
    made.settle()
    return made


def test_it_learns_and_leaves_out_what_does_not_move() -> None:
    """Six variables are learnt; a constant one and a counter are left out, with the reason."""
    plant = trained()
    (monitor,) = plant.bench.request("GET", "/monitors").json()["monitors"]
    assert monitor["state"] == "watching"
    assert monitor["learnt"]["variables"] == 6
    assert monitor["left_out"] == [
        {"variable": "plant/constant", "reason": "does not move"},
        {"variable": "plant/hours run", "reason": "only goes one way, as a counter does"},
    ]


def test_normal_operation_raises_nothing_and_a_fault_is_named() -> None:
    """The alarm names the variable that was changed, stands while it is, and returns after it."""
    plant = trained()
    plant.run(300)
    plant.settle()
    assert plant.bench.alarms == []
    fault = np.zeros(6)
    fault[4] = 5.0
    plant.run(60, fault)
    plant.settle()
    (alarm,) = plant.bench.alarms
    assert (alarm.asset, alarm.priority, alarm.returned) == ("plant", "high", None)
    assert "plant/column/reflux" in alarm.message.partition(",")[0]
    found = plant.bench.request("GET", "/monitors/all of it/contributions").json()["parts"]
    assert found[0]["variable"] == "plant/column/reflux"
    assert isclose(found[0]["departure"], 5.0, abs_tol=1.5)
    plant.run(90)
    plant.settle()
    assert alarm.returned is not None


def test_statistics_are_points_without_gaps_or_repeats() -> None:
    """Every second after the period has one value of each statistic."""
    plant = trained()
    plant.run(120)
    plant.settle()
    index = plant.bench.written("plant", "monitoring index")
    steps = np.diff(index.times) / SECOND
    assert steps.min() == 1.0
    # A second is missing after each half minute of the plant; nothing else is, but for the gap when it settled.
    assert (steps > 2.0).sum() <= 1
    assert len(index) >= 115
    answer = plant.bench.request("GET", "/monitors/all of it/trend", query={"samples": "50"}).json()
    assert len(answer["samples"]) == 50
    assert isclose(answer["samples"][-1]["score"], float(index.values[-1]))


def test_it_learns_by_itself_from_what_comes_next() -> None:
    """With ``learn_next`` nothing more has to be asked."""
    plant = Plant(Bench.load(FOLDER))
    plant.run(30)
    body = {"asset": "plant", "period_s": 1.0, "learn_next": 200}
    plant.bench.request("PUT", "/monitors/new", body=body)
    plant.run(300)
    plant.settle()
    (monitor,) = plant.bench.request("GET", "/monitors").json()["monitors"]
    assert (monitor["state"], monitor["learnt"]["variables"]) == ("watching", 6)
    # One more of the same name changes nothing.
    assert plant.bench.request("PUT", "/monitors/new", body=body).json()["learnt"] == monitor["learnt"]


def test_what_cannot_be_learnt_is_told() -> None:
    """Too little data, no such monitor, a body that is wrong: a text that says so."""
    plant = trained()
    bench = plant.bench
    assert bench.request("POST", "/monitors/all of it/train", body={"last_s": 60}).status == 200
    plant.settle()
    (monitor,) = bench.request("GET", "/monitors").json()["monitors"]
    assert monitor["state"] == "failed"
    assert "at least 100" in monitor["detail"]
    assert bench.request("POST", "/monitors/none/train", body={"last_s": 600}).status == 404
    assert bench.request("POST", "/monitors/all of it/train", body={"last_s": 1}).status == 400
    assert bench.request("POST", "/monitors/all of it/train", body={"from": "x"}).status == 400
    assert bench.request("PUT", "/monitors/two", body={"asset": "plant", "period_s": True}).status == 400
    assert bench.request("PUT", "/monitors/two", body={"asset": "plant"}, role="viewer").status == 403


def test_a_monitor_that_cannot_work_does_not_stop_the_others() -> None:
    """What one is refused is told at it; the other one goes on."""
    plant = trained()
    plant.bench.request("PUT", "/monitors/a", body={"asset": "plant", "period_s": 1.0})
    long_ago = {"from": "2001-01-01T00:00:00Z", "to": "2001-01-02T00:00:00Z"}
    assert plant.bench.request("POST", "/monitors/a/train", body=long_ago).status == 200
    plant.run(60)
    plant.settle()
    first, second = plant.bench.request("GET", "/monitors").json()["monitors"]
    assert "history" in first["detail"]
    assert (second["name"], second["detail"]) == ("all of it", "")
    answer = plant.bench.request("GET", "/monitors/all of it/trend").json()
    assert answer["samples"][-1]["ms"] >= plant.bench.now // 10**6 - 40_000


def test_a_monitor_is_removed_with_its_alarm() -> None:
    """Nothing of it is left in the tables; its alarm returns."""
    plant = trained()
    plant.run(60, np.full(6, 9.0))
    plant.settle()
    assert plant.bench.alarms[0].returned is None
    assert plant.bench.request("DELETE", "/monitors/all of it").status == 200
    assert plant.bench.alarms[0].returned is not None
    assert plant.bench.request("GET", "/monitors").json() == {"monitors": []}
    records = plant.bench.context.records
    assert records.query("SELECT monitor FROM sample UNION SELECT monitor FROM variable") == []
    assert records.query("SELECT monitor FROM alarm") == []
