"""Assets whose reports have ended (a death, a lost connection): offline until a value comes that is newer than that."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass
class Ending:
    """Assets that ended until ``time`` (UTC ns) and have not been seen since: ``bool[n]`` by asset id."""

    time: int
    assets: NDArray[np.bool_]


class Endings:
    """Endings of the last while. Those between two looks at the values become one, so that few looks are needed: an
    asset that came back within that time is online again with its next value after it."""

    def __init__(self) -> None:
        self._ripe: list[Ending] = []
        self._open: Ending | None = None

    def add(self, time: int, assets: NDArray[np.bool_]) -> None:
        """Note that assets (``bool[n]`` by id) ended at a time (UTC ns)."""
        if self._open is None:
            self._open = Ending(time, assets.copy())
        else:
            self._open = Ending(max(time, self._open.time), _either(self._open.assets, assets))

    def to_look_at(self, since: int) -> list[Ending]:
        """Return the endings at ``since`` (UTC ns) or later whose assets must have been seen after their time; what
        ended before is forgotten, for nothing older than ``since`` counts anyhow."""
        if self._open is not None:
            self._ripe.append(self._open)
            self._open = None
        self._ripe = [one for one in self._ripe if one.time >= since and bool(one.assets.any())]
        return list(self._ripe)


def apply_ending(seen: NDArray[np.bool_], ending: Ending, seen_after: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return ``seen`` without the ended assets that were not ``seen_after`` it; those that were have ended no more."""
    back = _fit(seen_after, len(ending.assets))
    ending.assets &= ~back
    return seen & ~_fit(ending.assets, len(seen))


def _fit(flags: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    if len(flags) >= size:
        return flags[:size]
    return np.concatenate([flags, np.zeros(size - len(flags), dtype=np.bool_)])


def _either(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.bool_]:
    size = max(len(one), len(other))
    return _fit(one, size) | _fit(other, size)
