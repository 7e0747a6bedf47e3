"""Model runner: column blocks in, output columns out. Pure but for the functions it calls.

What it gives depends only on the blocks and their order, so a replay of the log from a checkpoint gives it again.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.block import TEXT_TYPES, Block, Columns
from gongfu.kernel.quality import SEVERITY_MASK, Quality
from gongfu.kernel.times import SECOND
from gongfu.reason.models.binding import BoundPort
from gongfu.reason.models.types import Column, ModelDefinition
from gongfu.store.twins.grouping import group
from gongfu.store.twins.latest import NEVER

_log = logging.getLogger(__name__)

# Samples of one input that wait for the others; beyond it the oldest are given up and counted as incomplete.
MAX_WAITING = 4096


class ModelOutputError(ValueError):
    """The function did not return what its ports promise."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A model at an asset, all ports resolved."""

    id: int
    definition: ModelDefinition
    inputs: tuple[BoundPort, ...]
    outputs: tuple[BoundPort, ...]

    @property
    def identity(self) -> list[Any]:
        """What must stay the same for state to be kept."""
        return [self.definition.id, self.definition.version, [port.series for port in self.inputs]]


@dataclass(slots=True)
class Port:
    """Samples of an input, ascending in time: the newest that was used, and those after it."""

    times: NDArray[np.int64]
    values: NDArray[np.float64]
    qualities: NDArray[np.uint8]


def _empty() -> Port:
    return Port(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0, dtype=np.uint8))


@dataclass(slots=True)
class BindingStatus:
    """What a binding does at present.

    Attributes:
        status: ``running``, ``failing`` (the last call raised) or, set by the worker, ``waiting`` or ``refused``.
        error: why it fails, waits or is refused.
        evaluated: sample sets evaluated since the worker started.
        failed: sample sets whose call raised.
        incomplete: source times for which some input had no sample.
        last_at: source time of the last set evaluated, UTC ns; None before the first.
    """

    status: str = "running"
    error: str = ""
    evaluated: int = 0
    failed: int = 0
    incomplete: int = 0
    last_at: int | None = None


@dataclass(slots=True)
class _Running:
    binding: Binding
    ports: list[Port]
    last: int = NEVER
    status: BindingStatus = field(default_factory=BindingStatus)


class ModelRunner:
    """All bindings of the worker. One thread at a time."""

    def __init__(self) -> None:
        self._running: dict[int, _Running] = {}
        # By series: -1, or the position of its inputs in ``_inputs``.
        self._slot: NDArray[np.int32] = np.full(1, -1, dtype=np.int32)
        self._inputs: list[list[tuple[_Running, int]]] = []

    def bind(self, bindings: Iterable[Binding]) -> None:
        """Put other bindings in the place of all present ones; those that stay the same keep their state."""
        running: dict[int, _Running] = {}
        for binding in bindings:
            old = self._running.get(binding.id)
            if old is not None and old.binding.identity == binding.identity:
                old.binding = binding
                running[binding.id] = old
            else:
                running[binding.id] = _Running(binding, [_empty() for _ in binding.inputs])
        self._running = running
        inputs: dict[int, list[tuple[_Running, int]]] = {}
        for item in running.values():
            for number, port in enumerate(item.binding.inputs):
                inputs.setdefault(port.series, []).append((item, number))
        self._slot = np.full(max(inputs, default=0) + 1, -1, dtype=np.int32)
        for position, series in enumerate(inputs):
            self._slot[series] = position
        self._inputs = list(inputs.values())

    def status(self) -> dict[int, BindingStatus]:
        """Return the status by binding id."""
        return {key: item.status for key, item in self._running.items()}

    def run(self, block: Block) -> Columns | None:
        """Take in a block and return the outputs of all sample sets that it completes, None when there are none."""
        if not self._inputs:
            return None
        touched: dict[int, _Running] = {}
        for value_type, columns in block.columns.items():
            if value_type not in TEXT_TYPES and len(columns):
                self._take(columns, touched)
        outputs = [found for item in touched.values() if (found := self._evaluate(item)) is not None]
        if not outputs:
            return None
        return Columns(
            np.concatenate([item.series for item in outputs]),
            np.concatenate([item.times for item in outputs]),
            np.concatenate([item.qualities for item in outputs]),
            np.concatenate([np.asarray(item.values) for item in outputs]),
        )

    def _take(self, columns: Columns, touched: dict[int, _Running]) -> None:
        series = columns.series
        known = series < len(self._slot)
        slots = self._slot[series] if bool(known.all()) else np.where(known, self._slot[series * known], -1)
        rows = np.flatnonzero(slots >= 0)
        if not len(rows):
            return
        groups = group(slots[rows].astype(np.uint32))
        if groups.order is not None:
            rows = rows[groups.order]
        values = np.asarray(columns.values)[rows].astype(np.float64)
        times, qualities = columns.times[rows], columns.qualities[rows]
        bounds = [*groups.starts.tolist(), len(rows)]
        for at, start in enumerate(bounds[:-1]):
            end = bounds[at + 1]
            for item, number in self._inputs[int(groups.keys[start])]:
                touched[item.binding.id] = item
                conversion = item.binding.inputs[number].conversion
                taken = values[start:end]
                if not conversion.identity:
                    taken = taken * conversion.factor + conversion.offset
                item.ports[number] = _merge(
                    item.ports[number], times[start:end], taken, qualities[start:end], item.last
                )

    def _evaluate(self, item: _Running) -> Columns | None:
        tolerance = round(item.binding.definition.tolerance_s * SECOND)
        times = np.unique(np.concatenate([port.times for port in item.ports]))
        times = times[times > item.last]
        complete = np.ones(len(times), dtype=np.bool_)
        chosen: list[NDArray[np.intp]] = []
        for port in item.ports:
            at = np.searchsorted(port.times, times, side="right") - 1
            chosen.append(at)
            complete &= at >= 0
            if len(port.times):
                complete &= times - port.times[at] <= tolerance
        if not bool(complete.any()):
            return None
        sets = times[complete]
        columns = [port.values[at[complete]] for port, at in zip(item.ports, chosen, strict=True)]
        quality = np.zeros(len(sets), dtype=np.uint8)
        for port, at in zip(item.ports, chosen, strict=True):
            np.maximum(quality, port.qualities[at[complete]] & SEVERITY_MASK, out=quality)
        dt = np.diff(sets, prepend=sets[0]) / SECOND
        dt[0] = np.nan if item.last == NEVER else (int(sets[0]) - item.last) / SECOND
        item.status.incomplete += int(np.count_nonzero(times[~complete] < sets[-1]))
        item.last = int(sets[-1])
        for number, port in enumerate(item.ports):
            item.ports[number] = _trim(port, item.last)
        return self._call(item, sets, columns, quality, dt)

    def _call(
        self,
        item: _Running,
        times: NDArray[np.int64],
        columns: list[Column],
        quality: NDArray[np.uint8],
        dt: Column,
    ) -> Columns | None:
        binding, status, n = item.binding, item.status, len(times)
        for column in (*columns, dt):
            column.flags.writeable = False
        named = {port.name: column for port, column in zip(binding.inputs, columns, strict=True)}
        try:
            with np.errstate(all="ignore"):
                results = _checked(binding.definition, binding.definition.function(named, dt), n)
        except Exception as error:  # whatever a model raises stops at its binding
            if status.status != "failing":
                _log.warning("model %s failed at binding %d", binding.definition.id, binding.id, exc_info=True)
            status.status, status.failed = "failing", status.failed + n
            status.error = f"{type(error).__name__}: {error}"[:300]
            return None
        status.status, status.error = "running", ""
        status.evaluated += n
        status.last_at = int(times[-1])
        values: list[Column] = []
        qualities: list[NDArray[np.uint8]] = []
        for port in binding.outputs:
            result = results[port.name]
            if not port.conversion.identity:
                result = result * port.conversion.factor + port.conversion.offset
            values.append(result)
            # A bad input explains a missing number; only an unexplained one is marked as not a number.
            lost = ~np.isfinite(result) & (quality != Quality.BAD)
            qualities.append(np.where(lost, np.uint8(Quality.BAD_NOT_A_NUMBER), quality).astype(np.uint8))
        series = np.repeat(np.array([port.series for port in binding.outputs], dtype=np.uint32), n)
        return Columns(series, np.tile(times, len(binding.outputs)), np.concatenate(qualities), np.concatenate(values))

    def snapshot(self) -> tuple[dict[str, NDArray[Any]], list[Any]]:
        """Return the state of all bindings for a checkpoint: columns, and a JSON list that names the bindings."""
        ports = [(item, number, port) for item in self._running.values() for number, port in enumerate(item.ports)]
        arrays: dict[str, NDArray[Any]] = {
            "times": np.concatenate([np.zeros(0, dtype=np.int64), *(port.times for _, _, port in ports)]),
            "values": np.concatenate([np.zeros(0), *(port.values for _, _, port in ports)]),
            "qualities": np.concatenate([np.zeros(0, dtype=np.uint8), *(port.qualities for _, _, port in ports)]),
        }
        document = [
            [item.binding.id, item.binding.identity, item.last, [len(port.times) for port in item.ports]]
            for item in self._running.values()
        ]
        return arrays, document

    def restore(self, bindings: Iterable[Binding], arrays: Mapping[str, NDArray[Any]], document: list[Any]) -> None:
        """Bind with the state of a checkpoint.

        Raises:
            KeyError, ValueError, IndexError: the checkpoint is not one of this runner.
        """
        self.bind(bindings)
        start = 0
        for key, identity, last, lengths in document:
            item = self._running.get(int(key))
            known = item is not None and item.binding.identity == identity
            for number, length in enumerate(lengths):
                rows = slice(start, start + length)
                start += length
                if known and item is not None:
                    item.ports[number] = Port(arrays["times"][rows], arrays["values"][rows], arrays["qualities"][rows])
            if known and item is not None:
                item.last = int(last)


def _merge(
    port: Port,
    times: NDArray[np.int64],
    values: NDArray[np.float64],
    qualities: NDArray[np.uint8],
    last: int,
) -> Port:
    """Return the samples of a port with new ones; of one source time the last to arrive counts."""
    times = np.concatenate([port.times, times])
    values = np.concatenate([port.values, values])
    qualities = np.concatenate([port.qualities, qualities])
    if bool((times[1:] <= times[:-1]).any()):
        order = np.argsort(times, kind="stable")
        times = times[order]
        keep = np.append(times[1:] != times[:-1], True)
        order, times = order[keep], times[keep]
        values, qualities = values[order], qualities[order]
    return _trim(Port(times, values, qualities), last)


def _trim(port: Port, last: int) -> Port:
    """Return a port without samples that no set can use any more."""
    start = max(int(np.searchsorted(port.times, last, side="right")) - 1, len(port.times) - MAX_WAITING, 0)
    if start == 0:
        return port
    return Port(port.times[start:], port.values[start:], port.qualities[start:])


def _checked(definition: ModelDefinition, results: Any, n: int) -> dict[str, Column]:
    if not isinstance(results, Mapping):
        raise ModelOutputError(f"returned {type(results).__name__}, not columns by output name")
    found: dict[str, Column] = {}
    for port in definition.outputs:
        if port.name not in results:
            raise ModelOutputError(f"returned no column {port.name}")
        column = np.asarray(results[port.name], dtype=np.float64)
        if column.shape != (n,):
            raise ModelOutputError(f"column {port.name} has shape {column.shape}, not ({n},)")
        found[port.name] = column
    return found
