"""A few assets of a binding, computed over history window by window: the same sampling and the same calls as on the
stream, so the same samples give the same outputs."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.block import Block, Columns
from gongfu.reason.models.executor import Executor
from gongfu.reason.models.placement import Placement
from gongfu.reason.models.rows import Routes
from gongfu.reason.models.sampling import Sampler, Sampling, max_rows
from gongfu.reason.models.spec import ModelSpec


class Computed(NamedTuple):
    """What came of a window; ``points`` is None when no row was complete."""

    points: Columns | None
    rows: int
    failed: int
    cpu_s: float


def part_of(placement: Placement, rows: NDArray[np.int64]) -> Placement:
    """Return some of the assets of a placement that run (``rows`` counts those)."""
    at = placement.running[rows]
    return Placement(
        placement.scope,
        placement.assets[at],
        [placement.paths[one] for one in at.tolist()],
        placement.states[at],
        [""] * len(at),
        "",
        np.arange(len(at)),
        placement.inputs[rows],
        placement.outputs[rows],
        placement.input_factors[rows],
        placement.input_offsets[rows],
        placement.output_factors[rows],
        placement.output_offsets[rows],
    )


class AssetGroup:
    """Assets that are computed together."""

    def __init__(self, spec: ModelSpec, placement: Placement, executor: Executor) -> None:
        """Begin; ``placement`` has only assets that run."""
        assets = placement.assets.tolist()
        inputs, outputs = [port.name for port in spec.inputs], [port.name for port in spec.outputs]
        self.assets: list[int] = assets
        # Asset by output series.
        self.owners = {one: asset for asset, row in zip(assets, placement.outputs.tolist(), strict=True) for one in row}
        self.series = sorted(set(placement.inputs.ravel().tolist()))
        self._routes = Routes([placement], {asset: slot for slot, asset in enumerate(assets)}, inputs, outputs)
        self._ports, self._sampling = len(inputs), Sampling.of(spec)
        self._sampler = Sampler(self._ports, self._sampling)
        self._sampler.grow(len(assets))
        self._states: list[bytes | None] = [None] * len(assets)
        self._executor = executor

    @property
    def longest(self) -> int:
        """Longest window, in ns, whose rows can be made at once; 0 for no bound."""
        step = self._sampling.step
        return max(max_rows(self._ports) // max(len(self.assets), 1) // 2, 1) * step

    @property
    def shed(self) -> int:
        """Rows that were not made: too many at once."""
        return int(self._sampler.shed.sum())

    async def compute(self, block: Block) -> Computed:
        """Take samples that follow the ones before, and return what they complete.

        Raises:
            ModelFailure: nothing of them was computed; the group must begin anew from its last ``snapshot``.
        """
        points = self._routes.points(block)
        sets = None if points is None else self._sampler.take(points)
        if sets is None:
            return Computed(None, 0, 0, 0.0)
        rows = self._routes.rows(sets, self._states)
        outcome = await self._executor.evaluate(rows)
        for slot, state in zip(sets.slots[rows.offsets[:-1]].tolist(), outcome.states, strict=True):
            self._states[slot] = state
        good: NDArray[np.intp] | None = None
        failed = 0
        if outcome.failures:
            bad = np.isin(self._routes.assets[sets.slots], np.array(list(outcome.failures), dtype=np.int64))
            good, failed = np.flatnonzero(~bad), int(bad.sum())
        found = self._routes.outputs(sets, outcome.columns, good)
        return Computed(found if len(found) else None, len(sets.slots) - failed, failed, outcome.cpu_s)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return the state, for ``restore``."""
        lengths = [-1 if state is None else len(state) for state in self._states]
        return {
            **{f"sampler.{name}": column for name, column in self._sampler.snapshot().items()},
            "assets": np.array(self.assets, dtype=np.int64),
            "lengths": np.array(lengths, dtype=np.int64),
            "bytes": np.frombuffer(b"".join(state for state in self._states if state), dtype=np.uint8),
        }

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Go on from a snapshot of the same assets.

        Raises:
            KeyError, ValueError: it is not one.
        """
        if arrays["assets"].tolist() != self.assets:
            raise ValueError("the snapshot is of other assets")
        self._sampler.restore(
            {name.removeprefix("sampler."): array for name, array in arrays.items() if name.startswith("sampler.")}
        )
        octets, at = arrays["bytes"].tobytes(), 0
        self._states = []
        for length in arrays["lengths"].tolist():
            self._states.append(None if length < 0 else octets[at : at + length])
            at += max(length, 0)
