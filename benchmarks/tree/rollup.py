"""Roll-up: the devices of a nation under 86 provincial nodes, one report a minute, against a recount of the devices.

Every province counts its devices by county, industry and state (8,200 cells), sends what changed as a stream batch, and
the nation's ledger applies all batches. Everything runs in one process, one province after another; in a real tree the
provinces' part is on 86 machines. Fresh is: the interval between two reports, and all work of all provinces and of the
nation after it, as if nothing of it were done side by side.
"""

import time

import numpy as np
from numpy.typing import NDArray

from benchmarks.ingest.report import Row
from gongfu.tree.reports.cells import Cells, contributor, empty_objects
from gongfu.tree.reports.decoder import Decoder
from gongfu.tree.reports.encoder import Encoder
from gongfu.tree.reports.kinds import Form, Leaving, Measure, ReportKind, check_kind
from gongfu.tree.reports.leaving import Departures, Projection
from gongfu.tree.reports.ledger import Ledger

PROVINCES = 86
DEVICES = 13_800_000
COUNTIES, INDUSTRIES, STATES = 41, 100, 2
CELLS = COUNTIES * INDUSTRIES * STATES
INTERVAL_S = 30
MINUTE = 60_000_000_000
BARS = {"fresh": 60.0, "bytes": 1.0}
_MEASURES = ("devices", "points", "hottest")

KIND = ReportKind(
    name="devices.state",
    keys=("county", "industry", "state"),
    measures=(
        Measure(name="devices", form=Form.COUNT, unit="{device}"),
        Measure(name="points", form=Form.SUM, unit="1/s", decimals=3),
        Measure(name="hottest", form=Form.MAX, unit="Cel", decimals=1),
    ),
    leaving=(Leaving(tier="province", keys=("county", "industry", "state"), measures=_MEASURES),),
)


class Province:
    """A province: its devices in columns, its ledger, its end of the stream."""

    def __init__(self, number: int, devices: int, random: np.random.Generator) -> None:
        self.name = f"province-{number}"
        self.random = random
        self.place = random.integers(0, COUNTIES * INDUSTRIES, devices)
        # A device in every county and industry.
        self.place[: COUNTIES * INDUSTRIES] = np.arange(COUNTIES * INDUSTRIES)
        self.online = random.random(devices) < 0.9
        self.rate = random.integers(0, 5_000, devices)
        self.heat = random.integers(200, 900, devices)
        self.keys = [
            (f"{11 + number:02}{county:04}", f"C{industry:04}", "online" if online else "offline")
            for county in range(COUNTIES)
            for industry in range(INDUSTRIES)
            for online in range(STATES)
        ]
        hashes = sorted(contributor(KIND.name, f"{self.name}-enterprise-{i}") for i in range(3))
        self.contributors = np.tile(np.array(hashes, dtype=np.uint64), (CELLS, 1))
        self.ledger = Ledger(KIND, self.name)
        self.departures = Departures(self.ledger, Projection(KIND, "province"))
        self.encoder = Encoder(KIND, 1)
        self.sent = 0

    def live(self, share: float) -> None:
        """Let a share of the devices go on- or offline, and all that are online have other values."""
        at = self.random.integers(0, len(self.place), int(len(self.place) * share))
        self.online[at] = ~self.online[at]
        self.rate[at] = self.random.integers(0, 5_000, len(at))
        self.heat[at] = self.random.integers(200, 900, len(at))

    def counted(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Count devices, points and the hottest by cell."""
        cell = self.place * STATES + self.online
        devices = np.bincount(cell, minlength=CELLS).astype(np.int64)
        # Whole numbers below 2**53: exact.
        points = np.bincount(cell, weights=self.rate, minlength=CELLS).astype(np.int64)
        hottest = np.full(CELLS, np.iinfo(np.int64).min, dtype=np.int64)
        np.maximum.at(hottest, cell, self.heat)
        return devices, points, hottest

    def report(self, now: int, complete: bool) -> bytes:
        """State the cells in the own ledger and return the batch for the nation."""
        devices, points, hottest = self.counted()
        there = np.flatnonzero(devices)
        zeros = np.zeros(len(there), dtype=np.int64)
        cells = Cells(
            KIND,
            zeros,
            [self.keys[i] for i in there.tolist()],
            np.ones(len(there), dtype=np.bool_),
            np.vstack([devices[there], points[there], hottest[there]]),
            empty_objects(0, len(there)),
            self.contributors[there],
            zeros + 1,
            zeros,
            zeros,
        )
        self.ledger.state(0, cells, now)
        changed = self.departures.since(self.sent)
        self.sent = self.ledger.revision
        said = (0, self.encoder.sequence + 1) if complete else None
        return self.encoder.encode(changed, now, complete=said, coverage=((0, 1, 1),))


def _recount(provinces: list[Province]) -> dict[tuple[str, ...], tuple[int, int, int]]:
    """Count all devices by key with nothing of the ledgers."""
    found: dict[tuple[str, ...], tuple[int, int, int]] = {}
    for province in provinces:
        code = province.place * STATES + province.online
        order = np.argsort(code, kind="stable")
        code, rate, heat = code[order], province.rate[order], province.heat[order]
        starts = np.flatnonzero(np.diff(code, prepend=-1))
        counts = np.diff(np.append(starts, len(code)))
        sums, most = np.add.reduceat(rate, starts), np.maximum.reduceat(heat, starts)
        for i, start in enumerate(starts.tolist()):
            found[province.keys[int(code[start])]] = (int(counts[i]), int(sums[i]), int(most[i]))
    return found


def _told(ledger: Ledger) -> dict[tuple[str, ...], tuple[int, int, int]]:
    cells = ledger.read(0)
    figures = zip(*cells.exact.tolist(), strict=True)
    return {keys: (a, b, c) for keys, (a, b, c) in zip(cells.keys, figures, strict=True)}


def measure(devices: int = DEVICES, rounds: int = 3, share: float = 0.02) -> list[Row]:
    """Report several times and compare every cell with the recount.

    Args:
        devices: of the nation.
        rounds: reports after the first, complete one.
        share: of the devices that change between two reports.
    """
    check_kind(KIND)
    random = np.random.default_rng(1)
    provinces = [Province(i, devices // PROVINCES + (i < devices % PROVINCES), random) for i in range(PROVINCES)]
    nation = Ledger(KIND, "nation")
    decoders = {province.name: Decoder(KIND) for province in provinces}
    for province in provinces:
        nation.add_child(province.name)
    wrong = 0
    whole: list[float] = []
    at_nation: list[float] = []
    sizes: list[int] = []
    first = 0
    for number in range(rounds + 1):
        now = (number + 1) * INTERVAL_S * 1_000_000_000
        if number:
            for province in provinces:
                province.live(share)
        began, applying, size = time.perf_counter(), 0.0, 0
        for province in provinces:
            data = province.report(now, complete=not number)
            size += len(data)
            arrived = time.perf_counter()
            statement = decoders[province.name].decode(data)
            assert statement is not None
            nation.apply(province.name, statement, now)
            applying += time.perf_counter() - arrived
        reading = time.perf_counter()
        told = _told(nation)
        applying += time.perf_counter() - reading
        spent = time.perf_counter() - began
        real = _recount(provinces)
        wrong += len(told.keys() ^ real.keys()) + sum(told[key] != real[key] for key in told.keys() & real.keys())
        if number:
            whole.append(spent)
            at_nation.append(applying)
            sizes.append(size)
        else:
            first = size
    seen = sum(count for count, _, _ in _told(nation).values())
    a_minute = max(sizes) * 60 / INTERVAL_S
    name = f"roll-up, {share:.0%} of the devices change in {INTERVAL_S} s"
    return [
        Row("roll-up: devices under 86 provinces", seen, "devices", devices, "higher"),
        Row("roll-up: cells at the nation", len(_told(nation)), "cells"),
        Row("roll-up: cells that differ from a recount", wrong, "cells", 0.0),
        Row(f"{name}: age at the nation, all work in one process", INTERVAL_S + max(whole), "s", BARS["fresh"]),
        Row(f"{name}: of it the nation's work", max(at_nation), "s"),
        Row(f"{name}: upstream", a_minute / devices, "B/device/min", BARS["bytes"]),
        Row("roll-up: the first, complete report upstream", first / devices, "B/device"),
    ]
