"""What the worker tells of rules when it is asked (``svc.reason``, ``svc.latest``)."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from nats.aio.client import Client

from gongfu.bus.gather import gather
from gongfu.kernel.subjects import Subjects

logger = logging.getLogger(__name__)

_TIMEOUT_S = 1.0
MAX_LATEST = 10_000


class RuleState(msgspec.Struct, frozen=True):
    """A rule in the worker: series it applies to, alarms standing, samples evaluated and alarms withheld since the
    worker started, and what is wrong (empty: nothing). Samples since the worker started: ``late`` came after their
    watermark and ``bad`` are no numbers, both were left out; ``waiting`` wait for their watermark now."""

    series: int = 0
    active: int = 0
    evaluated: int = 0
    withheld: int = 0
    error: str = ""
    late: int = 0
    bad: int = 0
    waiting: int = 0


class StateRequest(msgspec.Struct, frozen=True):
    """Request of ``svc.reason``: rules whose state is wanted; None for all, which may be more than a message takes."""

    rules: list[int] | None = None


class ReasonState(msgspec.Struct, frozen=True):
    """Answer of ``svc.reason``. Keys are rule ids and partitions, as text."""

    rules: dict[str, RuleState] = {}
    position: dict[str, int] = {}
    lag: dict[str, float] = {}


def merge_states(states: Sequence[ReasonState]) -> ReasonState:
    """Return the state of all partitions or workers as one: counts are summed up, any error is told."""
    rules: dict[str, RuleState] = {}
    position: dict[str, int] = {}
    lag: dict[str, float] = {}
    for state in states:
        for key, rule in state.rules.items():
            rules[key] = _merge_rule(rules[key], rule) if key in rules else rule
        for key, sequence in state.position.items():
            position[key] = max(sequence, position.get(key, 0))
        for key, blocks in state.lag.items():
            lag[key] = lag.get(key, 0.0) + blocks
    return ReasonState(rules, position, lag)


def _merge_rule(one: RuleState, other: RuleState) -> RuleState:
    series = one.series + other.series
    # That a rule matches nothing is no error when it does in another partition.
    errors = [state.error for state in (one, other) if state.error and (state.series or not series)]
    return RuleState(
        series,
        one.active + other.active,
        one.evaluated + other.evaluated,
        one.withheld + other.withheld,
        next(iter(errors), ""),
        one.late + other.late,
        one.bad + other.bad,
        one.waiting + other.waiting,
    )


class LatestRequest(msgspec.Struct, frozen=True):
    """Request of ``svc.latest``."""

    series: list[int]


class LatestItem(msgspec.Struct, frozen=True):
    """Latest value of a series; times are UTC ns, ``value`` is None for NaN and infinities."""

    series: int
    value: Any
    quality: int
    time: int
    ingested: int


class LatestAnswer(msgspec.Struct, frozen=True):
    """Answer of ``svc.latest``; series without a value are left out."""

    items: list[LatestItem]


class Worker:
    """Asks the workers. While none answers, the state is None, not an error."""

    def __init__(self, bus: Client, subjects: Subjects, workers: Callable[[], int]) -> None:
        """Ask over ``bus``; ``workers`` tells how many workers there are, as far as is known (0: not yet)."""
        self._bus = bus
        self._subjects = subjects
        self._workers = workers

    async def state(self, rules: Sequence[int] | None = None) -> ReasonState | None:
        """Return the state of rules (default all) and models over all workers that answer, None when none does."""
        subject, request = self._subjects.service("reason"), StateRequest(None if rules is None else list(rules))
        answers = await gather(self._bus, subject, request, _TIMEOUT_S, max(1, self._workers()))
        try:
            states = [msgspec.convert(answer, ReasonState) for answer in answers]
        except msgspec.ValidationError:
            logger.warning("the state of rules was not understood")
            return None
        return merge_states(states) if states else None
