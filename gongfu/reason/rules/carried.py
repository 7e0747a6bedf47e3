"""What a table carried over to its successor, perhaps through a checkpoint, matched with the successor's instances."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.reason.rules.types import Rule

# Rows that follow each other are copied as one where there are at least so many of them on average.
_RUN = 64
_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class Link:
    """Which instances of a table are those of another one.

    Attributes:
        rows: ``intp[k]`` positions in the table.
        source: ``intp[k]`` positions in the other one.
        runs: the same as (row, position, number); None where it is no shorter.
    """

    rows: NDArray[np.intp]
    source: NDArray[np.intp]
    runs: list[tuple[int, int, int]] | None

    @classmethod
    def of(cls, rows: NDArray[np.intp], source: NDArray[np.intp]) -> "Link":
        """Link rows with rows."""
        begins = np.flatnonzero((np.diff(rows) != 1) | (np.diff(source) != 1)) + 1
        if not len(rows) or len(begins) * _RUN > len(rows):
            return cls(rows, source, None)
        begins = np.concatenate([np.zeros(1, dtype=np.intp), begins])
        lengths = np.diff(begins, append=len(rows))
        runs = zip(rows[begins].tolist(), source[begins].tolist(), lengths.tolist(), strict=True)
        return cls(rows, source, list(runs))

    def copy(self, to: NDArray[Any], column: NDArray[Any]) -> None:
        """Copy a column of the other table."""
        if self.runs is None:
            to[self.rows] = column[self.source]
            return
        for row, at, number in self.runs:
            to[row : row + number] = column[at : at + number]


def strung(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return arrays (one at least) after each other; of very many, some at a time, for all else waits meanwhile."""
    while len(parts) > _AT_ONCE:
        parts = [np.concatenate(parts[at : at + _AT_ONCE]) for at in range(0, len(parts), _AT_ONCE)]
    return np.concatenate(parts)


def names_of(rules: Sequence[Rule]) -> dict[str, NDArray[Any]]:
    """Return what names rules: ``int64[k]`` ids and fingerprints."""
    return {
        "rule_id": np.array([rule.id for rule in rules], dtype=np.int64),
        "fingerprint": np.array([rule.fingerprint for rule in rules], dtype=np.int64),
    }


def continues(mine: dict[str, NDArray[Any]], carried: dict[str, NDArray[Any]], traits: Sequence[str]) -> bool:
    """Return whether both name just the same instances: the same rules, of the same meaning, in this order."""
    if not np.array_equal(mine["series"], carried["series"]):
        return False
    if any(name not in carried or not np.array_equal(mine[name], carried[name]) for name in traits):
        return False
    carried = by_rule(carried)
    return all(np.array_equal(mine[name], carried[name]) for name in ("rule_id", "fingerprint", "rule"))


def positions_of(mine: dict[str, NDArray[Any]], carried: dict[str, NDArray[Any]]) -> NDArray[np.int64]:
    """Return for each rule of ``mine`` the position of the same one, of the same meaning, in ``carried``, or -1."""
    pairs = zip(carried["rule_id"].tolist(), carried["fingerprint"].tolist(), strict=True)
    theirs = {pair: at for at, pair in enumerate(pairs)}
    wanted = zip(mine["rule_id"].tolist(), mine["fingerprint"].tolist(), strict=True)
    return np.array([theirs.get(pair, -1) for pair in wanted], dtype=np.int64)


def linked(mine: dict[str, NDArray[Any]], carried: dict[str, NDArray[Any]], traits: Sequence[str]) -> Link:
    """Return which instances are the same: rule, fingerprint, series and traits.

    Args:
        mine: what names the instances of a table, see ``InstanceTable.identity``.
        carried: the same of another one, at least.
        traits: names of what instances must agree in besides.
    """
    nothing = np.zeros(0, dtype=np.intp)
    if not len(mine["series"]) or not len(carried["series"]):
        return Link(nothing, nothing, None)
    carried = by_rule(carried)
    other = positions_of(mine, carried)
    source = same_instances(other[mine["rule"]], mine["series"], carried["rule"], carried["series"])
    rows = np.flatnonzero(source >= 0)
    for name in traits:
        if name not in carried or carried[name].shape[1:] != mine[name].shape[1:]:
            return Link(nothing, nothing, None)
        same = mine[name][rows] == carried[name][source[rows]]
        rows = rows[same.all(axis=tuple(range(1, same.ndim)))]
    return Link.of(rows, source[rows])


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
