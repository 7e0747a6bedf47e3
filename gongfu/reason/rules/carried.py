"""What a table carried over to its successor, perhaps through a checkpoint, matched with the successor's instances."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def by_rule(carried: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the columns with rule ids and fingerprints by rule; checkpoints before 0.3 had them by instance."""
    if "rule_id" in carried:
        return carried
    pairs = np.stack([carried["rule"], carried["fingerprint"]], axis=1)
    unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
    rule = inverse.reshape(-1).astype(np.int32)
    return {**carried, "rule": rule, "rule_id": unique[:, 0], "fingerprint": unique[:, 1]}


def same_instances(
    rule: NDArray[np.int64], series: NDArray[np.uint32], rules: NDArray[np.int32], of: NDArray[np.uint32]
) -> NDArray[np.int64]:
    """Return for each (rule, series) the row of (rules, of) that is the same, -1 where there is none."""
    mine = (rule.astype(np.int64) << 32) | series
    theirs = (rules.astype(np.int64) << 32) | of
    order = np.argsort(theirs, kind="stable")
    place = np.minimum(np.searchsorted(theirs, mine, sorter=order), len(theirs) - 1)
    source = order[place]
    return np.where((theirs[source] == mine) & (rule >= 0), source, -1)


def series_in(columns: dict[str, NDArray[Any]]) -> dict[int, NDArray[np.uint32]]:
    """Return the series each rule applies to in a snapshot of an engine, in the order of its instances."""
    found: dict[int, NDArray[np.uint32]] = {}
    for name in columns:
        table, _, member = name.rpartition(".")
        if member == "rule_id":
            part = {key: columns[f"{table}.{key}"] for key in ("rule", "rule_id", "series")}
            found.update(series_by_rule(part))
    return found


def series_by_rule(columns: dict[str, NDArray[Any]]) -> dict[int, NDArray[np.uint32]]:
    """Return the series each rule of a table applies to, in the order of its instances."""
    rule, keys, series = columns["rule"], columns["rule_id"].tolist(), columns["series"]
    if len(keys) == 1:
        return {keys[0]: series}
    order = np.argsort(rule, kind="stable")
    starts = np.searchsorted(rule, np.arange(len(keys) + 1), sorter=order).tolist()
    ordered = series[order]
    return {key: ordered[starts[at] : starts[at + 1]] for at, key in enumerate(keys)}
