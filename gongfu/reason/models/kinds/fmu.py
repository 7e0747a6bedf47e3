"""FMUs: an instance an asset; inputs are set at each row's time and held while the instance steps to it.

An asset's first row lies one step after the instance's start (the default experiment's step, else 1 s; none for model
exchange), so that outputs which an FMU computes in its step are there from the first row on. A row with an input that
is NaN or infinite is not shown to the FMU: its outputs are NaN, and the next good row steps over it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from gongfu.reason.models.kinds.fmi.description import choose, read, unpack
from gongfu.reason.models.kinds.fmi.library import Library, whole
from gongfu.reason.models.kinds.fmi.stepping import Stepper, stepper
from gongfu.reason.models.kinds.keeping import Keeping
from gongfu.reason.models.kinds.types import KindError, refused
from gongfu.reason.models.sandbox.types import Column, Rows

# Rows that are kept of an asset for an FMU whose state cannot be taken out; beyond twice as many, or twice so many
# bytes, the oldest are forgotten.
MOST_REPLAYED = 10_000
_MOST_REPLAYED_BYTES = 256 << 10


class _Saved(msgspec.Struct, array_like=True):
    """The state of an asset: the FMU's own, or the rows since its start to be replayed.

    ``start`` is the time of the first row, UTC ns; ``time`` and ``extra`` are the stepper's. ``forgotten`` says that
    rows before ``times`` are gone.
    """

    start: int
    time: float
    extra: float
    last: int
    state: bytes | None
    times: bytes = b""
    columns: bytes = b""
    forgotten: bool = False


class _Call(NamedTuple):
    """The rows of a call, of all its assets, as the FMU takes and gives them.

    Attributes:
        times: int64[n], and the same as a list.
        good: for each row, whether all its inputs are finite.
        given: of each group of inputs, its values [n, ports].
        taken: of each group of outputs, as ``given``.
        sources: for each row, the addresses of its inputs, one a group.
        targets: for each row, the addresses of its outputs, one a group.
        table: float64[n, inputs], in the order of the ports; only where rows must be kept for replay.
    """

    times: NDArray[np.int64]
    listed: list[int]
    good: list[bool]
    given: list[NDArray[Any]]
    taken: list[NDArray[Any]]
    sources: list[tuple[int, ...]]
    targets: list[tuple[int, ...]]
    table: NDArray[np.float64] | None


class _Live:
    """An asset's instance; ``fmu`` is None until its first good row. ``seen`` are pieces of calls, to be replayed."""

    __slots__ = ("asset", "fmu", "forgotten", "held", "last", "seen", "start", "stepper")

    def __init__(self, asset: int) -> None:
        self.asset = asset
        self.fmu: Any = None
        self.stepper: Stepper | None = None
        self.start = 0
        self.last = 0
        self.seen: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        self.held = 0
        self.forgotten = False


def load(artifact: Path, parameters: Mapping[str, float], scratch: Path) -> "Fmu":
    """Unpack the FMU, read it, and try an instance.

    Raises:
        KindError: it is none, or cannot run here; the detail says why.
    """
    try:
        import fmpy  # noqa: F401
    except ImportError:
        raise refused("FMUs need the extra 'fmu' of gongfu (FMPy), which is not installed") from None
    unit = read(unpack(artifact, scratch / "fmu"))
    chosen = choose(unit.parameters, dict(parameters))
    library = Library(unit)
    found = Fmu(library, chosen)
    found.try_out()
    return found


class Fmu(Keeping[_Live]):
    """A loaded FMU."""

    def __init__(self, library: Library, parameters: list[Any]) -> None:
        super().__init__()
        self._library = library
        self._parameters = parameters
        self.description = library.unit.description
        self._serialises = self.description.facts["state"] == "serialised"
        self._most = min(MOST_REPLAYED, _MOST_REPLAYED_BYTES // (8 + 8 * len(self.description.inputs)))
        if library.unit.interface.canBeInstantiatedOnlyOncePerProcess:
            self.most_live = 1

    def try_out(self) -> None:
        """Make an instance, initialise it and free it.

        Raises:
            KindError: REFUSED.
        """
        live = _Live(0)
        try:
            self._begin(live, [])
        except KindError as error:
            raise refused(error.detail) from None
        self.drop(live)

    def begin(self, asset: int) -> _Live:
        """See Keeping; the instance is made at the first good row, which its initialisation takes its inputs from."""
        return _Live(asset)

    def open(self, rows: Rows) -> None:
        """See Keeping."""
        self._call = self._opened(rows.times, rows.columns, len(self._library.outputs) > 0)

    def _opened(self, times: NDArray[np.int64], columns: Mapping[str, Column], answers: bool) -> _Call:
        n = len(times)
        good = np.ones(n, dtype=bool)
        for column in columns.values():
            good &= np.isfinite(column)
        given = [
            np.ascontiguousarray(
                np.stack([whole(np.where(good, columns[name], 0.0), group.kind) for name in group.ports], axis=1)
            )
            for group in self._library.inputs
        ]
        taken = [np.zeros((n, len(group.ports)), group.kind) for group in self._library.outputs] if answers else []
        table = None
        if not self._serialises:
            ports = [columns[port.name] for port in self.description.inputs]
            table = np.stack(ports, axis=1) if ports else np.empty((n, 0))
        return _Call(
            times, times.tolist(), good.tolist(), given, taken, _addresses(given, n), _addresses(taken, n), table
        )

    def run(self, live: _Live, start: int, end: int) -> _Live:
        """See Keeping."""
        call = self._call
        self._march(live, call, start, end)
        if call.table is not None and live.fmu is not None:
            live.seen.append((call.times[start:end], call.table[start:end]))
            live.held += end - start
            if live.held > 2 * self._most or len(live.seen) > 256:
                self._compact(live)
        return live

    def outputs(self) -> dict[str, Column]:
        """See Keeping."""
        call = self._call
        good = np.array(call.good, dtype=bool)
        found: dict[str, Column] = {}
        for group, values in zip(self._library.outputs, call.taken, strict=True):
            for index, name in enumerate(group.ports):
                column = values[:, index].astype(np.float64)
                column[~good] = np.nan
                found[name] = column
        return found

    def _march(self, live: _Live, call: _Call, start: int, end: int) -> None:
        set_and_go, get = None, self._library.get if call.taken else None
        component, first = 0, 0.0
        moves = live.stepper
        try:
            for row in range(start, end):
                if not call.good[row]:
                    continue
                time = call.listed[row]
                if moves is None:
                    self._begin(live, list(call.sources[row]))
                    moves = live.stepper
                    assert moves is not None
                    live.start = time
                elif time < live.last:
                    raise refused("rows come in order of time; this one lies before the last one of the asset")
                if set_and_go is None:
                    set_and_go, component, first = moves.advance, live.fmu.component, moves.first
                set_and_go((time - live.start) / 1e9 + first, call.sources[row])
                if get is not None:
                    get(component, call.targets[row])
                live.last = time
        except KindError:
            raise
        except Exception as error:
            # FMPy's own, by type and text: a call failed, or CVode gave up.
            at = 0.0 if moves is None else moves.time
            raise self._library.failure(f"at {at:g} s: {error}") from None

    def _begin(self, live: _Live, inputs: list[int]) -> None:
        live.fmu = self._library.instance()
        try:
            self._library.initialise(live.fmu, self._parameters, inputs)
            live.stepper = stepper(self._library, live.fmu)
        except KindError:
            raise
        except Exception as error:
            raise self._library.failure(f"initialisation: {error}") from None

    def save(self, live: _Live) -> bytes:
        """See Keeping."""
        if live.fmu is None or live.stepper is None:
            return msgspec.msgpack.encode(_Saved(0, 0.0, 0.0, 0, None))
        saved = _Saved(live.start, live.stepper.time, live.stepper.extra(), live.last, None)
        if self._serialises:
            try:
                state = live.fmu.getFMUState()
                saved.state = bytes(live.fmu.serializeFMUState(state))
                live.fmu.freeFMUState(state)
            except Exception as error:
                raise self._library.failure(f"its state cannot be taken out: {error}") from None
        else:
            self._compact(live)
            saved.times, saved.columns = live.seen[0][0].tobytes(), live.seen[0][1].tobytes()
            saved.forgotten = live.forgotten
            if live.forgotten:
                text = f"its FMU gives no state away and has seen more than {self._most} rows"
                self.note(live.asset, f"{text}: after a restart it begins with the last {self._most}")
        return msgspec.msgpack.encode(saved)

    def restore(self, asset: int, state: bytes) -> _Live:
        """See Keeping."""
        try:
            saved = msgspec.msgpack.decode(state, type=_Saved)
        except msgspec.MsgspecError as error:
            raise refused(f"the stored state cannot be read: {error}") from None
        live = _Live(asset)
        if saved.state is not None:
            self._begin(live, [])
            assert live.stepper is not None
            live.start, live.last = saved.start, saved.last
            try:
                held = live.fmu.deserializeFMUState(saved.state)
                live.fmu.setFMUState(held)
                live.fmu.freeFMUState(held)
            except Exception as error:
                raise self._library.failure(f"its state cannot be put back: {error}") from None
            live.stepper.resume(saved.time, saved.extra)
        elif saved.times:
            self._replay(live, saved)
        return live

    def _replay(self, live: _Live, saved: _Saved) -> None:
        ports = [port.name for port in self.description.inputs]
        times = np.frombuffer(saved.times, dtype=np.int64)
        if len(saved.columns) != 8 * len(times) * len(ports):
            raise refused("the stored rows are not of this FMU")
        table = np.frombuffer(saved.columns, dtype=np.float64).reshape(len(times), len(ports))
        columns = {name: np.ascontiguousarray(table[:, index]) for index, name in enumerate(ports)}
        self._march(live, self._opened(times, columns, False), 0, len(times))
        live.seen, live.held, live.forgotten = [(times, table)], len(times), saved.forgotten
        if saved.forgotten:
            self.note(live.asset, f"restarted from its last {len(times)} rows: its FMU gives no state away")

    def _compact(self, live: _Live) -> None:
        times = np.concatenate([each for each, _ in live.seen])
        table = np.concatenate([each for _, each in live.seen])
        if len(times) > 2 * self._most:
            times, table, live.forgotten = times[-self._most :].copy(), table[-self._most :].copy(), True
        live.seen, live.held = [(times, table)], len(times)

    def drop(self, live: _Live) -> None:
        """See Keeping."""
        if live.fmu is not None:
            self._library.free(live.fmu)


def _addresses(arrays: list[NDArray[Any]], n: int) -> list[tuple[int, ...]]:
    """Return for each of n rows where it begins in each array."""
    if not arrays:
        return [()] * n
    begins = [range(each.ctypes.data, each.ctypes.data + n * each.strides[0], each.strides[0]) for each in arrays]
    return list(zip(*begins, strict=True))
