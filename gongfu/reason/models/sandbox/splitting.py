"""Calls whose states are too long for one frame, or would take too long to restore, in parts by asset. Pure."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from gongfu.reason.models.sandbox.types import Outcome, Rows

# States of replayed FMUs cost about a second of CPU for so many bytes.
MOST_STATE_BYTES = 4 << 20


def parts_of(rows: Rows) -> list[Rows]:
    """Return rows in parts of whole assets, each with at most ``MOST_STATE_BYTES`` of states, or one asset."""
    lengths = [0 if state is None else len(state) for state in rows.states]
    if sum(lengths) <= MOST_STATE_BYTES:
        return [rows]
    cuts, held = [0], 0
    for index, length in enumerate(lengths):
        if held and held + length > MOST_STATE_BYTES:
            cuts.append(index)
            held = 0
        held += length
    cuts.append(len(lengths))
    return [_part(rows, begin, end) for begin, end in pairwise(cuts)]


def _part(rows: Rows, begin: int, end: int) -> Rows:
    start, stop = int(rows.offsets[begin]), int(rows.offsets[end])
    return Rows(
        rows.assets[begin:end],
        rows.offsets[begin : end + 1] - start,
        rows.times[start:stop],
        {name: column[start:stop] for name, column in rows.columns.items()},
        rows.dt[start:stop],
        rows.states[begin:end],
    )


def whole_of(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the outcome of rows from those of their parts, in order."""
    if len(outcomes) == 1:
        return outcomes[0]
    columns = {name: np.concatenate([each.columns[name] for each in outcomes]) for name in outcomes[0].columns}
    failures = {asset: detail for each in outcomes for asset, detail in each.failures.items()}
    notes = {asset: note for each in outcomes for asset, note in each.notes.items()}
    states = [state for each in outcomes for state in each.states]
    return Outcome(columns, states, sum(each.cpu_s for each in outcomes), failures, notes)
