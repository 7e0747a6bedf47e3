"""Judging by thing models: points of an asset with a model, before they get into a block."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.ingest.columnise.accumulator import OpenBlock
from gongfu.ingest.columnise.reasons import Reason, Reject, shown
from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import SEVERITY_MASK, Quality
from gongfu.thing.compiled import Binding, Screen

# Hears of a point that is stored as uncertain: the reason, and what is wrong in words.
Mark = Callable[[Reason, str], None]


def by_model(reject: Reject) -> Reject:
    """Return a ``Reject`` that says of values which do not fit the type of a point that the model says so."""
    return partial(_reject_by_model, reject)


def _reject_by_model(reject: Reject, reason: Reason, n: int, detail: str) -> None:
    reject(Reason.MODEL_TYPE if reason is Reason.TYPE_MISMATCH else reason, n, detail)


def pass_on(taken: OpenBlock, block: OpenBlock, bound: Binding, screen: Screen, reject: Reject, mark: Mark) -> None:
    """Append to ``block`` what the model allows of the points of one asset.

    Values that their sender calls bad are not measured by the model: they are no values.

    Args:
        taken: the points, of this asset only.
        block: where they go.
        bound: the model, and the names of the points.
        screen: bounds of all points.
        reject: hears of points that are not taken.
        mark: hears of points that are taken as uncertain.
    """
    for value_type, series, times, qualities, values in taken.sections():
        ids = np.frombuffer(series, dtype="<u4")
        numbers = np.zeros(len(ids)) if isinstance(values, list) else values
        doubtful = ~screen.inside(ids, numbers) & ((qualities & SEVERITY_MASK) != Quality.BAD)
        keep: NDArray[np.bool_] | None = None
        for row in np.flatnonzero(doubtful).tolist():
            name = bound.names.get(int(ids[row]), "")
            verdict = bound.model.judge(name, value_type, _value(values, row))
            if verdict is None:
                continue
            violation, policy, text = verdict
            detail = f"{shown(name)}: {text}"
            if policy == "reject":
                if keep is None:
                    keep = np.ones(len(ids), dtype=np.bool_)
                keep[row] = False
                reject(Reason(violation.value), 1, detail)
            else:
                if qualities[row] == Quality.GOOD:
                    qualities[row] = Quality.UNCERTAIN
                mark(Reason(violation.value), detail)
        if keep is None:
            _append(block, value_type, series, times, qualities, values)
        elif keep.any():
            rows = np.flatnonzero(keep)
            chosen = [values[row] for row in rows.tolist()] if isinstance(values, list) else values[rows]
            moments = np.frombuffer(times, dtype="<i8")[rows].tobytes()
            _append(block, value_type, ids[rows].tobytes(), moments, qualities[rows], chosen)


def _value(values: NDArray[Any] | list[str], row: int) -> Any:
    return values[row] if isinstance(values, list) else values[row].item()


def _append(
    block: OpenBlock,
    value_type: ValueType,
    series: bytes,
    times: bytes,
    qualities: NDArray[np.uint8],
    values: NDArray[Any] | list[str],
) -> None:
    if isinstance(values, list):
        block.add_texts(value_type, series, times, qualities.tobytes(), values)
    else:
        block.add(value_type, len(qualities), series, times, qualities.tobytes(), values.tobytes())
