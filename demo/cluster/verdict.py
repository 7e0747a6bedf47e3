"""What the history holds against what was acknowledged."""

import time
from dataclasses import dataclass

from demo.api import Api
from demo.cluster.machines import Cluster
from demo.cluster.publisher import POINT, Tally

FOLDER = "cluster"


@dataclass
class Verdict:
    """Outcome over all devices.

    Attributes:
        acknowledged: numbers acknowledged.
        stored: points in the history.
        lost: acknowledged numbers that cannot be read.
        repeated: rows beyond the first of a source time.
        wrong: rows whose value is not the number of their time.
    """

    acknowledged: int = 0
    stored: int = 0
    lost: int = 0
    repeated: int = 0
    wrong: int = 0

    @property
    def sound(self) -> bool:
        """Everything acknowledged can be read once, and is what was sent."""
        return self.acknowledged > 0 and not (self.lost or self.repeated or self.wrong)

    def __str__(self) -> str:
        word = "VERDICT: nothing lost" if self.sound else "VERDICT: NOT SOUND"
        return (
            f"{word}: {self.acknowledged} acknowledged, {self.stored} stored, {self.lost} lost, "
            f"{self.repeated} twice, {self.wrong} wrong"
        )


def make_devices(api: Api, count: int) -> list[tuple[str, str]]:
    """Make devices and return (name, secret) of each."""
    names = [f"{FOLDER}-{number}" for number in range(1, count + 1)]
    return [(name, api.post("/devices", {"name": name, "asset": f"{FOLDER}/{name}"})["secret"]) for name in names]


def check(cluster: Cluster, api: Api, tallies: list[Tally], base_ms: int, seconds: float) -> Verdict:
    """Return the verdict, as soon as everything acknowledged is stored or ``seconds`` have passed."""
    paths = {f"{FOLDER}/{tally.name}": tally for tally in tallies}
    series = {int(item["series"]): paths[item["asset_path"]] for item in api.items("/points", search=POINT)
              if item["asset_path"] in paths}  # fmt: skip
    deadline = time.monotonic() + seconds
    while True:
        verdict = _look(cluster, series, base_ms, sum(len(tally.acknowledged) for tally in tallies))
        if (verdict is not None and not verdict.lost) or time.monotonic() > deadline:
            return verdict or Verdict(lost=-1)
        time.sleep(0.5)


def _look(cluster: Cluster, series: dict[int, Tally], base_ms: int, acknowledged: int) -> Verdict | None:
    chosen = ", ".join(map(str, series)) or "0"
    answers = cluster.ask_history(
        f"SELECT series AS s, toUnixTimestamp64Milli(time) - {base_ms} AS i, value AS v "
        f"FROM gongfu.point_double FINAL WHERE series IN ({chosen})"
    )
    verdict = Verdict(acknowledged=acknowledged)
    found: dict[int, set[int]] = {key: set() for key in series}
    for rows in answers:
        if rows is None:
            return None
        for row in rows:
            key, number = int(str(row["s"])), int(str(row["i"]))
            verdict.stored += 1
            verdict.repeated += number in found[key]
            verdict.wrong += float(str(row["v"])) != number
            found[key].add(number)
    known = {id(tally): found[key] for key, tally in series.items()}
    verdict.lost = acknowledged - sum(len(tally.acknowledged & known[id(tally)]) for tally in series.values())
    return verdict
