"""Between points and rows: which point is which port of which asset, and rows as a model takes and gives them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.block import TEXT_TYPES, Block, Columns
from gongfu.kernel.quality import Quality
from gongfu.reason.models.placement import Placement
from gongfu.reason.models.sampling import Points, Sets
from gongfu.reason.models.sandbox.types import Rows
from gongfu.reason.models.types import Column

Integers = NDArray[np.int64]


class Routes:
    """Series of the inputs and outputs of the assets of a model, by slot."""

    def __init__(
        self, placements: Sequence[Placement], slots: Mapping[int, int], inputs: Sequence[str], outputs: Sequence[str]
    ) -> None:
        """Lay out.

        Args:
            placements: the bindings.
            slots: slot by asset id, for every asset that runs.
            inputs: names of the input ports.
            outputs: names of the output ports.
        """
        self._inputs, self._outputs = list(inputs), list(outputs)
        assets = [placement.assets[placement.running] for placement in placements]
        where = np.array([slots[key] for part in assets for key in part.tolist()], dtype=np.int64)
        series = _stacked([placement.inputs for placement in placements], len(inputs))
        factors = _stacked([placement.input_factors for placement in placements], len(inputs))
        offsets = _stacked([placement.input_offsets for placement in placements], len(inputs))
        order = np.argsort(series.ravel(), kind="stable")
        self._slots = np.repeat(where, len(inputs))[order]
        self._ports = np.tile(np.arange(len(inputs)), len(where))[order]
        self._factors, self._offsets = factors.ravel()[order], offsets.ravel()[order]
        self._same = bool((self._factors == 1.0).all() and (self._offsets == 0.0).all())
        self._series, self._starts, self._counts = np.unique(
            series.ravel()[order], return_index=True, return_counts=True
        )
        self._single = bool((self._counts == 1).all())
        size = int(where.max(initial=-1)) + 1
        self.assets = np.zeros(size, dtype=np.int64)
        self.assets[where] = np.concatenate([np.zeros(0, dtype=np.int64), *assets])
        self._targets = np.zeros((size, len(outputs)), dtype=np.uint32)
        self._targets[where] = _stacked([placement.outputs for placement in placements], len(outputs))
        self._target_factors, self._target_offsets = np.ones((size, len(outputs))), np.zeros((size, len(outputs)))
        self._target_factors[where] = _stacked([placement.output_factors for placement in placements], len(outputs))
        self._target_offsets[where] = _stacked([placement.output_offsets for placement in placements], len(outputs))
        self.slots = where

    def points(self, block: Block) -> Points | None:
        """Return the points of a block that are inputs, in the ports' units; None when there are none."""
        if not len(self._series):
            return None
        found = [
            part
            for value_type, columns in block.columns.items()
            if value_type not in TEXT_TYPES and len(columns) and (part := self._of(columns)) is not None
        ]
        if not found:
            return None
        points = found[0]
        for more in found[1:]:
            points = points.then(more)
        return points

    def _of(self, columns: Columns) -> Points | None:
        at = np.searchsorted(self._series, columns.series)
        at[at == len(self._series)] = 0
        rows = np.flatnonzero(self._series[at] == columns.series)
        if not len(rows):
            return None
        at = at[rows]
        route = self._starts[at]
        if not self._single:
            counts = self._counts[at]
            rows = np.repeat(rows, counts)
            within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
            route = np.repeat(route, counts) + within
        values = np.asarray(columns.values)[rows].astype(np.float64)
        if not self._same:
            values = values * self._factors[route] + self._offsets[route]
        return Points(self._slots[route], self._ports[route], columns.times[rows], values, columns.qualities[rows])

    def outputs(self, sets: Sets, columns: Mapping[str, Column], rows: NDArray[np.intp] | None = None) -> Columns:
        """Return what a model gave for rows as points: of each output port in turn, in the points' units.

        Args:
            sets: the rows.
            columns: float64[n] by output port.
            rows: only these.
        """
        chosen = slice(None) if rows is None else rows
        slots, times, quality = sets.slots[chosen], sets.times[chosen], sets.quality[chosen]
        series: list[NDArray[np.uint32]] = []
        values: list[Column] = []
        qualities: list[NDArray[np.uint8]] = []
        for port, name in enumerate(self._outputs):
            result = columns[name][chosen]
            factors, offsets = self._target_factors[slots, port], self._target_offsets[slots, port]
            if not (bool((factors == 1.0).all()) and bool((offsets == 0.0).all())):
                result = result * factors + offsets
            series.append(self._targets[slots, port])
            values.append(result)
            # A bad input explains a missing number; only an unexplained one is marked as not a number.
            lost = ~np.isfinite(result) & (quality != Quality.BAD)
            qualities.append(np.where(lost, np.uint8(Quality.BAD_NOT_A_NUMBER), quality).astype(np.uint8))
        return Columns(
            np.concatenate(series),
            np.tile(times, len(self._outputs)),
            np.concatenate(qualities),
            np.concatenate(values),
        )

    def rows(self, sets: Sets, states: Sequence[bytes | None]) -> Rows:
        """Return rows as a model takes them; ``sets`` is ordered by slot, ``states`` is by slot."""
        first = np.append(True, sets.slots[1:] != sets.slots[:-1])
        starts = np.flatnonzero(first)
        slots = sets.slots[starts]
        return Rows(
            self.assets[slots],
            np.append(starts, len(sets.slots)).astype(np.int64),
            sets.times,
            dict(zip(self._inputs, sets.columns, strict=True)),
            sets.dt,
            [states[slot] for slot in slots.tolist()],
        )


def joined(parts: Sequence[Sets]) -> tuple[Sets, NDArray[np.intp]]:
    """Return rows of several parts as one, ordered by slot; of a slot, earlier parts come first.

    The second result tells which row of the parts, one after another, each row is.
    """
    slots = np.concatenate([part.slots for part in parts])
    order = np.argsort(slots, kind="stable")
    columns = [np.concatenate(column)[order] for column in zip(*(part.columns for part in parts), strict=True)]
    times = np.concatenate([part.times for part in parts])[order]
    quality = np.concatenate([part.quality for part in parts])[order]
    return Sets(slots[order], times, columns, quality, np.concatenate([part.dt for part in parts])[order]), order


def _stacked(parts: Sequence[NDArray[Any]], width: int) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros((0, width))
