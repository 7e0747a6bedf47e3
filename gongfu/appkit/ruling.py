"""Rules that are Python functions: a verdict on each window becomes an alarm by deadband, on-delay and off-delay. Pure.

They mean what they mean in rules as data (``gongfu.reason.rules.conditions``; ISA-18.2-2016 §10): with direction
``above`` the condition holds when value > limit and no more when value <= limit - deadband; in between it stays as it
was. The alarm is raised when the condition has held for the on-delay without a break, and returns when it has not for
the off-delay, each at the time at which the delay ends. What is not known changes nothing. The condition is known at
the ends of windows, so that a delay is found to have ended with the next window.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Literal, Protocol

import numpy as np

from gongfu.appkit.alarm_texts import Text, texts_of
from gongfu.appkit.declarations import DeclarationError
from gongfu.appkit.samples import Window
from gongfu.reason.alarms.types import render_message

Verdict = bool | float | None
Priority = Literal["critical", "high", "medium", "low"]
PRIORITIES: tuple[Priority, ...] = ("critical", "high", "medium", "low")


@dataclass(frozen=True, slots=True)
class AppRule:
    """A rule; delays in nanoseconds.

    Attributes:
        name: of the function: the alarm is known by it.
        limit: that values are compared with; None when the function itself says true or false.
        point: what the alarm names, and rationalisation finds it by.
        message: template with ``{asset} {point} {value} {limit} {rule}``, or one in each language.
    """

    name: str
    priority: Priority
    direction: Literal["above", "below"]
    limit: float | None
    deadband: float
    on_delay: int
    off_delay: int
    point: str
    message: Text

    def __post_init__(self) -> None:
        if self.priority not in PRIORITIES:
            raise DeclarationError(f"priority is one of {', '.join(PRIORITIES)}")
        if self.direction not in ("above", "below"):
            raise DeclarationError("direction is 'above' or 'below'")
        if self.limit is not None and not math.isfinite(self.limit):
            raise DeclarationError("limit is a finite number")
        if not (math.isfinite(self.deadband) and self.deadband >= 0):
            raise DeclarationError("deadband is a number >= 0")
        if self.limit is None and self.deadband:
            raise DeclarationError("a deadband belongs to a limit")
        try:
            texts_of(self.message)
        except ValueError as error:
            raise DeclarationError(str(error)) from None

    def text(self, asset: str, value: float | None) -> Text:
        """Return the message of an alarm."""
        number = "" if value is None else f"{value:.6g}"
        limit = "" if self.limit is None else f"{self.limit:.6g}"
        standard = "{rule}" if self.limit is None else f"{{rule}}: {{value}} is {self.direction} {{limit}}"
        words = {"asset": asset, "point": self.point, "value": number, "limit": limit, "rule": self.name}
        if isinstance(self.message, str):
            return render_message(self.message or standard, words)
        return {language: render_message(text, words) for language, text in self.message.items()}


@dataclass(frozen=True, slots=True)
class Standing:
    """State of a rule at an asset.

    Attributes:
        latched: the condition after the deadband, before the delays.
        since: end of the window with which ``latched`` took its present value, UTC ns.
        value: that the condition was found with then, None where there is no number.
        active: after the delays: an alarm is raised.
    """

    latched: bool = False
    since: int = 0
    value: float | None = None
    active: bool = False

    @classmethod
    def of(cls, state: dict[str, Any]) -> "Standing":
        """Return what was kept."""
        return cls(
            bool(state.get("latched")), int(state.get("since", 0)), state.get("value"), bool(state.get("active"))
        )

    def plain(self) -> dict[str, Any]:
        """Return what is kept."""
        return {"latched": self.latched, "since": self.since, "value": self.value, "active": self.active}


@dataclass(frozen=True, slots=True)
class Turn:
    """The alarm is raised or returns: when (UTC ns), and with which value."""

    raised: bool
    time: int
    value: float | None


def judge(rule: AppRule, before: Standing, verdict: Any, time: int) -> tuple[Standing, list[Turn]]:
    """Return the state after a verdict on a window that ends at a time (UTC ns), and what became of the alarm.

    A delay ends at its own time, before the verdict counts: what has held until then is raised although it is over.

    Raises:
        TypeError: the verdict is neither a number nor true, false or None, as the rule asks.
    """
    found = _number(rule, verdict)
    now, turns = _ripe(rule, before, time)
    if found is None:
        return now, turns
    if rule.limit is None:
        latched = found > 0
    else:
        sign = 1.0 if rule.direction == "above" else -1.0
        over, limit = sign * found, sign * rule.limit
        latched = over > limit or (now.latched and over > limit - rule.deadband)
    if latched != now.latched:
        now = replace(now, latched=latched, since=time, value=None if rule.limit is None else found)
    after, more = _ripe(rule, now, time)
    return after, turns + more


class Alarms(Protocol):
    """What a rule needs of ``contract.Context``."""

    def raise_alarm(
        self,
        key: str,
        asset: str,
        message: Text,
        *,
        time: int,
        point: str = "",
        priority: Priority = "medium",
        value: float | None = None,
    ) -> None:
        """Raise the alarm of a key at an asset."""
        ...

    def return_alarm(self, key: str, asset: str, *, time: int, value: float | None = None) -> None:
        """Say that its condition is no more."""
        ...


def carry_out(rule: AppRule, function: Callable[[Window], Verdict], alarms: Alarms, window: Window) -> None:
    """Judge a window, raise or return the alarm, and keep the state of the rule in that of the window.

    Raises:
        TypeError: see ``judge``.
    """
    pure = Window(window.asset, window.start, window.end, window.points, {}, window.late)
    standing, turns = judge(rule, Standing.of(window.state), function(pure), window.end)
    for turn in turns:
        if turn.raised:
            alarms.raise_alarm(
                rule.name,
                window.asset,
                rule.text(window.asset, turn.value),
                time=turn.time,
                point=rule.point,
                priority=rule.priority,
                value=turn.value,
            )
        else:
            alarms.return_alarm(rule.name, window.asset, time=turn.time, value=turn.value)
    window.state.update(standing.plain())


def _ripe(rule: AppRule, state: Standing, time: int) -> tuple[Standing, list[Turn]]:
    """Return what becomes of an alarm whose delay has ended by a time."""
    at = state.since + (rule.on_delay if state.latched else rule.off_delay)
    if state.latched == state.active or time < at:
        return state, []
    return replace(state, active=state.latched), [Turn(state.latched, at, state.value)]


def _number(rule: AppRule, verdict: Any) -> float | None:
    """Return a verdict as a number; None when it is not known."""
    if verdict is None:
        return None
    truth = isinstance(verdict, (bool, np.bool_))
    if rule.limit is None and not truth:
        raise TypeError(f"{rule.name} returns {type(verdict).__name__}: without limit it returns True, False or None")
    if not truth and not isinstance(verdict, Real):
        raise TypeError(f"{rule.name} returns {type(verdict).__name__}: with limit it returns a number or None")
    value = float(verdict)
    return value if math.isfinite(value) else None
