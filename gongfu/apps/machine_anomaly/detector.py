"""Judge a signal hour by hour as it comes: only the past is looked at, and what is carried on is small and plain."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .baseline import (
    DAY,
    LEVEL_HOURS,
    LEVEL_LIMIT,
    MEMORY,
    WARM_UP,
    extreme_levels,
    level_score,
    sliding_means,
)

SIDES = {"low": -1.0, "high": 1.0}
# An alarm ends after a day in which the index was never above half of its limit.
CALM = 0.5
CALM_HOURS = DAY
_KEPT = MEMORY + max(LEVEL_HOURS)


@dataclass(slots=True)
class Episode:
    """An alarm that stands: hour it began, and the last hour in which it was not calm."""

    began: int
    stirred: int


@dataclass(slots=True)
class Memory:
    """State of one signal: about 1,400 numbers.

    Attributes:
        first: number of the first hour, None before it.
        hours: numbers of the hours with samples since 1970, the last ``_KEPT``.
        means: their means.
        episodes: alarms that stand, by side.
    """

    first: int | None = None
    hours: list[int] = field(default_factory=list[int])
    means: list[float] = field(default_factory=list[float])
    episodes: dict[str, Episode] = field(default_factory=dict[str, Episode])

    def plain(self) -> dict[str, Any]:
        """Return the state as plain data."""
        episodes = {
            side: {"began": episode.began, "stirred": episode.stirred} for side, episode in self.episodes.items()
        }
        return {"first": self.first, "hours": list(self.hours), "means": list(self.means), "episodes": episodes}

    @staticmethod
    def of(plain: dict[str, Any]) -> "Memory":
        """Return the state of plain data, or a new one of an empty dictionary."""
        if not plain:
            return Memory()
        episodes = {side: Episode(**episode) for side, episode in plain["episodes"].items()}
        return Memory(plain["first"], list(plain["hours"]), list(plain["means"]), episodes)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one question says of an hour.

    Attributes:
        kind: ``level 24 h``, ``level 48 h`` or ``extreme``.
        score: in parts of the limit, negative for low: beyond 1 either way is unusual.
        value: the mean that was judged, in the unit of the signal.
        usual: the past median, or for ``extreme`` the level that is passed once in two months.
    """

    kind: str
    score: float
    value: float
    usual: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is said of one hour.

    Attributes:
        hour: its number since 1970.
        index: the score farthest from 0, of all questions; 0 during the warm-up.
        findings: of each question.
        raised: sides (``low``, ``high``) on which an alarm began.
        returned: sides on which one ended.
        bounds: lowest and highest hourly mean that is not extreme, in the unit of the signal; None in the warm-up.
    """

    hour: int
    index: float
    findings: tuple[Finding, ...]
    raised: tuple[str, ...]
    returned: tuple[str, ...]
    bounds: tuple[float, float] | None = None


def judge(memory: Memory, hour: int, mean: float) -> Judgement:
    """Judge the mean of an hour and take it into the memory.

    Args:
        memory: state of the signal, changed in place.
        hour: number of the hour since 1970, later than those before.
        mean: mean of its good samples.

    Raises:
        ValueError: the hour is not later than the last one, or the mean is not a finite number.
    """
    if memory.hours and hour <= memory.hours[-1]:
        raise ValueError("hours must come in ascending order")
    if not np.isfinite(mean):
        raise ValueError("the mean of an hour must be a finite number")
    if memory.first is None:
        memory.first = hour
    memory.hours.append(hour)
    memory.means.append(mean)
    del memory.hours[:-_KEPT], memory.means[:-_KEPT]
    findings, bounds = _findings(memory) if hour - memory.first >= WARM_UP else ((), None)
    raised, returned = _follow(memory, hour, findings)
    index = max((finding.score for finding in findings), key=abs, default=0.0)
    return Judgement(hour, index, findings, raised, returned, bounds)


def _findings(memory: Memory) -> tuple[tuple[Finding, ...], tuple[float, float]]:
    """Return what each question says, and the bounds."""
    hours, means = np.array(memory.hours), np.array(memory.means)
    found: list[Finding] = []
    for length in LEVEL_HOURS:
        sliding = sliding_means(hours, means, length)
        past = sliding[:-1][np.isfinite(sliding[:-1])][-MEMORY:]
        now = float(sliding[-1])
        if np.isfinite(now) and len(past):
            score, median = level_score(past, now)
            found.append(Finding(f"level {length} h", score / LEVEL_LIMIT, now, median))
    now = float(means[-1])
    sides = extreme_levels(hours[-MEMORY - 1 : -1], means[-MEMORY - 1 : -1])
    for sign, (threshold, level) in zip((-1.0, 1.0), sides, strict=True):
        reach = sign * (level - threshold)
        beyond = sign * (now - threshold)
        if beyond > 0.0 and reach > 0.0:
            found.append(Finding("extreme", sign * min(beyond / reach, 100.0), now, level))
    return tuple(found), (sides[0][1], sides[1][1])


def _follow(memory: Memory, hour: int, findings: tuple[Finding, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Begin and end episodes."""
    raised: list[str] = []
    returned: list[str] = []
    for side, sign in SIDES.items():
        height = max((sign * finding.score for finding in findings), default=0.0)
        episode = memory.episodes.get(side)
        if episode is None:
            if height > 1.0:
                memory.episodes[side] = Episode(hour, hour)
                raised.append(side)
        elif height >= CALM:
            episode.stirred = hour
        elif hour - episode.stirred >= CALM_HOURS:
            del memory.episodes[side]
            returned.append(side)
    return tuple(raised), tuple(returned)
