"""The receiver's end of a report stream (``wire``)."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from gongfu.tree.reports.cells import NO_CONTRIBUTOR, CellError, Cells, check_cells, empty_objects
from gongfu.tree.reports.kinds import MAX_MEASURES, MAX_THRESHOLD, Form, ReportKind
from gongfu.tree.reports.measures import ABSENT, MeasureError
from gongfu.tree.reports.planes import PlaneError, PlaneReader
from gongfu.tree.reports.stream import MAX_KEYS, Statement, StreamState
from gongfu.tree.reports.wire import CodecError, CodecReason, Wire, declared_measures, open_body, unpack_batch


class Decoder:
    """The receiver's end of a stream of one kind."""

    def __init__(self, kind: ReportKind) -> None:
        self._kind = kind
        self._state = StreamState(kind)

    @property
    def position(self) -> tuple[int, int]:
        """Return epoch and number of the last batch that was decoded; (0, 0) before the first."""
        return self._state.epoch, self._state.sequence

    @property
    def state(self) -> StreamState:
        """Return what it remembers, to store it; ``resume`` goes on from there."""
        return self._state

    @classmethod
    def resume(cls, kind: ReportKind, state: StreamState) -> "Decoder":
        """Return a decoder that goes on from a stored state, also with a newer version of the kind."""
        decoder = cls(kind)
        decoder._state = state
        return decoder

    def decode(self, data: bytes) -> Statement | None:
        """Return the next batch; None for one that was decoded before.

        Raises:
            CodecError: damaged, hostile, or one that does not follow the last one.
        """
        wire, checksum = unpack_batch(data)
        if wire.kind != self._kind.name:
            raise CodecError(CodecReason.KIND, f"a batch of {wire.kind!r} and not of {self._kind.name}")
        state = self._state
        if (wire.epoch, wire.sequence) <= (state.epoch, state.sequence):
            return None
        if wire.sequence == 1 and wire.epoch > state.epoch:
            state = StreamState(self._sender_kind(wire))
            state.epoch = wire.epoch
        elif (wire.epoch, wire.sequence) != (state.epoch, state.sequence + 1):
            raise CodecError(CodecReason.GAP, f"batch {wire.sequence} after batch {state.sequence}")
        if wire.base != state.checksum:
            raise CodecError(CodecReason.BASE, "the batch follows one that was not seen here")
        if wire.measures != declared_measures(state.kind) or wire.least != state.kind.least_contributors:
            raise CodecError(CodecReason.MEASURES, "the measures of a stream do not change within an epoch")
        try:
            new, cells, ordinals, numbers = _read_rows(state, wire)
            mine = self._translate(cells)
            check_cells(mine)
        except PlaneError as error:
            raise CodecError(CodecReason.DAMAGED, str(error)) from None
        except (CellError, MeasureError) as error:
            raise CodecError(CodecReason.CELLS, str(error)) from None
        state.add(new)
        state.remember(cells, ordinals, numbers)
        state.sequence, state.checksum = wire.sequence, checksum
        self._state = state
        unknown = len(state.kind.measures) - sum(m in self._kind.measures for m in state.kind.measures)
        coverage = tuple(wire.coverage)
        return Statement(wire.epoch, wire.sequence, wire.as_of, mine, wire.complete, coverage, unknown)

    def _sender_kind(self, wire: Wire) -> ReportKind:
        """Return the kind as the sender has it, with a declaration to read past measures that are not known here."""
        known = {measure.name: measure for measure in self._kind.measures}
        if len(wire.measures) > MAX_MEASURES or len({name for name, _ in wire.measures}) != len(wire.measures):
            raise CodecError(CodecReason.MEASURES, "too many measures, or one twice")
        if not 1 <= wire.least <= MAX_THRESHOLD:
            raise CodecError(CodecReason.LIMIT, "more contributors than can be")
        measures = []
        for name, form_name in wire.measures:
            try:
                form = Form(form_name)
            except ValueError:
                raise CodecError(CodecReason.MEASURES, f"form {form_name!r} is not known") from None
            measure = known.get(name)
            if measure is None:
                like = self._kind.measures[0]
                measure = msgspec.structs.replace(like, name=name, form=form, unit="1", decimals=0, size=0)
            elif measure.form is not form:
                raise CodecError(CodecReason.MEASURES, f"{name} is {measure.form} here and {form} there")
            measures.append(measure)
        kind = msgspec.structs.replace(
            self._kind, version=wire.version, measures=tuple(measures), least_contributors=wire.least
        )
        if declared_measures(kind) != wire.measures:
            raise CodecError(CodecReason.MEASURES, "measures are not in order")
        return kind

    def _translate(self, cells: Cells) -> Cells:
        """Return the cells with the measures and the number of contributors of the kind as it is known here."""
        kind, n = self._kind, len(cells)
        exact_rows = {measure.name: row for row, measure in enumerate(cells.kind.exact)}
        sketch_rows = {measure.name: row for row, measure in enumerate(cells.kind.sketches)}
        exact = np.full((len(kind.exact), n), ABSENT, dtype=np.int64)
        for row, measure in enumerate(kind.exact):
            if measure.name in exact_rows:
                exact[row] = cells.exact[exact_rows[measure.name]]
        sketches = empty_objects(len(kind.sketches), n)
        for row, measure in enumerate(kind.sketches):
            if measure.name in sketch_rows:
                sketches[row] = cells.sketches[sketch_rows[measure.name]]
        contributors = np.full((n, kind.least_contributors), NO_CONTRIBUTOR, dtype=np.uint64)
        k = min(kind.least_contributors, cells.kind.least_contributors)
        contributors[:, :k] = cells.contributors[:, :k]
        return Cells(
            kind,
            cells.periods,
            cells.keys,
            cells.present,
            exact,
            sketches,
            contributors,
            cells.nodes,
            cells.silent,
            cells.as_of,
        )


def _read_keys(state: StreamState, wire: Wire, reader: PlaneReader) -> list[tuple[str, ...]]:
    arity = len(state.kind.keys)
    if len(wire.values) != arity or len(state.keys) + wire.new > MAX_KEYS or (wire.new > 1 and not arity):
        raise CodecError(CodecReason.DAMAGED, "new keys have another form than the kind's")
    columns: list[list[str]] = []
    for values in wire.values:
        codes = reader.column(wire.new)
        if wire.new and not 0 <= int(codes.min()) <= int(codes.max()) < len(values):
            raise CodecError(CodecReason.DAMAGED, "a key value is not in its list")
        columns.append([values[code] for code in codes.tolist()])
    new = list(zip(*columns, strict=True)) if arity else [()] * wire.new
    if len(set(new)) != len(new) or any(key in state.ordinals for key in new):
        raise CodecError(CodecReason.DAMAGED, "a new key is not new")
    return new


def _read_rows(
    state: StreamState, wire: Wire
) -> tuple[list[tuple[str, ...]], Cells, NDArray[np.int64], NDArray[np.int64]]:
    """Return new keys, cells, their ordinals and numbers; the state is not changed."""
    reader, n, kind, known = open_body(wire), wire.rows, state.kind, len(state.keys)
    new = _read_keys(state, wire, reader)
    ordinals = np.cumsum(reader.column(n))
    if n and not 0 <= int(ordinals.min()) <= int(ordinals.max()) < known + len(new):
        raise CodecError(CodecReason.DAMAGED, "a cell has a key that was never said")
    present = reader.column(n) != 0
    there = ordinals < known
    numbers = np.zeros((len(state.numbers), n), dtype=np.int64)
    numbers[:, there] = state.numbers[:, ordinals[there]]
    for row in range(len(numbers)):
        change = reader.column(n)
        numbers[row] += np.cumsum(change) if row == 0 else change
    lag = numbers[3]
    if bool(((lag < 0) | (lag > wire.as_of)).any()):
        raise CodecError(CodecReason.DAMAGED, "a lag is out of range")
    contributors = np.full((n, kind.least_contributors), NO_CONTRIBUTOR, dtype=np.uint64)
    contributors[there] = state.contributors[ordinals[there]]
    moved = reader.column(n) != 0
    count = int(moved.sum()) * kind.least_contributors
    contributors[moved] = np.frombuffer(reader.take(8 * count), dtype="<u8").reshape(-1, kind.least_contributors)
    sketches = empty_objects(len(kind.sketches), n)
    sketches[:, there] = state.sketches[:, ordinals[there]]
    for row in range(len(sketches)):
        for i, size in enumerate(reader.column(n).tolist()):
            if size:
                said = reader.take(size)
                sketches[row, i] = b"" if said == b"\0" else said
    reader.end()
    keys = state.keys + new if new else state.keys
    cells = Cells(
        kind,
        numbers[0],
        [keys[i] for i in ordinals.tolist()],
        present,
        numbers[4:],
        sketches,
        contributors,
        numbers[1],
        numbers[2],
        np.where(lag == 0, 0, wire.as_of - lag),
    )
    return new, cells, ordinals, numbers
